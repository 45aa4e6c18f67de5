"""Boxes of what moves, came to stay or was never seen there, without any network."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from mulde.data.video import Frame
from mulde.extractors.base import MOTION_MEASURES, BoxFinder, Objects, Preparation, Together
from mulde.extractors.images import box_means, to_pixels
from mulde.extractors.movement import Arrivals, Mask, Movement
from mulde.extractors.scene import SceneModel
from mulde.extractors.settings import GradientSettings, WindowSettings
from mulde.extractors.unlikeness import Unseen

_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class GreyFrame(Preparation):
    """The luminance of a frame, (H, W) uint8."""

    def start(self) -> Callable[[Frame], NDArray[np.uint8]]:
        """Return the conversion."""
        return lambda frame: frame.grey()


@dataclass(frozen=True)
class MotionFinder(BoxFinder):
    """Finds boxes in a mask of what moves or came to stay; detectors are joined with such a one."""

    measure_names: ClassVar[tuple[str, ...]] = MOTION_MEASURES

    @abstractmethod
    def mask(self, around: Sequence[Any], centre: int) -> Mask:
        """Return the mask of a frame."""

    @abstractmethod
    def boxes_of(self, mask: Mask) -> Objects:
        """Return the boxes in a mask, and which share of each it fills."""

    def find(self, around: Sequence[Any], centre: int) -> Objects:
        """Return the boxes in the frame's mask."""
        return self.boxes_of(self.mask(around, centre))


@dataclass(frozen=True)
class MotionWindows(MotionFinder):
    """Windows of about an object's size in which something moves, came to stay or, if asked for, looks unlike
    anything that was seen there.

    Unlike connected regions they do not merge neighbours, and a fast part is not diluted by a slow crowd.
    """

    name: ClassVar[str] = "windows"
    code_version: ClassVar[int] = 5

    scene: SceneModel = field(compare=False)
    options: WindowSettings
    arrivals: Arrivals | None = None
    """None: what came to stay is not looked for."""
    unseen: Unseen | None = None
    """None: what was never seen there is not looked for."""

    def __post_init__(self) -> None:
        if self.options.least_novelty != (None if self.unseen is None else self.unseen.least_novelty):
            raise ValueError("least_novelty is one for what was never seen and another for windows")

    @property
    def preparation(self) -> Preparation:
        """What moves, what came to stay, what was never seen there."""
        movement = Movement(self.scene.size, self.options.threshold, self.options.seconds_back)
        wanted = (movement, self.arrivals, self.unseen)
        members = tuple(each for each in wanted if each is not None)
        return members[0] if len(members) == 1 else Together(members)

    def settings(self) -> dict[str, Any]:
        """Return the options and what the scene is."""
        arrivals = None if self.arrivals is None else self.arrivals.settings
        options = {"code_version": self.code_version, **asdict(self.options)}
        del options["least_novelty"]  # keys of the cache from before there was such a thing
        if self.unseen is not None:
            options |= self.unseen.settings
        return {**options, "arrivals": arrivals, "scene": self.scene.digest}

    @cached_property
    def lattice(self) -> NDArray[np.float32]:
        """All windows of the scene, (n_windows, 4) float32 xyxy in pixels at working size."""
        boxes = [box for scale in self.options.scales for box in self._windows(scale)]
        return np.array(boxes, np.float32).reshape(-1, 4)

    def mask(self, around: Sequence[Any], centre: int) -> Mask:
        """Return where something moves, came to stay or was never seen."""
        prepared = around[centre]
        if isinstance(prepared, Mask):
            return prepared
        joined: Mask
        joined, *others = prepared
        for other in others:
            joined = joined.joined(other)
        return joined

    def boxes_of(self, mask: Mask) -> Objects:
        """Return the windows of which the mask has `min_coverage` of the area or more, the fullest ones where
        they are too many.
        """
        coverage = box_means(mask.pixels, self._lattice_px)  # (n_windows, 1)
        found = np.flatnonzero(coverage[:, 0] >= self.options.min_coverage)
        kept = found[_highest(coverage[found, 0], self.options.max_windows)]
        return Objects(
            self.lattice[kept] / mask.scale,
            coverage[kept],
            len(found) - len(kept),
            mask.foreground_share,
        )

    @cached_property
    def _lattice_px(self) -> NDArray[np.int64]:
        return to_pixels(self.lattice, *self.scene.size)

    def _windows(self, scale: float) -> list[tuple[float, float, float, float]]:
        frame_width, frame_height = self.scene.size
        step = 1 - self.options.overlap
        bottom, boxes = float(frame_height), list[tuple[float, float, float, float]]()
        while True:
            height = float(self.scene.object_height(np.float64(bottom))) * scale
            width = min(height * self.scene.aspect, frame_width)
            if bottom - height < 0:
                return boxes
            n_columns = int(np.ceil((frame_width - width) / (width * step))) + 1
            lefts = np.linspace(0, frame_width - width, n_columns)
            boxes += [(left, bottom - height, left + width, bottom) for left in lefts]
            bottom -= height * step


def _highest(values: NDArray[np.float32], most: int) -> NDArray[np.int64]:
    """Return where the highest of some values (n,) are, no more than `most`, in order; of equal ones, such as
    lie all over the picture.
    """
    if len(values) <= most:
        return np.arange(len(values))
    spread = np.arange(len(values)) * _GOLDEN_RATIO % 1  # neighbours get numbers that are far apart
    return np.sort(np.lexsort((spread, -values))[:most])


@dataclass(frozen=True)
class MotionGradient(MotionFinder):
    """Boxes around connected regions that change between two frames.

    Source: AI-VAD (arXiv 2212.00789), which uses them for what its object detector does not know.
    """

    name: ClassVar[str] = "gradient"
    code_version: ClassVar[int] = 2

    options: GradientSettings

    @property
    def preparation(self) -> GreyFrame:
        """Grey frames."""
        return GreyFrame()

    @property
    def n_frames_before(self) -> int:
        """The frame before is needed."""
        return 1

    def settings(self) -> dict[str, Any]:
        """Return the options."""
        return {"code_version": self.code_version, **asdict(self.options)}

    def mask(self, around: Sequence[NDArray[np.uint8]], centre: int) -> Mask:
        """Return what changed since the frame before; nothing in the first frame."""
        size = around[centre].shape[1], around[centre].shape[0]
        if centre == 0:
            return Mask(np.zeros_like(around[centre]), size)
        before, now = (cv2.GaussianBlur(grey, (5, 5), 0) for grey in around[centre - 1 : centre + 1])
        return Mask(np.asarray(cv2.absdiff(before, now) > self.options.threshold).astype(np.uint8), size)

    def boxes_of(self, mask: Mask) -> Objects:
        """Return boxes around connected regions."""
        contours, _ = cv2.findContours(mask.pixels, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        sizes = [cv2.boundingRect(contour) for contour in contours if self._is_object(contour)]
        x, y, width, height = np.array(sizes, np.float32).reshape(-1, 4).T
        grow = self.options.grow_px
        boxes = np.stack([x - grow, y - grow, x + width + grow, y + height + grow], axis=1)  # (n, 4)
        pixels = to_pixels(boxes, *mask.frame_size)
        return Objects(pixels.astype(np.float32), box_means(mask.pixels, pixels))

    def _is_object(self, contour: NDArray[np.int32]) -> bool:
        _, _, width, height = cv2.boundingRect(contour)
        is_large = cv2.contourArea(contour) >= self.options.min_area_px
        return is_large and max(width, height) <= self.options.max_aspect * min(width, height)
