"""Stage report: one HTML page of a run."""

from __future__ import annotations

import logging
import platform
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

from mulde.data.cache.store import digest_of
from mulde.data.errors import VideoError
from mulde.data.version import mulde_version
from mulde.pipeline.features.inventory import Inventory
from mulde.pipeline.metrics.protocols import find_protocol
from mulde.pipeline.report.page import ReportFailure, ReportRun, ReportVideo, write_report
from mulde.pipeline.report.thumbnails import draw_frame
from mulde.pipeline.runs.job import Job
from mulde.pipeline.stages.evaluate import STAGE as EVALUATE_STAGE
from mulde.pipeline.stages.evaluate import fingerprint as metrics_fingerprint
from mulde.pipeline.stages.evaluate import read_metrics, scored_videos
from mulde.pipeline.stages.score import read_scores

STAGE = "report"
CODE_VERSION = 2
"""Raise it when the same run gives another page than before."""
_log = logging.getLogger(__name__)


def report(job: Job, inventory: Inventory) -> Path:
    """Write report/index.html, unless it is up to date; return its path.

    Raises:
        InputError: scores are missing or damaged.
    """
    names = scored_videos(job, inventory)
    page = job.run.report / "index.html"
    failures = job.run.failures()
    is_evaluated = _is_evaluated(job, names)
    wanted = fingerprint(job, names)
    if is_current(job, names):
        _log.info("report: up to date, %s", page)
        return page
    content = ReportRun(
        name=job.run.folder.name,
        preset=job.config.preset,
        data=job.dataset.name,
        date=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        versions={name: metadata.version(name) for name in ("torch", "numpy", "opencv-python")}
        | {"mulde": mulde_version(), "Python": platform.python_version()},
        videos=_with_pictures(job, [_video(job, name) for name in names]),
        metrics=read_metrics(job.run.metrics) if is_evaluated else None,
        failures=[ReportFailure(failure.video, failure.stage, failure.reason) for failure in failures],
    )
    if job.dataset.labels is not None and content.metrics is None:
        reason = "These scores were not evaluated with these settings; run `mulde evaluate` with them"
        content = replace(content, no_metrics_reason=reason)
    write_report(content, job.run.report)
    job.run.remember(STAGE, {"": wanted})
    _log.info("report: %s", page)
    return page


def fingerprint(job: Job, names: list[str]) -> str:
    """Return a hash of all that the page is made from, of the videos that have scores."""
    return digest_of(
        [
            CODE_VERSION,
            metrics_fingerprint(job, names),
            _is_evaluated(job, names),
            [failure.reason for failure in job.run.failures()],
            job.config.report.model_dump(mode="json"),
        ]
    )


def is_current(job: Job, names: list[str]) -> bool:
    """Whether the page was made from what the run, its labels and its settings are now."""
    page = job.run.report / "index.html"
    return job.run.fingerprint(STAGE) == fingerprint(job, names) and page.exists()


def _is_evaluated(job: Job, names: list[str]) -> bool:
    has_labels = job.dataset.labels is not None
    return has_labels and job.run.fingerprint(EVALUATE_STAGE) == metrics_fingerprint(job, names)


def _video(job: Job, name: str) -> ReportVideo:
    scored, labels = read_scores(job.run, name), job.dataset.labels
    frames = labels.frames(name, len(scored.scores)) if labels and labels.has(name) else None
    return ReportVideo(
        name=name,
        scores=find_protocol(job.config.evaluate.protocol).apply(scored.scores, scored.unsmoothed),
        unsmoothed=scored.unsmoothed,
        labels=frames,
        fps=scored.fps,
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
        jpeg = draw_frame(source, video.peak_frame, job.run.objects(video.name))
    except VideoError as error:
        return replace(video, picture_note=str(error))
    return replace(video, thumbnail_jpeg=jpeg)
