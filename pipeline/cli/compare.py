"""The commands `mulde compare`, of runs, and `mulde ablate`, of densities on one cache."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
from rich.markup import escape
from rich.table import Table

from mulde.data.errors import InputError
from mulde.data.spelling import counted
from mulde.detector.settings import AggregationKind, MuldeSettings
from mulde.pipeline.cli.console import Bars, log_to_file, print_json, set_up_logging, stdout
from mulde.pipeline.cli.options import EXIT_DONE, common_options, conclude, configure, json_option
from mulde.pipeline.config.dotted import name_of
from mulde.pipeline.config.sections import Config
from mulde.pipeline.report.numbers import percent

if TYPE_CHECKING:
    from mulde.pipeline.experiments.ablate import Grid, Result
    from mulde.pipeline.experiments.compare import RunSummary
    from mulde.pipeline.metrics.bootstrap import ConfidenceInterval

_TITLE_WIDTH, _RUN_WIDTH = 17, 24
"""Of the columns of `mulde compare`, in characters: measures, and a number with its interval."""


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@json_option
def compare(runs: tuple[Path, ...], as_json: bool) -> int:
    """Show the streams, detector and metrics of runs side by side."""
    from mulde.pipeline.experiments.compare import differences, summarise

    set_up_logging(logging.WARNING)
    found = [summarise(run) for run in runs]
    if as_json:
        print_json([run.as_dict() for run in found])
        return EXIT_DONE
    for table in _tables_of_runs(found, stdout.width):
        stdout.print(table)
        stdout.print()
    stdout.print(
        f"in %, in brackets 95 % intervals; {found[0].metrics.treatment.text}; of RBDC, TBDC and boxes not "
        "smoothed",
        markup=False,
    )
    for note in differences(found):
        stdout.print(f"note: {note}", markup=False)
    return EXIT_DONE


@click.command("ablate")
@click.option(
    "--streams", metavar="S,S+S", help="Streams, and sums of streams, to score with. [each, and all together]"
)
@click.option(
    "--densities",
    default="mulde,single_scale,msma,knn,gmm,mahalanobis",
    show_default=True,
    metavar="D,D",
    help="Kinds of detectors, with settings of their own after a colon: knn:k=1.",
)
@click.option(
    "--aggregations",
    metavar="A,A",
    help="From noise scales to one score, of mulde and msma. [detector.aggregation]",
)
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="How many.")
@common_options
def ablate(streams: str | None, densities: str, aggregations: str | None, seeds: int, **options: Any) -> int:
    """Compare streams x densities x aggregations on one cache, with intervals over videos and seeds.

    Each density is trained once a stream and seed. Labels are used for measuring only.
    """
    from mulde.pipeline.experiments.ablate import ablate as compute
    from mulde.pipeline.experiments.ablate import table_path, treatment_text
    from mulde.pipeline.features.recipe import caution
    from mulde.pipeline.open_job import open_job, tell_notes

    groups = [tuple(_parts(group, "+")) for group in _parts(streams)] if streams else []
    for group in groups:
        if streams and groups.count(group) > 1:
            raise InputError(f"{'+'.join(group)} is named twice in --streams {streams}: a stream counts once")
    if groups:
        names = dict.fromkeys(name for group in groups for name in group)
        options["arguments"] = (*options["arguments"], f"extract.streams=[{','.join(names)}]")
    config = configure(options)
    if any(name_of(text) in ("detector", "detector.kind") for text in options["arguments"]):
        raise InputError("an ablation takes its densities from --densities: leave detector.kind out")
    grid = _read_grid(config, groups, densities, aggregations, seeds)
    job = open_job(config, Bars())
    job.run.require_writable()
    with job.run.held(), log_to_file(job.run.log):
        tell_notes(job)
        results = compute(job, grid)
    stdout.print(_table_of_results(results))
    stdout.print(
        f"{counted(seeds, 'seed')} from {config.seed} on; {treatment_text(job)}; 95 % intervals of the mean "
        "over seeds, over resampled videos",
        markup=False,
    )
    if said := caution(config.extract):
        stdout.print(f"caution: {said}", markup=False)
    stdout.print(f"table  {table_path(job)}", markup=False)
    return conclude(job.run)


def _read_grid(
    config: Config, groups: list[tuple[str, ...]], densities: str, aggregations: str | None, n_seeds: int
) -> Grid:
    from mulde.pipeline.experiments.ablate import Grid, parse_density

    if config.train.by != "all":
        raise InputError("an ablation has one detector for all scenes: leave train.by out")
    known = get_args(AggregationKind)
    own = config.detector.settings().get("aggregation", MuldeSettings().aggregation)  # k-NN has none
    chosen = _parts(aggregations) if aggregations else [str(own)]
    for name in chosen:
        if name not in known:
            raise InputError(f"aggregation {name!r} is not allowed: known are {', '.join(known)}")
    if not groups:
        every = config.extract.streams
        groups = [(name,) for name in every] + ([tuple(every)] if len(every) > 1 else [])
    kinds = tuple(parse_density(text, config.detector) for text in _parts(densities))
    if aggregations and not any(kind.aggregates for kind in kinds):
        raise InputError(
            f"--aggregations is of densities with noise scales, not of {densities}: leave it out"
        )
    return Grid(
        tuple(groups),
        kinds,
        tuple(chosen),
        n_seeds,
    )


def _parts(text: str, separator: str = ",") -> list[str]:
    """Return the parts of a list without repetitions: "a, b,a" -> ["a", "b"]."""
    found = list(dict.fromkeys(part.strip() for part in text.split(separator) if part.strip()))
    if not found:
        raise InputError(f"{text!r} is no list: give names with {separator!r} in between")
    return found


def _tables_of_runs(runs: Sequence[RunSummary], width: int) -> Iterator[Table]:
    """Yield a column per run, in as many tables as the width asks for, without measures that no run has."""
    from mulde.pipeline.metrics.records import TEXTS

    measured = [key for key in TEXTS if any(_value_of(run, key) is not None for run in runs)]
    n_beside = max(1, (width - _TITLE_WIDTH) // _RUN_WIDTH)
    for first in range(0, len(runs), n_beside):
        beside = runs[first : first + n_beside]
        table = Table("run", box=None, pad_edge=False)
        for run in beside:
            table.add_column(escape(str(run.folder)), width=_RUN_WIDTH - 2, overflow="fold")
        table.add_row("streams", *(escape(" + ".join(run.streams)) for run in beside))
        table.add_row("detector", *(escape(run.detector) for run in beside))
        for key in measured:
            table.add_row(TEXTS[key].title, *(_cell(run, key) for run in beside))
        yield table


def _value_of(run: RunSummary, key: str) -> float | None:
    found = run.metrics.get(key)
    return found.value if found else None


def _cell(run: RunSummary, key: str) -> str:
    found = run.metrics.get(key)
    return _percent(found.value, found.interval) if found else "–"


def _table_of_results(results: Sequence[Result]) -> Table:
    from mulde.pipeline.experiments.ablate import mean_and_deviation

    table = Table("streams", "density", "aggregation", box=None, pad_edge=False)
    titles = (
        "micro AUC % (interval)",
        "± seeds",
        "unsmoothed",
        "macro AUC % (interval)",
        "± seeds",
        "training",
    )
    for title in titles:
        table.add_column(title, justify="right")
    for row in results:
        cells = []
        for values, interval in ((row.micro_auc, row.micro_interval), (row.macro_auc, row.macro_interval)):
            found = mean_and_deviation(values)
            cells.append(_percent(found[0] if found else None, interval))
            cells.append(f"{100 * found[1]:.2f}" if found else "–")
        unsmoothed = mean_and_deviation(row.unsmoothed_micro_auc)
        cells.insert(2, _percent(unsmoothed[0] if unsmoothed else None, None))
        table.add_row(
            escape(row.streams), escape(row.density), row.aggregation, *cells, f"{row.train_seconds:.1f} s"
        )
    return table


def _percent(value: float | None, interval: ConfidenceInterval | None) -> str:
    shown = partial(percent, n_decimals=2, unit="")
    between = f" ({shown(interval.low)}–{shown(interval.high)})" if interval else ""
    return f"{shown(value)}{between}"
