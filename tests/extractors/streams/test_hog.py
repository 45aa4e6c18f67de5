"""HOG against a twin that goes pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mulde.extractors.base import Objects
from mulde.extractors.settings import HogSettings
from mulde.extractors.streams.hog import Hog

SETTINGS = HogSettings(patch_height_px=16, patch_width_px=16, cell_px=8, n_bins=9)


def naive(patch: NDArray[np.float64]) -> NDArray[np.float64]:
    dy, dx = np.gradient(patch)
    result = np.zeros((2, 2, 9))
    for y in range(16):
        for x in range(16):
            angle = math.atan2(dy[y, x], dx[y, x]) % math.pi
            position = angle / math.pi * 9
            low, share = int(position), position - int(position)
            length = math.hypot(dx[y, x], dy[y, x])
            result[y // 8, x // 8, low % 9] += length * (1 - share)
            result[y // 8, x // 8, (low + 1) % 9] += length * share
    flat = result.ravel()
    return flat / np.linalg.norm(flat)


def test_equals_the_twin() -> None:
    grey = np.random.default_rng(1).integers(0, 256, (16, 16)).astype(np.uint8)
    objects = Objects(np.array([[0, 0, 16, 16]], np.float32), np.zeros((1, 1), np.float32))
    row = Hog(SETTINGS).describe([grey], 0, objects)[0]
    np.testing.assert_allclose(row, naive(grey.astype(np.float64)), atol=2e-5)


def test_even_patch_gives_zeros() -> None:
    objects = Objects(np.array([[0, 0, 8, 8]], np.float32), np.zeros((1, 1), np.float32))
    row = Hog(SETTINGS).describe([np.full((16, 16), 77, np.uint8)], 0, objects)
    np.testing.assert_array_equal(row, np.zeros((1, Hog(SETTINGS).n_features)))


def test_contrast_does_not_matter() -> None:
    grey = np.random.default_rng(1).integers(0, 100, (16, 16)).astype(np.uint8)
    objects = Objects(np.array([[0, 0, 16, 16]], np.float32), np.zeros((1, 1), np.float32))
    rows = [Hog(SETTINGS).describe([image], 0, objects) for image in (grey, grey * 2 + 10)]
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-5)
