"""Stage hold_out: the scores of normal footage that was left out of learning, for the threshold."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from mulde.data.cache.storage import CacheFileError
from mulde.data.cache.store import digest_of
from mulde.data.errors import InputError
from mulde.data.spelling import counted
from mulde.pipeline.config.sections import DetectorConfig
from mulde.pipeline.features.inventory import usable
from mulde.pipeline.marks.record import marks_digest, watched_hours
from mulde.pipeline.models.fit import StreamRows, build_detector, describe_streams, open_rows
from mulde.pipeline.models.held_out import (
    HeldOutPiece,
    hold_out,
    load_held_out,
    load_watched_hours,
    save_held_out,
    score_whole,
)
from mulde.pipeline.models.model import load_model, model_digest
from mulde.pipeline.progress import Tracked
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.job import Job
from mulde.pipeline.stages import train
from mulde.pipeline.stages.stage import WHOLE, RunStage, Situation, Work

if TYPE_CHECKING:
    from mulde.detector import Detector

STAGE = "hold_out"
MARKED = "marked"
"""The unit of events that were marked as normal."""
CODE_VERSION = 1
"""Raise it when the same features and settings give other scores than before."""
_SHARE_OF_STEPS = 0.5
"""Of what the model may train at most: the scores of normal rows hardly change any more."""
_log = logging.getLogger(__name__)


class HoldOut(RunStage[None]):
    """Score the normal videos with detectors that did not learn from them."""

    name = STAGE

    def wanted(self, situation: Situation) -> dict[str, str | None]:
        """Return what the scores would be made from, and those of events that were marked as normal.

        Nothing where no folds are wanted.
        """
        if not situation.job.config.train.folds:
            return {}
        is_known = situation.inventory.scenes is not None and train.STAGE not in situation.pending
        wanted = {WHOLE: fingerprint(situation) if is_known else None}
        if situation.marked:
            wanted[MARKED] = fingerprint_of_marked(situation) if is_known else None
        return wanted

    def is_there(self, run: RunFolder, unit: str) -> bool:
        """Whether there are such scores that can be read."""
        try:
            return (read_marked(run) if unit == MARKED else read_held_out(run)) is not None
        except InputError:
            return False

    def look(self, situation: Situation) -> Work:
        """Compare what is wanted with what is there."""
        job = situation.job
        note = "" if job.config.train.folds else "left out: train.folds=0"
        work = self.compare(job.run, self.wanted(situation), note)
        if MARKED in work.todo:
            n_marked = counted(len(situation.marked), "event")
            use = "join the threshold" if job.config.train.marked == "calibrate" else "be learnt"
            return replace(work, note=f"{n_marked} marked as normal: to {use}")
        if not situation.marked and job.run.marked.exists():
            return replace(work, todo=(*work.todo, MARKED), note="no event is marked as normal any more")
        return work

    def run(self, situation: Situation) -> None:
        """Write the scores, unless they are up to date.

        Raises:
            InputError: features are missing, or too few to learn from.
        """
        job = situation.job
        if not job.config.train.folds:
            job.run.held_out.unlink(missing_ok=True)
            job.run.marked.unlink(missing_ok=True)
            return
        todo = self.look(situation).todo
        if not todo:
            _log.info("hold_out: up to date, %s", job.run.held_out)
            return
        if WHOLE in todo or situation.learnt_marks:
            self._leave_out(situation)
        if not situation.marked:
            job.run.marked.unlink(missing_ok=True)
        elif MARKED in todo and not situation.learnt_marks:
            self._score_marked(situation)

    def _score_marked(self, situation: Situation) -> None:
        """Score what was marked by the model, which has not learnt it."""
        job = situation.job
        model = load_model(job.run.model, job.config.extract, job.config.device)
        pieces = [
            score_whole(cached, model.of(cached.video), job.config.score)
            for cached in situation.marked.values()
        ]
        _save_marked(situation, pieces)

    def _leave_out(self, situation: Situation) -> None:
        job = situation.job
        started, wanted = time.monotonic(), fingerprint(situation)
        videos = usable(job, situation.inventory.normal, "normal")
        assert situation.inventory.scenes is not None
        extractors = describe_streams(job, situation.inventory.scenes)
        learnt = situation.learnt_marks
        parts = train.split_by_scene(job, [*videos, *learnt])
        pieces: list[HeldOutPiece] = []
        marked: list[HeldOutPiece] = []
        with Tracked(job.progress, "hold out", 0, "detectors") as tracked:
            for index, some in enumerate(parts.values()):
                streams = {
                    e.name: partial(open_rows, e, some, job.config.train.memory_gb) for e in extractors
                }

                def show(done: int, n_all: int, before: int = index) -> None:
                    tracked.update(before * n_all + done, total=len(parts) * n_all)

                build = _builder(job, len(parts) * len(streams))
                try:
                    found = hold_out(some, streams, build, job.config.score, job.config.train.folds, show)
                    for cached, of_video in zip(some, found, strict=bool(found)):
                        (marked if cached in learnt else pieces).extend(of_video)
                except CacheFileError:  # those are made again
                    raise
                except InputError as error:  # it could be learnt from as a whole, so the run goes on
                    _log.warning("hold_out: too little normal footage to leave some of it out (%s)", error)
        model = model_digest(job.run.model)
        assert model is not None  # training, or the look at it, has seen to it
        save_held_out(job.run.held_out, pieces, model)
        if learnt:
            _save_marked(situation, marked)
        job.run.remember(STAGE, {WHOLE: wanted})
        seconds = time.monotonic() - started
        job.run.remember_seconds(STAGE, seconds)
        _log.info(
            "hold_out: normal footage in %d pieces, scored by detectors that did not learn it, in %.1f s",
            len(pieces),
            seconds,
        )


def fingerprint(situation: Situation) -> str:
    """Return a hash of all that the scores are made from."""
    config = situation.job.config
    return digest_of(
        [CODE_VERSION, train.fingerprint(situation), config.train.folds, config.score.of_objects]
    )


def fingerprint_of_marked(situation: Situation) -> str:
    """Return a hash of all that the scores of events that were marked as normal are made from."""
    config, marks = situation.job.config, marks_digest(situation.marked)
    sources = sorted(train.source_of(cached) for cached in situation.marked.values())
    is_learnt = bool(situation.learnt_marks)
    of_model = (
        fingerprint(situation) if is_learnt else [train.fingerprint(situation), config.score.of_objects]
    )
    return digest_of([CODE_VERSION, of_model, is_learnt, marks, sources])


def read_marked(run: RunFolder) -> tuple[list[HeldOutPiece], float] | None:
    """Return the scores of events that were marked as normal, of the model of a run, and the hours that were
    watched to find them; None where there are none.

    Raises:
        InputError: the file is damaged.
    """
    model = model_digest(run.model)
    pieces = None if model is None else load_held_out(run.marked, model)
    return None if pieces is None else (pieces, load_watched_hours(run.marked))


def _save_marked(situation: Situation, pieces: Sequence[HeldOutPiece]) -> None:
    run, hours = situation.job.run, watched_hours(situation.marked)
    model = model_digest(run.model)
    assert model is not None
    save_held_out(run.marked, pieces, model, watched_hours=hours)
    run.remember(STAGE, {MARKED: fingerprint_of_marked(situation)})
    _log.info("hold_out: %s marked as normal, in %.2g h of footage", counted(len(pieces), "event"), hours)


def read_held_out(run: RunFolder) -> list[HeldOutPiece] | None:
    """Return the scores that belong to the model of a run; None where there are none.

    Raises:
        InputError: the file is damaged.
    """
    model = model_digest(run.model)
    return None if model is None else load_held_out(run.held_out, model)


def _builder(job: Job, n_detectors: int) -> Callable[[StreamRows], Detector]:
    config = job.config.detector
    settings = _shortened(config, n_detectors)
    return lambda rows: build_detector(
        config.kind, settings, rows, device=job.config.device, seed=job.config.seed
    )


def _shortened(config: DetectorConfig, n_detectors: int) -> dict[str, Any]:
    """Return the settings of a detector of one fold, whose training is shorter than that of the model."""
    settings = config.settings()
    if settings.get("max_steps"):
        settings["max_steps"] = math.ceil(_SHARE_OF_STEPS * settings["max_steps"])
    if settings.get("minutes"):
        settings["minutes"] *= _SHARE_OF_STEPS / n_detectors
    return settings
