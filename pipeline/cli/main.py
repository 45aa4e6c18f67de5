"""The command line: what it takes, what it prints, and its exit codes."""

from __future__ import annotations

import dataclasses
import errno
import io
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape
from rich.table import Table

from mulde.data.cycles import begin_command
from mulde.data.errors import InputError
from mulde.data.spelling import counted, printable
from mulde.data.threads import wait_briefly
from mulde.pipeline.cli.cache import cache
from mulde.pipeline.cli.compare import ablate, compare
from mulde.pipeline.cli.config import config
from mulde.pipeline.cli.console import Bars, log_to_file, print_json, set_up_logging, stderr, stdout
from mulde.pipeline.cli.datasets import datasets
from mulde.pipeline.cli.normal import normal
from mulde.pipeline.cli.options import (
    EXIT_DONE,
    EXIT_UNEXPECTED,
    EXIT_USAGE,
    common_options,
    common_options_after,
    conclude,
    configure,
    failures_in_json,
    json_option,
)
from mulde.pipeline.cli.pictures import clips, render, scene
from mulde.pipeline.cli.status import status
from mulde.pipeline.cli.watch import watch
from mulde.pipeline.cli.weights import weights

if TYPE_CHECKING:
    from mulde.pipeline.stages.run import RunResult

_FOLDER = click.Path(path_type=Path)
_ALL_STAGES = ("extract", "train", "score", "evaluate", "report")

_log = logging.getLogger("mulde.cli")


def main() -> None:
    """Run the command line and exit: 0 done, 1 unexpected error, 2 bad input, 3 some videos failed.

    Raises:
        KeyboardInterrupt: there was one; `mulde.__main__` says so and exits with 130.
    """
    os.environ.setdefault("YOLO_OFFLINE", "true")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name of a file may be anything
    wait_briefly()  # worker processes inherit it
    begin_command()
    try:
        code = cli(prog_name="mulde", standalone_mode=False)
    except click.exceptions.Abort as error:
        raise KeyboardInterrupt from error  # mulde.__main__ says it
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(file=shown)
        click.echo(printable(shown.getvalue(), keep="\n"), err=True, nl=False)  # it may repeat a file's name
        code = EXIT_USAGE
    except InputError as error:
        stderr.print(f"mulde: {error}", markup=False)
        code = EXIT_USAGE
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:  # files may name any
            stderr.print(
                f"mulde: {str(error.filename)[:80]}… is too long for the name of a file", markup=False
            )
            code = EXIT_USAGE
        elif isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None:
            stderr.print("mulde: there is no room left where output or temporary files go: make room there")
            code = EXIT_USAGE
        else:
            click.echo(printable(traceback.format_exc(), keep="\n"), err=True)
            stderr.print(f"mulde: unexpected error: {error}", markup=False)
            code = EXIT_UNEXPECTED
    sys.exit(code if isinstance(code, int) else EXIT_DONE)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="mulde", prog_name="mulde")
def cli() -> None:
    """Find what is unusual in hours of video: an anomaly score for every frame.

    Settings come from a YAML file, then options, then key=value: mulde run my.yaml detector.beta=0.05
    """


@cli.command()
@json_option
@common_options
def run(as_json: bool, **options: Any) -> int:
    """Run all stages in order, each only where it is needed."""
    return _with_job(options, _ALL_STAGES, as_json=as_json)


@cli.command()
@click.option(
    "--shard", metavar="I/N", help="Only one of N parts, equally long; the others are for other machines."
)
@click.option("--retry-failed", is_flag=True, help="With --shard: try again what failed before, in any part.")
@json_option
@common_options
def extract(shard: str | None, retry_failed: bool, as_json: bool, **options: Any) -> int:
    """Extract what is missing in the feature cache, one decode pass per video.

    With --shard, N machines share the work over a folder that all can see; `mulde status RUN` shows how far
    they are. See docs/scale.md.
    """
    if shard is not None:
        return _extract_shard(shard, options, retry_failed=retry_failed, as_json=as_json)
    if retry_failed:
        raise InputError("--retry-failed is for --shard: without it, what failed is tried again anyway")
    return _with_job(options, ["extract"], as_json=as_json)


@cli.command()
@json_option
@common_options
def train(as_json: bool, **options: Any) -> int:
    """Train one detector per stream on the cached features of the normal videos."""
    return _with_job(options, ["train"], as_json=as_json)


@cli.command()
@click.option("--model", type=_FOLDER, metavar="RUN", help="Score new footage with the model of this run.")
@json_option
@common_options_after(
    "[VIDEO ...] [CONFIG.yaml | RUN] [key=value ...]",
    out="runs/<dataset>-<preset>; with --model RUN/new",
    budget="1; with --model that RUN was trained with",
)
def score(model: Path | None, as_json: bool, **options: Any) -> int:
    """Score the test videos of a run; or, with --model RUN VIDEO ..., any other videos.

    A VIDEO is a file, a folder of images, or a folder of videos. Its scores go to RUN/new/scores, or below
    --out; those of the test videos to RUN/scores.

    Beside --model, options that name a data set or say what is learnt are refused: --normal, --test, their
    features, --labels, --dataset, --layout, --preset and --seed; --protocol does nothing there.
    """
    if model is not None:
        return _score_footage(model, options, as_json=as_json)
    return _with_job(options, ["score"], as_json=as_json)


@cli.command()
@click.option(
    "--scores", type=_FOLDER, metavar="PATH", help="Scores that others made: a folder of .csv or .npy; .npz."
)
@json_option
@common_options
def evaluate(scores: Path | None, as_json: bool, **options: Any) -> int:
    """Compare the scores with the labels; or, with --scores PATH, those of any other method."""
    if scores is not None:
        from mulde.pipeline.cli.metrics_table import print_metrics
        from mulde.pipeline.experiments.evaluate_files import evaluate_files
        from mulde.pipeline.runs.folder import RunFolder

        config = configure(options)
        metrics = evaluate_files(config, scores)
        if as_json:
            print_json(metrics.as_dict())
            return EXIT_DONE
        print_metrics(metrics)
        if config.out is not None:
            stdout.print(f"metrics {RunFolder(config.out).metrics}", markup=False)
        return EXIT_DONE
    return _with_job(options, ["evaluate"], as_json=as_json)


@cli.command()
@json_option
@common_options
def report(as_json: bool, **options: Any) -> int:
    """Write the HTML report."""
    return _with_job(options, ["report"], as_json=as_json)


@cli.command()
@json_option
@common_options
def plan(as_json: bool, **options: Any) -> int:
    """Show what `run` would do: videos to do, cached and stale by stage; nothing is done."""
    from mulde.pipeline.open_job import open_job, tell_notes
    from mulde.pipeline.stages.plan import make_plan

    job = open_job(configure(options), needs_test=False)
    tell_notes(job)
    works = make_plan(job)
    if as_json:
        print_json([dataclasses.asdict(work) for work in works])
        return EXIT_DONE
    table = Table("stage", "to do", "cached", "stale", "", box=None, pad_edge=False)
    for row in works:
        counts = (len(row.todo), len(row.current), len(row.stale))
        table.add_row(row.stage, *map(str, counts), escape(row.note))
    stdout.print(table)
    return EXIT_DONE


@cli.command()
@click.option(
    "--out", type=_FOLDER, default=Path("mulde-demo"), show_default=True, help="Folder for everything."
)
@click.option("--workers", type=int, default=os.cpu_count(), metavar="N", help="Videos extracted at a time.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the scene and the detector.")
def demo(out: Path, workers: int, seed: int) -> int:
    """Render a surveillance scene with known anomalies, run all stages on it, print the result."""
    from mulde.pipeline.cli.demo import render_demo

    set_up_logging(logging.INFO)
    root = render_demo(out, seed)
    options = {
        "dataset": root, "out": out / "run", "cache": out / "cache", "workers": workers, "seed": seed,
        "arguments": (),
    }  # fmt: skip
    return _with_job(options, _ALL_STAGES)


cli.add_command(ablate)
cli.add_command(cache)
cli.add_command(clips)
cli.add_command(compare)
cli.add_command(config)
cli.add_command(datasets)
cli.add_command(normal)
cli.add_command(render)
cli.add_command(scene)
cli.add_command(status)
cli.add_command(watch)
cli.add_command(weights)


@cli.command()
@json_option
def doctor(as_json: bool) -> int:
    """Show versions and devices, and try decoders and networks; exit 2 if something does not work."""
    from mulde.pipeline.cli.doctor import examine

    findings = list(examine())
    if as_json:
        print_json([dataclasses.asdict(finding) for finding in findings])
    else:
        table = Table(box=None, pad_edge=False, show_header=False)
        for finding in findings:
            table.add_row(escape(finding.subject), escape(finding.value))
        stdout.print(table)
    return EXIT_DONE if all(finding.is_good for finding in findings) else EXIT_USAGE


def _with_job(options: dict[str, Any], stages: Sequence[str], *, as_json: bool = False) -> int:
    """Run stages in order, print what came out, and return the exit code."""
    from mulde.pipeline.cli.events_table import found_in_json
    from mulde.pipeline.open_job import open_job, tell_notes
    from mulde.pipeline.stages.run import run_stages

    config = configure(options)
    job = open_job(config, Bars(), needs_test=not {*stages} <= {"extract", "train"})
    job.run.require_writable()
    with job.run.held(), log_to_file(job.run.log):
        _log.debug("mulde %s", " ".join(sys.argv[1:]))
        tell_notes(job)
        result = run_stages(job, stages)
    if as_json:
        if result.page is not None and "evaluate" not in stages:  # `report` alone
            from mulde.pipeline.stages.report import known_results

            found, metrics = known_results(job)
            result = dataclasses.replace(result, scores=job.run.scores, found=found, metrics=metrics)
        print_json(
            {
                "run": job.run.folder,
                "scores": result.scores,
                "metrics": result.metrics and result.metrics.as_dict(),
                **found_in_json(result.found),
                "report": result.page,
                "failures": failures_in_json(job.run),
            }
        )
    else:
        _print_result(result, stages)
    return conclude(job.run)


def _extract_shard(text: str, options: dict[str, Any], *, retry_failed: bool, as_json: bool) -> int:
    """Extract one part of the videos in a folder of its own below the run; return the exit code."""
    from mulde.pipeline.open_job import open_job, tell_notes
    from mulde.pipeline.runs.shards import Shard
    from mulde.pipeline.stages.run import extract_shard

    shard = Shard.parse(text)
    job = open_job(configure(options), Bars(), needs_test=False)
    part = shard.folder(job.run)
    job.run.require_inside(part.folder)
    part.require_writable()
    with part.held(), log_to_file(part.log):
        _log.debug("mulde %s", " ".join(sys.argv[1:]))
        tell_notes(job)
        extract_shard(job, shard, retry_failed=retry_failed)
    if as_json:
        print_json({"run": job.run.folder, "shard": part.folder, "failures": failures_in_json(part)})
    return conclude(part)


def _print_result(result: RunResult, stages: Sequence[str]) -> None:
    from mulde.pipeline.cli.events_table import print_events
    from mulde.pipeline.cli.metrics_table import print_metrics

    if result.metrics is not None:
        print_metrics(result.metrics)
    elif {"score", "evaluate"} <= set(stages):
        stdout.print(f"{counted(result.n_test, 'test video')}, no labels: nothing was evaluated")
        if result.caution:
            stdout.print(f"caution: {result.caution}", markup=False)
    if result.scores is not None:
        stdout.print(f"scores  {result.scores}", markup=False)
    if result.page is not None:
        stdout.print(f"report  {result.page}", markup=False)
    if result.found is not None:
        print_events(result.found)


def _score_footage(model: Path, options: dict[str, Any], *, as_json: bool) -> int:
    from mulde.pipeline.cli.events_table import found_in_json, print_events
    from mulde.pipeline.config.dotted import name_of
    from mulde.pipeline.runs.folder import RunFolder
    from mulde.pipeline.runs.origin import refuse_settings_of_learning
    from mulde.pipeline.stages.footage import score_footage
    from mulde.pipeline.stages.report import report_footage

    given = RunFolder(model)
    if not given.model_config.exists():
        raise InputError(f"{model} is no run with a trained model: --model takes the folder of a run")
    paths = [Path(text) for text in options["arguments"] if "=" not in text or Path(text).exists()]
    if not paths:
        raise InputError("which videos? mulde score --model RUN VIDEO...")
    file = next((path for path in paths if path.suffix.lower() in (".yaml", ".yml") and path.is_file()), None)
    if file is not None:
        raise InputError(
            f"{file} is a configuration, but --model goes by its own: give what is to differ as key=value"
        )
    if any(options[name] for name in ("normal", "test", "labels", "dataset")):
        raise InputError(
            "--model scores the videos that are named, without a data set: leave its options out"
        )
    overrides = tuple(text for text in options["arguments"] if Path(text) not in paths)
    seed = {} if options.get("seed") is None else {"seed": "--seed"}
    refuse_settings_of_learning({name_of(text): text for text in overrides} | seed, model)
    config = configure({**options, "arguments": overrides}, file=given.model_config)
    out = RunFolder(options["out"] or model / "new")
    if not options["out"]:
        given.require_inside(out.folder)
    out.require_writable()
    with out.held(), log_to_file(out.log):
        scored = score_footage(given, out, config, paths, Bars())
        page = report_footage(out, config, [video.name for video in scored.videos], Bars())
    if as_json:
        scores = {video.name: out.csv(video.name) for video in scored.videos}
        print_json(
            {
                "run": out.folder,
                "scores": scores,
                **found_in_json(scored.found),
                "report": page,
                "failures": failures_in_json(out),
            }
        )
    else:
        for video in scored.videos:
            stdout.print(str(out.csv(video.name)), markup=False)
        stdout.print(f"report  {page}", markup=False)
        print_events(scored.found)
    return conclude(out)
