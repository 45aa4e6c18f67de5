"""Which boxes of consecutive frames are the same object's, by their overlap alone.

A track's next box is expected where its last boxes lead. Expected and found boxes are grown on all sides, so
that fast objects, whose boxes have nothing in common, still meet, and are paired so that the sum of their
overlaps is highest: first grown a little, then, of what is left, by more.

Source: C-BIoU (Yang et al., WACV 2023, arXiv 2211.14317): buffered overlap in a cascade, and motion as the
mean of the last frames.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mulde.extractors.boxes.geometry import intersection_over_union

_GROWN_BY = (0.3, 0.5)
"""Shares of its width and height that a box is grown by on each side, one after the other."""
_LEAST_OVERLAP = 0.1
"""Intersection over union of grown boxes, below which they are not the same object's."""
_N_REMEMBERED = 5
"""Last boxes of a track whose motion is carried on."""


@dataclass
class _Track:
    number: int
    boxes: deque[tuple[float, NDArray[np.float32]]] = field(
        default_factory=lambda: deque(maxlen=_N_REMEMBERED)
    )
    """Seconds and box (4,), the last at the end."""

    def at(self, seconds: float) -> NDArray[np.float32]:
        """Return where the box (4,) is expected."""
        first, last = self.boxes[0], self.boxes[-1]
        if last[0] <= first[0]:
            return last[1]
        velocity = (last[1] - first[1]) / (last[0] - first[0])
        travelled = np.tile((velocity[:2] + velocity[2:]) / 2, 2)  # of the middle: sizes are too unsteady
        return np.asarray(last[1] + travelled * (seconds - last[0]), np.float32)


class Linker:
    """Numbers the tracks of one video, whose frames are given in order.

    Args:
        seconds_lost: how long a track of which no box is found is still looked for; from one frame to the
            next it always is.
    """

    def __init__(self, seconds_lost: float) -> None:
        self._seconds_lost = seconds_lost
        self._tracks: list[_Track] = []
        self._n_tracks = 0
        self._last_seconds = 0.0

    def link(self, seconds: float, box_xyxy: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the tracks (n,) of the boxes (n, 4) of the next frame, counted from 0."""
        earliest = min(seconds - self._seconds_lost - 1e-6, self._last_seconds)
        self._tracks = [track for track in self._tracks if track.boxes[-1][0] >= earliest]
        self._last_seconds = seconds
        track_of = np.full(len(box_xyxy), -1, np.int64)
        expected = np.array([track.at(seconds) for track in self._tracks], np.float32).reshape(-1, 4)
        for share in _GROWN_BY:
            free = np.setdiff1d(np.arange(len(self._tracks)), track_of)
            alone = np.flatnonzero(track_of < 0)
            for k, n in _pairs(_grown(expected[free], share), _grown(box_xyxy[alone], share)):
                track_of[alone[n]] = free[k]
        for new in np.flatnonzero(track_of < 0):
            track_of[new] = len(self._tracks)
            self._tracks.append(_Track(self._n_tracks))
            self._n_tracks += 1
        for box, at in zip(box_xyxy, track_of, strict=True):
            self._tracks[at].boxes.append((seconds, box))
        return np.array([self._tracks[at].number for at in track_of], np.int64)


def _grown(box_xyxy: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    size = box_xyxy[:, 2:] - box_xyxy[:, :2]
    return np.concatenate([box_xyxy[:, :2] - share * size, box_xyxy[:, 2:] + share * size], axis=1)


def _pairs(expected: NDArray[np.float32], found: NDArray[np.float32]) -> Sequence[tuple[int, int]]:
    """Return which of the expected boxes (k, 4) belong to which of the found ones (n, 4)."""
    if not len(expected) or not len(found):
        return ()
    from scipy.optimize import linear_sum_assignment  # only here, for its import takes a while

    overlap = intersection_over_union(expected, found)  # (k, n)
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    return [(k, n) for k, n in zip(rows, columns, strict=True) if overlap[k, n] >= _LEAST_OVERLAP]
