"""What `run` would do, without doing it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mulde.pipeline.features.imported import imported_inventory
from mulde.pipeline.features.inventory import Inventory, take_inventory
from mulde.pipeline.features.recipe import require_weights
from mulde.pipeline.runs.job import Job
from mulde.pipeline.stages import evaluate, score, train


@dataclass(frozen=True)
class PlannedStage:
    """What one stage would do."""

    stage: str
    todo: int
    """Videos to do, or 1 for a stage that works on the run as a whole."""
    cached: int
    """Up to date."""
    stale: int
    """Of those to do: made before, from something that has changed."""
    note: str = ""


def make_plan(job: Job) -> list[PlannedStage]:
    """Return a line a stage; nothing is decoded and nothing written.

    Raises:
        InputError: weights are not there.
    """
    if not job.is_imported:
        require_weights(job.config.extract)  # their content is part of what is looked up
    inventory = imported_inventory(job) if job.is_imported else take_inventory(job)
    extract = _plan_extract(inventory)
    if job.is_imported:
        extract = replace(extract, note="nothing to do: the features were imported")
    must_train = _must_train(job, inventory)
    scores = _plan_score(job, inventory, is_trained=must_train.todo == 0)
    metrics = _plan_evaluate(job, scores)
    return [extract, must_train, scores, metrics, _plan_report(job, scores, metrics)]


def _plan_extract(inventory: Inventory) -> PlannedStage:
    videos = (*inventory.normal, *inventory.test)
    stale = sum(cached.is_stale for cached in videos)
    note = "the scene's background is learnt first" if inventory.scenes is None else ""
    return PlannedStage("extract", len(inventory.missing), len(videos) - len(inventory.missing), stale, note)


def _must_train(job: Job, inventory: Inventory) -> PlannedStage:
    was_made = job.run.fingerprint(train.STAGE) is not None
    failed = {failure.path for failure in job.run.failures()}
    complete = inventory.scenes is not None and all(
        cached.is_complete or str(cached.video.path) in failed for cached in inventory.normal
    )
    if complete and train.is_current(job, train.fingerprint(job, inventory)):
        return PlannedStage("train", 0, 1, 0)
    return PlannedStage("train", 1, 0, int(was_made), ", ".join(job.config.extract.streams))


def _plan_score(job: Job, inventory: Inventory, *, is_trained: bool) -> PlannedStage:
    made = [cached for cached in inventory.test if job.run.csv(cached.video.name).exists()]
    if not is_trained:
        return PlannedStage("score", len(inventory.test), 0, len(made))
    model = train.fingerprint(job, inventory)
    current = [
        cached
        for cached in inventory.test
        if cached.is_complete
        and score.is_current(job.run, cached.video.name, score.current_fingerprint(job, cached, model))
    ]
    return PlannedStage(
        "score", len(inventory.test) - len(current), len(current), max(0, len(made) - len(current))
    )


def _plan_evaluate(job: Job, scores: PlannedStage) -> PlannedStage:
    if job.dataset.labels is None:
        return PlannedStage("evaluate", 0, 0, 0, "left out: no labels")
    names = [video.name for video in job.dataset.test]
    is_current = job.run.fingerprint(evaluate.STAGE) == evaluate.fingerprint(job, names)
    if scores.todo == 0 and is_current and job.run.metrics.exists():
        return PlannedStage("evaluate", 0, 1, 0)
    return PlannedStage("evaluate", 1, 0, int(job.run.metrics.exists()))


def _plan_report(job: Job, scores: PlannedStage, metrics: PlannedStage) -> PlannedStage:
    page = job.run.report / "index.html"
    if scores.todo == metrics.todo == 0 and page.exists():
        return PlannedStage("report", 0, 1, 0)
    return PlannedStage("report", 1, 0, int(page.exists()))
