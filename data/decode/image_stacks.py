"""Read image files of several pages, which are videos: GIF, animated PNG and WebP, TIFF stacks."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mulde.data.decode.report import Tally, VideoInfo
from mulde.data.errors import InputError, VideoError
from mulde.data.files import STACK_SUFFIXES
from mulde.data.foreign.limits import check_picture
from mulde.data.foreign.pictures import open_picture
from mulde.data.video import Frame

if TYPE_CHECKING:
    from PIL import Image

_SHORTEST_SECONDS, _DEFAULT_SECONDS = 0.0101, 0.1
"""Pages that claim to be shown for less are shown for a tenth of a second, by all browsers."""


@dataclass(frozen=True)
class Stack:
    """A file of several pages, one a frame."""

    path: Path
    info: VideoInfo
    seconds: tuple[float, ...]
    """(n_frames,) when each page is shown, from 0.0 on."""


def may_be_stack(path: Path) -> bool:
    """Whether the name is one of an image file that can have several pages; the file is not opened."""
    return path.suffix.lower() in STACK_SUFFIXES


def is_stack(path: Path) -> bool:
    """Whether an image file has several pages; not where not even its first can be read."""
    if not may_be_stack(path):
        return False
    try:
        with open_picture(path) as image:
            return has_pages(image)
    except Exception:
        return False


def has_pages(image: Image.Image) -> bool:
    """Whether an open image has a second page, damaged or not; it may stand there afterwards.

    Further pictures that a phone adds to a JPEG are none.
    """
    if image.format == "MPO":
        return False
    try:
        image.seek(1)
    except EOFError:
        return False
    except Exception:  # Pillow lets OSError, SyntaxError, ValueError, struct.error and more through
        return True
    return True


def to_rgb(image: Image.Image, name: str) -> NDArray[np.uint8]:
    """Give the page at which an image stands as (H, W, 3) uint8 RGB, see `load_image`.

    Raises:
        VideoError: it has 32 bits a pixel and channel. Pillow raises many others where it is damaged.
    """
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16"):
        return np.repeat((np.asarray(upright) >> 8).astype(np.uint8)[:, :, None], 3, axis=2)  # (H, W, 3)
    if upright.mode in ("I", "F"):
        raise VideoError(
            f"{name} has 32 bits a channel, which have no agreed range: convert it to 8 or 16 bits"
        )
    return np.array(upright.convert("RGB"), dtype=np.uint8)


def open_stack(path: Path, frames_per_second: float) -> Stack:
    """Look at all pages of a file, for its size and its times.

    Args:
        frames_per_second: of a TIFF, whose pages have no times.

    Raises:
        VideoError: not even the first page can be read.
    """
    durations: list[float] = []
    size, has_times, warnings = (0, 0), True, []
    try:
        for image in _pages(path):
            if not durations:
                size = to_rgb(image, str(path)).shape[1::-1]
                has_times = image.format != "TIFF"
            duration = float(image.info.get("duration") or 0) / 1000
            durations.append(duration if duration >= _SHORTEST_SECONDS else _DEFAULT_SECONDS)
    except Exception as error:  # Pillow lets OSError, SyntaxError, ValueError, struct.error and more through
        if not durations:
            raise _damaged(path, error) from error
        warnings.append(f"there are no more pages that can be read after {len(durations)} ({error})")
    if not has_times:
        warnings.append(f"pages have no times, {frames_per_second:g} a second are assumed")
        durations = [1 / frames_per_second] * len(durations)
    seconds = np.cumsum([0.0, *durations])
    info = VideoInfo(
        width=size[0],
        height=size[1],
        fps=round(len(durations) / float(seconds[-1]), 6),
        n_frames_claimed=len(durations),
        warnings=tuple(warnings),
    )
    return Stack(path, info, tuple(seconds[:-1].tolist()))


def decode_stack(stack: Stack, indices: Collection[int], tally: Tally) -> Generator[Frame, None, None]:
    """Yield the pages at `indices` in rising order, up to the first that is damaged.

    Raises:
        VideoError: the first page is damaged, or one is of another size than the first; the text names it.
    """
    n_read = 0
    try:
        for index, image in enumerate(islice(_pages(stack.path), len(stack.seconds))):
            if index in indices:
                rgb = to_rgb(image, f"{stack.path}, page {index}")
                _check_size(stack, index, rgb.shape[1], rgb.shape[0])
                yield Frame.of_rgb(index, stack.seconds[index], rgb)
            n_read += 1
    except Exception as error:
        if n_read == 0 or isinstance(error, VideoError):
            raise _damaged(stack.path, error) from error
        tally.warnings.append(f"the file cannot be read beyond page {n_read} ({error})")


def _pages(path: Path) -> Iterator[Image.Image]:
    with open_picture(path) as image:
        for index in count():
            try:
                image.seek(index)
            except EOFError:
                return
            check_picture(f"{path}, page {index}", *image.size)
            if image.format == "WEBP":
                image.load()  # which alone tells how long it is shown
            yield image


def _damaged(path: Path, error: Exception) -> VideoError:
    if isinstance(error, VideoError):
        return error
    if isinstance(error, InputError):
        return VideoError(str(error))
    return VideoError(f"{path} is damaged or no image ({error}): restore it or take it out")


def _check_size(stack: Stack, index: int, width: int, height: int) -> None:
    if (width, height) != (stack.info.width, stack.info.height):
        raise VideoError(
            f"{stack.path} changes its frame size from {stack.info.width}x{stack.info.height} to "
            f"{width}x{height} at page {index}: bring all pages to one size"
        )
