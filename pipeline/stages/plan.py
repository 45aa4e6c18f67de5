"""What `run` would do, without doing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mulde.pipeline.features.imported import imported_inventory
from mulde.pipeline.features.inventory import STAGE as EXTRACT_STAGE
from mulde.pipeline.features.inventory import CachedVideo, Inventory, take_inventory
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
    extract = _plan_extract(job, inventory)
    if job.is_imported:
        extract = replace(extract, note="nothing to do: the features were imported")
    must_train = _must_train(job, inventory)
    scores = _plan_score(job, inventory, is_trained=must_train.todo == 0)
    metrics = _plan_evaluate(job, scores)
    return [extract, must_train, scores, metrics, _plan_report(job, scores, metrics)]


def _plan_extract(job: Job, inventory: Inventory) -> PlannedStage:
    videos = (*inventory.normal, *inventory.test)
    todo = _without_failed(job, inventory.missing)
    n_failed = len(inventory.missing) - len(todo)
    notes = ["the scene's background is learnt first"] if inventory.scenes is None else []
    notes += [f"{n_failed} failed before: tried again"] if n_failed else []
    stale = sum(cached.is_stale for cached in todo)
    return PlannedStage("extract", len(todo), len(videos) - len(inventory.missing), stale, "; ".join(notes))


def _without_failed(job: Job, videos: Sequence[CachedVideo]) -> list[CachedVideo]:
    """Leave out what failed when it was last extracted, and what no stage can use until it is mended."""
    failed = {failure.path for failure in job.run.failures() if failure.stage == EXTRACT_STAGE}
    return [
        cached
        for cached in videos
        if cached.is_complete or cached.is_stale or str(cached.video.path.absolute()) not in failed
    ]


def _must_train(job: Job, inventory: Inventory) -> PlannedStage:
    was_made = job.run.fingerprint(train.STAGE) is not None
    failed = {failure.path for failure in job.run.failures()}
    complete = inventory.scenes is not None and all(
        cached.is_complete or str(cached.video.path.absolute()) in failed for cached in inventory.normal
    )
    if complete and train.is_current(job, train.fingerprint(job, inventory)):
        return PlannedStage("train", 0, 1, 0)
    return PlannedStage("train", 1, 0, int(was_made), ", ".join(job.config.extract.streams))


def _plan_score(job: Job, inventory: Inventory, *, is_trained: bool) -> PlannedStage:
    videos = _without_failed(job, inventory.test)
    made = [cached for cached in videos if job.run.csv(cached.video.name).exists()]
    if not is_trained:
        return PlannedStage("score", len(videos), 0, len(made))
    model = train.fingerprint(job, inventory)
    current = [
        cached
        for cached in videos
        if cached.is_complete
        and score.is_current(job.run, cached.video.name, score.current_fingerprint(job, cached, model))
    ]
    return PlannedStage("score", len(videos) - len(current), len(current), max(0, len(made) - len(current)))


def _plan_evaluate(job: Job, scores: PlannedStage) -> PlannedStage:
    if job.dataset.labels is None:
        return PlannedStage("evaluate", 0, 0, 0, "left out: no labels")
    names = _scored_names(job)
    is_current = job.run.fingerprint(evaluate.STAGE) == evaluate.fingerprint(job, names)
    if scores.todo == 0 and is_current and job.run.metrics.exists():
        return PlannedStage("evaluate", 0, 1, 0)
    return PlannedStage("evaluate", 1, 0, int(job.run.metrics.exists()))


def _scored_names(job: Job) -> list[str]:
    """Return the test videos that `evaluate` and `report` look at: those with scores that have not failed."""
    failed = {failure.path for failure in job.run.failures()}
    return [
        video.name
        for video in job.dataset.test
        if str(video.path.absolute()) not in failed and job.run.csv(video.name).exists()
    ]


def _plan_report(job: Job, scores: PlannedStage, metrics: PlannedStage) -> PlannedStage:
    from mulde.pipeline.stages import report  # only here, for it imports matplotlib

    page = job.run.report / "index.html"
    if scores.todo == metrics.todo == 0 and report.is_current(job, _scored_names(job)):
        return PlannedStage("report", 0, 1, 0)
    return PlannedStage("report", 1, 0, int(page.exists()))
