"""Stage hold_out: the scores of normal footage that was left out of learning, for the threshold."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from mulde.data.cache.entries import CacheFileError
from mulde.data.cache.store import digest_of
from mulde.data.errors import InputError
from mulde.pipeline.config.sections import DetectorConfig
from mulde.pipeline.features.inventory import usable
from mulde.pipeline.models.fit import StreamRows, build_detector, describe_streams, open_rows
from mulde.pipeline.models.held_out import HeldOutPiece, hold_out, load_held_out, save_held_out
from mulde.pipeline.models.model import model_digest
from mulde.pipeline.progress import Tracked
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.job import Job
from mulde.pipeline.stages import train
from mulde.pipeline.stages.stage import WHOLE, RunStage, Situation, Work

if TYPE_CHECKING:
    from mulde.detector import Detector

STAGE = "hold_out"
CODE_VERSION = 1
"""Raise it when the same features and settings give other scores than before."""
_SHARE_OF_STEPS = 0.5
"""Of what the model may train at most: the scores of normal rows hardly change any more."""
_log = logging.getLogger(__name__)


class HoldOut(RunStage[None]):
    """Score the normal videos with detectors that did not learn from them."""

    name = STAGE

    def wanted(self, situation: Situation) -> dict[str, str | None]:
        """Return what the scores would be made from; nothing where no folds are wanted."""
        if not situation.job.config.train.folds:
            return {}
        is_known = situation.inventory.scenes is not None and train.STAGE not in situation.pending
        return {WHOLE: fingerprint(situation) if is_known else None}

    def is_there(self, run: RunFolder, unit: str) -> bool:
        """Whether there are such scores that can be read."""
        try:
            return read_held_out(run) is not None
        except InputError:
            return False

    def look(self, situation: Situation) -> Work:
        """Compare what is wanted with what is there."""
        note = "" if situation.job.config.train.folds else "left out: train.folds=0"
        return self.compare(situation.job.run, self.wanted(situation), note)

    def run(self, situation: Situation) -> None:
        """Write the scores, unless they are up to date.

        Raises:
            InputError: features are missing, or too few to learn from.
        """
        job = situation.job
        if not job.config.train.folds:
            job.run.held_out.unlink(missing_ok=True)
            return
        if not self.look(situation).todo:
            _log.info("hold_out: up to date, %s", job.run.held_out)
            return
        started, wanted = time.monotonic(), fingerprint(situation)
        videos = usable(job, situation.inventory.normal, "normal")
        assert situation.inventory.scenes is not None
        extractors = describe_streams(job, situation.inventory.scenes)
        parts = train.split_by_scene(job, videos)
        pieces: list[HeldOutPiece] = []
        with Tracked(job.progress, "hold out", 0, "detectors") as tracked:
            for index, some in enumerate(parts.values()):
                streams = {
                    e.name: partial(open_rows, e, some, job.config.train.memory_gb) for e in extractors
                }

                def show(done: int, n_all: int, before: int = index) -> None:
                    tracked.update(before * n_all + done, total=len(parts) * n_all)

                build = _builder(job, len(parts) * len(streams))
                try:
                    pieces += hold_out(some, streams, build, job.config.score, job.config.train.folds, show)
                except CacheFileError:  # those are made again
                    raise
                except InputError as error:  # it could be learnt from as a whole, so the run goes on
                    _log.warning("hold_out: too little normal footage to leave some of it out (%s)", error)
        model = model_digest(job.run.model)
        assert model is not None  # training, or the look at it, has seen to it
        save_held_out(job.run.held_out, pieces, model)
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
    return digest_of([CODE_VERSION, train.fingerprint(situation), config.train.folds, config.score.log_tail])


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
