"""Read folders that hold one image per frame."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Generator, Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mulde.data.decode.image_stacks import has_pages, is_stack, to_rgb
from mulde.data.decode.report import Tally, VideoInfo
from mulde.data.errors import InputError, VideoError
from mulde.data.files import IMAGE_SUFFIXES, list_images
from mulde.data.foreign.limits import check_picture
from mulde.data.foreign.pictures import open_picture
from mulde.data.video import Frame

_N_NAMED = 5
_STEADY = 0.7
"""So many of the steps between numbers are alike where images are counted, and some missing."""
_SAME_KIND = {".jpeg": ".jpg", ".jpe": ".jpg", ".jfif": ".jpg", ".tiff": ".tif", ".dib": ".bmp"}


def list_frames(folder: Path) -> list[Path]:
    """List the images of a video in natural order, one a frame.

    Images of several kinds are one video where their names are one sequence, such as 001.jpg, 002.webp.
    Animations beside images of another kind are no frames.

    Raises:
        VideoError: there is none, two could be the same frame, such as 001.jpg and 001.png, or images of
            several kinds are no one sequence.
    """
    images = list_images(folder)
    if not images:
        suffixes = ", ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
        raise VideoError(f"{folder} holds no images ({suffixes}): give a folder with one image per frame")
    images = _without_animations(images)
    by_stem: dict[str, Path] = {}
    for image in images:
        twin = by_stem.setdefault(image.stem, image)
        if twin is not image:
            raise VideoError(f"{folder} holds both {twin.name} and {image.name}: keep one image per frame")
    kinds = Counter(map(_kind, images))
    if len(kinds) > 1 and len({_pattern(image) for image in images}) > 1:
        counts = " and ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        raise VideoError(
            f"{folder} holds {counts}, whose names are no one sequence: take out what is no frame, or name "
            "all alike"
        )
    return images


def _without_animations(images: list[Path]) -> list[Path]:
    """Leave out the animations among images of another kind, such as a preview."""
    (main, _), *others = Counter(map(_kind, images)).most_common()
    if not others:
        return images
    return [image for image in images if _kind(image) == main or not is_stack(image)]


def _kind(image: Path) -> str:
    suffix = image.suffix.lower()
    return _SAME_KIND.get(suffix, suffix)


def _pattern(image: Path) -> str:
    """Give a name without its numbers: "cam2_0014" -> "cam#_#"."""
    return re.sub(r"[0-9]+", "#", image.stem.casefold())


def describe_images(images: list[Path], frames_per_second: float) -> VideoInfo:
    """Give the size of the first image and the number of images."""
    height, width = load_image(images[0]).shape[:2]
    return VideoInfo(width=width, height=height, fps=frames_per_second, n_frames_claimed=len(images))


def decode_images(
    images: list[Path], info: VideoInfo, indices: Iterable[int], tally: Tally
) -> Generator[Frame, None, None]:
    """Yield the frames at `indices` (0-based), in that order; `tally` learns of images with several pages.

    Raises:
        VideoError: an image is damaged or of another size than the first; the text names it.
    """
    with_pages: list[str] = []
    if missing := _missing([image.stem for image in images]):
        tally.warnings.append(
            f"images with the numbers {_some(missing)} are missing: those around are taken for neighbours"
        )
    for index in indices:
        rgb, is_several = _load(images[index])
        if is_several:
            with_pages.append(images[index].name)
        height, width = rgb.shape[:2]
        if (width, height) != (info.width, info.height):
            raise VideoError(
                f"{images[index]} is {width}x{height}, but the first image of its folder is "
                f"{info.width}x{info.height}: bring all to one size, or take out what is no frame"
            )
        yield Frame.of_rgb(index, index / info.fps, rgb)
    if with_pages:
        names = _some(with_pages)
        has = "1 image has" if len(with_pages) == 1 else f"{len(with_pages)} images have"
        tally.warnings.append(f"{has} several pages, of which the first is the frame: {names}")


def _some(names: list[str]) -> str:
    return ", ".join(names[:_N_NAMED]) + (" …" if len(names) > _N_NAMED else "")


def _missing(stems: list[str]) -> list[str]:
    """Return the stretches of numbers that a sequence leaves out.

    Nothing of one that counts in no steady steps, as where names are times.

    >>> _missing(["a01", "a02", "a03", "a04", "a05", "a09", "a10", "a11", "a13"])
    ['6 to 8', '12']
    """
    ends = [re.search(r"[0-9]+$", stem) for stem in stems]
    numbers = [int(end[0]) for end in ends if end is not None]
    steps = [after - before for before, after in pairwise(numbers)]
    if len(numbers) < len(stems) or not steps:
        return []
    usual, n_usual = Counter(steps).most_common(1)[0]
    if usual < 1 or n_usual < _STEADY * len(steps):
        return []
    return [
        str(before + usual) if after - usual == before + usual else f"{before + usual} to {after - usual}"
        for before, after in pairwise(numbers)
        if after - before > usual
    ]


def load_image(path: Path) -> NDArray[np.uint8]:
    """Read an image of any bit depth as (H, W, 3) uint8 RGB; grey gives three equal channels.

    Of 16 bits the upper 8 are kept. An orientation in the metadata is applied, transparency is dropped.

    Raises:
        VideoError: the image cannot be read to its end, or has 32 bits a pixel and channel.
    """
    return _load(path)[0]


def _load(path: Path) -> tuple[NDArray[np.uint8], bool]:
    """Read an image, and say whether the file has more pages."""
    # Pillow, as OpenCV writes what it finds wrong to stderr and passes some damaged images on
    try:
        with open_picture(path) as opened:
            check_picture(str(path), *opened.size)
            return to_rgb(opened, str(path)), has_pages(opened)
    except VideoError:
        raise
    except InputError as error:
        raise VideoError(str(error)) from None
    except Exception as error:  # Pillow lets OSError, SyntaxError, ValueError, struct.error and more through
        raise VideoError(f"{path} is damaged or no image ({error}): restore it or take it out") from error
