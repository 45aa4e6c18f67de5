"""Stage report: one HTML page of a run."""

from __future__ import annotations

import logging
import platform
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mulde.data.cache.store import digest_of
from mulde.data.errors import VideoError
from mulde.data.labels.labels import NamedEvent
from mulde.data.sealed import is_whole
from mulde.data.version import mulde_version
from mulde.pipeline.features.recipe import caution
from mulde.pipeline.metrics.protocols import find_protocol
from mulde.pipeline.report.page import ReportFailure, ReportRun, ReportVideo, write_report
from mulde.pipeline.report.thumbnails import draw_frame
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.job import Job
from mulde.pipeline.runs.scores import read_objects, read_scores
from mulde.pipeline.stages.evaluate import Evaluate, names_of_scored, read_metrics, require_scores
from mulde.pipeline.stages.evaluate import fingerprint as metrics_fingerprint
from mulde.pipeline.stages.stage import WHOLE, RunStage, Situation

CODE_VERSION = 4
"""Raise it when the same run gives another page than before."""
_log = logging.getLogger(__name__)


class Report(RunStage[Path]):
    """Write report/index.html."""

    name = "report"

    def wanted(self, situation: Situation) -> dict[str, str | None]:
        """Return what the page would be made from: what the run, its labels and its settings are now."""
        is_known = not {"score", "events", "evaluate"} & situation.pending
        return {WHOLE: fingerprint(situation) if is_known else None}

    def is_there(self, run: RunFolder, unit: str) -> bool:
        """Whether there is a page, and whole."""
        return is_whole(_page(run))

    def run(self, situation: Situation) -> Path:
        """Write the page, unless it is up to date; return its path.

        Raises:
            InputError: scores are missing or damaged.
        """
        job = situation.job
        names, page = require_scores(situation), _page(job.run)
        if not self.look(situation).todo:
            _log.info("report: up to date, %s", page)
            return page
        wanted = fingerprint(situation)
        write_report(_content(situation, names), job.run.report)
        job.run.remember(self.name, {WHOLE: wanted})
        _log.info("report: %s", page)
        return page


def fingerprint(situation: Situation) -> str:
    """Return a hash of all that the page is made from."""
    job = situation.job
    return digest_of(
        [
            CODE_VERSION,
            metrics_fingerprint(job, names_of_scored(situation)),
            _is_evaluated(situation),
            [failure.reason for failure in job.run.failures()],
            job.config.report.model_dump(mode="json"),
        ]
    )


def _page(run: RunFolder) -> Path:
    return run.report / "index.html"


def _is_evaluated(situation: Situation) -> bool:
    work = Evaluate().look(situation)
    return bool(work.current)


def _content(situation: Situation, names: Sequence[str]) -> ReportRun:
    job = situation.job
    content = ReportRun(
        name=job.run.folder.name,
        preset=job.config.preset,
        data=job.dataset.name,
        date=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        versions={name: metadata.version(name) for name in ("torch", "numpy", "opencv-python")}
        | {"mulde": mulde_version(), "Python": platform.python_version()},
        videos=_with_pictures(job, [_video(job, name) for name in names]),
        metrics=read_metrics(job.run.metrics) if _is_evaluated(situation) else None,
        caution=caution(job.config.extract),
        failures=[
            ReportFailure(failure.video, failure.stage, failure.reason) for failure in job.run.failures()
        ],
    )
    if job.dataset.labels is not None and content.metrics is None:
        reason = "These scores were not evaluated with these settings; run `mulde evaluate` with them"
        return replace(content, no_metrics_reason=reason)
    return content


def _video(job: Job, name: str) -> ReportVideo:
    scored, labels = read_scores(job.run, name), job.dataset.labels
    frames: NDArray[np.uint8] | None = None
    events: Sequence[NamedEvent] = ()
    if labels is not None and labels.has(name):
        frames = labels.frames(name, len(scored.scores), scored.seconds)
        events = labels.events(name, len(scored.scores), scored.seconds)
    return ReportVideo(
        name=name,
        scores=find_protocol(job.config.evaluate.protocol).apply(scored.scores, scored.unsmoothed),
        unsmoothed=scored.unsmoothed,
        labels=frames,
        seconds=scored.seconds,
        labelled_events=tuple(
            f"{event.name}, frames {event.start_frame} to {event.stop_frame - 1}" for event in events
        ),
        warnings=(*scored.warnings, scored.note) if scored.note else scored.warnings,
    )


def _with_pictures(job: Job, videos: Sequence[ReportVideo]) -> list[ReportVideo]:
    """Add the frame of the highest score to the videos whose highest scores are the highest."""
    if job.is_imported:  # there is nothing to decode
        return list(videos)
    with_frames = [video for video in videos if video.peak_frame is not None]
    ranked = sorted(with_frames, key=lambda video: -float(video.scores.max()))
    chosen = {video.name for video in ranked[: job.config.report.n_pictures]}
    return [_with_picture(job, video) if video.name in chosen else video for video in videos]


def _with_picture(job: Job, video: ReportVideo) -> ReportVideo:
    source = next(source for source in job.dataset.test if source.name == video.name)
    assert video.peak_frame is not None
    try:
        jpeg = draw_frame(source, video.peak_frame, read_objects(job.run, video.name))
    except VideoError as error:
        return replace(video, picture_note=str(error))
    return replace(video, thumbnail_jpeg=jpeg)
