"""The stages in order: the pipeline as one reads it aloud."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from mulde.data.atomic import write_text
from mulde.pipeline.console import stdout
from mulde.pipeline.evaluate import evaluate
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
    write_text(job.run.config, job.config.to_yaml())
    inventory = _features(job, stages)
    if "train" in stages:
        train(job, inventory)
    if "score" in stages:
        score(job, inventory)
    metrics = evaluate(job) if "evaluate" in stages else None
    if "report" in stages:
        from mulde.pipeline.report_stage import report  # only here, for it imports matplotlib

        report(job)
    if "evaluate" in stages or "report" in stages:
        _print_result(job, metrics)


def _features(job: Job, stages: Sequence[str]) -> Inventory:
    return extract(job) if "extract" in stages else take_inventory(job)


def _print_result(job: Job, metrics: Metrics | None) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    if metrics is not None:
        counts = metrics.counts
        table.add_row(
            "videos",
            f"{counts.videos} test videos, {counts.frames} frames, {counts.abnormal_frames} abnormal",
        )
        for number in metrics.numbers:
            raw = metrics.unsmoothed[number.key].value if metrics.unsmoothed else None
            table.add_row(
                number.title, f"{_percent(number.value)}  (unsmoothed {_percent(raw)})  {number.protocol}"
            )
    else:
        table.add_row("videos", f"{len(job.dataset.test)} test videos, no labels: nothing was evaluated")
    table.add_row("scores", str(job.run.scores))
    table.add_row("report", str(job.run.report / "index.html"))
    stdout.print(table)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f} %"
