"""Times of frames: how many there are per second, how long each is shown and how far they are apart.

All by the frames' own times, not by a header. A recording may pause, and some cameras send a frame a second
while nothing moves and 25 while something does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_NO_PAUSE_SECONDS = 2.0
"""A step of so much is none, however short the others are: cameras that rest send a frame a second or two."""
_UNEVEN = 0.5
"""A step that differs by more from the usual one, in usual ones, is told from it: 1.5 are no lost frame."""
_FINENESS = 2.0**20
"""Positions are multiples of one part of so many, which add up without rounding."""


def mean_rate(seconds: NDArray[np.float64] | None) -> float | None:
    """Return frames per second from the times of frames (T,); None where they do not say.

    T divided by it is how long the footage lasts, the last frame included.
    """
    if seconds is None or seconds.size < 2 or not seconds[-1] > seconds[0]:
        return None
    return float((seconds.size - 1) / (seconds[-1] - seconds[0]))


def usual_rate(seconds: NDArray[np.float64] | None) -> float | None:
    """Return frames per second from the usual distance of frames, whatever pauses there are; or None."""
    if seconds is None or seconds.size < 2:
        return None
    usual = float(np.median(np.diff(seconds)))
    return 1 / usual if usual > 0 else None


def usual_step(seconds: NDArray[np.float64] | None, fps: float) -> float:
    """Return the usual distance of frames in seconds.

    Args:
        seconds: (T,), the times of the frames.
        fps: frames per second where these do not tell.
    """
    return 1 / (usual_rate(seconds) or fps)


def longest_step(usual_seconds: float) -> float:
    """Return the longest distance of frames, in seconds, that is no pause of the recording.

    Args:
        usual_seconds: the usual distance.
    """
    return max(_NO_PAUSE_SECONDS, (1 + _UNEVEN) * usual_seconds)


def shown_seconds(seconds: NDArray[np.float64], fps: float) -> NDArray[np.float64]:
    """Return how long each frame is shown, (T,): until the next, before a pause and at the end a usual step.

    Their sum is how long the footage lasts, without pauses; that of some frames is how long these last.

    Args:
        seconds: (T,), the times of the frames.
        fps: frames per second where these do not tell.
    """
    rate = usual_rate(seconds)
    if rate is None:
        return np.full(seconds.size, 1 / fps)
    usual, steps = 1 / rate, np.diff(seconds)
    is_shown = (steps >= 0) & (steps <= longest_step(usual))  # a clock that starts again is a pause as well
    return np.append(np.where(is_shown, steps, usual), usual)


def positions(seconds: NDArray[np.float64], usual_seconds: float) -> NDArray[np.float64]:
    """Return where frames are in time, (T,), counted in usual distances from the first on.

    Where frames come evenly, within half a usual distance, it is their number and jitter does not show:
    seconds = [0, 0.1, 0.21, 0.3, 7.3, 7.4], usual_seconds = 0.1  ->  [0, 1, 2, 3, 73, 74].

    Args:
        seconds: (T,), the times of the frames.
        usual_seconds: the usual distance.
    """
    steps = np.diff(seconds) / usual_seconds
    is_even = (np.abs(steps - 1) <= _UNEVEN) | (steps <= 0)  # a clock that stands still does not tell
    apart = np.where(is_even, 1.0, np.round(steps * _FINENESS) / _FINENESS)
    return np.concatenate([np.zeros(1), np.cumsum(apart)])[: seconds.size]


def positions_of(seconds: NDArray[np.float64], fps: float) -> NDArray[np.float64]:
    """Return `positions` (T,) of all frames of a video, by their own usual distance.

    Args:
        seconds: (T,), the times of the frames.
        fps: frames per second where these do not tell.
    """
    return positions(seconds, usual_step(seconds, fps))


@dataclass(frozen=True)
class LookRate:
    """Which frames of a video are looked at: the first, and each that is long enough after the last one."""

    frames_per_second: float | None
    """About how many, and never more than a tenth above it; None for all frames."""

    def start(self) -> Callable[[float], bool]:
        """Return a function that says of each frame's time in seconds, in order, whether it is looked at."""
        if self.frames_per_second is None:
            return lambda seconds: True
        least_distance = 0.9 / self.frames_per_second
        last = -np.inf

        def is_looked_at(seconds: float) -> bool:
            nonlocal last
            if seconds - last < least_distance:
                return False
            last = seconds
            return True

        return is_looked_at

    def frames(self, seconds: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the numbers of the frames that are looked at, by the times of all frames (T,)."""
        is_looked_at = self.start()
        return np.flatnonzero([is_looked_at(float(each)) for each in seconds])
