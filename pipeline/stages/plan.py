"""What `run` would do, without doing it."""

from __future__ import annotations

from dataclasses import replace

from mulde.data.cycles import no_cycles
from mulde.pipeline.config.words import in_users_words
from mulde.pipeline.features.inventory import Recipes, look_up_all
from mulde.pipeline.features.recipe import weights_to_fetch
from mulde.pipeline.runs.job import Job
from mulde.pipeline.stages.order import stages
from mulde.pipeline.stages.stage import Situation, Work


@in_users_words()
@no_cycles()
def make_plan(job: Job) -> list[Work]:
    """Return what each stage would do; nothing is decoded, fetched or written.

    Where a run would fetch weights first, everything is to do: their content is part of what is looked up.

    Raises:
        InputError: weights are not there and cannot, or must not, be fetched.
    """
    situation = Situation(job)
    config = job.config
    to_fetch = []
    if not job.is_imported:
        wanted = situation.recipes.any.weights
        to_fetch = weights_to_fetch(wanted, config.extract.weights_folder, offline=config.offline)
    if to_fetch:
        situation.inventory = look_up_all(job, Recipes(config.extract, None))
    plan = []
    for stage in stages():
        work = stage.look(situation)
        if work.todo:
            situation.pending.add(stage.name)
        plan.append(work)
    if to_fetch:
        plan[0] = replace(plan[0], note=f"weights are fetched first: {', '.join(to_fetch)}; {plan[0].note}")
    return plan
