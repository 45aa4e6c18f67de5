"""Open somebody's picture: how large it may be is ours to say, not Pillow's."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from mulde.data.foreign.limits import most_pixels

if TYPE_CHECKING:
    from PIL import Image


@contextmanager
def open_picture(path: Path) -> Iterator[Image.Image]:
    """Open an image, whose pixels are not read yet: whoever reads them calls `check_picture` before.

    Raises:
        Exception: whatever Pillow raises for what is no image.
    """
    from PIL import Image

    _silence()
    if Image.MAX_IMAGE_PIXELS is not None:  # of twice as many, Pillow says that there is no image
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, most_pixels())
    with Image.open(path) as image:
        yield image


@cache
def _silence() -> None:
    """Keep Pillow from warning of what is refused in a moment, or was allowed."""
    from PIL import Image

    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
