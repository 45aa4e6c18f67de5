"""Dense optical flow at half the scene's working size, computed once a frame for all who want it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from mulde.data.pictures import resize
from mulde.data.video import Frame
from mulde.extractors.base import Preparation
from mulde.extractors.images import integral_sums, to_pixels
from mulde.extractors.movement import Mask, Movement
from mulde.extractors.shake import Shift

Preset = Literal["ultrafast", "fast", "medium"]
_PRESETS: dict[str, int] = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}
_COARSER = 2
"""Flow is computed in a picture smaller by this factor."""
_LEAST_HALVED_PX = 46
"""Pictures whose longer side is shorter hold too few patches at half their size, and stay as they are."""
_LEAST_SIDE_PX = 16
"""Of a picture in which flow is computed; OpenCV's DIS throws on images smaller than a patch or two."""
_LEAST_MOVING = 0.02
"""Share of a box, below which what moves in it is not worth a mean: the sum is divided by so much."""
_PATCH_PX, _PATCHES_APART_PX = 8, 4
"""Of the patches that OpenCV's DIS looks for, at each of its scales; "medium" has them 3 apart."""
_AROUND_PX = 16
"""How far around what moves flow is computed."""
_ACROSS_PATCHES = np.array([1 / 8, 3 / 4, 1 / 8], np.float32)
"""Weights of a point of the flow and of its neighbours in each direction: patches end abruptly."""


@dataclass(frozen=True)
class FlowField:
    """How things move from one frame to the next, and where anything moves at all."""

    seconds: float
    """Time of the later frame."""
    vectors: NDArray[np.float32] | None
    """(h, w, 2) float32, x and y, in pixels of the frame a second, 0 far from all that moves; None in a first
    frame and where nothing moves."""
    moving: NDArray[np.float32]
    """(h, w) float32 in [0, 1]: the share of what a point of the grid stands for in which something moves."""
    frame_size: tuple[int, int]
    """(width, height) of the frames in pixels."""
    means: dict[float, MeanFlow] = field(default_factory=dict, compare=False, repr=False)
    """Means around this frame that were asked for, by the time that they are taken over."""


@dataclass(frozen=True)
class MeanFlow:
    """Flow that is averaged over the time around a frame."""

    vectors: NDArray[np.float32]
    """(h, w, 2) float32, x and y, in pixels of the frame a second."""
    moving: NDArray[np.float32]
    """(h, w) float32 in [0, 1], see `FlowField`."""
    frame_size: tuple[int, int]
    """(width, height) of the frames in pixels."""

    @cached_property
    def lengths(self) -> NDArray[np.float32]:
        """(h, w) float32: speeds in pixels of the frame a second."""
        x, y = self._components
        # The last bit of what `cv2.magnitude` gives depends on where in memory the picture lies
        return np.asarray(np.sqrt(x * x + y * y), np.float32)

    def of_moving(self, box_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Average velocity and speed over what moves in each box, (n, 4) in pixels of the frame: (n, 3), x, y
        and length.

        A box larger than the object, or one that holds a part of it, has the object's speed all the same.
        """
        if id(box_xyxy) not in self._of_moving:  # several extractors ask for the same boxes
            self._of_moving[id(box_xyxy)] = box_xyxy, self._average_moving(box_xyxy)
        return self._of_moving[id(box_xyxy)][1]

    def _average_moving(self, box_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        box = self.on_grid(box_xyxy)
        sums = integral_sums(self._integral, box)  # (n, 4)
        area = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
        least = np.maximum(sums[:, 3], _LEAST_MOVING * area)
        return np.asarray(sums[:, :3] / least[:, None], np.float32)

    def on_grid(self, box_xyxy: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return boxes (n, 4) in pixels of the frame as whole points of this grid."""
        height, width = self.moving.shape
        scale = np.array([width / self.frame_size[0], height / self.frame_size[1]] * 2, np.float32)
        return to_pixels(box_xyxy * scale, width, height)

    @cached_property
    def _of_moving(self) -> dict[int, tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """What was asked for, by the identity of the boxes, which are kept so that no others get it."""
        return {}

    @cached_property
    def _components(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        x, y = cv2.split(self.vectors)
        return np.asarray(x, np.float32), np.asarray(y, np.float32)

    @cached_property
    def _integral(self) -> NDArray[np.float64]:
        parts = [cv2.multiply(part, self.moving) for part in (*self._components, self.lengths)]
        return np.asarray(cv2.integral(cv2.merge([*parts, self.moving]), sdepth=cv2.CV_64F))


@dataclass(frozen=True)
class DenseFlow(Preparation):
    """Motion from the frame looked at before to this one, less that of the picture as a whole, around what
    moves; 0 elsewhere.

    Once something moves, a frame that shows the picture of the one before has that one's flow, and the next
    is measured from the time at which the picture was first shown: else all would stand still, and then be
    twice as fast. See `Movement`.

    Source: DIS, Kroeger et al., ECCV 2016, as implemented in OpenCV; on the picture at half its size.
    """

    movement: Movement
    """What moves; the grid of the flow is half as fine, but in tiny pictures."""
    preset: Preset = "ultrafast"
    """How thorough the search is."""

    @property
    def parts(self) -> tuple[Preparation, ...]:
        """What moves, and where the picture is as a whole."""
        return self.movement, self.movement.shake

    def start(self) -> Callable[[Frame, Mask, Shift], FlowField]:
        """Return the flow from the previously given frame."""
        engine = cv2.DISOpticalFlow.create(_PRESETS[self.preset])
        engine.setFinestScale(0)
        size, grid = self.movement.size, _grid_of(self.movement.size)
        previous: tuple[float, Shift, NDArray[np.uint8]] | None = None
        last: FlowField | None = None

        def flow(frame: Frame, mask: Mask, position: Shift) -> FlowField:
            nonlocal last
            if last is not None and mask.is_repeated:
                return FlowField(frame.seconds, last.vectors, last.moving, frame.size)
            last = compute(frame, mask, position)
            return last

        def compute(frame: Frame, mask: Mask, position: Shift) -> FlowField:
            nonlocal previous
            now = resize(frame.grey(size), grid)
            before, previous = previous, (frame.seconds, position, now)
            moving = cv2.resize(mask.pixels.astype(np.float32), grid, interpolation=cv2.INTER_AREA)
            if before is None or frame.seconds <= before[0] or not moving.any():
                return FlowField(frame.seconds, None, moving, frame.size)
            part = part_around(moving)
            found = cv2.sepFilter2D(
                engine.calc(before[2][part].copy(), now[part].copy(), None),
                cv2.CV_32F,
                _ACROSS_PATCHES,
                _ACROSS_PATCHES,
                borderType=cv2.BORDER_REPLICATE,
            )
            elapsed = np.float32(frame.seconds - before[0])
            for axis in range(2):
                moved = np.float32((position[axis] - before[1][axis]) * grid[axis] / size[axis])
                found[..., axis] -= moved
                found[..., axis] *= np.float32(frame.size[axis] / grid[axis]) / elapsed
            vectors = np.zeros((*moving.shape, 2), np.float32)
            vectors[part] = found
            return FlowField(frame.seconds, vectors, moving, frame.size)

        return flow


def _grid_of(size: tuple[int, int]) -> tuple[int, int]:
    """Return (width, height) of the picture in which flow is computed, for one of a size.

    It is half of it, or all of a tiny one; sides that are too short for patches are drawn out.
    """
    if max(size) < _LEAST_HALVED_PX:
        return max(_COARSER * _LEAST_SIDE_PX, size[0]), max(_COARSER * _LEAST_SIDE_PX, size[1])
    return max(_LEAST_SIDE_PX, size[0] // _COARSER), max(_LEAST_SIDE_PX, size[1] // _COARSER)


def part_around(moving: NDArray[np.float32]) -> tuple[slice, slice]:
    """Return the rows and columns of the grid in which something moves, and what patches around it see.

    Patches lie where they would in the whole grid, at coarser scales as well, of which there are as many: by
    their number DIS finds what is fast.
    """
    rows, columns = moving.shape
    n_coarser = n_coarser_scales(rows, columns)
    least = sorted((math.ceil(4 * _PATCH_PX * 2 ** (n_coarser - 0.5)), _PATCH_PX * 2**n_coarser))
    tall, wide = least if rows < columns else least[::-1]
    step = _PATCHES_APART_PX * 2**n_coarser
    down, across = (cv2.reduce(moving, axis, cv2.REDUCE_MAX) for axis in (1, 0))
    return _stretch(down, tall, step), _stretch(across, wide, step)


def n_coarser_scales(rows: int, columns: int) -> int:
    """Return how many scales OpenCV's DIS adds to the finest of a picture."""
    by_longer = int(math.log2(max(rows, columns) / (4 * _PATCH_PX)) + 0.5)
    return max(0, min(by_longer, int(math.log2(min(rows, columns) / _PATCH_PX))))


def _stretch(moving: NDArray[np.number], least_px: int, step_px: int) -> slice:
    """Return where something moves, along one side of the grid, and what is around it, in whole steps."""
    found = np.flatnonzero(moving)
    start = max(0, int(found[0]) - _AROUND_PX) // step_px
    stop = max(int(found[-1]) + 1 + _AROUND_PX, start * step_px + least_px)
    stop = min(moving.size, math.ceil(stop / step_px) * step_px)
    return slice(max(0, min(start, (stop - least_px) // step_px)) * step_px, stop)


def mean_flow(fields: Sequence[FlowField], centre: int, seconds_around: float) -> MeanFlow:
    """Return the flow around a frame, averaged over time; extractors that ask for the same share it.

    Args:
        seconds_around: flow of frames no further away than this counts.
    """
    middle = fields[centre]
    if seconds_around not in middle.means:
        near = [
            field.vectors
            for field in fields
            if field.vectors is not None and abs(field.seconds - middle.seconds) <= seconds_around + 1e-3
        ]
        total = np.zeros((*middle.moving.shape, 2), np.float32)
        for vectors in near:
            total += vectors
        mean = total / np.float32(max(1, len(near)))
        middle.means[seconds_around] = MeanFlow(mean, middle.moving, middle.frame_size)
    return middle.means[seconds_around]
