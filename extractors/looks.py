"""How the places of a scene usually look, by their edges, and how far a picture is from that."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_BLUR_PX = 1.0
"""Standard deviation of the blur before gradients are taken."""
_FAINT_LEVELS = 2.0
"""Where neighbouring pixels differ by less on average, edges count little: there is noise everywhere."""
_LEAST_CELL_PX = 8
"""In smaller cells noise decides."""
_LONGEST = 1.01
"""No number of a description is larger, as float16 rounds it."""
_N_PARTS = 8
"""Parts of the samples, each compared with the others: neighbours in time may show the same people."""
_LEAST_SPREAD = 0.02
"""Of the distance of samples from each other; an even wall has next to none."""
_ORDERS = 5
"""Of the Fourier series of gradients by direction: the mean, cosine and sine of twice and four times the
angle. Opposite directions are the same edge."""
N_FEATURES = 4 * _ORDERS
"""Numbers that describe the look of a place: so many orders in each of its quarters."""


def looks_of(grey: NDArray[np.uint8], n_cells: tuple[int, int]) -> NDArray[np.float32]:
    """Describe the edges of a picture (H, W), place by place.

    A place is a square of two by two cells, and each has a cell in common with its neighbours.

    Args:
        n_cells: how many cells there are across and down, at least 2 each.

    Returns:
        (down - 1, across - 1, D) float32: gradients by direction as a Fourier series in each quarter, divided
        by the length of all, which light that rises or falls does not change.

    Source: histograms of gradients by direction (Dalal & Triggs, CVPR 2005), as a series in place of bins.
    """
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), _BLUR_PX)
    x, y = (cv2.Sobel(smooth, cv2.CV_32F, *order, ksize=1) for order in ((1, 0), (0, 1)))
    strength = np.sqrt(x * x + y * y)
    safe = np.maximum(strength, np.float32(1e-6))
    cos2, sin2 = (x * x - y * y) / safe, 2 * x * y / safe
    cos4, sin4 = (cos2 * cos2 - sin2 * sin2) / safe, 2 * cos2 * sin2 / safe
    series = (strength, cos2, sin2, cos4, sin4)
    cells = np.stack([cv2.resize(each, n_cells, interpolation=cv2.INTER_AREA) for each in series], axis=2)
    quarters = (cells[:-1, :-1], cells[1:, :-1], cells[:-1, 1:], cells[1:, 1:])
    looks = np.concatenate(quarters, axis=2)
    length = np.sqrt((looks * looks).sum(axis=2, keepdims=True) + np.float32(_FAINT_LEVELS**2))
    return np.asarray(looks / length, np.float32)


def are_looks(samples: NDArray[Any], n_cells: tuple[int, int]) -> bool:
    """Whether an array holds such descriptions of several pictures, (n, down - 1, across - 1, D) float16."""
    of_each = n_cells[1] - 1, n_cells[0] - 1, N_FEATURES
    is_shaped = samples.ndim == 4 and samples.shape[1:] == of_each and len(samples) > 0
    return is_shaped and samples.dtype == np.float16 and bool((np.abs(samples) <= _LONGEST).all())


def cells_of(size: tuple[int, int], object_height_px: float) -> tuple[int, int]:
    """Return how many cells a picture of a size, (width, height) in pixels, has across and down: a place is
    about as large as an object is tall, or as the least that shows more than noise.
    """
    cell_px = max(_LEAST_CELL_PX, object_height_px / 2)
    across, down = (max(2, round(side / cell_px)) for side in size)
    return across, down


class UsualLooks:
    """How each place looked in pictures that are spread over normal footage."""

    def __init__(self, samples: NDArray[np.floating]) -> None:
        """Compare with samples, (n, down - 1, across - 1, D), in order of time; at least one."""
        self._n_down, self._n_across = samples.shape[1:3]
        self._samples = np.ascontiguousarray(
            samples.reshape(len(samples), -1, samples.shape[3]).swapaxes(0, 1), np.float32
        )  # (places, n, D)
        self._squares = (self._samples**2).sum(axis=2)  # (places, n)

    def novelty(self, grey: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return how unlike anything that was seen there each place of a picture (H, W) looks.

        Returns:
            (down - 1, across - 1) float32: the distance to the nearest sample, less the mean distance that
            normal pictures have there, in its standard deviations; higher = more anomalous.
        """
        looks = looks_of(grey, (self._n_across + 1, self._n_down + 1)).reshape(-1, N_FEATURES, 1)
        squares = self._squares + (looks**2).sum(axis=1) - 2 * (self._samples @ looks)[:, :, 0]
        nearest = np.sqrt(np.maximum(squares.min(axis=1), 0))
        mean, spread = self._usual_distance
        return np.asarray((nearest - mean) / spread).reshape(self._n_down, self._n_across)

    @cached_property
    def _usual_distance(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and standard deviation, (places,) each, of the distance from a sample to the nearest of those
        of another time.
        """
        n = self._samples.shape[1]
        if n == 1:
            return np.zeros(len(self._samples), np.float32), np.ones(len(self._samples), np.float32)
        part = np.arange(n) * min(_N_PARTS, n) // n
        of_one_time = part[:, None] == part
        nearest = np.empty(self._samples.shape[:2], np.float32)
        for place, (samples, lengths) in enumerate(zip(self._samples, self._squares, strict=True)):
            squares = lengths[:, None] + lengths - 2 * samples @ samples.T  # not of all places at once
            nearest[place] = np.sqrt(np.maximum(np.where(of_one_time, np.inf, squares).min(axis=1), 0))
        return nearest.mean(axis=1), nearest.std(axis=1) + np.float32(_LEAST_SPREAD)
