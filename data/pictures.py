"""Arithmetic on pictures that decoders and extractors share."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mulde.data.conversion import convert

BT709 = 1
"""FFmpeg's number of the colours of high definition, which players assume where a file does not say."""


def grey_of_rgb(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the luminance, (H, W) uint8, of an (H, W, 3) RGB picture."""
    cv2 = _opencv()
    grey: NDArray[np.uint8] = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return grey


def yuv_of_rgb(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture, (H, W, 3) RGB of even sides, as `Picture.to_yuv` does: (H * 3 / 2, W) uint8."""
    import av  # not all need it

    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    return convert(frame, "yuv420p", colorspace=BT709)


def resize(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a picture, (H, W) or (H, W, C), at another size, (width, height) in pixels."""
    height, width = picture.shape[:2]
    if size == (width, height):
        return picture
    cv2 = _opencv()
    method = cv2.INTER_AREA if size[0] < width else cv2.INTER_LINEAR
    resized: NDArray[np.uint8] = cv2.resize(picture, size, interpolation=method)
    return resized


def look_up(grey: NDArray[np.uint8], table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture (H, W) whose grey levels are replaced by those that a table (256,) has for them."""
    levels: NDArray[np.uint8] = _opencv().LUT(grey, table)  # in a fraction of the time of `table[grey]`
    return levels


@cache
def _opencv() -> Any:
    """Return OpenCV, which is imported when a picture is there: it takes a while, and not all need it."""
    import cv2

    cv2.setNumThreads(1)  # one worker process a core; threads of their own would only fight over it
    return cv2
