"""What is known now of the cameras that are watched, for those who look: a page, a monitor.

The watcher writes, any thread reads. Nothing here grows with time, or with how many look.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from mulde.pipeline.events.record import Threshold, time_in_video
from mulde.pipeline.pictures.overlay import draw_boxes, strongest
from mulde.pipeline.pictures.stills import to_jpeg
from mulde.pipeline.watch.sources import Health
from mulde.pipeline.watch.watcher import View

_STEP_SECONDS = 0.2
"""Of the curve: its points are the highest scores of so long."""
_MOST_POINTS = 2000
"""Of the curve: the last ones."""
_MOST_EVENTS = 24
_RATE_SECONDS = 5.0
"""Over which the rate of frames is measured."""
_PICTURE_WIDTH_PX = 960


@dataclass(frozen=True)
class Counts:
    """What a monitor asks of a camera."""

    is_up: bool
    """Whether footage comes."""
    n_frames: int
    """Scored since the start."""
    frames_per_second: float
    """Scored in the last seconds."""
    seconds_behind: float | None
    n_dropped: int
    n_lost: int
    n_events: int
    """That are over."""
    n_alarms: int
    score: float | None
    """Of the last frame; None where none was scored."""
    threshold: float | None
    """From which on an event is an alarm; None where that is not known."""


@dataclass
class Cursor:
    """What somebody who looks at a camera has been told already."""

    n_points: int = 0
    events_version: int = -1
    view: int = 0
    state: Any = None


class Camera:
    """One camera: takes the records of what is seen, and pictures."""

    def __init__(self, name: str, threshold: Threshold, health: Health, folder: Path) -> None:
        """Take how it is called, how its source does, and the folder in which pictures and clips lie."""
        self.name, self.threshold = name, threshold
        self._health, self._folder = health, folder
        self._lock = threading.Lock()  # of all that follows
        self._is_up, self._trouble, self._condition = False, "", "good"
        self._n_frames = self._n_events = self._n_alarms = 0
        self._score: float | None = None
        self._rate, self._rated = 0.0, (time.monotonic(), 0)
        self._points: deque[tuple[float, float | None]] = deque(maxlen=_MOST_POINTS)
        self._n_points = 0
        self._bin: tuple[float, float] | None = None  # where the curve goes on, and the highest score there
        self._piece, self._offset, self._now = 0, 0.0, 0.0  # seconds of footage since the start
        self._events: OrderedDict[tuple[int, int], dict[str, Any]] = OrderedDict()
        self._events_version = 0
        self._clips: deque[str] = deque(maxlen=_MOST_EVENTS)  # that are there; long events end after theirs
        self._view: View | None = None
        self._n_views = 0
        self._encoding = threading.Lock()  # of the picture
        self._jpeg: tuple[int, bytes] = (0, b"")
        self._takers: dict[str, Callable[[dict[str, Any]], None]] = {
            "frame": self._take_frame,
            "opened": self._take_opened,
            "closed": self._take_closed,
            "lost": self._take_lost,
            "picture": self._take_picture,
            "began": self._take_began,
            "event": self._take_event,
            "clip": self._take_clip,
        }

    def put(self, record: dict[str, Any]) -> None:
        """Take the next record, also of frames."""
        take = self._takers.get(record["type"])
        if take is not None:
            with self._lock:
                take(record)

    def show(self, view: View) -> None:
        """Take the last frame that was scored."""
        with self._lock:
            self._view = view
            self._n_views += 1

    @property
    def counts(self) -> Counts:
        """How it does."""
        with self._lock:
            return self._counts()

    def news(self, cursor: Cursor) -> dict[str, Any] | None:
        """Return what somebody has not been told yet, as plain JSON types, or None; the cursor moves on."""
        with self._lock:
            news: dict[str, Any] = {}
            state = self._state()
            if state != cursor.state:
                news["state"] = state
            n_new = min(self._n_points - cursor.n_points, len(self._points))
            if n_new:
                points = list(self._points)[-n_new:]
                news["points"] = [(round(x, 2), None if y is None else round(y, 4)) for x, y in points]
            if self._events_version != cursor.events_version:
                news["events"] = list(reversed(self._events.values()))
            if self._n_views != cursor.view:
                news["view"] = self._n_views
            cursor.state, cursor.n_points = state, self._n_points
            cursor.events_version, cursor.view = self._events_version, self._n_views
            return news or None

    def picture(self) -> bytes | None:
        """Return the last frame that was scored with its boxes, as a JPEG file; None before there is one."""
        with self._encoding:
            with self._lock:
                number, view = self._n_views, self._view
            if view is None:
                return None
            if number != self._jpeg[0]:
                self._jpeg = number, self._draw(view)
            return self._jpeg[1]

    def file(self, name: str) -> Path | None:
        """Return a picture or a clip of one of the last events, by the name that `news` gave; else None."""
        with self._lock:
            known = {event[kind] for event in self._events.values() for kind in ("picture", "clip")}
        return self._folder / name if name and name in known else None

    def _draw(self, view: View) -> bytes:
        rgb = np.array(view.picture.to_rgb())
        full = self.threshold.score or max(float(view.total.max(initial=0.0)), 1e-9)
        draw_boxes(rgb, strongest(view.box_xyxy, view.total / full), 1)
        return to_jpeg(rgb, _PICTURE_WIDTH_PX)

    def _counts(self) -> Counts:
        self._measure_rate()
        health = self._health
        return Counts(
            self._is_up, self._n_frames, self._rate, health.seconds_behind, health.n_dropped, health.n_lost,
            self._n_events, self._n_alarms, self._score, self.threshold.score,
        )  # fmt: skip

    def _measure_rate(self) -> None:
        """Measure anew when the time has come, whether frames come or somebody asks."""
        now, (since, n_before) = time.monotonic(), self._rated
        if now - since >= _RATE_SECONDS:
            self._rate, self._rated = (self._n_frames - n_before) / (now - since), (now, self._n_frames)

    def _state(self) -> dict[str, Any]:
        counts = self._counts()
        return {
            "name": self.name,
            "alarm": self.threshold.score,
            "listed": self.threshold.listed_score,
            "up": counts.is_up,
            "trouble": self._trouble,
            "condition": self._condition,
            "score": None if counts.score is None else round(counts.score, 3),
            "frames": counts.n_frames,
            "rate": round(counts.frames_per_second, 1),
            "behind": None if counts.seconds_behind is None else round(counts.seconds_behind, 1),
            "dropped": counts.n_dropped,
            "lost": counts.n_lost,
            "events": counts.n_events,
            "alarms": counts.n_alarms,
        }

    # --- One kind of record each ---

    def _take_frame(self, record: dict[str, Any]) -> None:
        self._n_frames += 1
        self._measure_rate()
        self._score = score = float(record["score"])
        self._now = self._offset + record["time"]
        if self._bin is not None and self._now - self._bin[0] >= _STEP_SECONDS:
            self._end_bin()
        self._bin = (self._now, score) if self._bin is None else (self._bin[0], max(self._bin[1], score))

    def _end_bin(self) -> None:
        if self._bin is not None:
            self._point(*self._bin)
        self._bin = None

    def _point(self, seconds: float, score: float | None) -> None:
        self._points.append((seconds, score))
        self._n_points += 1

    def _take_opened(self, record: dict[str, Any]) -> None:
        self._is_up, self._trouble = True, ""
        self._piece += 1
        if self._n_frames:
            self._end_bin()
            self._offset = self._now + 1.0  # a gap in the curve
            self._point(self._now, None)

    def _take_closed(self, record: dict[str, Any]) -> None:
        self._end_bin()
        self._is_up, self._trouble = False, "The footage has ended."

    def _take_lost(self, record: dict[str, Any]) -> None:
        self._is_up, self._trouble = False, f"Lost: {record['reason']}."

    def _take_picture(self, record: dict[str, Any]) -> None:
        self._condition = record["state"]

    def _take_began(self, record: dict[str, Any]) -> None:
        self._keep(record, is_over=False)

    def _take_event(self, record: dict[str, Any]) -> None:
        self._n_events += 1
        self._n_alarms += bool(record["alarm"])
        self._keep(record, is_over=True)

    def _take_clip(self, record: dict[str, Any]) -> None:
        if not record["error"]:
            self._clips.append(record["clip"])
        for event in self._events.values():
            if event["awaited"] in self._clips:
                event["clip"] = event["awaited"]
        self._events_version += 1

    def _keep(self, record: dict[str, Any], *, is_over: bool) -> None:
        key = self._piece, int(record["start_frame"])
        clock, start = record["start_clock"], float(record["start_s"])
        awaited = record.get("clip", "")
        self._events[key] = {
            "id": f"{key[0]}-{key[1]}",
            "when": time_in_video(start)
            if clock is None
            else f"{datetime.fromisoformat(clock):%Y-%m-%d %H:%M:%S}",
            "from": round(self._offset + start, 2),
            "to": round(self._offset + record["stop_s"], 2) if is_over else None,
            "seconds": round(record["stop_s"] - start, 1) if is_over else None,
            "score": round(float(record["score"]), 3),
            "alarm": bool(record["alarm"]),
            "reason": record.get("reason", ""),
            "picture": record.get("picture", ""),
            "clip": awaited if awaited in self._clips else "",
            "awaited": awaited,
        }
        while len(self._events) > _MOST_EVENTS:
            self._events.popitem(last=False)
        self._events_version += 1
