"""Read folders that hold one image a frame."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mulde.data.decode.report import VideoInfo
from mulde.data.errors import VideoError
from mulde.data.files import IMAGE_SUFFIXES, list_images
from mulde.data.video import Frame


def list_frames(folder: Path) -> list[Path]:
    """List the images of a video in natural order, one a frame.

    Raises:
        VideoError: there is none, or two that could be the same frame, such as 001.jpg and 001.png.
    """
    images = list_images(folder)
    if not images:
        suffixes = ", ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
        raise VideoError(f"{folder} holds no images ({suffixes}): give a folder with one image a frame")
    by_stem: dict[str, Path] = {}
    for image in images:
        twin = by_stem.setdefault(image.stem, image)
        if twin is not image:
            raise VideoError(f"{folder} holds both {twin.name} and {image.name}: keep one image a frame")
    return images


def describe_images(images: list[Path], frames_per_second: float) -> VideoInfo:
    """Give the size of the first image and the number of images."""
    height, width = load_image(images[0]).shape[:2]
    return VideoInfo(width=width, height=height, fps=frames_per_second, n_frames_claimed=len(images))


def decode_images(
    images: list[Path], info: VideoInfo, indices: Iterable[int]
) -> Generator[Frame, None, None]:
    """Yield the frames at `indices` (0-based), in that order.

    Raises:
        VideoError: an image is damaged or of another size than the first; the text names it.
    """
    for index in indices:
        rgb = load_image(images[index])
        height, width = rgb.shape[:2]
        if (width, height) != (info.width, info.height):
            raise VideoError(
                f"{images[index]} is {width}x{height}, but the first image of its folder is "
                f"{info.width}x{info.height}: bring all to one size, or take out what is no frame"
            )
        yield Frame(index=index, seconds=index / info.fps, rgb=rgb)


def load_image(path: Path) -> NDArray[np.uint8]:
    """Read an image of any bit depth as (H, W, 3) uint8 RGB; grey gives three equal channels.

    Of 16 bits the upper 8 are kept. An orientation in the metadata is applied, transparency is dropped.

    Raises:
        VideoError: the image cannot be read to its end, or has 32 bits a pixel and channel.
    """
    # Pillow, as OpenCV writes what it finds wrong to stderr and passes some damaged images on
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode.startswith("I;16"):
                return _grey_to_rgb((np.asarray(image) >> 8).astype(np.uint8))
            if image.mode not in ("I", "F"):
                return np.array(image.convert("RGB"), dtype=np.uint8)
    except Exception as error:  # Pillow lets OSError, SyntaxError, ValueError, struct.error and more through
        raise VideoError(f"{path} is damaged or no image ({error}): restore it or take it out") from error
    raise VideoError(f"{path} has 32 bits a channel, which have no agreed range: convert it to 8 or 16 bits")


def _grey_to_rgb(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(grey[:, :, None], 3, axis=2)  # (H, W) -> (H, W, 3)
