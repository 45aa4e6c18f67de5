"""The command line: what it takes, what it prints, and its exit codes."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.table import Table

from mulde.data.errors import InputError
from mulde.pipeline.config import PRESETS, Config, load_config
from mulde.pipeline.console import log_to_file, set_up_logging, stderr, stdout

EXIT_DONE, EXIT_UNEXPECTED, EXIT_USAGE, EXIT_SOME_FAILED = 0, 1, 2, 3
_FOLDER = click.Path(path_type=Path)

F = TypeVar("F", bound=Callable[..., Any])
_log = logging.getLogger("mulde.cli")


def main() -> None:
    """Run the command line and exit: 0 done, 1 unexpected error, 2 bad input, 3 some videos failed."""
    os.environ.setdefault("YOLO_OFFLINE", "true")
    try:
        code = cli(standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except click.ClickException as error:
        error.show()
        code = EXIT_USAGE
    except InputError as error:
        stderr.print(f"mulde: {error}", markup=False)
        code = EXIT_USAGE
    except Exception as error:
        stderr.print_exception(show_locals=False)
        stderr.print(f"mulde: unexpected error: {error}", markup=False)
        code = EXIT_UNEXPECTED
    sys.exit(code if isinstance(code, int) else EXIT_DONE)


def _common(command: F) -> F:
    """Add the options that all stages share."""
    for option in reversed(
        [
            click.argument("arguments", nargs=-1, metavar="[CONFIG.yaml] [key=value ...]"),
            click.option("--normal", type=_FOLDER, help="Folder of normal videos, to learn from."),
            click.option("--test", type=_FOLDER, help="Folder of videos to score."),
            click.option(
                "--labels", type=_FOLDER, help="Labels of the test videos: CSV, .npy, .txt or a folder."
            ),
            click.option("--dataset", type=_FOLDER, help="Root of a data set, in place of the three."),
            click.option("--layout", metavar="NAME", help="Layout of --dataset: auto, folder, ucsd_ped."),
            click.option("--preset", metavar="NAME", help=f"Set of defaults: {', '.join(PRESETS)}."),
            click.option("--out", type=_FOLDER, help="Folder of the run. [runs/<dataset>-<preset>]"),
            click.option("--cache", type=_FOLDER, help="Folder of the feature cache. [.cache/mulde]"),
            click.option("--device", metavar="DEVICE", help="auto, cpu, cuda or cuda:N."),
            click.option("--workers", type=int, metavar="N", help="Videos extracted at a time. [all cores]"),
            click.option("--seed", type=int, metavar="N", help="Of all that is random."),
            click.option("--quiet", is_flag=True, help="Say only what went wrong, and the result."),
            click.option("--verbose", is_flag=True, help="Say more."),
        ]
    ):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="mulde")
def cli() -> None:
    """Find what is unusual in hours of video: an anomaly score for every frame.

    Settings come from a YAML file, then options, then key=value: mulde run my.yaml detector.beta=0.05
    """


@cli.command()
@_common
def run(**options: Any) -> int:
    """Run all stages in order, each only where it is needed."""
    return _with_job(options, ["extract", "train", "score", "evaluate", "report"])


@cli.command()
@_common
def extract(**options: Any) -> int:
    """Extract what is missing in the feature cache, one decode pass a video."""
    return _with_job(options, ["extract"])


@cli.command()
@_common
def train(**options: Any) -> int:
    """Train one detector a stream on the cached features of the normal videos."""
    return _with_job(options, ["train"])


@cli.command()
@click.option("--model", type=_FOLDER, metavar="RUN", help="Score new footage with the model of this run.")
@_common
def score(model: Path | None, **options: Any) -> int:
    """Score the test videos; or, with --model RUN VIDEO..., any other videos."""
    if model is not None:
        return _score_footage(model, options)
    return _with_job(options, ["score"])


@cli.command()
@_common
def evaluate(**options: Any) -> int:
    """Compare the scores with the labels."""
    return _with_job(options, ["evaluate"])


@cli.command()
@_common
def report(**options: Any) -> int:
    """Write the HTML report."""
    return _with_job(options, ["report"])


@cli.command()
@_common
def plan(**options: Any) -> int:
    """Show what `run` would do: videos to do, cached and stale by stage; nothing is done."""
    from mulde.pipeline.job import open_job, tell_notes
    from mulde.pipeline.plan import make_plan

    job = open_job(_configure(options))
    tell_notes(job)
    table = Table("stage", "to do", "cached", "stale", "", box=None, pad_edge=False)
    for row in make_plan(job):
        table.add_row(row.stage, str(row.todo), str(row.cached), str(row.stale), row.note)
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
    from mulde.pipeline.demo import render_demo

    set_up_logging(logging.INFO)
    root = render_demo(out, seed)
    options = {
        "dataset": root, "out": out / "run", "cache": out / "cache", "workers": workers, "seed": seed,
        "arguments": (),
    }  # fmt: skip
    return _with_job(options, ["extract", "train", "score", "evaluate", "report"])


@cli.group()
def cache() -> None:
    """Look into the feature cache."""


@cache.command("list")
@click.option("--cache", "folder", type=_FOLDER, default=Path(".cache/mulde"), show_default=True)
def cache_list(folder: Path) -> int:
    """Show what is cached, by stream and settings."""
    from mulde.data.cache import list_streams

    _require_folder(folder)
    table = Table("stream", "key", "videos", "size", "of", box=None, pad_edge=False)
    for stream in list_streams(folder):
        size = f"{stream.size_bytes / 1e6:.1f} MB"
        table.add_row(
            stream.stream,
            stream.key,
            str(len(stream.entries)),
            size,
            str(stream.description.get("folder", "")),
        )
    stdout.print(table)
    return EXIT_DONE


@cache.command("verify")
@click.option("--cache", "folder", type=_FOLDER, default=Path(".cache/mulde"), show_default=True)
def cache_verify(folder: Path) -> int:
    """Read every cached file in full; exit 2 if one is damaged."""
    from mulde.data.cache import list_streams, verify_entry

    _require_folder(folder)
    entries = [path for stream in list_streams(folder) for path in stream.entries]
    problems = [problem for path in entries if (problem := verify_entry(path))]
    for problem in problems:
        stderr.print(f"mulde: {problem}", markup=False)
    stdout.print(f"{len(entries)} files, {len(problems)} damaged")
    return EXIT_USAGE if problems else EXIT_DONE


@cli.command()
def doctor() -> int:
    """Show versions, devices and decoders."""
    from mulde.pipeline.doctor import examine

    table = Table(box=None, pad_edge=False, show_header=False)
    findings = list(examine())
    for finding in findings:
        table.add_row(finding.subject, finding.value)
    stdout.print(table)
    return EXIT_DONE if all(finding.is_good for finding in findings) else EXIT_USAGE


def _configure(options: dict[str, Any], *, file: Path | None = None) -> Config:
    """Set up logging and put the configuration together; `arguments` are a YAML file and key=value."""
    level = logging.WARNING if options.get("quiet") else logging.INFO
    set_up_logging(logging.DEBUG if options.get("verbose") else level)
    arguments: Sequence[str] = options["arguments"]
    files = [text for text in arguments if "=" not in text and text.endswith((".yaml", ".yml"))]
    if len(files) > 1:
        raise InputError(f"one configuration file is enough, not {' and '.join(files)}")
    names = {
        "normal": "data.normal", "test": "data.test", "labels": "data.labels", "dataset": "data.dataset",
        "layout": "data.layout",
    }  # fmt: skip
    plain = ("preset", "out", "cache", "device", "workers", "seed")
    given = {
        names.get(name, name): value
        for name, value in options.items()
        if name in (*names, *plain) and value is not None
    }
    overrides = [text for text in arguments if text not in files]
    return load_config(Path(files[0]) if files else file, options=given, overrides=overrides)


def _with_job(options: dict[str, Any], stages: Sequence[str]) -> int:
    """Run stages in order, print what came out, and return the exit code."""
    from mulde.pipeline.job import open_job, tell_notes
    from mulde.pipeline.stages import run_stages

    config = _configure(options)
    job = open_job(config)
    job.run.require_writable()
    with log_to_file(job.run.log):
        _log.debug("mulde %s", " ".join(sys.argv[1:]))
        tell_notes(job)
        run_stages(job, stages)
    return _conclude(job.run)


def _score_footage(model: Path, options: dict[str, Any]) -> int:
    from mulde.pipeline.footage import score_footage
    from mulde.pipeline.run_folder import RunFolder

    given = RunFolder(model)
    if not given.model_config.exists():
        raise InputError(f"{model} is no run with a trained model: --model takes the folder of a run")
    paths = [Path(text) for text in options["arguments"] if "=" not in text or Path(text).exists()]
    if not paths:
        raise InputError("which videos? mulde score --model RUN VIDEO...")
    if any(options[name] for name in ("normal", "test", "labels", "dataset")):
        raise InputError(
            "--model scores the videos that are named, without a data set: leave its options out"
        )
    overrides = tuple(text for text in options["arguments"] if Path(text) not in paths)
    config = _configure({**options, "arguments": overrides}, file=given.model_config)
    out = RunFolder(options["out"] or model / "new")
    out.require_writable()
    with log_to_file(out.log):
        written = score_footage(given, out, config, paths)
    for path in written:
        stdout.print(str(path), markup=False)
    return _conclude(out)


def _conclude(run: Any) -> int:
    failures = run.failures()
    if not failures:
        return EXIT_DONE
    stderr.print(
        f"mulde: {len(failures)} videos failed, the others are done; see {run.folder / 'failures.json'}:"
    )
    for failure in failures:
        stderr.print(f"  {failure.video} ({failure.stage}): {failure.reason}", markup=False)
    return EXIT_SOME_FAILED


def _require_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise InputError(f"there is no cache at {folder}: give --cache DIR")
