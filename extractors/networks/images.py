"""Pictures as networks want them: size, crop or padding, colours, scale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mulde.data.video import Frame
from mulde.extractors.base import Preparation

if TYPE_CHECKING:
    import torch

Fit = Literal["squash", "pad", "crop"]
_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True)
class ImageSpec:
    """What a network was trained on."""

    height_px: int
    width_px: int
    before_crop_px: int | tuple[int, int]
    """With fit "crop": the length of the shorter side, or (height, width), from which the centre is cut."""
    mean: tuple[float, float, float]
    """Mean of red, green and blue in [0, 1], which is taken off."""
    std: tuple[float, float, float]
    """What is divided by after that."""
    interpolation: Literal["bilinear", "bicubic"]

    def __post_init__(self) -> None:
        if self.interpolation not in _RESAMPLING:
            raise ValueError(f"interpolation {self.interpolation!r} is none of {', '.join(_RESAMPLING)}")


def fit_image(rgb: NDArray[np.uint8], spec: ImageSpec, fit: Fit) -> NDArray[np.uint8]:
    """Return a picture (H, W, 3) RGB in the size of a network, (height_px, width_px, 3).

    Pillow scales it, as it did where these networks were trained: with antialiasing, on 8-bit values.

    Args:
        fit: "squash" shows all and gives up the aspect; "pad" shows all and fills up with the mean colour;
            "crop" keeps the aspect and cuts the centre out, as networks are trained.
    """
    image = Image.fromarray(np.ascontiguousarray(rgb))
    resampling = _RESAMPLING[spec.interpolation]
    size = (spec.width_px, spec.height_px)
    if fit == "squash":
        return np.asarray(image.resize(size, resampling))
    if fit == "crop":
        return _crop_centre(np.asarray(image.resize(_size_before_crop(image, spec), resampling)), spec)
    scale = min(spec.width_px / image.width, spec.height_px / image.height)
    inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    red, green, blue = (round(255 * value) for value in spec.mean)
    canvas = Image.new("RGB", size, (red, green, blue))
    corner = ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2)
    canvas.paste(image.resize(inner, resampling), corner)
    return np.asarray(canvas)


def to_network(images: torch.Tensor, spec: ImageSpec) -> torch.Tensor:
    """Return pictures (n, h, w, 3) as (n, 3, h, w) float32, or clips (n, T, h, w, 3) as (n, 3, T, h, w).

    Channels stay last in memory, which is also how convolutions are fastest.
    """
    import torch

    values = images.movedim(-1, 1).float().div_(255)
    shape = (1, 3) + (1,) * (values.ndim - 2)
    mean, std = (torch.tensor(value, device=images.device).view(shape) for value in (spec.mean, spec.std))
    return values.sub_(mean).div_(std)


@dataclass(frozen=True)
class FittedTiles(Preparation):
    """The frame, or its tiles, in the size of a network: (rows * columns, h, w, 3) uint8, row by row."""

    spec: ImageSpec
    fit: Fit
    rows: int = 1
    columns: int = 1

    def start(self) -> Callable[[Frame], NDArray[np.uint8]]:
        """Return the function that scales a frame."""
        return lambda frame: np.stack(
            [fit_image(tile, self.spec, self.fit) for tile in split(frame.rgb, self.rows, self.columns)]
        )


def split(rgb: NDArray[np.uint8], rows: int, columns: int) -> list[NDArray[np.uint8]]:
    """Return the tiles of a picture (H, W, 3), row by row; they differ by a pixel at most, none is empty."""
    height, width = rgb.shape[:2]
    return [
        rgb[top:bottom, left:right]
        for top, bottom in _cuts(height, rows)
        for left, right in _cuts(width, columns)
    ]


def _cuts(length: int, n: int) -> list[tuple[int, int]]:
    starts = [min(k * length // n, length - 1) for k in range(n)]
    return [(start, max((k + 1) * length // n, start + 1)) for k, start in enumerate(starts)]


def _size_before_crop(image: Image.Image, spec: ImageSpec) -> tuple[int, int]:
    """Return (width, height); rounded as torchvision does."""
    if not isinstance(spec.before_crop_px, int):
        height, width = spec.before_crop_px
        return width, height
    shorter = spec.before_crop_px
    if image.width <= image.height:
        return shorter, int(shorter * image.height / image.width)
    return int(shorter * image.width / image.height), shorter


def _crop_centre(rgb: NDArray[np.uint8], spec: ImageSpec) -> NDArray[np.uint8]:
    top = round((rgb.shape[0] - spec.height_px) / 2)
    left = round((rgb.shape[1] - spec.width_px) / 2)
    return rgb[top : top + spec.height_px, left : left + spec.width_px]
