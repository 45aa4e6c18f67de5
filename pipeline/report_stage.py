"""Stage report: one HTML page of a run."""

from __future__ import annotations

import logging
import platform
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

from mulde.data.cache import digest_of
from mulde.data.version import mulde_version
from mulde.pipeline.evaluate import STAGE as EVALUATE_STAGE
from mulde.pipeline.evaluate import fingerprint as metrics_fingerprint
from mulde.pipeline.evaluate import read_metrics, scored_videos
from mulde.pipeline.extract import Inventory
from mulde.pipeline.job import Job
from mulde.pipeline.report import ReportFailure, ReportRun, ReportVideo, write_report
from mulde.pipeline.score import read_scores

STAGE = "report"
_log = logging.getLogger(__name__)


def report(job: Job, inventory: Inventory) -> Path:
    """Write report/index.html, unless it is up to date; return its path.

    Raises:
        InputError: scores are missing or damaged.
    """
    names = scored_videos(job, inventory)
    page = job.run.report / "index.html"
    failures = job.run.failures()
    made_from = metrics_fingerprint(job, names)
    is_evaluated = job.dataset.labels is not None and job.run.fingerprint(EVALUATE_STAGE) == made_from
    wanted = digest_of([made_from, is_evaluated, [failure.reason for failure in failures]])
    if job.run.fingerprint(STAGE) == wanted and page.exists():
        _log.info("report: up to date, %s", page)
        return page
    content = ReportRun(
        name=job.run.folder.name,
        preset=job.config.preset,
        data=job.dataset.name,
        date=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        versions={name: metadata.version(name) for name in ("torch", "numpy", "opencv-python")}
        | {"mulde": mulde_version(), "Python": platform.python_version()},
        videos=[_video(job, name) for name in names],
        metrics=read_metrics(job.run.metrics) if is_evaluated else None,
        failures=[ReportFailure(failure.video, failure.stage, failure.reason) for failure in failures],
    )
    write_report(content, job.run.report)
    job.run.remember(STAGE, {"": wanted})
    _log.info("report: %s", page)
    return page


def _video(job: Job, name: str) -> ReportVideo:
    scored, labels = read_scores(job.run, name), job.dataset.labels
    frames = labels.frames(name, len(scored.scores)) if labels and labels.has(name) else None
    return ReportVideo(
        name=name,
        scores=scored.scores,
        unsmoothed=scored.unsmoothed,
        labels=frames,
        fps=scored.fps,
        warnings=scored.warnings,
    )
