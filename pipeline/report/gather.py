"""Read what the report shows of each video, one after the other, and keep no more than is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from mulde.data.errors import VideoError
from mulde.data.labels.labels import Labels
from mulde.data.times import mean_rate, positions_of, usual_step
from mulde.data.video import Video
from mulde.pipeline.events.record import BoxXyxy, Event
from mulde.pipeline.metrics.events import runs
from mulde.pipeline.metrics.frames import roc_curve
from mulde.pipeline.metrics.protocols import Protocol
from mulde.pipeline.metrics.roc import RocCurve
from mulde.pipeline.metrics.video_scores import VideoScores
from mulde.pipeline.pictures.stills import take_stills
from mulde.pipeline.report.curves import reduce_curve
from mulde.pipeline.report.records import Rates, ReportEvent, ReportVideo, Stretch
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.scores import ScoredVideo, open_scores, read_objects, read_scores

_MOST_MOMENTS, _APART_SECONDS = 6, 30.0
_MOST_FRAMES_ASIDE = 3
"""Objects are looked for in about ten frames a second: the nearest is so near, or there was none."""
_MOST_SHOWN, _SHOWN_OF_MORE = 500, 200


def most_shown(n_videos: int) -> int:
    """Return how many events a page names, and how many videos it draws, of a run of so many.

    All videos, up to some hundred. Nobody looks through more: of those, the page has the strongest events and
    their videos, and opens quickly; scores/ and events.csv have all.
    """
    return _MOST_SHOWN if n_videos <= _MOST_SHOWN else _SHOWN_OF_MORE


def choose_videos(names: Sequence[str], events: Sequence[Event]) -> list[str]:
    """Return the videos that a page draws, in order: all, or those of the strongest events, then the first.

    Args:
        events: the strongest first.
    """
    most = most_shown(len(names))
    if len(names) <= most:
        return [*names]
    first = dict.fromkeys([event.video for event in events[:most]] + [*names])
    chosen = {*islice(first, most)}
    return [name for name in names if name in chosen]


@dataclass
class Gatherer:
    """Reads the videos of a run for the page."""

    run: RunFolder
    events: Sequence[Event]
    """Of all videos, the strongest first."""
    n_points: int
    """Of a curve."""
    n_events: int
    """Of the strongest events, so many are named."""
    n_pictures: int
    """Of the strongest events, so many have pictures."""
    frames_per_second: float
    """Of folders of images, which do not say."""
    protocol: Protocol | None = None
    """What is done to the scores before ROC and precision are read off; None where nothing is measured."""
    labels: Labels | None = None
    _labelled: list[VideoScores] = field(default_factory=list, init=False)
    _stills: dict[Event, ReportEvent] = field(default_factory=dict, init=False)
    _highest: list[tuple[str, int, float]] = field(default_factory=list, init=False)
    """Name, frame and score of what was highest in the videos, where there is no event."""
    _n_objects: list[float] = field(default_factory=list, init=False)
    """In a frame of each video that was looked at."""

    def read(self, name: str, source: Video | None, start_clock: datetime | None = None) -> ReportVideo:
        """Return what is drawn of a video, and take the pictures of its events.

        Args:
            source: None where there is nothing to decode.
            start_clock: when it began by the clock of the recording, if that is known.

        Raises:
            InputError: its scores are missing or damaged.
        """
        with open_scores(self.run, name) as files:
            scored, n_objects = files.scores(), files.objects_per_frame()
            streams = files.stream_scores(positions_of(scored.seconds, scored.fps))
        if n_objects is not None:
            self._n_objects.append(n_objects)
        shown = self.events[: self.n_events]
        if source is not None:
            pictured = [event for event in shown[: self.n_pictures] if event.video == name]
            self._take_stills(source, pictured, scored)
        if not self.events:
            self._highest += _highest(scored)
        self._take_into_rates(scored)
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

    def measure(self, name: str) -> None:
        """Take a video into `rates` that is not drawn.

        Raises:
            InputError: its scores are missing or damaged.
        """
        if self.labels is not None and self.labels.has(name):
            self._take_into_rates(read_scores(self.run, name))

    def objects_per_frame(self) -> float | None:
        """Return how many objects a frame that was looked at has on average; None where frames are whole."""
        return sum(self._n_objects) / len(self._n_objects) if self._n_objects else None

    def shown_events(self) -> list[ReportEvent]:
        """Return the events with the pictures that were taken, once all videos have been read."""
        return [self._stills.get(event, ReportEvent(event)) for event in self.events[: self.n_events]]

    def moments(self, sources: Mapping[str, Video]) -> list[ReportEvent]:
        """Return the highest scores of all videos, once they have been read, as if each were an event.

        They are of a frame each, at least half a minute apart, the highest first.
        """
        self._highest.sort(key=lambda moment: -moment[2])
        shown = []
        for name, highest, score in self._highest[: min(self.n_pictures, _MOST_MOMENTS)]:
            scored = read_scores(self.run, name)
            peak, box = self._box(name, highest)
            event = Event(
                name,
                peak,
                peak + 1,
                float(scored.seconds[peak]),
                float(scored.seconds[peak]) + usual_step(scored.seconds, scored.fps),
                None,
                peak,
                score,
                box,
                "",
                "",
            )
            if name in sources:
                self._take_stills(sources[name], [event], scored)
            shown.append(self._stills.get(event, ReportEvent(event)))
        return shown

    def _box(self, name: str, frame: int) -> tuple[int, BoxXyxy | None]:
        """Return the frame that was looked at next to a frame, and the box of its highest total.

        Where no object is near there is no box, and the frame stays.
        """
        objects = read_objects(self.run, name)
        if objects is None or not objects.frame.size:
            return frame, None
        nearest = int(objects.frame[np.abs(objects.frame - frame).argmin()])
        inside = np.flatnonzero(objects.frame == nearest)
        x1, y1, x2, y2 = objects.box_xyxy[inside[objects.total[inside].argmax()]].tolist()
        if abs(nearest - frame) > _MOST_FRAMES_ASIDE or not (x1 < x2 and y1 < y2):
            return frame, None
        return nearest, (x1, y1, x2, y2)

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

    def _labels_of(self, scored: ScoredVideo) -> NDArray[np.uint8] | None:
        """Return the labels of a video, (T,), 1 = abnormal; None where it has none."""
        if self.labels is None or not self.labels.has(scored.name):
            return None
        return self.labels.frames(scored.name, len(scored.scores), scored.seconds)

    def _take_into_rates(self, scored: ScoredVideo) -> None:
        labels, scores = self._labels_of(scored), scored.scores
        if labels is not None:
            measured = scores if self.protocol is None else self.protocol.apply(scores, scored.unsmoothed)
            self._labelled.append(VideoScores(scored.name, measured, labels))

    def _stretches(
        self, scored: ScoredVideo
    ) -> tuple[tuple[Stretch, ...] | None, tuple[Stretch, ...] | None]:
        """Return the stretches that are labelled normal, and those that are labelled abnormal."""
        labels = self._labels_of(scored)
        if labels is None:
            return None, None
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


def _highest(scored: ScoredVideo) -> list[tuple[str, int, float]]:
    """Return name, frame and score of the highest scores of a video, the highest first."""
    left, found = scored.scores.copy(), list[tuple[str, int, float]]()
    while len(found) < _MOST_MOMENTS and left.size and np.isfinite(left).any():
        peak = int(left.argmax())
        found.append((scored.name, peak, float(scored.scores[peak])))
        left[np.abs(scored.seconds - scored.seconds[peak]) < _APART_SECONDS] = -np.inf
    return found


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
