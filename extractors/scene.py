"""What is learnt of a scene from several of its videos: its background, and how large objects are where."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mulde.data.pictures import resize
from mulde.extractors.images import blur
from mulde.extractors.light import light_difference
from mulde.extractors.looks import UsualLooks, are_looks, cells_of, looks_of
from mulde.extractors.settings import SceneSettings
from mulde.extractors.shake import STILL, shift_between, shifted

CODE_VERSION = 6
"""Raise it when the same settings give another scene than before."""
_ASPECT_TOLERANCE = 0.02  # 1920x1088 shows what 1920x1080 does
_SIDES_PX = (240, 480, 960)
"""Longer sides at which blobs are looked for: a small picture joins what noise would tear apart."""
_SIDE_OF_SHIFTS_PX = 480
"""Longer side of the pictures by which it is found how far the camera was off."""
_NEAREST_PX = 0.5
"""Of such a picture: so far people who are in one and not in the other may seem to move it."""
_LEAST_BLOB_PX = 16
"""Objects are looked for in a larger picture where they are not so tall in a smaller one."""
_MOST_BACKGROUNDS, _LEAST_PICTURES = 4, 8
"""How many backgrounds a scene may have, and how many pictures it takes for one."""
_OWN_BACKGROUND = 0.05
"""Share of the picture in which a background differs from the others."""
_THUMBNAIL = (24, 18)
_WIDEST_RANGE = 1.4
"""Objects are between the typical height divided by this and multiplied by it, whatever a line says."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SceneModel:
    """The background of a scene and the size of its objects, by the row on which they stand.

    All but `frame_size` is about pictures at working size, at which objects are as tall as it takes to see
    how they move, and no taller.
    """

    frame_size: tuple[int, int]
    """(width, height) in pixels of the frames that it was learnt from."""
    backgrounds: NDArray[np.uint8]
    """(K, H, W) uint8 grey: what the empty place looks like: the median of all samples, then those of groups
    that look otherwise, such as by lamp light or in infra-red."""
    height_at_top: float
    """Object height in pixels, extrapolated to objects that stand on row 0."""
    height_per_row: float
    """Growth of that height for each row further down."""
    height_range: tuple[float, float]
    """Smallest and largest height in pixels that the line may give."""
    aspect: float
    """Width of an object as a share of its height."""
    looks: NDArray[np.float16] | None = None
    """(n, rows, columns, D) float16: how each place looked in n pictures, see `mulde.extractors.looks`; None
    where nobody asked for it."""

    def __post_init__(self) -> None:
        if self.backgrounds.ndim != 3 or not len(self.backgrounds) or self.backgrounds.dtype != np.uint8:
            raise ValueError(f"backgrounds are (K, H, W) uint8, not {self.backgrounds.shape}")
        if min(*self.frame_size, *self.size) < 1:
            raise ValueError(f"frames of {self.frame_size} and backgrounds of {self.size} show nothing")
        if not 0 < self.height_range[0] <= self.height_range[1] < math.inf or not 0 < self.aspect < math.inf:
            raise ValueError(f"object sizes must be positive: heights {self.height_range}, {self.aspect}")
        if not (math.isfinite(self.height_at_top) and math.isfinite(self.height_per_row)):
            raise ValueError(f"heights of {self.height_at_top} and {self.height_per_row} a row are none")
        if self.looks is not None and not are_looks(self.looks, self.n_cells):
            raise ValueError(
                f"looks are float16 (n, rows, columns, D) for {self.n_cells} cells, not {self.looks.shape}"
            )

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of pictures at working size, in pixels."""
        return self.backgrounds.shape[2], self.backgrounds.shape[1]

    @cached_property
    def digest(self) -> str:
        """A hash of all values but looks, which enters the key of whatever is made with this model."""
        return _hash({name: array for name, array in self.to_arrays().items() if name != "looks"})

    @cached_property
    def looks_digest(self) -> str:
        """A hash of all values, looks too, which enters the key of what is made with these."""
        return _hash(self.to_arrays())

    def is_shape_of(self, frame_size: tuple[int, int]) -> bool:
        """Whether frames of a size, (width, height) in pixels, may show this scene at another resolution."""
        width, height = self.frame_size
        return abs(frame_size[0] * height / (frame_size[1] * width) - 1) <= _ASPECT_TOLERANCE

    def object_height(self, bottom: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the heights in pixels of objects that stand on rows `bottom`, of the same shape."""
        return np.asarray(np.clip(self.height_at_top + self.height_per_row * bottom, *self.height_range))

    def heights_of(self, box_xyxy: NDArray[np.float32], frame_size: tuple[int, int]) -> NDArray[np.float32]:
        """Return how tall an object is where each box (n, 4) stands, (n,), both in pixels of the frame.

        Args:
            frame_size: (width, height) of the frame in pixels.
        """
        scale = frame_size[1] / self.size[1]
        return np.asarray(self.object_height(box_xyxy[:, 3] / scale) * scale, np.float32)

    @property
    def typical_height(self) -> float:
        """Middle of the range of object heights, in pixels."""
        return (self.height_range[0] + self.height_range[1]) / 2

    @property
    def height_range_in_frame(self) -> tuple[float, float]:
        """Smallest and largest height of an object, in pixels of the frame."""
        scale = self.frame_size[1] / self.size[1]
        return self.height_range[0] * scale, self.height_range[1] * scale

    @property
    def n_cells(self) -> tuple[int, int]:
        """How many cells there are across and down, by which looks are described."""
        return cells_of(self.size, self.typical_height)

    @cached_property
    def usual_looks(self) -> UsualLooks:
        """How each place looks.

        Raises:
            ValueError: it was not learnt.
        """
        if self.looks is None:
            raise ValueError(
                "how places look was not learnt of this scene: learn it with SceneSettings(with_looks=True)"
            )
        return UsualLooks(self.looks)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the fields as arrays, for a file; looks only where they were learnt."""
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: np.asarray(value) for name, value in known.items() if value is not None}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> SceneModel:
        """Rebuild a model from `to_arrays`.

        Raises:
            ValueError: they are of no scene.
        """
        try:
            low, high = map(float, arrays["height_range"])
            width, height = map(int, arrays["frame_size"])
            numbers = {name: float(arrays[name]) for name in ("height_at_top", "height_per_row", "aspect")}
            backgrounds, looks = arrays["backgrounds"], arrays.get("looks")
        except (LookupError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"it holds no scene ({type(error).__name__}: {error})") from None
        return cls((width, height), backgrounds, height_range=(low, high), looks=looks, **numbers)


def _hash(arrays: Mapping[str, NDArray[Any]]) -> str:
    hasher = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        hasher.update(f"{name}{array.shape}{array.dtype}".encode())
        hasher.update(np.ascontiguousarray(array).tobytes())
    return hasher.hexdigest()[:16]


@dataclass(frozen=True)
class _Sizes:
    """How large objects are, in pixels of the frame."""

    height_at_top: float
    height_per_row: float
    height_range: tuple[float, float]
    aspect: float

    @property
    def typical_height(self) -> float:
        return (self.height_range[0] + self.height_range[1]) / 2


def learn_scene(greys: Sequence[NDArray[np.uint8]], settings: SceneSettings) -> SceneModel:
    """Learn a scene from frames that are spread over its normal videos.

    Args:
        greys: at least one image, (H, W) uint8 as `Frame.grey` gives it, all of one size.

    Raises:
        ValueError: there is no image, or they differ in size.
    """
    shapes = {grey.shape for grey in greys}
    if len(shapes) != 1:
        raise ValueError(f"a scene needs at least one image, all of one size, not of {sorted(shapes)}")
    height, width = greys[0].shape
    pictures = _Pictures(greys)
    sizes = _learn_sizes(pictures, settings)
    scale = working_scale((width, height), sizes.typical_height, settings)
    size = _even(width, scale), _even(height, scale)
    scale = size[1] / height
    low, high = sizes.height_range
    small = pictures.at(size)
    scene = SceneModel(
        (width, height),
        _backgrounds(small, settings.threshold),
        sizes.height_at_top * scale,
        sizes.height_per_row,
        (low * scale, high * scale),
        sizes.aspect,
    )
    if not settings.with_looks:
        return scene
    looks = [looks_of(picture, scene.n_cells) for picture in small]
    return replace(scene, looks=np.array(looks, np.float16))


def working_scale(frame_size: tuple[int, int], object_height_px: float, settings: SceneSettings) -> float:
    """Return the factor, at most 1, from frames, (width, height) in pixels, to pictures at working size."""
    affordable = np.sqrt(settings.most_pixels / (frame_size[0] * frame_size[1]))
    return float(min(1.0, settings.object_height_px / object_height_px, affordable))


def _even(side_px: int, scale: float) -> int:
    """Return the side of a picture at another scale: flow wants half of it, so it is even, unless it is 1."""
    return max(1, min(2 * round(side_px * scale / 2), side_px // 2 * 2))


class _Pictures:
    """Frames of a scene, each moved to where most of them see it: the camera may shake."""

    def __init__(self, greys: Sequence[NDArray[np.uint8]]) -> None:
        self._greys = greys
        self.height, self.width = greys[0].shape
        self._shifts = [STILL] * len(greys)
        """Of each frame, in pixels of the frame."""
        scale = min(1.0, _SIDE_OF_SHIFTS_PX / max(self.width, self.height))
        size = max(1, round(self.width * scale)), max(1, round(self.height * scale))
        small = self.at(size)
        self._follow(_most_usual(small), small, scale)
        if any(shift != STILL for shift in self._shifts):  # what moves in that one is not in their median
            small = self.at(size)
            self._follow(_median(small), small, scale)

    def _follow(self, reference: NDArray[np.uint8], small: Sequence[NDArray[np.uint8]], scale: float) -> None:
        for index, picture in enumerate(small):
            x, y = shift_between(reference, picture)
            if max(abs(x), abs(y)) >= _NEAREST_PX:
                before = self._shifts[index]
                self._shifts[index] = before[0] + x / scale, before[1] + y / scale

    def __len__(self) -> int:
        return len(self._greys)

    def at(self, size: tuple[int, int]) -> list[NDArray[np.uint8]]:
        """Return them at a size, (width, height) in pixels."""
        across, down = size[0] / self.width, size[1] / self.height
        return [
            shifted(resize(grey, size), (-x * across, -y * down))
            for grey, (x, y) in zip(self._greys, self._shifts, strict=True)
        ]


def _most_usual(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return the one that is most like the median of all, which is blurred where the camera shakes."""
    median = _median(pictures)
    return min(pictures, key=lambda picture: float(cv2.absdiff(picture, median).mean()))


def _learn_sizes(pictures: _Pictures, settings: SceneSettings) -> _Sizes:
    """Learn how tall objects are where from what is not background.

    A blob counts by its area: the many small ones are noise and torn off parts. Of blobs weighed in this way
    the narrower half, and of these a low quantile of the heights, are single objects: groups are wider and
    taller.
    """
    blobs, scale = _find_blobs(pictures, settings)
    if len(blobs) < settings.min_blobs:
        fallback = pictures.height * settings.fallback_height_share
        _log.info(
            "only %d moving blobs in %d frames: object height set to %.0f px",
            len(blobs),
            len(pictures),
            fallback,
        )
        return _Sizes(fallback, 0.0, (fallback, fallback), aspect=0.6)
    _, y, widths, heights, area = (blobs / [scale, scale, scale, scale, scale**2]).T
    aspects = widths / heights
    is_narrow = aspects <= _quantile(aspects, area, 0.5)
    aspects, y, heights, area = aspects[is_narrow], y[is_narrow], heights[is_narrow], area[is_narrow]
    typical = _quantile(heights, area, settings.height_quantile)
    at_top, slope = _line(y + heights / 2, heights, area, typical, settings.height_quantile)
    ends = [_quantile(y + heights, area, q) for q in (0.05, 0.95)]
    low, high = np.clip(
        [at_top + slope * end for end in ends], typical / _WIDEST_RANGE, typical * _WIDEST_RANGE
    )
    aspect = _quantile(aspects, area, 0.5)
    return _Sizes(at_top, slope, (float(low), float(high)), float(np.clip(aspect, 0.5, 0.7)))


def _line(
    centres: NDArray[Any], heights: NDArray[Any], area: NDArray[Any], typical: float, quantile: float
) -> tuple[float, float]:
    """Return the height of objects that stand on row 0, extrapolated, and its growth for each further row.

    The line goes through heights over the rows of blobs' centres, for their lower edges would be further down
    only because a group or a shadow makes them taller.
    """
    from sklearn.linear_model import QuantileRegressor  # only here, for its import takes a second

    alike = (heights > typical / 2.5) & (heights < typical * 2.5)
    middle = float(np.average(centres[alike], weights=area[alike]))
    line = QuantileRegressor(quantile=quantile, alpha=0)
    line.fit(centres[alike, None] - middle, heights[alike], sample_weight=area[alike] / area[alike].mean())
    slope = max(0.0, float(line.coef_[0]))  # what stands further down is nearer, never smaller
    if not slope:
        return typical, 0.0
    # height = a + slope * centre, and the lower edge is height / 2 below the centre
    stretch = 1 + slope / 2
    return (float(line.intercept_) - slope * middle) / stretch, slope / stretch


def _quantile(values: NDArray[Any], weights: NDArray[Any], share: float) -> float:
    """Return the value below which values with a share of all weight lie."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, share * total[-1])])


def _find_blobs(pictures: _Pictures, settings: SceneSettings) -> tuple[NDArray[np.int32], float]:
    """Return x, y, width, height, area (n, 5) of solid regions, and the scale of the picture.

    The smallest picture is taken in which they are large enough.
    """
    height, width = pictures.height, pictures.width
    blobs, scale = np.zeros((0, 5), np.int32), 1.0
    for side in _SIDES_PX:
        scale = min(1.0, side / max(width, height))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = pictures.at(size)
        background = _median(small)
        parts = [_blobs(foreground(grey, background, settings.threshold)) for grey in small]
        blobs = np.concatenate(parts)
        is_tall = len(blobs) >= settings.min_blobs and (
            _quantile(blobs[:, 3], blobs[:, 4], settings.height_quantile) >= _LEAST_BLOB_PX
        )
        if is_tall or scale == 1:
            break
    return blobs, scale


def foreground(grey: NDArray[np.uint8], background: NDArray[np.uint8], threshold: int) -> NDArray[np.bool_]:
    """Return where a frame differs from the background by more than `threshold` grey levels, (H, W), other
    than by its light.
    """
    return np.asarray(np.abs(light_difference(blur(grey), blur(background))) > threshold)


def _backgrounds(pictures: Sequence[NDArray[np.uint8]], threshold: int) -> NDArray[np.uint8]:
    """Return the median (K, H, W) of all pictures (H, W), then those of groups that look alike, larger first.

    One that differs from those before it by no more than its light is none of its own.
    """
    found = [_median(pictures)]
    for group in _group([_thumbnail(picture) for picture in pictures]):
        median = _median([pictures[index] for index in group])
        if all(foreground(median, other, threshold).mean() > _OWN_BACKGROUND for other in found):
            found.append(median)
    return np.stack(found)


def _thumbnail(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return a small picture without its light, flat."""
    small = resize(picture, _THUMBNAIL).astype(np.float32)
    return np.asarray((small - small.mean()) / max(float(small.std()), 1.0)).ravel()


def _group(thumbnails: Sequence[NDArray[np.float32]]) -> list[NDArray[np.int64]]:
    """Return the numbers of those that look alike, largest group first; groups of a few are left out."""
    n_groups = min(
        _MOST_BACKGROUNDS, len(thumbnails) // _LEAST_PICTURES, len({t.tobytes() for t in thumbnails})
    )
    if n_groups < 2:
        return []
    from sklearn.cluster import KMeans  # only here, for its import takes a second

    group_of = KMeans(n_groups, n_init=4, random_state=0).fit_predict(np.stack(thumbnails))
    groups = [np.flatnonzero(group_of == group) for group in range(n_groups)]
    return sorted((g for g in groups if len(g) >= _LEAST_PICTURES), key=len, reverse=True)


def _median(greys: Sequence[NDArray[np.uint8]], rows_at_once: int = 64) -> NDArray[np.uint8]:
    # np.median copies what it is given: strips keep that copy small
    strips = [
        np.median(np.stack([grey[y : y + rows_at_once] for grey in greys]), axis=0)
        for y in range(0, greys[0].shape[0], rows_at_once)
    ]
    return np.concatenate(strips).astype(np.uint8)


def _blobs(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return x, y, width, height, area (n, 5) of solid connected regions that lie wholly inside the frame."""
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    stats = stats[1:]  # the first is the background
    x, y, width, height, area = stats.T
    inside = (x > 0) & (y > 0) & (x + width < mask.shape[1]) & (y + height < mask.shape[0])
    solid = (area >= 16) & (area >= 0.25 * width * height)
    result: NDArray[np.int32] = stats[inside & solid]
    return result
