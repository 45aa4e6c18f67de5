"""The events of live footage: the same as offline, told when they begin and when they are over."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from mulde.data.video import Picture
from mulde.pipeline.events.causes import event_of, find_cause
from mulde.pipeline.events.find import Rule
from mulde.pipeline.events.live import Began, Ended, LiveStretches
from mulde.pipeline.events.picture import draw_box
from mulde.pipeline.events.record import Event
from mulde.pipeline.models.explain import NOTHING_STANDS_OUT, explain
from mulde.pipeline.models.model import StreamModel
from mulde.pipeline.runs.scores import RowsBehind
from mulde.pipeline.watch.scorer import Look, ScoredFrame

_MOST_LOOKS = 50_000
"""Of an event that goes on for hours, so many of its last looks are remembered."""


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


class LiveEvents:
    """Takes the scores of frames and what these looked like, in order, and says what begins and ends."""

    def __init__(
        self,
        name: str,
        models: Mapping[str, StreamModel],
        threshold: float,
        rule: Rule,
        seconds_around: float,
        began: datetime | None,
    ) -> None:
        """Take the name of the footage, the score from which events are listed, and when footage began."""
        self._name, self._models, self._began = name, models, began
        self._stretches = LiveStretches(threshold, rule)
        self._seconds_around = seconds_around
        self._looks: deque[tuple[float, Look]] = deque(maxlen=_MOST_LOOKS)
        self._held: tuple[Look, Picture] | None = None  # the most unusual of them

    def push(
        self,
        scored: Sequence[ScoredFrame],
        looks: Iterable[Look],
        step_seconds: float,
        pictures: Mapping[int, Picture],
    ) -> list[Beginning | Happening]:
        """Take frames that were scored, what those looked like that were looked at, and recent pictures."""
        by_frame = {look.frame: look for look in looks}
        told: list[Beginning | Happening] = []
        for frame in scored:
            if frame.frame in by_frame:
                self._remember(frame.seconds, by_frame[frame.frame], pictures)
            said = self._stretches.push(frame.frame, frame.seconds, frame.score, step_seconds)
            told += map(self._tell, said)
            self._forget(frame.seconds)
        return told

    def finish(self) -> list[Beginning | Happening]:
        """Take it that no frame follows."""
        return [self._tell(each) for each in self._stretches.finish()]

    def _remember(self, seconds: float, look: Look, pictures: Mapping[int, Picture]) -> None:
        self._looks.append((seconds, look))
        picture = pictures.get(look.frame)
        if picture is not None and (self._held is None or _height(look) > _height(self._held[0])):
            self._held = look, picture

    def _forget(self, now: float) -> None:
        """Let go of what belongs to no stretch that is open."""
        since = self._stretches.open_since
        needed = (now if since is None else since) - self._seconds_around
        while self._looks and self._looks[0][0] < needed:
            _, look = self._looks.popleft()
            if self._held is not None and self._held[0] is look:
                self._held = None

    def _tell(self, said: Began | Ended) -> Beginning | Happening:
        if isinstance(said, Began):
            clock = None if self._began is None else self._began + timedelta(seconds=said.start_seconds)
            return Beginning(said.start, said.start_seconds, clock, said.score)
        behind, times = self._behind()
        cause = find_cause(behind, times, said.stretch, self._seconds_around)
        stream, reason = "", NOTHING_STANDS_OUT
        if cause is not None:
            rows = {s: [look for _, look in self._looks if s in look.features] for s in cause.rows}
            stream, reason = explain(cause, self._models, lambda s, row: _measured(rows[s][row].features[s]))
        seconds = said.start_seconds, said.stop_seconds
        event = event_of(self._name, said.stretch, seconds, self._began, cause, stream, reason)
        return Happening(event, self._picture())

    def _behind(self) -> tuple[RowsBehind, _Times]:
        """Return the remembered looks as rows, and their times."""
        looks = [look for _, look in self._looks]
        frame, scores = {}, {}
        for stream in self._models:
            of_stream = [look for look in looks if stream in look.scores]
            frame[stream] = np.array([look.frame for look in of_stream], np.int64)
            scores[stream] = np.array([look.scores[stream] for look in of_stream])
        are_objects = bool(looks) and looks[0].total is not None
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


def _height(look: Look) -> float:
    return sum(look.scores.values()) if look.total is None else look.total


def _measured(row: NDArray[np.float32]) -> NDArray[np.float32] | None:
    return None if np.isnan(row).all() else row
