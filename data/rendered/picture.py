"""How the rendered scene looks: the camera, the painted background, and figures with their shadows on it.

World coordinates are metres: x to the right, y away from the camera along the ground, z up; the camera stands
above the origin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from mulde.data.rendered.figures import Colour, Figure, Part, tinted

Image = NDArray[np.uint8]
"""(H, W, 3) RGB; with a fourth, unused channel while being painted, since OpenCV warps four much faster."""
Array = NDArray[np.float64]

OVERSAMPLING = 2
"""Frames are painted this many times larger and averaged down."""
LIGHT = (0.62, 0.28, -1.0)
"""Direction of the sun's rays: a metre of height casts 0.68 m of shadow, to the right and away."""
SHADE = (0.52, 0.48, 0.42)
"""How much of red, green and blue a full shadow takes away: the sky keeps lighting it, so it is bluish."""
FACADE_Y = 38.0
"""Where the building's front stands."""
FACADE_END_X = 5.4
HEDGE_Y = 45.0
"""Where the trees stand that close the view beside the building."""

_SHIFT = 4
"""Fractional bits of the positions that OpenCV is given: a sixteenth of a pixel."""
_ROUND_PX = 2.5
"""From this radius on, a part gets a lighter side."""
_TO_SUN = np.array([-0.28, -0.18])
"""Where a round part is lightest: to the left and up in the picture, as a multiple of its radius."""
_CIRCLE = np.stack([np.cos(np.arange(12) * np.pi / 6), np.sin(np.arange(12) * np.pi / 6)], axis=-1)  # (12, 2)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks along +y and down."""

    width_px: int
    height_px: int
    x_m: float = 0.0
    z_m: float = 10.0
    pan_rad: float = 0.0
    """Small turn to the right."""
    tilt_rad: float = math.radians(19.0)
    """Turn downward from the horizon."""

    @property
    def focal_px(self) -> float:
        """Focal length: twice the picture's width, a horizontal view of 28 degrees."""
        return 2.0 * self.width_px

    def project(self, points: Array) -> tuple[Array, Array]:
        """Return the pixel positions (..., 2) and depths in metres (...,) of world points (..., 3).

        Depths are at least half a metre, which keeps what is behind the camera far out of the picture.
        """
        sin, cos = math.sin(self.tilt_rad), math.cos(self.tilt_rad)
        x, y, z = points[..., 0] - self.x_m, points[..., 1], points[..., 2] - self.z_m
        depth = np.maximum(y * cos - z * sin, 0.5)
        u = self.width_px / 2 + self.focal_px * (x / depth - self.pan_rad)
        v = self.height_px / 2 - self.focal_px * (y * sin + z * cos) / depth
        return np.stack([u, v], axis=-1), depth

    def rays(self) -> tuple[Array, Array]:
        """Return x/y and (z − camera height)/y of the ray through each pixel's centre, both (H, W)."""
        sin, cos = math.sin(self.tilt_rad), math.cos(self.tilt_rad)
        right = (np.arange(self.width_px) + 0.5 - self.width_px / 2) / self.focal_px
        up = (self.height_px / 2 - np.arange(self.height_px) - 0.5) / self.focal_px
        forward = (cos + up * sin)[:, None]  # (H, 1)
        slope_x, slope_z = right[None, :] / forward, (up * cos - sin)[:, None] / forward
        return slope_x, np.broadcast_to(slope_z, slope_x.shape)

    def enlarged(self, factor: int) -> Camera:
        """Return the same view with `factor` times as many pixels a side."""
        return replace(self, width_px=self.width_px * factor, height_px=self.height_px * factor)


@dataclass(frozen=True)
class Strip:
    """A walkway: all ground within `half_width_m` of a line."""

    origin: tuple[float, float]
    direction: tuple[float, float]
    """Unit vector along the line."""
    half_width_m: float
    colour: Colour


@dataclass(frozen=True)
class Placed:
    """A figure in the world."""

    figure: Figure
    x_m: float
    y_m: float
    heading_rad: float
    """0 faces +x, π/2 faces +y."""

    @cached_property
    def centres(self) -> Array:
        """The world positions of the centres of all parts' spheres, (P, 3)."""
        forward, left, up = self.figure.centres.T
        sin, cos = math.sin(self.heading_rad), math.cos(self.heading_rad)
        x, y = self.x_m + forward * cos - left * sin, self.y_m + forward * sin + left * cos
        return np.stack([x, y, up], axis=-1)


def boxes_xyxy(camera: Camera, placed: list[Placed]) -> Array:
    """Return the boxes around figures in pixels, not clipped to the picture: (N, 4)."""
    if not placed:
        return np.zeros((0, 4))
    centres, radii = _stacked(placed)
    pixels, depth = camera.project(centres)  # (P, 2), (P,)
    reach = (radii * camera.focal_px / depth)[:, None]
    starts = np.cumsum([0] + [len(item.figure.radii) for item in placed[:-1]])
    low = np.minimum.reduceat(pixels - reach, starts)  # (N, 2)
    high = np.maximum.reduceat(pixels + reach, starts)  # (N, 2)
    return np.concatenate([low, high], axis=1)


def visible_fractions(camera: Camera, boxes: Array) -> Array:
    """Return the part of each box's area (N, 4) that lies inside the picture, 0–1: (N,)."""
    picture = np.array([camera.width_px, camera.height_px])
    inside = np.clip(boxes[:, 2:], 0, picture) - np.clip(boxes[:, :2], 0, picture)  # (N, 2)
    fractions: Array = np.prod(inside, axis=1) / np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return fractions


def _stacked(placed: list[Placed]) -> tuple[Array, Array]:
    """Return the centres (P, 3) and radii (P,) of all figures' spheres, one after the other."""
    return np.concatenate([item.centres for item in placed]), np.concatenate(
        [item.figure.radii for item in placed]
    )


def paint_frame(camera: Camera, rest: Camera, backdrop: Image, placed: list[Placed]) -> Image:
    """Paint the figures and their shadows over the backdrop.

    `camera` is where the camera is now, `rest` where the backdrop (H·OVERSAMPLING, W·OVERSAMPLING, 4) was
    painted from. Returns (H, W, 3) uint8.
    """
    large = camera.enlarged(OVERSAMPLING)
    canvas = _seen_from(large, rest.enlarged(OVERSAMPLING), backdrop)
    if placed:
        _darken(canvas, _shadow_mask(camera, placed))
        _paint_figures(canvas, large, sorted(placed, key=lambda item: -item.y_m))
    small = cv2.resize(canvas, (camera.width_px, camera.height_px), interpolation=cv2.INTER_AREA)
    return _uint8(cv2.cvtColor(small, cv2.COLOR_RGBA2RGB))


def _seen_from(camera: Camera, rest: Camera, backdrop: Image) -> Image:
    """Shift the backdrop as the ground shifts between two camera positions."""
    ground = np.array([[-5.0, 19.0, 0.0], [5.0, 19.0, 0.0], [8.0, 35.0, 0.0], [-8.0, 35.0, 0.0]])
    before, after = (view.project(ground)[0].astype(np.float32) - 0.5 for view in (rest, camera))
    homography = cv2.getPerspectiveTransform(before, after)
    size = (camera.width_px, camera.height_px)
    return _uint8(cv2.warpPerspective(backdrop, homography, size, borderMode=cv2.BORDER_REFLECT_101))


def _paint_figures(canvas: Image, camera: Camera, placed: list[Placed]) -> None:
    """Paint figures over each other, in the order given."""
    centres, radii = _stacked(placed)
    pixels, depth = camera.project(centres)  # (P, 2), (P,)
    reach = (radii * camera.focal_px / depth)[:, None, None]
    corners = _fixed_point(pixels)  # (P, 2)
    outlines = _fixed_point(pixels[:, None, :] + reach * _CIRCLE)  # (P, 12, 2)
    lit = _fixed_point(pixels[:, None, :] + reach * (0.55 * _CIRCLE + _TO_SUN))  # (P, 12, 2)
    first = 0
    for item in placed:
        for part, rows in _painting_order(item.figure, first, depth):
            if not part.is_face:
                _fill(canvas, _hull(outlines[rows]), part.colour)
                if reach[rows.start, 0, 0] > _ROUND_PX:
                    _fill(canvas, _hull(lit[rows]), tinted(part.colour, 1.14))
            elif _is_anticlockwise(pixels[rows]):
                _fill(canvas, corners[rows], part.colour)
        first += len(item.figure.radii)


def _painting_order(figure: Figure, first: int, depth: Array) -> list[tuple[Part, slice]]:
    """Return the parts and their rows among all spheres, of which the figure's begin at `first`."""
    order = [
        (part, slice(first + rows.start, first + rows.stop))
        for part, rows in zip(figure.parts, figure.rows, strict=True)
    ]
    if not figure.is_solid:
        order.sort(key=lambda entry: -float(depth[entry[1].start] + depth[entry[1].stop - 1]))
    return order


def _shadow_mask(camera: Camera, placed: list[Placed]) -> Image:
    """Return how much sun is blocked on the ground: (H, W) uint8, 255 for a full shadow."""
    mask = np.zeros((camera.height_px, camera.width_px), np.uint8)
    centres, radii = _stacked(placed)
    on_ground = centres[:, :2] + centres[:, 2:] * LIGHT[:2]
    rims = on_ground[:, None, :] + radii[:, None, None] * _CIRCLE  # (P, 12, 2)
    outlines = _fixed_point(camera.project(np.concatenate([rims, np.zeros_like(rims[..., :1])], axis=-1))[0])
    first = 0
    for item in placed:
        for rows in item.figure.rows:
            _fill(mask, _hull(outlines[first + rows.start : first + rows.stop]), 255)
        first += len(item.figure.radii)
    return _uint8(cv2.GaussianBlur(mask, (3, 3), 0.8))


def _darken(canvas: Image, mask: Image) -> None:
    large = cv2.resize(mask, (canvas.shape[1], canvas.shape[0]), interpolation=cv2.INTER_LINEAR)
    light = [cv2.convertScaleAbs(large, alpha=-share, beta=255.0) for share in SHADE]
    cv2.multiply(canvas, cv2.merge([*light, light[0]]), dst=canvas, scale=1 / 255)


def _fixed_point(pixels: Array) -> NDArray[np.int32]:
    """Return pixel positions as OpenCV's fixed-point integers, whose whole numbers are pixel centres."""
    return np.rint((pixels - 0.5) * (1 << _SHIFT)).astype(np.int32)


def _fill(image: Image, outline: NDArray[np.int32], colour: Colour | int) -> None:
    cv2.fillConvexPoly(image, outline, colour, cv2.LINE_AA, _SHIFT)


def _hull(outlines: NDArray[np.int32]) -> NDArray[np.int32]:
    return cast("NDArray[np.int32]", cv2.convexHull(outlines.reshape(-1, 2)))


def _is_anticlockwise(pixels: Array) -> bool:
    x, y = pixels[:, 0], pixels[:, 1]
    return float(x[:-1] @ y[1:] - y[:-1] @ x[1:] + x[-1] * y[0] - y[-1] * x[0]) < 0


def _uint8(image: object) -> Image:
    return cast("Image", image)


def paint_backdrop(camera: Camera, strips: tuple[Strip, ...], rng: np.random.Generator) -> Image:
    """Paint ground, building, trees and bushes, OVERSAMPLING times larger than the camera's picture.

    Where strips overlap, the later one is on top.
    """
    large = camera.enlarged(OVERSAMPLING)
    textures = _Textures(rng)
    slope_x, slope_z = large.rays()
    ground_y = np.where(slope_z < -1e-6, -large.z_m / np.minimum(slope_z, -1e-6), np.inf)
    is_facade = (ground_y > FACADE_Y) & (slope_x * FACADE_Y < FACADE_END_X)
    is_trees = ~is_facade & (ground_y > HEDGE_Y)
    y = np.minimum(ground_y, HEDGE_Y)
    colour = _ground(textures, slope_x * y, y, strips)
    colour[is_facade] = _facade(textures, slope_x * FACADE_Y, large.z_m + slope_z * FACADE_Y)[is_facade]
    colour[is_trees] = _trees(textures, slope_x * HEDGE_Y, large.z_m + slope_z * HEDGE_Y)[is_trees]
    picture = np.clip(colour, 0, 255).astype(np.uint8)
    _paint_bushes(picture, large, rng)
    return _uint8(cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA))


class _Textures:
    """Seeded noise over the plane."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._smooth = rng.normal(size=(256, 256)).astype(np.float32)
        self._cells = rng.uniform(-1, 1, size=(256, 256)).astype(np.float32)

    def smooth(self, x: Array, y: Array, wavelength_m: float) -> Array:
        """Return smooth noise of unit variance at its grid points, (H, W)."""
        where_x = np.mod(x / wavelength_m, 256.0).astype(np.float32)
        where_y = np.mod(y / wavelength_m, 256.0).astype(np.float32)
        noise = cv2.remap(self._smooth, where_x, where_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        return np.asarray(noise, np.float64)

    def cells(self, column: Array, row: Array) -> Array:
        """Return one value in [-1, 1] for each whole-numbered cell, (H, W)."""
        cells = self._cells[np.mod(row, 256).astype(np.int64), np.mod(column, 256).astype(np.int64)]
        return np.asarray(cells, np.float64)


def _ground(textures: _Textures, x: Array, y: Array, strips: tuple[Strip, ...]) -> Array:
    colour = _grass(textures, x, y)
    for strip in strips:
        (x0, y0), (dx, dy) = strip.origin, strip.direction
        along, across = (x - x0) * dx + (y - y0) * dy, (y - y0) * dx - (x - x0) * dy
        inside = np.abs(across) < strip.half_width_m
        kerb = np.abs(np.abs(across) - strip.half_width_m) < 0.09
        colour[inside] = _paving(textures, along, across, strip.colour)[inside]
        colour[kerb] = (_toned((176, 172, 162), 0.05 * textures.smooth(along, across, 0.5)))[kerb]
    stained = 1 + 0.035 * textures.smooth(x, y, 2.7) + 0.03 * textures.smooth(x + 31, y, 0.9)
    # The sun stands on the camera's side: the building shades only its own foot, softly.
    foot = 1 - 0.35 * np.exp(-np.maximum(FACADE_Y - y, 0) / 0.5) * (x < FACADE_END_X)
    return colour * (stained * foot)[..., None]


def _grass(textures: _Textures, x: Array, y: Array) -> Array:
    blades = 0.10 * textures.smooth(x * 1.6, y, 0.07) + 0.07 * textures.smooth(x, y, 0.22)
    patches = 0.06 * textures.smooth(x, y, 1.3) + 0.05 * textures.smooth(x, y, 3.1)
    mown = 0.035 * np.sign(np.sin((x - 0.6 * y) * 2 * np.pi / 2.4))
    dry = np.clip(0.25 * textures.smooth(x + 50, y, 1.9), 0, 0.5)[..., None]
    green = _toned((92, 112, 62), blades + patches + mown)
    return green * (1 - dry) + _toned((138, 130, 82), blades) * dry


def _paving(textures: _Textures, along: Array, across: Array, colour: Colour) -> Array:
    """Lay slabs of 0.9 × 0.6 m in a running bond."""
    row = np.floor(across / 0.6)
    shifted = along / 0.9 + 0.5 * np.mod(row, 2)
    column = np.floor(shifted)
    to_joint_m = np.minimum(
        np.minimum(shifted - column, column + 1 - shifted) * 0.9,
        np.minimum(across / 0.6 - row, row + 1 - across / 0.6) * 0.6,
    )
    slab = 0.055 * textures.cells(column, row) + 0.03 * textures.smooth(along, across, 0.06)
    return _toned(colour, slab - 0.2 * (to_joint_m < 0.018))


def _facade(textures: _Textures, x: Array, z: Array) -> Array:
    """Build a front of concrete panels with two rows of windows, a plinth and doors."""
    panel = 0.03 * textures.cells(np.floor(x / 2.6), np.floor((z - 0.5) / 3.3) + 90)
    stains = 0.025 * textures.smooth(x * 2.5, z * 0.4, 0.8) + 0.02 * textures.smooth(x, z, 0.15)
    joints = (np.mod(x, 2.6) < 0.05) | (np.mod(z - 0.5, 3.3) < 0.06)
    colour = _toned((186, 172, 152), panel + stains - 0.16 * joints)
    colour[z < 0.5] = _toned((112, 108, 104), stains)[z < 0.5]
    across, up = np.mod(x, 2.6) - 1.3, np.mod(z - 0.5, 3.3) - 1.75
    is_door = (np.floor(x / 2.6) % 4 == 1) & (z < 3.0)
    up = np.where(is_door, np.minimum(z - 1.45, 0.0), up)
    half_high = np.where(is_door, 1.45, 0.95)
    frame = (np.abs(across) < 0.86) & (np.abs(up) < half_high + 0.09)
    glass = (np.abs(across) < 0.78) & (np.abs(up) < half_high) & (np.abs(across) > 0.03)
    colour[frame] = (92, 90, 88)
    reflex = 0.25 * textures.cells(np.floor(x / 2.6) + 40, np.floor(z / 3.3)) + 0.22 * (up + across)
    colour[glass] = _toned((74, 88, 100), reflex + 0.06 * textures.smooth(x, z, 0.5))[glass]
    sill = (np.abs(across) < 0.95) & (np.abs(up + half_high + 0.12) < 0.07) & ~is_door
    colour[sill] = (206, 198, 182)
    return colour


def _trees(textures: _Textures, x: Array, z: Array) -> Array:
    """Grow a row of trees, dark at the foot and lit at the crowns."""
    leaves = 0.24 * textures.smooth(x, z, 0.35) + 0.2 * textures.smooth(x, z, 0.12)
    crowns = 0.3 * textures.smooth(x, z * 0.8, 1.6)
    return _toned((74, 92, 56), leaves + crowns - 0.35 + 0.1 * np.clip(z, 0, 5))


def _paint_bushes(picture: Image, camera: Camera, rng: np.random.Generator) -> None:
    """Plant bushes along the building and at its corner."""
    spots = [(x, FACADE_Y - 0.7) for x in (-9.6, -8.4, -5.3, -4.1, 0.1, 1.3, 2.5, 4.6)]
    spots += [(x, HEDGE_Y - 2.0 + 0.5 * (index % 2)) for index, x in enumerate(np.arange(6.2, 14, 1.1))]
    for x, y in sorted(spots, key=lambda spot: -spot[1]):
        _paint_bush(picture, camera, np.array([x + rng.uniform(-0.2, 0.2), y]), rng.uniform(0.55, 0.8), rng)


def _paint_bush(picture: Image, camera: Camera, spot: Array, size_m: float, rng: np.random.Generator) -> None:
    n_leaves = 260
    ball = rng.normal(size=(n_leaves, 3))
    ball /= np.linalg.norm(ball, axis=1, keepdims=True) * rng.uniform(1, 1.5, (n_leaves, 1))
    ball = ball[np.argsort(-ball[:, 1])]
    leaves = np.array([*spot, 0.8 * size_m]) + ball * np.array([1.15, 0.8, 0.8]) * size_m  # (n_leaves, 3)
    pixels, depth = camera.project(leaves)
    radii = rng.uniform(0.05, 0.11, n_leaves) * camera.focal_px / depth
    light = 0.95 + 0.33 * ball[:, 2] - 0.2 * ball[:, 0] + rng.normal(0, 0.13, n_leaves)
    for centre, radius, tone in zip(_fixed_point(pixels), radii * (1 << _SHIFT), light, strict=True):
        colour = (78 * tone, 98 * tone, 54 * tone)
        cv2.circle(picture, centre.tolist(), round(float(radius)), colour, -1, cv2.LINE_AA, _SHIFT)


def _toned(colour: Colour, change: Array) -> Array:
    """Return a colour made lighter or darker by a relative change (H, W): (H, W, 3)."""
    return np.asarray(colour, np.float64) * (1 + change)[..., None]
