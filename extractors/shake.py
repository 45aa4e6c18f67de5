"""How a picture moved as a whole: a camera that shakes in the wind, or is knocked."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from mulde.data.video import Frame
from mulde.extractors.base import Preparation
from mulde.extractors.images import median

Shift = tuple[float, float]
"""x and y in pixels, to the right and down."""
STILL: Shift = (0.0, 0.0)
_N_ACROSS = 12
"""Points that are followed along the longer side of the picture, spread evenly: few are on what moves."""
_LEAST_SIDE_PX = 32
"""In smaller pictures a point's surroundings are most of what there is."""
_WINDOW_PX = 11
"""Side of the surroundings by which a point is found again."""
_ENOUGH = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 10, 0.03)
"""When the search for a point ends: after so many steps, or one of so few pixels."""
_LEAST_TEXTURE = 1e-3
"""Surroundings with less of it, by their smaller eigenvalue, are found again anywhere."""
_LEAST_SHIFT_PX = 0.15
"""A steady camera seems to move by a fifth of it at most, in noise and compression."""
_AGREES_PX = 0.5
"""How far from the median a point may move that moves with the picture."""
_LEAST_AGREEING = 0.5
"""Share of the points that are found again."""
_LEAST_REACH = 0.6
"""Share of the picture that the points that agree reach across: on a dark road only the car has any."""
_FARTHEST = 0.03
"""Share of the picture's width: a camera that is further off its background was moved, which is told."""
_LEAST_EXPLAINED = 0.05
"""Share of the differences between two pictures that has to go when one is moved onto the other."""


@dataclass(frozen=True)
class CameraShake(Preparation):
    """Where the picture as a whole is, as against the first frame: pixels of a picture of `size`, x and y.

    Steps add up from frame to frame, so it says how far apart two frames of about the same time are.
    """

    size: tuple[int, int]
    """(width, height) of the picture that is looked at."""

    def start(self) -> Callable[[Frame], Shift]:
        """Return the function that follows the picture."""
        before: NDArray[np.uint8] | None = None
        position = STILL

        def follow(frame: Frame) -> Shift:
            nonlocal before, position
            now = frame.grey(self.size)
            if before is not None:
                step = shift_between(before, now)
                position = position[0] + step[0], position[1] + step[1]
            before = now
            return position

        return follow


def shift_between(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> Shift:
    """Return how far what a picture (H, W) shows has moved as a whole since another one of the same size.

    It is the median over points on an even lattice that Lucas and Kanade's method finds again, and exactly
    `STILL` unless most of them agree, all over the picture, and the pictures differ less when one is moved by
    so much: a bus that fills the picture is no shake, for then the street would have moved.

    Source: Lucas and Kanade, IJCAI 1981, in pyramids as implemented in OpenCV.
    """
    if min(before.shape) < _LEAST_SIDE_PX:
        return STILL
    before = _like(before, now)
    x, y = _median_step(before, now)
    if (x, y) == STILL:
        return STILL
    margin = math.ceil(max(abs(x), abs(y)))
    if 2 * margin >= min(before.shape):  # nothing is in both
        return STILL
    inner = (slice(margin, -margin), slice(margin, -margin))
    as_they_are = float(cv2.absdiff(before, now)[inner].mean())
    moved = float(cv2.absdiff(shifted(before, (x, y)), now)[inner].mean())
    return (x, y) if moved < (1 - _LEAST_EXPLAINED) * as_they_are else STILL


def offset_from(background: NDArray[np.uint8], now: NDArray[np.uint8], nearest_px: float) -> Shift:
    """Return how far a picture (H, W) is off a background of the same size, `STILL` if it is nearer than
    `nearest_px`, as a person who fills a part of it may make it seem, or so far that the camera was moved.
    """
    x, y = shift_between(background, now)
    return (x, y) if nearest_px <= max(abs(x), abs(y)) <= _FARTHEST * now.shape[1] else STILL


def shifted(grey: NDArray[np.uint8], shift: Shift) -> NDArray[np.uint8]:
    """Return a picture (H, W) with what it shows moved by so much, or itself; its edges are drawn out."""
    if shift == STILL:
        return grey
    matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
    size = grey.shape[1], grey.shape[0]
    return np.asarray(cv2.warpAffine(grey, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _median_step(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> Shift:
    height, width = before.shape
    points, distance = _lattice(width, height)
    found, is_found, _ = cv2.calcOpticalFlowPyrLK(
        before,
        now,
        points,
        np.empty_like(points),
        winSize=(_WINDOW_PX, _WINDOW_PX),
        maxLevel=2,
        criteria=_ENOUGH,
        minEigThreshold=_LEAST_TEXTURE,
    )
    again = is_found[:, 0] == 1
    points, steps = points[again, 0], (found - points)[again, 0]  # (n_found, 2) each
    if not len(steps):
        return STILL
    step = median(steps[:, 0]), median(steps[:, 1])
    if max(map(abs, step)) < _LEAST_SHIFT_PX:  # most pictures by far
        return STILL
    agrees = np.abs(steps - np.array(step, np.float32)).max(axis=1) < _AGREES_PX
    if agrees.mean() < _LEAST_AGREEING or _reach(points[agrees], distance) < _LEAST_REACH * width * height:
        return STILL
    return step


@lru_cache(maxsize=16)
def _lattice(width: int, height: int) -> tuple[NDArray[np.float32], float]:
    """Return the points (n, 1, 2) that are followed in pictures of a size, and how far apart they are."""
    distance = max(width, height) / _N_ACROSS
    rows, columns = np.arange(distance / 2, height, distance), np.arange(distance / 2, width, distance)
    points = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 1, 2).astype(np.float32)
    points.flags.writeable = False
    return points, distance


def _reach(points: NDArray[np.float32], distance: float) -> float:
    """Return the area in pixels across which points (n, 2) of a lattice are spread."""
    wide, tall = np.ptp(points, axis=0) + distance
    return float(wide * tall)


def _like(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture with the mean and the contrast of another: light may have changed."""
    (mean, spread), (wanted_mean, wanted_spread) = cv2.meanStdDev(before), cv2.meanStdDev(now)
    gain = float(wanted_spread[0, 0]) / max(float(spread[0, 0]), 1.0)
    offset = float(wanted_mean[0, 0]) - gain * float(mean[0, 0])
    return np.asarray(cv2.convertScaleAbs(before, alpha=gain, beta=offset), np.uint8)
