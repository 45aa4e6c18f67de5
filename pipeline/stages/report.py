"""Stage report: one HTML page of a run."""

from __future__ import annotations

import logging
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from mulde.data.cache.store import digest_of
from mulde.data.cycles import no_cycles
from mulde.data.errors import InputError
from mulde.data.labels.labels import Labels
from mulde.data.sealed import is_whole
from mulde.data.version import mulde_version, version_of
from mulde.data.video import Video
from mulde.pipeline.config.sections import Config
from mulde.pipeline.events.files import STAGE as EVENTS
from mulde.pipeline.events.files import events_if_any, read_events, threshold_if_any
from mulde.pipeline.features.recipe import caution
from mulde.pipeline.metrics.protocols import find_protocol
from mulde.pipeline.metrics.records import Metrics
from mulde.pipeline.models.model import read_scenes
from mulde.pipeline.pictures.scene import draw_scene, scene_facts
from mulde.pipeline.pictures.stills import to_jpeg
from mulde.pipeline.progress import Progress, Tracked, silent
from mulde.pipeline.report.curves import n_points
from mulde.pipeline.report.gather import Gatherer, choose_videos, most_shown
from mulde.pipeline.report.page import write_report
from mulde.pipeline.report.records import ReportRun, ReportScene
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.footage import read_footage
from mulde.pipeline.runs.job import Job
from mulde.pipeline.stages import score
from mulde.pipeline.stages.evaluate import Evaluate, names_of_scored, read_metrics, require_scores
from mulde.pipeline.stages.evaluate import fingerprint as metrics_fingerprint
from mulde.pipeline.stages.find_events import Found, recording_began
from mulde.pipeline.stages.stage import WHOLE, RunStage, Situation

CODE_VERSION = 7
"""Raise it when the same run gives another page than before."""
_SCENE_WIDTH_PX = 640
_log = logging.getLogger(__name__)


class Report(RunStage[Path]):
    """Write report/index.html."""

    name = "report"

    def wanted(self, situation: Situation) -> dict[str, str | None]:
        """Return what the page would be made from: what the run, its labels and its settings are now."""
        is_known = not {"score", EVENTS, "evaluate"} & situation.pending
        return {WHOLE: fingerprint(situation, names_of_scored(situation)) if is_known else None}

    def is_there(self, run: RunFolder, unit: str) -> bool:
        """Whether there is a page, and whole."""
        return is_whole(_page(run))

    def run(self, situation: Situation) -> Path:
        """Write the page, unless it is up to date; return its path.

        Raises:
            InputError: scores are missing or damaged.
        """
        job, names = situation.job, require_scores(situation)
        is_evaluated = _is_evaluated(situation)
        no_metrics_reason = ReportRun.no_metrics_reason
        if job.dataset.labels is not None and not is_evaluated:
            no_metrics_reason = (
                "These scores were not evaluated with these settings; run `mulde evaluate` with them"
            )
        sources = {} if job.is_imported else {video.name: video for video in job.dataset.test}
        subject = _Subject(
            job.run,
            job.run.model,
            job.config,
            job.dataset.name,
            names,
            sources,
            job.frames_per_second,
            job.dataset.labels,
            read_metrics(job.run.metrics) if is_evaluated else None,
            no_metrics_reason,
        )
        return _write_if_needed(subject, fingerprint(situation, names), job.progress)


def report_footage(out: RunFolder, config: Config, names: Sequence[str], progress: Progress = silent) -> Path:
    """Write the page of scored videos that no data set lists, unless it is up to date; return its path.

    Args:
        out: holds their scores, and says where they are.
        config: of the model that they were scored with.
        names: of these videos.

    Raises:
        InputError: scores are missing or damaged.
    """
    footage = read_footage(out)
    if footage is None:
        raise InputError(f"{out.folder} does not say which videos were scored: run `mulde score --model`")
    made_from = out.fingerprints(score.STAGE)
    wanted = _digest(out, config, [[name, made_from.get(name)] for name in names])
    sources = {name: footage.videos[name] for name in names}
    subject = _Subject(
        out,
        footage.model_run.model,
        config,
        f"new footage from {', '.join(sorted({str(video.split_folder) for video in sources.values()}))}",
        names,
        sources,
        footage.frames_per_second,
        title=f"{footage.model_run.folder.resolve().name} · {out.folder.resolve().name}",
    )
    return _write_if_needed(subject, wanted, progress)


def known_results(job: Job) -> tuple[Found | None, Metrics | None]:
    """Return the events and metrics that the page of a run shows; None for what is not there, or is old."""
    run = job.run
    threshold = threshold_if_any(run) if run.events_json.exists() else None
    found = None if threshold is None else Found(read_events(run), threshold)
    return found, read_metrics(run.metrics) if _is_evaluated(Situation(job)) else None


@no_cycles()
def fingerprint(situation: Situation, names: Sequence[str]) -> str:
    """Return a hash of all that the page is made from.

    Args:
        names: of the videos that have scores, see `names_of_scored`.
    """
    job = situation.job
    scores = metrics_fingerprint(job, names)
    return _digest(job.run, job.config, [scores, _is_evaluated(situation)])


def _digest(run: RunFolder, config: Config, scores: object) -> str:
    return digest_of(
        [
            CODE_VERSION,
            scores,
            [_text_of(path) for path in (run.events_json, run.threshold)],
            [failure.reason for failure in run.failures()],
            config.report.model_dump(mode="json"),
        ]
    )


def _text_of(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8", "backslashreplace")  # damaged or not: it is compared
    except OSError:
        return None


def _page(run: RunFolder) -> Path:
    return run.report / "index.html"


def _is_evaluated(situation: Situation) -> bool:
    work = Evaluate().look(situation)
    return bool(work.current)


@dataclass(frozen=True)
class _Subject:
    """What a page is about."""

    run: RunFolder
    model: Path
    config: Config
    data: str
    names: Sequence[str]
    sources: Mapping[str, Video]
    """By name; empty where there is nothing to decode."""
    frames_per_second: float
    labels: Labels | None = None
    metrics: Metrics | None = None
    no_metrics_reason: str = ReportRun.no_metrics_reason
    title: str = ""
    """If not that of the run's folder."""


def _write_if_needed(subject: _Subject, wanted: str, progress: Progress) -> Path:
    """Write a page, unless there is one that was made from the same; return its path."""
    run, page = subject.run, _page(subject.run)
    if Report().compare(run, {WHOLE: wanted}).todo:
        _write(subject, progress)
        run.remember(Report.name, {WHOLE: wanted})
    else:
        _log.info("report: up to date, %s", page)
    return page


def _write(subject: _Subject, progress: Progress) -> None:
    run, config = subject.run, subject.config
    names = {*subject.names}
    events = [event for event in events_if_any(run) if event.video in names]
    threshold, is_labelled = threshold_if_any(run), subject.labels is not None
    shown, n_events = choose_videos(subject.names, events), most_shown(len(names))
    gatherer = Gatherer(
        run,
        events,
        n_points(len(shown)),
        n_events,
        config.report.n_pictures,
        subject.frames_per_second,
        find_protocol(config.evaluate.protocol) if is_labelled else None,
        subject.labels,
    )
    videos = []
    for name in names.difference(shown):  # in any order
        gatherer.measure(name)
    with Tracked(progress, "report", len(shown), "videos") as tracked:
        for done, name in enumerate(shown):
            tracked.update(done, name)
            source = subject.sources.get(name)
            began = None if source is None else recording_began(source, config.score.recorded_at)
            videos.append(gatherer.read(name, source, began))
        tracked.update(len(shown))
    page = write_report(
        ReportRun(
            name=subject.title or run.folder.resolve().name,
            preset=config.preset,
            data=subject.data,
            date=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            versions=_versions(),
            videos=videos,
            n_more_videos=len(names) - len(shown),
            events=gatherer.shown_events(),
            n_more_events=max(0, len(events) - n_events),
            n_more_alarms=sum(threshold.is_alarm(e.score) for e in events[n_events:] if threshold),
            moments=[] if events else gatherer.moments(subject.sources),
            threshold=threshold,
            metrics=subject.metrics,
            no_metrics_reason=subject.no_metrics_reason,
            rates=gatherer.rates(),
            scenes=_scenes(subject, gatherer.objects_per_frame()),
            failures=run.failures(),
            configuration=config.to_yaml(),
            stage_seconds=_stage_seconds(run),
            caution=caution(config.extract),
        ),
        run.report,
    )
    _log.info("report: %s", page)


def _stage_seconds(run: RunFolder) -> dict[str, float]:
    known = run.stage_seconds()
    return {stage: known[stage] for stage in ("extract", "train", "hold_out", "score") if stage in known}


def _versions() -> dict[str, str]:
    names = ("torch", "numpy", "opencv-python")
    libraries = {name: version for name in names if (version := version_of(name)) is not None}
    return libraries | {"mulde": mulde_version(), "Python": platform.python_version()}


def _scenes(subject: _Subject, objects_per_frame: float | None) -> list[ReportScene]:
    """Return what was learnt of each camera; nothing where that is not there any more, or was not learnt."""
    try:
        models = read_scenes(subject.model).models
    except InputError as error:
        _log.warning("report: %s", error)
        return []
    scenes = [
        ReportScene(
            name if len(models) > 1 else "",
            tuple(to_jpeg(picture, _SCENE_WIDTH_PX) for picture in draw_scene(scene)),
            tuple(scene_facts(scene)),
        )
        for name, scene in models.items()
    ]
    if objects_per_frame is not None and len(scenes) == 1:
        fact = f"In a frame of these videos, {objects_per_frame:.1f} objects are looked at on average."
        scenes[0] = replace(scenes[0], facts=(*scenes[0].facts, fact))
    return scenes
