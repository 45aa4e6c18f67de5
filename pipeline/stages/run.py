"""The stages in order: the pipeline as one reads it aloud."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from mulde.data.errors import InputError
from mulde.pipeline.config.load import load_config
from mulde.pipeline.config.words import in_users_words
from mulde.pipeline.features.devices import check_device
from mulde.pipeline.features.inventory import STAGE as EXTRACT
from mulde.pipeline.features.inventory import Recipes, look_up_all, usable
from mulde.pipeline.features.recipe import caution, lacks_sources
from mulde.pipeline.metrics.records import Metrics
from mulde.pipeline.runs.job import Job
from mulde.pipeline.runs.origin import is_ours, write_signed
from mulde.pipeline.runs.shards import Shard
from mulde.pipeline.stages.evaluate import Evaluate
from mulde.pipeline.stages.extract import Extract
from mulde.pipeline.stages.find_events import FindEvents, Found
from mulde.pipeline.stages.hold_out import HoldOut
from mulde.pipeline.stages.mend import discarding_damage
from mulde.pipeline.stages.score import Score, check_labels
from mulde.pipeline.stages.stage import Situation
from mulde.pipeline.stages.train import Train

_log = logging.getLogger(__name__)


R = TypeVar("R")


@dataclass(frozen=True)
class RunResult:
    """What stages made, of those that were asked for."""

    n_test: int
    """Test videos."""
    scores: Path | None
    """The folder of the score files."""
    found: Found | None
    """The events, and the threshold behind them; None where nothing was scored."""
    metrics: Metrics | None
    """None also where there are no labels."""
    page: Path | None
    """The report."""
    caution: str = ""
    """Why nothing here must be taken for a result; "" where it may."""


@in_users_words()
def run_stages(job: Job, stages: Sequence[str]) -> RunResult:
    """Run the named stages, each only where it is needed.

    Raises:
        InputError: something that a stage needs is missing or cannot be used.
    """
    check_device(job.config.device)
    is_making = bool({"extract", "train", "score"} & set(stages))  # the others use what these have made
    # of a video that failed, some streams may be there all the same
    has_failed = any(failure.stage == EXTRACT for failure in job.run.failures())
    situation = Situation(job, at_a_glance=not is_making and not has_failed)
    if not is_making and lacks_sources(job.config.extract):
        _log.info("weights or boxes are not there any more: whether the scores are up to date is not known")
        situation.inventory = look_up_all(job, Recipes(job.config.extract, None))
    if is_making and not job.run.config.exists():  # the folder alone goes on with what was cut off
        write_signed(job.run.config, job.config)
    if is_making:
        _tell_of_another_preset(job)
    if "extract" in stages:
        Extract().run(situation)
    if "score" in stages:  # now, before a long training
        _on_whole_features(lambda: _check_test(situation), situation, stages)
    if "train" in stages:
        _on_whole_features(lambda: Train().run(situation), situation, stages)
        _on_whole_features(lambda: HoldOut().run(situation), situation, stages)
    found = None
    if "score" in stages:
        _on_whole_features(lambda: Score().run(situation), situation, stages)
        found = _on_whole_features(lambda: FindEvents().run(situation), situation, stages)
    if is_making:
        write_signed(job.run.config, job.config)
    metrics = Evaluate().run(situation) if "evaluate" in stages else None
    if metrics is not None and not is_making:
        _keep_labels(job)
    page = None
    if "report" in stages:
        from mulde.pipeline.stages.report import Report  # only here, for it imports cv2

        page = Report().run(situation)
    scores = job.run.scores if {"score", "evaluate"} & set(stages) else None
    return RunResult(len(job.dataset.test), scores, found, metrics, page, caution(job.config.extract))


@in_users_words()
def extract_shard(job: Job, shard: Shard, *, retry_failed: bool = False) -> None:
    """Extract one part of the videos; what is said of it is kept in its folder below the run.

    Raises:
        InputError: the cache cannot be written, or no normal video can be read.
    """
    check_device(job.config.device)
    if job.is_imported:
        raise InputError(
            "--shard shares out videos, but these features were imported: there is nothing to do"
        )
    _tell_of_another_preset(job)
    write_signed(job.run.config, job.config)  # the same from each
    Extract(shard, retry_failed=retry_failed).run(Situation(replace(job, run=shard.folder(job.run))))


def _on_whole_features(do: Callable[[], R], situation: Situation, stages: Sequence[str]) -> R:
    """Do what reads features; those that turn out to be damaged are extracted again, and it is done again.

    Raises:
        InputError: features are damaged, and extraction is not among the stages or cannot make them.
    """
    inventory = situation.inventory
    with discarding_damage(situation.job.config.cache, (*inventory.normal, *inventory.test)) as damaged:
        done = do()
    if damaged:
        if situation.job.is_imported:
            raise InputError(f"{damaged[0]}; these were imported: import them again with --replace")
        if "extract" not in stages:
            raise damaged[0]
        Extract().run(situation)
        done = do()
    return done


def _tell_of_another_preset(job: Job) -> None:
    """Tell, before it is made again, that a run was made with another preset."""
    with suppress(InputError):  # a configuration that cannot be read is written anew
        before = load_config(job.run.config).preset
        if before != job.config.preset:
            _log.warning(
                "%s was made with the preset %s, and is made again with %s",
                job.run.folder,
                before,
                job.config.preset,
            )


def _check_test(situation: Situation) -> None:
    complete = usable(situation.job, situation.inventory.test, "test")
    check_labels(situation.job.dataset.labels, complete)


def _keep_labels(job: Job) -> None:
    """Keep in the run what its metrics were measured with, so that later commands measure with it too."""
    with suppress(InputError):  # scores alone, without a run that made them
        known = load_config(job.run.config)
        now = {"labels": job.config.data.labels}
        known = known.model_copy(
            update={"data": known.data.model_copy(update=now), "evaluate": job.config.evaluate}
        )
        if is_ours(job.run.config):
            write_signed(job.run.config, known)
