"""Stage events: what happened in the test videos, when and why, and which of it raises an alarm."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from mulde.data.cache.store import digest_of, read_rows
from mulde.data.decode.tags import read_tags
from mulde.data.errors import InputError
from mulde.data.features import FeatureRows, is_without_measurement
from mulde.data.recorded import clock_in_name, clock_in_tags
from mulde.data.spelling import counted
from mulde.data.video import Video
from mulde.pipeline.config.sections import Config, ScoreConfig
from mulde.pipeline.events.alarms import alarm_frames
from mulde.pipeline.events.causes import Cause, event_of, find_cause
from mulde.pipeline.events.files import STAGE, read_events, read_threshold, write_events, write_threshold
from mulde.pipeline.events.find import Rule, Stretch, Track, find_stretches
from mulde.pipeline.events.record import Event, Threshold, alarms_among, sort_events
from mulde.pipeline.events.thresholds import Marked, NormalFootage, no_threshold
from mulde.pipeline.features.inventory import CachedVideo, usable, without_failed
from mulde.pipeline.marks.record import Mark, event_id, is_marked, marks_digest, marks_of, read_marks
from mulde.pipeline.models.explain import explain
from mulde.pipeline.models.held_out import HeldOutPiece, held_out_digest
from mulde.pipeline.models.model import RunModel, StreamModel, load_model, model_digest
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.footage import read_footage
from mulde.pipeline.runs.scores import ScoredVideo, read_rows_behind, read_scores, write_alarms
from mulde.pipeline.stages import hold_out, score
from mulde.pipeline.stages.stage import WHOLE, RunStage, Situation

CODE_VERSION = 2
"""Raise it when the same scores give other events than before."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """What was found in videos."""

    events: tuple[Event, ...]
    """The strongest first."""
    threshold: Threshold
    n_marked: int = 0
    """Events of these videos that were marked as normal, and are left out."""


class FindEvents(RunStage[Found]):
    """Find the events of the test videos."""

    name = STAGE

    def wanted(self, situation: Situation) -> dict[str, str | None]:
        """Return what the events would be made from: scores, normal scores and settings."""
        job = situation.job
        is_known = not {hold_out.STAGE, score.STAGE} & situation.pending
        if not is_known:
            return {WHOLE: None}
        videos = without_failed(job.run, situation.inventory.test)
        names = [cached.video.name for cached in videos if cached.is_complete]
        return {WHOLE: fingerprint(job.run, job.run, job.config, names)}

    def is_there(self, run: RunFolder, unit: str) -> bool:
        """Whether there are events and a threshold that can be read."""
        try:
            read_events(run), read_threshold(run)
        except InputError:
            return False
        return run.events.exists() and not run.was_changed(run.events.name)

    def run(self, situation: Situation) -> Found:
        """Find the events, unless they are up to date; return them.

        Raises:
            InputError: scores, features or the model are missing or damaged.
        """
        job = situation.job
        videos = usable(job, situation.inventory.test, "test")
        return self.find_missing(job.run, job.run, videos, job.config)

    def find_missing(
        self, run: RunFolder, model_run: RunFolder, videos: Sequence[CachedVideo], config: Config
    ) -> Found:
        """Return the events of videos whose scores are in `run`, with what `model_run` has learnt; find and
        write them unless they are up to date.

        Events of other videos, which were scored into the same folder before, stay where the threshold is the
        same.

        Raises:
            InputError: scores, features or the model are missing or damaged.
        """
        names = {cached.video.name for cached in videos}
        wanted = fingerprint(run, model_run, config, [cached.video.name for cached in videos])
        marks = {cached.video.name: _marks_in(model_run, cached) for cached in videos}
        n_marked = sum(map(len, marks.values()))
        if not self.compare(run, {WHOLE: wanted}).todo:
            _log.info("events: up to date, %s", run.events)
            known = read_found(run)
            own = tuple(event for event in known.events if event.video in names)
            return Found(own, known.threshold, n_marked)
        threshold, rule = learn_threshold(model_run, config.score)
        others = _events_of_others(run, model_run, names, threshold)
        run.remember(STAGE, {WHOLE: ""})  # what is overwritten from here on is of neither
        explainer = _Explainer(model_run, config)
        events: list[Event] = []
        for cached in videos:
            scored = read_scores(run, cached.video.name)
            here = _events_of(run, cached, scored, threshold, rule, explainer, marks[scored.name])
            write_alarms(run, scored, alarm_frames(here, threshold, scored.name, len(scored.scores)))
            events += here
        events = sort_events(events)
        write_threshold(run, threshold)
        write_events(run, sort_events([*events, *others]))
        run.remember(STAGE, {WHOLE: wanted})
        n_alarms = sum(threshold.is_alarm(event.score) for event in events)
        how_many = f"{len(events)}, {alarms_among(n_alarms, len(events))}" if events else "none"
        _log.info("events: %s, %s", how_many, run.events)
        if n_marked:
            _log.info("events: %s marked as normal left out", counted(n_marked, "event"))
        return Found(tuple(events), threshold, n_marked)


def _marks_in(model_run: RunFolder, cached: CachedVideo) -> list[Mark]:
    return marks_of(read_marks(model_run), cached.video.path)


def _events_of_others(
    run: RunFolder, model_run: RunFolder, names: Set[str], threshold: Threshold
) -> list[Event]:
    """Return the events of other videos in a run; none where another threshold was found."""
    try:
        known = read_found(run)
    except InputError:
        return []
    others = [event for event in known.events if event.video not in names and run.csv(event.video).exists()]
    if others and known.threshold != threshold:
        _log.warning(
            "events: those of other videos in %s go by another threshold and are left out: score these again",
            run.folder,
        )
        return []
    footage = read_footage(run) if others else None
    if footage is None:
        return others
    marked = {(mark.event.source, mark.event.id) for mark in read_marks(model_run)}
    paths = {name: str(video.path.absolute()) for name, video in footage.videos.items()}
    return [event for event in others if (paths.get(event.video), event_id(event)) not in marked]


def fingerprint(run: RunFolder, model_run: RunFolder, config: Config, names: Sequence[str]) -> str:
    """Return a hash of all that the events of videos are made from."""
    made_from, model = run.fingerprints(score.STAGE), model_digest(model_run.model)
    marks = read_marks(model_run)
    marked = None if model is None else held_out_digest(model_run.marked, model)
    return digest_of(
        {
            **({"marks": marks_digest(marks)} if marks else {}),
            **({"marked": marked} if marked else {}),
            "code_version": CODE_VERSION,
            "scores": [[name, made_from.get(name)] for name in names],
            "normal": None if model is None else held_out_digest(model_run.held_out, model),
            "settings": config.score.of_events,
        }
    )


def read_found(run: RunFolder) -> Found:
    """Read the events of a run and their threshold.

    Raises:
        InputError: they are missing or damaged.
    """
    return Found(read_events(run), read_threshold(run))


def normal_footage(pieces: Sequence[HeldOutPiece], settings: ScoreConfig) -> NormalFootage:
    """Return the scores of normal footage that was held out, as they are with these settings."""
    return NormalFootage(
        [Track(piece.smoothed(settings), piece.seconds, piece.fps) for piece in pieces],
        lambda usual: Rule(
            settings.event_least_seconds, settings.event_merge_gap_seconds, settings.event_release, usual
        ),
    )


def learn_threshold(model_run: RunFolder, settings: ScoreConfig) -> tuple[Threshold, Rule]:
    """Return the threshold that follows from normal footage, and the rule of events.

    Raises:
        InputError: the scores of normal footage are damaged.
    """
    pieces = hold_out.read_held_out(model_run)
    normal = normal_footage(pieces or (), settings)
    if pieces and all(piece.is_made_by(settings) for piece in pieces):
        marked = _marked(model_run, settings)
        return normal.threshold(settings.false_alarms_per_day, marked), normal.rule
    reason = "there is too little normal footage to leave some of it out of learning"
    if pieces is None:
        reason = (
            "no normal footage was left out of learning for this model; run `mulde train` with train.folds=2 "
            "to have it done"
        )
    if pieces:
        reason = (
            "scores of normal footage were put together in another way than these, by score.log_tail, "
            "score.fusion or score.n_overlapping; run `mulde train` with these"
        )
    return no_threshold(settings.false_alarms_per_day, reason), normal.rule


def _marked(model_run: RunFolder, settings: ScoreConfig) -> Marked | None:
    """Return what was marked as normal; None where nothing was, or before `mulde train` has scored it."""
    known = hold_out.read_marked(model_run)
    if known is None or not all(piece.is_made_by(settings) for piece in known[0]):
        return None
    pieces, watched_hours = known
    return Marked(
        [Track(piece.smoothed(settings), piece.seconds, piece.fps) for piece in pieces], watched_hours
    )


def _events_of(
    run: RunFolder,
    cached: CachedVideo,
    scored: ScoredVideo,
    threshold: Threshold,
    rule: Rule,
    explainer: _Explainer,
    marks: Sequence[Mark],
) -> list[Event]:
    """Return the events of a video in order of time, without those that were marked as normal."""
    if threshold.listed_score is None:
        return []
    track = Track(scored.scores, scored.seconds, scored.fps)
    stretches = find_stretches(track, threshold.listed_score, rule)
    if not stretches:
        return []
    began = recording_began(cached.video, explainer.config.score.recorded_at)
    explain_video = explainer.of(run, cached)
    events = [_event(scored.name, track, stretch, began, explain_video) for stretch in stretches]
    peaks = [float(track.seconds[stretch.peak]) for stretch in stretches]
    return [e for e, peak in zip(events, peaks, strict=True) if not is_marked(marks, e, peak)]


def _event(
    name: str, track: Track, stretch: Stretch, began: datetime | None, explain_video: _ExplainVideo
) -> Event:
    seconds = float(track.seconds[stretch.start]), track.end(stretch.stop)
    return event_of(name, stretch, seconds, began, *explain_video(track, stretch))


def recording_began(video: Video, pattern: str) -> datetime | None:
    """Return when a recording began: by its name, else by what its file says; None where neither does."""
    return clock_in_name(video.name, pattern) or clock_in_tags(read_tags(video))


class _Explainer:
    """Says why; the model is loaded when something is to be explained."""

    def __init__(self, model_run: RunFolder, config: Config) -> None:
        self._run, self.config = model_run, config
        self._model: RunModel | None = None

    def of(self, run: RunFolder, cached: CachedVideo) -> _ExplainVideo:
        """Return what explains the events of a video."""
        if self._model is None:
            self._model = load_model(self._run.model, self.config.extract, self.config.device)
        return _ExplainVideo(run, cached, self._model.of(cached.video), self.config.score)


class _ExplainVideo:
    """Says what was behind the events of a video, and why that is unusual."""

    def __init__(
        self,
        run: RunFolder,
        cached: CachedVideo,
        models: Mapping[str, StreamModel],
        settings: ScoreConfig,
    ) -> None:
        self._behind = read_rows_behind(run, cached.video.name)
        self._models, self._settings = models, settings
        self._cached, self._features = cached, dict[str, FeatureRows]()

    def __call__(self, track: Track, stretch: Stretch) -> tuple[Cause | None, str, str]:
        """Return the cause of a stretch, the stream that drove it, and the reason in words."""
        cause = find_cause(
            self._behind,
            track.seconds.__getitem__,
            stretch,
            self._settings.smoothing_sigma_seconds,
            are_averaged=self._settings.n_averaged > 1,
        )
        return cause, *explain(cause, self._models, self._row)

    def _row(self, stream: str, row: int) -> NDArray[np.float32] | None:
        """Return the features (D,) of a row of the score file; None where they could not be measured."""
        if stream not in self._features:
            self._features[stream] = read_rows(self._cached.entries[stream].path)
        known = self._features[stream]
        if self._behind.total is None:  # rows without a measurement were left out there
            row = int(np.searchsorted(known.frame, self._behind.frame[stream][row]))
        features = known.features[row]
        return None if is_without_measurement(features[None])[0] else features
