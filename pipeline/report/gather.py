"""Read what the report shows of each video, one after the other, and keep no more than is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from mulde.data.errors import VideoError
from mulde.data.labels.labels import Labels
from mulde.data.times import mean_rate
from mulde.data.video import Video
from mulde.pipeline.events.record import Event
from mulde.pipeline.metrics.events import runs
from mulde.pipeline.metrics.frames import roc_curve
from mulde.pipeline.metrics.protocols import Protocol
from mulde.pipeline.metrics.roc import RocCurve
from mulde.pipeline.metrics.video_scores import VideoScores
from mulde.pipeline.pictures.stills import take_stills
from mulde.pipeline.report.curves import reduce_curve
from mulde.pipeline.report.records import Rates, ReportEvent, ReportVideo, Stretch
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.scores import ScoredVideo, read_scores, read_stream_scores

MOST_EVENTS = 500
"""Events that a page names; weaker ones are in events.csv only."""


@dataclass
class Gatherer:
    """Reads the videos of a run for the page."""

    run: RunFolder
    events: Sequence[Event]
    """Of all videos, the strongest first."""
    n_points: int
    """Of a curve."""
    n_pictures: int
    """Of the strongest events, so many have pictures."""
    frames_per_second: float
    """Of folders of images, which do not say."""
    protocol: Protocol | None = None
    """What is done to the scores before ROC and precision are read off; None where nothing is measured."""
    labels: Labels | None = None
    _labelled: list[VideoScores] = field(default_factory=list)
    _stills: dict[Event, ReportEvent] = field(default_factory=dict)

    def read(self, name: str, source: Video | None, start_clock: datetime | None = None) -> ReportVideo:
        """Return what is drawn of a video, and take the pictures of its events.

        Args:
            source: None where there is nothing to decode.
            start_clock: when it began by the clock of the recording, if that is known.

        Raises:
            InputError: its scores are missing or damaged.
        """
        scored = read_scores(self.run, name)
        shown = self.events[:MOST_EVENTS]
        if source is not None:
            pictured = [event for event in shown[: self.n_pictures] if event.video == name]
            self._take_stills(source, pictured, scored)
        streams = read_stream_scores(self.run, name, scored.scores.size)
        normal, abnormal = self._stretches(scored)
        return ReportVideo(
            name,
            reduce_curve(scored.scores, scored.seconds, streams if len(streams) > 1 else {}, self.n_points),
            _length(scored),
            abnormal,
            normal,
            self._labelled_events(scored),
            start_clock,
            (*scored.warnings, scored.note) if scored.note else scored.warnings,
        )

    def shown_events(self) -> list[ReportEvent]:
        """Return the events with the pictures that were taken, once all videos have been read."""
        return [self._stills.get(event, ReportEvent(event)) for event in self.events[:MOST_EVENTS]]

    def rates(self) -> Rates | None:
        """Return ROC and precision over recall of all labelled videos that were read; None if not defined."""
        curve = roc_curve(self._labelled)
        return None if curve is None else _rates(curve)

    def _take_stills(self, source: Video, events: Sequence[Event], scored: ScoredVideo) -> None:
        if not events:
            return
        try:
            taken = take_stills(source, events, scored.seconds, frames_per_second=self.frames_per_second)
        except VideoError as error:
            self._stills |= {event: ReportEvent(event, picture_note=str(error)) for event in events}
            return
        for event, stills in zip(events, taken, strict=True):
            note = "" if stills else "its frame cannot be found in the video"
            self._stills[event] = ReportEvent(event, stills, note)

    def _stretches(
        self, scored: ScoredVideo
    ) -> tuple[tuple[Stretch, ...] | None, tuple[Stretch, ...] | None]:
        """Return the stretches that are labelled normal, and those that are labelled abnormal."""
        name, scores = scored.name, scored.scores
        if self.labels is None or not self.labels.has(name):
            return None, None
        labels = self.labels.frames(name, len(scores), scored.seconds)
        measured = scores if self.protocol is None else self.protocol.apply(scores, scored.unsmoothed)
        self._labelled.append(VideoScores(name, measured, labels))
        normal, abnormal = (
            tuple(_stretch(start, stop, scored) for start, stop in runs(labels == value).tolist())
            for value in (0, 1)
        )
        return normal, abnormal

    def _labelled_events(self, scored: ScoredVideo) -> tuple[str, ...]:
        if self.labels is None or not self.labels.has(scored.name):
            return ()
        return tuple(
            f"{event.name}, frames {event.start_frame} to {event.stop_frame - 1}"
            for event in self.labels.events(scored.name, len(scored.scores), scored.seconds)
        )


def _length(scored: ScoredVideo) -> float:
    """Return how long a video is in seconds, its last frame included."""
    n_frames = scored.seconds.size
    rate = mean_rate(scored.seconds) or scored.fps
    return n_frames / rate if n_frames else 0.0


def _stretch(start: int, stop: int, scored: ScoredVideo) -> Stretch:
    scores, seconds = scored.scores, scored.seconds
    peak = start + int(scores[start:stop].argmax())
    return Stretch(
        start,
        stop,
        float(seconds[start]),
        float(seconds[stop]) if stop < seconds.size else _length(scored),
        peak,
        float(seconds[peak]),
        float(scores[peak]),
    )


def _rates(curve: RocCurve) -> Rates:
    found = curve.true_positives
    flagged = np.maximum(found + curve.false_positives_after, 1)
    return Rates(
        curve.false_positive_rate, curve.true_positive_rate, found / curve.n_positives, found / flagged
    )
