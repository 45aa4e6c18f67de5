"""Stage hold_out: the scores of normal footage that was left out of learning, for the threshold."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mulde.data.cache.store import digest_of
from mulde.data.errors import InputError
from mulde.data.spelling import counted
from mulde.pipeline.config.sections import DetectorConfig
from mulde.pipeline.executors.base import Outcome, Tick
from mulde.pipeline.executors.kinds import open_computation
from mulde.pipeline.features.devices import with_threads
from mulde.pipeline.features.inventory import CachedVideo, usable
from mulde.pipeline.marks.record import marks_digest, watched_hours
from mulde.pipeline.models.fit import NotLearnableError, StreamRows, build_detector
from mulde.pipeline.models.held_out import HeldOutPiece, load_held_out, load_watched_hours, save_held_out
from mulde.pipeline.models.leave_out import Footage, cut_footage, score_left_out, score_whole
from mulde.pipeline.models.model import load_model, model_digest
from mulde.pipeline.models.pieces import Piece
from mulde.pipeline.progress import Tracked
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.stages import train
from mulde.pipeline.stages.stage import WHOLE, RunStage, Situation, Work
from mulde.pipeline.stages.train import TrainTask

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
        pieces: list[HeldOutPiece] = []
        marked: list[HeldOutPiece] = []
        for part in _score_parts(situation, train.split_by_scene(job, [*videos, *situation.learnt_marks])):
            for cached, of_video in part.found:
                (marked if cached in situation.learnt_marks else pieces).extend(of_video)
        model = model_digest(job.run.model)
        assert model is not None  # training, or the look at it, has seen to it
        save_held_out(job.run.held_out, pieces, model)
        if situation.learnt_marks:
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
    sources = sorted(train.sources_of(situation.marked.values()))
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


@dataclass(frozen=True)
class FoldTask:
    """All that is needed to score a fold of footage by a detector of one stream that does not learn it."""

    training: TrainTask
    """How the model's detector of this stream is trained, and by what videos."""
    pieces: tuple[Piece, ...]
    """Of all folds."""
    fold: int

    @property
    def title(self) -> str:
        """What the user calls it."""
        return f"{self.training.title} without part {self.fold + 1}"


class _Part:
    """Footage that shares its detectors, a scene's or all, and its scores as they come."""

    def __init__(self, footage: Footage, trainings: Sequence[TrainTask]) -> None:
        self.tasks = [FoldTask(each, footage.pieces, fold) for each in trainings for fold in footage.folds]
        self.found: list[tuple[CachedVideo, list[HeldOutPiece]]] = []
        """The pieces of each video, when all tasks have ended; nothing where there is too little footage."""
        self._footage = footage
        self.n_waiting = len(self.tasks)
        """Tasks that have not ended."""
        self._too_little: list[str] = []
        # filled here, for the last bits of a sum depend on its order, and tasks end in any
        self._scores: dict[str, dict[Piece, NDArray[np.float64]]] = {each.stream: {} for each in trainings}

    def take(self, outcome: Outcome[FoldTask, dict[Piece, NDArray[np.float64]]]) -> None:
        """Take in how a task ended.

        Raises:
            InputError: features are damaged, or what it ran on was lost again and again.
        """
        training = outcome.task.training
        if isinstance(outcome.error, NotLearnableError):  # as a whole it was learnt, so the run goes on
            self._too_little.append(str(outcome.error))
        else:
            self._scores[training.stream] |= outcome.required(f"hold out {outcome.task.title}")
        self.n_waiting -= 1
        if self.n_waiting:
            return
        if self._too_little:
            reason = min(self._too_little)  # the same whichever task ended first
            _log.warning("hold_out: too little normal footage to leave some of it out (%s)", reason)
        else:
            found = self._footage.fuse(self._scores, training.config.score)
            self.found = list(zip(self._footage.videos, found, strict=True))
        self._scores.clear()  # they are as many as all rows


def _score_parts(situation: Situation, by_part: Mapping[str, Sequence[CachedVideo]]) -> list[_Part]:
    """Score all footage, here or on a cluster.

    Raises:
        InputError: features are damaged, or what a task ran on was lost again and again.
    """
    job, scenes = situation.job, situation.inventory.scenes
    assert scenes is not None
    config, trainings = job.config, train.tasks_of(job, by_part, scenes)
    parts = {
        name: _Part(
            cut_footage(videos, config.train.folds), [each for each in trainings if each.part == name]
        )
        for name, videos in by_part.items()
    }
    tasks = [task for part in parts.values() for task in part.tasks]
    with (
        Tracked(job.progress, "hold out", len(tasks), "detectors") as tracked,
        open_computation(config.executor, config.workers, config.ray) as pool,
    ):

        def show() -> None:
            n_done = len(tasks) - sum(part.n_waiting for part in parts.values())
            train.tell_running(tracked, n_done, len(tasks), pool.running)

        for task in tasks:
            pool.submit(score_fold, task)
        for outcome in pool.outcomes(show):
            parts[outcome.task.training.part].take(outcome)
            show()
    return list(parts.values())


def score_fold(task: FoldTask, tick: Tick) -> dict[Piece, NDArray[np.float64]]:
    """Train a detector without a fold; return by piece of the fold the scores of its rows.

    Raises:
        NotLearnableError: what is left is too little to learn from.
        CacheFileError: features are damaged.
    """
    training = task.training
    with with_threads(training.n_threads):
        build = partial(_build, training, tick)
        return score_left_out(training.videos, task.pieces, task.fold, training.open_rows(), build)


def _build(training: TrainTask, tick: Tick, rows: StreamRows) -> Detector:
    config = training.config
    settings = _shortened(config.detector, training.n_detectors)
    return build_detector(
        config.detector.kind,
        settings,
        rows,
        device=config.device,
        seed=config.seed,
        progress=train.telling(tick),
    )


def _shortened(config: DetectorConfig, n_detectors: int) -> dict[str, Any]:
    """Return the settings of a detector of one fold, whose training is shorter than that of the model."""
    settings = config.settings()
    if settings.get("max_steps"):
        settings["max_steps"] = math.ceil(_SHARE_OF_STEPS * settings["max_steps"])
    if settings.get("minutes"):
        settings["minutes"] *= _SHARE_OF_STEPS / n_detectors
    return settings
