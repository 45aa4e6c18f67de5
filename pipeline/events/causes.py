"""What was behind a high score: the most unusual object near it, or whole frames, and the streams' scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from mulde.detector import box_of_overlapping
from mulde.pipeline.events.find import Stretch
from mulde.pipeline.events.record import BoxXyxy, Event
from mulde.pipeline.runs.scores import RowsBehind


@dataclass(frozen=True)
class Cause:
    """A row of each stream."""

    frame: int
    """0-based."""
    rows: Mapping[str, int]
    """Which row of each stream it is; of an object the same in all."""
    scores: Mapping[str, float]
    """Calibrated, by stream; higher = more anomalous."""
    box_xyxy: BoxXyxy | None
    """In pixels of the original frame, half-open, rounded to hundredths; None of whole frames."""


Times = Callable[[NDArray[np.int64]], NDArray[np.float64]]
"""Gives the times in seconds of frames, by their numbers."""


def find_cause(
    behind: RowsBehind, times: Times, stretch: Stretch, seconds_around: float, *, are_averaged: bool = False
) -> Cause | None:
    """Return what made the score of a stretch so high; None where it holds no row.

    Args:
        times: of frames that have rows, and of the peak.
        seconds_around: how far smoothing carries a score: objects so close to the peak come into question, or
            all of the stretch where there are none.
        are_averaged: whether totals are means over windows that overlap; then so is the box.
    """
    if behind.total is not None:
        return _object(behind, behind.total, times, stretch, seconds_around, are_averaged=are_averaged)
    rows = {
        stream: int(np.abs(frame - stretch.peak).argmin())
        for stream, frame in behind.frame.items()
        if len(frame)
    }
    scores = {
        stream: float(np.interp(stretch.peak, behind.frame[stream], behind.scores[stream])) for stream in rows
    }
    return Cause(stretch.peak, rows, scores, None) if rows else None


def _object(
    behind: RowsBehind,
    total: NDArray[np.float64],
    times: Times,
    stretch: Stretch,
    seconds_around: float,
    *,
    are_averaged: bool,
) -> Cause | None:
    frame = next(iter(behind.frame.values()))
    first, last = np.searchsorted(frame, (stretch.start, stretch.stop)).tolist()
    if first == last:
        return None
    apart = np.abs(times(frame[first:last]) - times(np.array([stretch.peak])))
    near = apart <= seconds_around
    candidates = first + np.flatnonzero(near if near.any() else np.ones_like(near))
    row = int(candidates[total[candidates].argmax()])
    box = None
    if behind.box_xyxy is not None and are_averaged:
        inside = slice(*np.searchsorted(frame, (frame[row], frame[row] + 1)).tolist())
        seen = np.sum([values[inside] for values in behind.scores.values()], axis=0)
        box = _rounded(box_of_overlapping(seen, behind.box_xyxy[inside], row - inside.start))
    elif behind.box_xyxy is not None:
        box = _rounded(behind.box_xyxy[row])
    scores = {stream: float(values[row]) for stream, values in behind.scores.items()}
    return Cause(int(frame[row]), dict.fromkeys(scores, row), scores, box)


def event_of(
    video: str,
    stretch: Stretch,
    seconds: tuple[float, float],
    began: datetime | None,
    cause: Cause | None,
    stream: str,
    reason: str,
) -> Event:
    """Return the event that a stretch is.

    Args:
        seconds: when it starts and stops.
        began: when the recording did.
        stream, reason: what drove it, and why in words.
    """
    start, stop = round(seconds[0], 6), round(seconds[1], 6)
    return Event(
        video,
        stretch.start,
        stretch.stop,
        start,
        stop,
        None if began is None else began + timedelta(seconds=start),
        stretch.peak if cause is None else cause.frame,
        stretch.score,
        None if cause is None else cause.box_xyxy,
        stream,
        reason,
    )


def _rounded(box: NDArray[np.floating]) -> BoxXyxy | None:
    """Return a box as events have it; None for one without area, as others' boxes may be."""
    x1, y1, x2, y2 = (round(float(side), 2) for side in box)
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None
