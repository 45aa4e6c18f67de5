"""What `run` would do, without doing it."""

from __future__ import annotations

from mulde.pipeline.features.recipe import require_weights
from mulde.pipeline.runs.job import Job
from mulde.pipeline.stages.order import stages
from mulde.pipeline.stages.stage import Situation, Work


def make_plan(job: Job) -> list[Work]:
    """Return what each stage would do; nothing is decoded and nothing written.

    Raises:
        InputError: weights are not there.
    """
    if not job.is_imported:
        require_weights(job.config.extract)  # their content is part of what is looked up
    situation = Situation(job)
    plan = []
    for stage in stages():
        work = stage.look(situation)
        if work.todo:
            situation.pending.add(stage.name)
        plan.append(work)
    return plan
