"""The stages in order: the pipeline as one reads it aloud."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from mulde.data.atomic import write_text
from mulde.data.errors import InputError
from mulde.pipeline.console import stdout
from mulde.pipeline.evaluate import describe_smoothing, evaluate
from mulde.pipeline.extract import Inventory, extract, take_inventory
from mulde.pipeline.job import Job
from mulde.pipeline.metrics import Metrics
from mulde.pipeline.score import score
from mulde.pipeline.train import train


def run_stages(job: Job, stages: Sequence[str]) -> None:
    """Run the named stages, each only where it is needed, and print what came out.

    Raises:
        InputError: something that a stage needs is missing or cannot be used.
    """
    _check_device(job)
    inventory = _features(job, stages)
    if "train" in stages:
        train(job, inventory)
    if "score" in stages:
        score(job, inventory)
    if {"extract", "train", "score"} & set(stages):  # the others use what these have made
        write_text(job.run.config, job.config.to_yaml())
    if "evaluate" in stages:
        metrics = evaluate(job, inventory)
        if metrics is not None:
            _print_metrics(metrics, describe_smoothing(job.config.score))
        elif "score" in stages:
            stdout.print(f"{len(job.dataset.test)} test videos, no labels: nothing was evaluated")
    if {"score", "evaluate"} & set(stages):
        stdout.print(f"scores  {job.run.scores}", markup=False)
    if "report" in stages:
        from mulde.pipeline.report_stage import report  # only here, for it imports matplotlib

        stdout.print(f"report  {report(job, inventory)}", markup=False)


def _check_device(job: Job) -> None:
    """Raise InputError for a GPU that is not there, before hours of extraction."""
    if job.config.device.startswith("cuda"):
        from mulde.detector.mulde import resolve_device  # only here, for it imports torch

        try:
            resolve_device(job.config.device)
        except ValueError as error:
            raise InputError(str(error)) from None


def _features(job: Job, stages: Sequence[str]) -> Inventory:
    return extract(job) if "extract" in stages else take_inventory(job)


def _print_metrics(metrics: Metrics, smoothing: str) -> None:
    counts = metrics.counts
    stdout.print(
        f"{counts.videos} test videos, {counts.frames} frames, {counts.abnormal_frames} of them abnormal"
    )
    stdout.print(_metrics_table(metrics, smoothing))


def _metrics_table(metrics: Metrics, smoothing: str) -> Table:
    sigma = smoothing.partition("σ = ")[2].rstrip(")")
    table = Table(
        "",
        f"smoothed, σ = {sigma}" if sigma else "scores",
        "unsmoothed",
        "protocol",
        box=None,
        pad_edge=False,
    )
    for number in metrics.numbers:
        raw = metrics.unsmoothed[number.key].value if metrics.unsmoothed else None
        protocol = number.protocol.partition("; scores")[0]
        table.add_row(number.title, _percent(number.value), _percent(raw), protocol)
    return table


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f} %"
