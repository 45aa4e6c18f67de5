"""Areas and overlaps of boxes, x1, y1, x2, y2 each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def areas(box_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the areas (n,) of boxes (n, 4)."""
    return np.asarray((box_xyxy[:, 2] - box_xyxy[:, 0]) * (box_xyxy[:, 3] - box_xyxy[:, 1]))


def common_areas(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the area that each of the boxes (n, 4) shares with each of the others (m, 4), (n, m)."""
    top_left = np.maximum(first[:, None, :2], second[None, :, :2])
    bottom_right = np.minimum(first[:, None, 2:], second[None, :, 2:])
    return np.asarray((bottom_right - top_left).clip(0).prod(axis=2))


def intersection_over_union(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the overlap of each of the boxes (n, 4) with each of the others (m, 4), (n, m) in [0, 1]."""
    common = common_areas(first, second)
    return np.asarray(common / np.maximum(areas(first)[:, None] + areas(second)[None] - common, 1e-6))
