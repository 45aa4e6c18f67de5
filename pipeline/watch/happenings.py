"""The events of live footage: the same as offline, told when they begin and when they are over."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from mulde.data.features import FeatureRows
from mulde.data.video import Picture, Video
from mulde.pipeline.events.causes import event_of, find_cause
from mulde.pipeline.events.find import Rule
from mulde.pipeline.events.live import Began, Ended, LiveStretches
from mulde.pipeline.events.picture import draw_box
from mulde.pipeline.events.record import Event
from mulde.pipeline.marks.excerpts import SPREADS_AROUND, Excerpt, ExcerptRows
from mulde.pipeline.marks.record import Mark, covered_seconds, is_marked, told_of
from mulde.pipeline.models.explain import explain
from mulde.pipeline.models.model import StreamModel
from mulde.pipeline.runs.scores import RowsBehind
from mulde.pipeline.watch.scorer import Look, ScoredFrame

_MOST_LOOKS = 20_000
"""Of an event that goes on for hours, so many of its last looks are remembered."""
_MOST_IN_EXCERPT = 2000
"""And so many are kept with it, to be learnt from."""
_SURE_SECONDS = 1.0
"""An event that begins so shortly before marked time is that which was marked."""


@dataclass(frozen=True)
class Beginning:
    """An event that has just begun to count; it goes on."""

    start_frame: int
    start_seconds: float
    start_clock: datetime | None
    score: float
    """The highest so far."""


@dataclass(frozen=True)
class Happening:
    """An event that is over."""

    event: Event
    picture: NDArray[np.uint8] | None
    """(H, W, 3) uint8 RGB, its most unusual object framed; None where no frame of it was kept."""
    clip: str = ""
    """Where its clip is, or is in a moment, below the folder of what was seen; "" where none is made."""
    excerpt: Excerpt | None = None
    """What is needed to mark it as normal: of each frame the features of the most unusual object."""


@dataclass(frozen=True)
class WatchedPiece:
    """Footage without interruption, as far as its events depend on it."""

    video: Video
    began: datetime | None
    """When it was recorded, by the clock, if that is known."""
    is_file: bool
    footage: str
    """See `ToldEvent`."""
    watched_seconds: float
    """How much of that was watched before."""
    marks: Sequence[Mark] = ()
    """Events of it that were marked as normal: they are not told of."""


class LiveEvents:
    """Takes the scores of frames and what these looked like, in order, and says what begins and ends."""

    def __init__(
        self,
        piece: WatchedPiece,
        models: Mapping[str, StreamModel],
        threshold: float,
        rule: Rule,
        seconds_around: float,
        fps: float,
    ) -> None:
        """Take the footage, the score from which events are listed, and the rate that the footage claims."""
        self._piece, self._models, self._fps = piece, models, fps
        self._stretches = LiveStretches(threshold, rule)
        self._seconds_around = seconds_around
        self._looks: deque[tuple[float, Look]] = deque(maxlen=_MOST_LOOKS)
        self._held: tuple[Look, Picture] | None = None  # the most unusual of them
        self._looked_at: deque[tuple[float, int]] = deque(maxlen=_MOST_LOOKS)
        self._now = 0.0
        self._has_told = False  # of the beginning of the stretch that is open

    def push(
        self,
        scored: Sequence[ScoredFrame],
        looks: Iterable[Look],
        looked_at: Iterable[int],
        step_seconds: float,
        pictures: Mapping[int, Picture],
    ) -> list[Beginning | Happening]:
        """Take frames that were scored, what those looked like that were looked at, and recent pictures."""
        by_frame, frames = {look.frame: look for look in looks}, {*looked_at}
        told: list[Beginning | Happening] = []
        for frame in scored:
            if frame.frame in by_frame:
                self._remember(frame.seconds, by_frame[frame.frame], pictures)
            if frame.frame in frames:
                self._looked_at.append((frame.seconds, frame.frame))
            self._now = frame.seconds + step_seconds
            said = self._stretches.push(frame.frame, frame.seconds, frame.score, step_seconds)
            told += self._tell(said)
            self._forget(frame.seconds)
        return told

    def finish(self) -> list[Beginning | Happening]:
        """Take it that no frame follows."""
        return self._tell(self._stretches.finish())

    def _remember(self, seconds: float, look: Look, pictures: Mapping[int, Picture]) -> None:
        self._looks.append((seconds, look))
        picture = pictures.get(look.frame)
        if picture is not None and (self._held is None or look.total > self._held[0].total):
            self._held = look, picture

    def _forget(self, now: float) -> None:
        """Let go of what belongs to no stretch that is open."""
        since = self._stretches.open_since
        needed = (now if since is None else since) - self._seconds_around
        while self._looked_at and self._looked_at[0][0] < needed:
            self._looked_at.popleft()
        while self._looks and self._looks[0][0] < needed:
            _, look = self._looks.popleft()
            if self._held is not None and self._held[0] is look:
                self._held = None

    def _tell(self, said: Iterable[Began | Ended]) -> list[Beginning | Happening]:
        """Return what is to be told of: not what was marked as normal."""
        told: list[Beginning | Happening] = []
        for each in said:
            if isinstance(each, Began):
                sure_until = each.start_seconds + _SURE_SECONDS
                self._has_told = not covered_seconds(self._piece.marks, each.start_seconds, sure_until)
                if self._has_told:
                    told.append(self._beginning(each))
            else:
                behind, times = self._behind()
                happening = self._happening(each, behind, times)
                peak_seconds = float(times(np.array([each.stretch.peak]))[0])
                # who was told of a beginning waits for the end
                if self._has_told or not is_marked(self._piece.marks, happening.event, peak_seconds):
                    told.append(happening)
        return told

    def _beginning(self, said: Began) -> Beginning:
        began = self._piece.began
        clock = None if began is None else began + timedelta(seconds=said.start_seconds)
        return Beginning(said.start, said.start_seconds, clock, said.score)

    def _happening(self, said: Ended, behind: RowsBehind, times: _Times) -> Happening:
        cause = find_cause(behind, times, said.stretch, self._seconds_around)
        rows = {s: [look for _, look in self._looks if s in look.features] for s in self._models}
        stream, reason = explain(cause, self._models, lambda s, row: _measured(rows[s][row].features[s]))
        piece, seconds = self._piece, (said.start_seconds, said.stop_seconds)
        event = event_of(piece.video.name, said.stretch, seconds, piece.began, cause, stream, reason)
        watched_seconds = piece.watched_seconds + self._now
        told = told_of(event, piece.video, piece.footage, watched_seconds, is_live=not piece.is_file)
        return Happening(event, self._picture(), excerpt=Excerpt(told, self._rows(said.stop_seconds)))

    def _rows(self, stop_seconds: float) -> ExcerptRows:
        """Return what is remembered of an event, and a little around it."""
        until = stop_seconds + SPREADS_AROUND * self._seconds_around
        looked_at = [(seconds, frame) for seconds, frame in self._looked_at if seconds < until]
        looked_at = looked_at[-_MOST_IN_EXCERPT:]
        position = {frame: index for index, (_, frame) in enumerate(looked_at)}
        looks = [look for _, look in self._looks if look.frame in position]
        streams = {s: _rows_of(s, looks, position) for s in self._models}
        first = looked_at[0][0] if looked_at else 0.0
        times = np.array([seconds - first for seconds, _ in looked_at])
        known = {stream: rows for stream, rows in streams.items() if rows is not None}
        return ExcerptRows(known, times, self._fps)

    def _behind(self) -> tuple[RowsBehind, _Times]:
        """Return the remembered looks as rows, and their times."""
        looks = [look for _, look in self._looks]
        frame, scores = {}, {}
        for stream in self._models:
            of_stream = [look for look in looks if stream in look.scores]
            frame[stream] = np.array([look.frame for look in of_stream], np.int64)
            scores[stream] = np.array([look.scores[stream] for look in of_stream])
        are_objects = bool(looks) and looks[0].is_object
        boxes = [look.box_xyxy for look in looks if look.box_xyxy is not None]
        behind = RowsBehind(
            frame,
            scores,
            np.array([look.total for look in looks], np.float64) if are_objects else None,
            np.stack(boxes) if are_objects and len(boxes) == len(looks) else None,
        )
        return behind, _Times(self._looks)

    def _picture(self) -> NDArray[np.uint8] | None:
        if self._held is None:
            return None
        look, picture = self._held
        box = None
        if look.box_xyxy is not None:
            x1, y1, x2, y2 = (float(side) for side in look.box_xyxy)
            box = x1, y1, x2, y2
        return draw_box(picture.to_rgb(), box)


class _Times:
    """Times of frames by their numbers: of those that were looked at, and in between."""

    def __init__(self, looks: Iterable[tuple[float, Look]]) -> None:
        known = [(look.frame, seconds) for seconds, look in looks]
        self._frames = np.array([frame for frame, _ in known], np.float64)
        self._seconds = np.array([seconds for _, seconds in known])

    def __call__(self, frames: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(np.interp(frames, self._frames, self._seconds))


def _rows_of(stream: str, looks: Sequence[Look], position: Mapping[int, int]) -> FeatureRows | None:
    """Return the rows of a stream; of whole frames each only once; None where there are none."""
    of_stream = [look for look in looks if stream in look.features]
    if not all(look.is_object for look in of_stream):
        pairs = zip([None, *of_stream], of_stream, strict=False)
        of_stream = [b for a, b in pairs if a is None or _differ(a.features[stream], b.features[stream])]
    if not of_stream:
        return None
    if not of_stream[0].is_object:
        frame = np.array([position[look.frame] for look in of_stream], np.int64)
        return FeatureRows(np.stack([look.features[stream] for look in of_stream]), frame)
    boxes = [look.window_xyxy for look in of_stream if look.window_xyxy is not None]
    return FeatureRows(
        np.concatenate([look.windows[stream] for look in of_stream]),
        np.repeat(
            [position[look.frame] for look in of_stream], [len(look.windows[stream]) for look in of_stream]
        ),
        np.concatenate(boxes) if boxes else None,
    )


def _differ(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    return not np.array_equal(one, other, equal_nan=True)


def _measured(row: NDArray[np.float32]) -> NDArray[np.float32] | None:
    return None if np.isnan(row).all() else row
