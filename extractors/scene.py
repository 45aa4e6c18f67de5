"""What is learnt of a scene from several of its videos: its background, and how large objects are where."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mulde.extractors.images import blur, resize
from mulde.extractors.settings import SceneSettings

CODE_VERSION = 1
"""Raise it when the same settings give another scene than before."""
_ASPECT_TOLERANCE = 0.02  # 1920x1088 shows what 1920x1080 does
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SceneModel:
    """The background of a scene and the size of its objects, by the row on which they stand."""

    background: NDArray[np.uint8]
    """(H, W) uint8 grey: the median of the samples."""
    height_at_top: float
    """Object height in pixels, extrapolated to objects that stand on row 0."""
    height_per_row: float
    """Growth of that height for each row further down."""
    height_range: tuple[float, float]
    """Smallest and largest height in pixels that the line may give."""
    aspect: float
    """Width of an object as a share of its height."""

    def __post_init__(self) -> None:
        if self.background.ndim != 2 or self.background.dtype != np.uint8:
            raise ValueError(f"background is (H, W) uint8, not {self.background.shape}")
        if not 0 < self.height_range[0] <= self.height_range[1] or self.aspect <= 0:
            raise ValueError(f"object sizes must be positive: heights {self.height_range}, {self.aspect}")

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the frames in pixels."""
        return self.background.shape[1], self.background.shape[0]

    @cached_property
    def digest(self) -> str:
        """A hash of all values, which enters the key of whatever is made with this model."""
        hasher = hashlib.sha256()
        for name, array in sorted(self.to_arrays().items()):
            hasher.update(f"{name}{array.shape}{array.dtype}".encode())
            hasher.update(np.ascontiguousarray(array).tobytes())
        return hasher.hexdigest()[:16]

    def is_shape_of(self, frame_size: tuple[int, int]) -> bool:
        """Whether frames of a size, (width, height) in pixels, may show this scene at another resolution."""
        width, height = self.size
        return abs(frame_size[0] * height / (frame_size[1] * width) - 1) <= _ASPECT_TOLERANCE

    def seen_through(self, frame_size: tuple[int, int]) -> SceneModel:
        """Return this scene, at its own size, as a camera with frames of another size would show it.

        A smaller frame that is enlarged has lost detail: against a background that has not, every edge would
        be foreground.
        """
        size = min(self.size[0], frame_size[0]), min(self.size[1], frame_size[1])
        if size == self.size:
            return self
        return replace(self, background=resize(resize(self.background, size), self.size))

    def object_height(self, bottom: float) -> float:
        """Return the height in pixels of an object that stands on row `bottom`."""
        return float(np.clip(self.height_at_top + self.height_per_row * bottom, *self.height_range))

    @property
    def typical_height(self) -> float:
        """Middle of the range of object heights, in pixels."""
        return (self.height_range[0] + self.height_range[1]) / 2

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the fields as arrays, for a file."""
        return {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> SceneModel:
        """Rebuild a model from `to_arrays`."""
        low, high = arrays["height_range"]
        return cls(
            background=arrays["background"],
            height_at_top=float(arrays["height_at_top"]),
            height_per_row=float(arrays["height_per_row"]),
            height_range=(float(low), float(high)),
            aspect=float(arrays["aspect"]),
        )


def learn_scene(greys: Sequence[NDArray[np.uint8]], settings: SceneSettings) -> SceneModel:
    """Learn a scene from frames that are spread over its normal videos.

    Args:
        greys: at least one image, (H, W) uint8 as `to_grey` gives it, all of one size.

    Raises:
        ValueError: there is no image, or they differ in size.
    """
    shapes = {grey.shape for grey in greys}
    if len(shapes) != 1:
        raise ValueError(f"a scene needs at least one image, all of one size, not of {sorted(shapes)}")
    background = _median(greys)
    blobs = np.concatenate([_blobs(foreground(grey, background, settings.threshold)) for grey in greys])
    blobs = _without_fragments(blobs)
    if len(blobs) < settings.min_blobs:
        height = background.shape[0] * settings.fallback_height_share
        _log.info(
            "only %d moving blobs in %d frames: object height set to %.0f px", len(blobs), len(greys), height
        )
        return SceneModel(background, height, 0.0, (height, height), aspect=0.6)
    bottoms, heights, widths = blobs[:, 1] + blobs[:, 3], blobs[:, 3], blobs[:, 2]
    from sklearn.linear_model import QuantileRegressor  # only here, for its import takes a second

    line = QuantileRegressor(quantile=settings.height_quantile, alpha=0).fit(bottoms[:, None], heights)
    slope = max(0.0, float(line.coef_[0]))  # what stands further down is nearer, never smaller
    at_top = float(line.intercept_) if slope else float(np.quantile(heights, settings.height_quantile))
    low, high = at_top + slope * np.quantile(bottoms, (0.05, 0.95))
    low = max(low, float(np.quantile(heights, 0.05)))
    return SceneModel(background, at_top, slope, (low, max(low, high)), float(np.median(widths / heights)))


def foreground(grey: NDArray[np.uint8], background: NDArray[np.uint8], threshold: int) -> NDArray[np.bool_]:
    """Return where a frame differs from the background by more than `threshold` grey levels, (H, W)."""
    return np.asarray(np.abs(background_difference(grey, background)) > threshold)


def background_difference(grey: NDArray[np.uint8], background: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Return frame minus background, (H, W), both blurred, without a change of overall brightness."""
    difference = blur(grey).astype(np.int16) - blur(background)
    return np.asarray(difference - np.int16(np.median(difference[::4, ::4])))


def _median(greys: Sequence[NDArray[np.uint8]], rows_at_once: int = 64) -> NDArray[np.uint8]:
    # np.median copies what it is given: strips keep that copy small
    strips = [
        np.median(np.stack([grey[y : y + rows_at_once] for grey in greys]), axis=0)
        for y in range(0, greys[0].shape[0], rows_at_once)
    ]
    return np.concatenate(strips).astype(np.uint8)


def _blobs(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return x, y, width, height, area (n, 5) of connected regions that lie wholly inside the frame."""
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    stats = stats[1:]  # the first is the background
    x, y, width, height, _ = stats.T
    inside = (x > 0) & (y > 0) & (x + width < mask.shape[1]) & (y + height < mask.shape[0])
    result: NDArray[np.int32] = stats[inside]
    return result


def _without_fragments(blobs: NDArray[np.int32]) -> NDArray[np.int32]:
    """Leave out specks and sparse regions, which are noise, reflections and parts of objects."""
    _, _, width, height, area = blobs.T
    solid = (area >= 0.25 * width * height) & (height >= 8) & (width >= 3)
    if not solid.any():
        return blobs[:0]
    return np.asarray(blobs[solid & (area >= 0.25 * np.median(area[solid]))])
