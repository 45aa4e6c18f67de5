"""What was behind a high score: the most unusual object near it, or whole frames, and the streams' scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mulde.pipeline.events.find import Stretch, Track
from mulde.pipeline.events.record import BoxXyxy
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


def find_cause(behind: RowsBehind, track: Track, stretch: Stretch, seconds_around: float) -> Cause | None:
    """Return what made the score of a stretch so high; None where it holds no row.

    Args:
        seconds_around: how far smoothing carries a score: objects so close to the peak come into question, or
            all of the stretch where there are none.
    """
    if behind.total is not None:
        return _object(behind, behind.total, track, stretch, seconds_around)
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
    track: Track,
    stretch: Stretch,
    seconds_around: float,
) -> Cause | None:
    frame = next(iter(behind.frame.values()))
    first, last = np.searchsorted(frame, (stretch.start, stretch.stop)).tolist()
    if first == last:
        return None
    apart = np.abs(track.seconds[frame[first:last]] - track.seconds[stretch.peak])
    near = apart <= seconds_around
    candidates = first + np.flatnonzero(near if near.any() else np.ones_like(near))
    row = int(candidates[total[candidates].argmax()])
    box = None if behind.box_xyxy is None else _rounded(behind.box_xyxy[row])
    scores = {stream: float(values[row]) for stream, values in behind.scores.items()}
    return Cause(int(frame[row]), dict.fromkeys(scores, row), scores, box)


def _rounded(box: NDArray[np.float32]) -> BoxXyxy | None:
    """Return a box as events have it; None for one without area, as others' boxes may be."""
    x1, y1, x2, y2 = (round(float(side), 2) for side in box)
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None
