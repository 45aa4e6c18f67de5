"""The stages in order: the pipeline as one reads it aloud."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mulde.data.atomic import write_text
from mulde.pipeline.features.devices import check_device
from mulde.pipeline.features.imported import imported_inventory
from mulde.pipeline.features.inventory import Inventory, take_inventory
from mulde.pipeline.metrics.records import Metrics
from mulde.pipeline.runs.job import Job
from mulde.pipeline.stages.evaluate import evaluate
from mulde.pipeline.stages.extract import extract
from mulde.pipeline.stages.score import check_labels, score
from mulde.pipeline.stages.train import train

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunResult:
    """What stages made, of those that were asked for."""

    n_test: int
    """Test videos."""
    scores: Path | None
    """The folder of the score files."""
    metrics: Metrics | None
    """None also where there are no labels."""
    page: Path | None
    """The report."""


def run_stages(job: Job, stages: Sequence[str]) -> RunResult:
    """Run the named stages, each only where it is needed.

    Raises:
        InputError: something that a stage needs is missing or cannot be used.
    """
    check_device(job.config.device)
    inventory = _features(job, stages)
    if "score" in stages:  # now, before a long training
        check_labels(job.dataset.labels, [cached for cached in inventory.test if cached.is_complete])
    if "train" in stages:
        train(job, inventory)
    if "score" in stages:
        score(job, inventory)
    if {"extract", "train", "score"} & set(stages):  # the others use what these have made
        write_text(job.run.config, job.config.anchored().to_yaml())
    metrics = evaluate(job, inventory) if "evaluate" in stages else None
    page = None
    if "report" in stages:
        from mulde.pipeline.stages.report import report  # only here, for it imports matplotlib

        page = report(job, inventory)
    scores = job.run.scores if {"score", "evaluate"} & set(stages) else None
    return RunResult(len(job.dataset.test), scores, metrics, page)


def _features(job: Job, stages: Sequence[str]) -> Inventory:
    if job.is_imported:
        if "extract" in stages:
            _log.info("extract: nothing to do, the features were imported")
        return imported_inventory(job)
    return extract(job) if "extract" in stages else take_inventory(job)
