"""What differs between two pictures of a place other than by its light."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mulde.extractors.images import median

_COARSE = 8
"""Pixels of a picture, in each direction, for one of the coarse picture that light is measured in."""
_GAINS = 0.4, 2.5
"""Least and greatest change of brightness that is taken for light."""
_LITTLE = 25.0
"""Variance of grey levels, below which a picture says little of a gain, which is taken for about 1."""


def light_difference(seen: NDArray[np.uint8], known: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return a picture (H, W) minus a known one, in grey levels, without what light explains, (H, W) float32.

    Light is a gain and an offset for the whole picture, found on the part that fits best, and then an offset
    that changes slowly from place to place, such as that of a lamp or of a cloud's shadow.
    """
    height, width = seen.shape
    size = max(1, width // _COARSE), max(1, height // _COARSE)
    coarse = cv2.resize(seen, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    coarse_known = cv2.resize(known, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    gain, offset = _fit(coarse_known.ravel(), coarse.ravel())
    local = _local_median(coarse - gain * coarse_known - offset)
    explained = cv2.resize(local, (width, height), interpolation=cv2.INTER_LINEAR)
    cv2.scaleAdd(known.astype(np.float32), gain, explained + np.float32(offset), dst=explained)
    return np.asarray(cv2.subtract(seen.astype(np.float32), explained))


def _fit(known: NDArray[np.float32], seen: NDArray[np.float32]) -> tuple[float, float]:
    """Return gain and offset from one to the other, by least squares on what is not far off, thrice."""
    kept = np.ones(len(known), bool)
    gain, offset = 1.0, 0.0
    for _ in range(3):
        x, y = known[kept], seen[kept]
        x_mean, y_mean = float(x.mean()), float(y.mean())
        common, own = float(((x - x_mean) * (y - y_mean)).mean()), float(((x - x_mean) ** 2).mean())
        gain = float(np.clip((common + _LITTLE) / (own + _LITTLE), *_GAINS))
        offset = y_mean - gain * x_mean
        error = np.abs(seen - gain * known - offset)
        kept = error <= max(2.5 * median(error), 3.0)
    return gain, offset


def _local_median(residual: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the median of a picture's surroundings, about half as wide as its shorter side."""
    side = min(255, min(residual.shape) // 2 // 2 * 2 + 1)
    levels = np.clip(residual + 128, 0, 255).astype(np.uint8)
    if side < 3:
        return np.full(residual.shape, np.float32(median(residual)))
    return np.asarray(cv2.medianBlur(levels, side).astype(np.float32) - 128)
