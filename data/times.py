"""Times of frames: how many frames there are per second, by their own times and not by a header."""

from __future__ import annotations

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
