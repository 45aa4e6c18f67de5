"""The options that all stages share, and how they become a configuration."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mulde.data.cache.storage import Place, is_address
from mulde.data.errors import InputError
from mulde.data.files import VIDEO_SUFFIXES
from mulde.data.spelling import counted
from mulde.pipeline.cli.console import set_up_logging, stderr
from mulde.pipeline.config.load import PRESETS, load_config
from mulde.pipeline.config.sections import Config
from mulde.pipeline.executors.kinds import EXECUTORS
from mulde.pipeline.runs.origin import load_run_config

if TYPE_CHECKING:
    from mulde.pipeline.runs.folder import RunFolder

EXIT_DONE, EXIT_UNEXPECTED, EXIT_USAGE, EXIT_SOME_FAILED = 0, 1, 2, 3
CLIP_SECONDS_AROUND = 3.0
"""Before and after an event, in its clip."""
_FOLDER = click.Path(path_type=Path)


F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, for programs, in place of text."
)


def to_place(value: str | Path) -> Place:
    """Return where a cache is: a folder, or the address of an object store, which is no path."""
    return str(value) if is_address(value) else Path(value)


def common_options(command: F) -> F:
    """Add the options that all stages share."""
    return common_options_after("[CONFIG.yaml | RUN] [key=value ...]")(command)


def common_options_after(
    arguments: str, *, out: str = "runs/<dataset>-<preset>", budget: str = "1"
) -> Callable[[F], F]:
    """Return what adds the options that all stages share, after arguments that are described like this.

    Args:
        out: what is told as the default of --out.
        budget: what is told as the default of --false-alarms-per-day.
    """

    return adding(_common_options(arguments, out, budget))


def adding(options: Sequence[Callable[[Any], Any]]) -> Callable[[F], F]:
    """Return what adds options to a command, in their order."""

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def budget_options(default: str) -> list[Callable[[F], F]]:
    """Return the options of a budget of false alarms, which `budget_of` reads; the default is told."""
    return [
        click.option(
            "--false-alarms-per-day",
            type=float,
            metavar="X",
            help=f"Budget that the threshold follows from, in normal footage. [{default}]",
        ),
        click.option("--false-alarms-per-hour", type=float, metavar="X", help="The same, per hour."),
    ]


def _common_options(arguments: str, out: str, budget: str) -> list[Callable[[F], F]]:
    return [
        click.argument("arguments", nargs=-1, metavar=arguments),
        click.option("--normal", type=_FOLDER, multiple=True, help="Normal videos, to learn from. *"),
        click.option(
            "--test",
            type=_FOLDER,
            multiple=True,
            help="Videos to score. *  (* A folder or a file; may be given several times.)",
        ),
        click.option(
            "--labels", type=_FOLDER, help="Labels of the test videos: CSV, .npy, .txt or a folder."
        ),
        click.option(
            "--normal-features", metavar="NAME", help="Imported features to learn from; no videos then."
        ),
        click.option("--test-features", metavar="NAME", help="Imported features to score."),
        click.option("--dataset", type=_FOLDER, help="Root of a data set, in place of the three."),
        click.option("--layout", metavar="NAME", help="Layout of --dataset, see `mulde datasets`. [auto]"),
        click.option("--preset", metavar="NAME", help=f"Set of defaults: {', '.join(PRESETS)}."),
        click.option("--out", type=_FOLDER, help=f"Folder of the run. [{out}]"),
        click.option(
            "--cache",
            type=to_place,
            metavar="DIR",
            help="Folder of the feature cache, or its s3:// address. [.cache/mulde]",
        ),
        click.option(
            "--protocol", metavar="NAME", help="Of the evaluation, such as mulde, unsmoothed or ai-vad."
        ),
        *budget_options(budget),
        click.option(
            "--recorded-at",
            metavar="PATTERN",
            help="How names of videos say when they were recorded, such as cam_%Y%m%d_%H%M%S.",
        ),
        click.option("--device", metavar="DEVICE", help="auto, cpu, cuda or cuda:N."),
        click.option(
            "--executor", metavar="NAME", help=f"What extracts, trains and scores: {', '.join(EXECUTORS)}."
        ),
        click.option(
            "--workers",
            type=int,
            metavar="N",
            help="Videos extracted at a time. [one a core, 4 on a GPU]",
        ),
        click.option("--seed", type=int, metavar="N", help="Of all that is random."),
        click.option("--offline", is_flag=True, default=None, help="Fetch no weights."),
        click.option(
            "--trust", is_flag=True, help="Run the plug-ins, use the cache that a RUN from elsewhere names."
        ),
        click.option("--quiet", is_flag=True, help="Say only what went wrong, and the result."),
        click.option("--verbose", is_flag=True, help="Say more."),
    ]


def configure(options: dict[str, Any], *, file: Path | None = None) -> Config:
    """Set up logging and put the configuration together; `arguments` are a YAML file and key=value."""
    level = logging.WARNING if options.get("quiet") else logging.INFO
    set_up_logging(logging.DEBUG if options.get("verbose") else level)
    arguments: Sequence[str] = options["arguments"]
    files = [text for text in arguments if "=" not in text and text.endswith((".yaml", ".yml"))]
    runs = [text for text in arguments if "=" not in text and text not in files and Path(text).is_dir()]
    if len(files) + len(runs) > 1:
        raise InputError(f"one configuration file or run is enough, not {' and '.join((*files, *runs))}")
    names = {
        "normal": "data.normal", "test": "data.test", "labels": "data.labels", "dataset": "data.dataset",
        "layout": "data.layout", "protocol": "evaluate.protocol", "normal_features": "data.normal_features",
        "test_features": "data.test_features", "recorded_at": "score.recorded_at",
    }  # fmt: skip
    plain = ("preset", "out", "cache", "device", "executor", "workers", "seed", "offline")
    given = {
        names.get(name, name): value
        for name, value in options.items()
        if name in (*names, *plain) and value is not None and value != ()
    }
    budget = budget_of(options.get("false_alarms_per_day"), options.get("false_alarms_per_hour"))
    if budget is not None:
        given["score.false_alarms_per_day"] = budget
    overrides = [text for text in arguments if text not in (*files, *runs)]
    _refuse_videos(overrides)
    if runs:
        file = _config_of(Path(runs[0]))
        given.setdefault("out", Path(runs[0]))  # it may have been moved since
    own = Path(files[0]) if files else None
    if own is not None and _is_of_run(own):
        own, file = None, own
    if own is not None or file is None:
        config = load_config(own, options=given, overrides=overrides)
    elif "preset" in given:
        raise InputError(
            f"--preset is for what a configuration leaves open, and {file} says everything: leave it out, or "
            "begin a new run"
        )
    else:
        trust = bool(options.get("trust"))
        config = load_run_config(file, options=given, overrides=overrides, trust=trust)
    if options.get("layout") and config.data.dataset is None:
        raise InputError("--layout is that of --dataset, which is not given: leave it out")
    return config


def _is_of_run(file: Path) -> bool:
    """Whether a configuration lies in the folder of a run, or of its model; all others are the user's own."""
    written = ("state.json", "model", "scores", "manifest.json")
    return file.name == "config.yaml" and any((file.parent / name).exists() for name in written)


def budget_of(per_day: float | None, per_hour: float | None) -> float | None:
    """Return the false alarms a day that one of two options allows; None where neither is given.

    Raises:
        InputError: both are given, or one that is no rate.
    """
    if per_day is not None and per_hour is not None:
        raise InputError("give --false-alarms-per-day or --false-alarms-per-hour, not both")
    for value, option in ((per_day, "--false-alarms-per-day"), (per_hour, "--false-alarms-per-hour")):
        if value is not None and not 0 < value < math.inf:
            raise InputError(
                f"{option} is {value:g}, but must be a number above 0, such as 0.5 for one in two"
            )
    return per_day if per_hour is None else 24 * per_hour


def _refuse_videos(overrides: Sequence[str]) -> None:
    for text in overrides:
        if "=" not in text and (Path(text).is_file() or Path(text).suffix.lower() in VIDEO_SUFFIXES):
            raise InputError(
                f"{text} is neither a configuration (.yaml) nor a run nor key=value. To score a video with "
                f"a trained run: mulde score --model RUN {text}. To learn from videos and score others: "
                "--normal PATH --test PATH"
            )


def _config_of(run: Path) -> Path:
    file = run / "config.yaml"
    if not file.is_file():
        raise InputError(
            f"{run} is no run, for it holds no config.yaml: name the folder that an earlier command gave "
            "as --out; videos are named with --normal and --test"
        )
    return file


def failures_in_json(run: RunFolder) -> list[dict[str, str]]:
    """Return which videos failed, as failures.json has it."""
    return [asdict(failure) for failure in run.failures()]


def conclude(run: RunFolder) -> int:
    """Tell which videos failed, and return the exit code."""
    failures = run.failures()
    if not failures:
        return EXIT_DONE
    stderr.print(
        f"mulde: {counted(len(failures), 'video')} failed, the others are done; see "
        f"{run.folder / 'failures.json'}:",
        markup=False,
    )
    for failure in failures:
        stderr.print(f"  {failure.video} ({failure.stage}): {failure.reason}", markup=False)
    return EXIT_SOME_FAILED
