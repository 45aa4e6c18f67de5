"""Times of frames: how many frames there are per second, by their own times and not by a header."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
