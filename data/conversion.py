"""Frames of FFmpeg's as arrays of another format or size, each in one thread.

PyAV by itself makes a converter for each frame. It lives as long as the frame, and from PyAV 17 on it has
threads of its own: frames that are kept would be hundreds of threads, and some formats come out with errors
that change from time to time, for FFmpeg's threads write beyond the ends of their rows. So each of our
threads has one converter for all frames; before PyAV 17, where converters remember the range of colours, one
for each frame.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_ours = threading.local()


def convert(
    frame: VideoFrame, pixel_format: str, size: tuple[int, int] | None = None, colorspace: int | None = None
) -> NDArray[np.uint8]:
    """Return a frame in a format, such as "rgb24": (H, W, 3), or "yuv420p": (H * 3 / 2, W).

    Args:
        size: (width, height) in pixels; None for that of the frame.
        colorspace: FFmpeg's number of the colours that the result is to have; None for those of the frame.
    """
    from av.video.reformatter import VideoReformatter  # not all that read pictures need it

    if not hasattr(_ours, "converter") or not _one_thread():
        _ours.converter = VideoReformatter()
    width, height = size or (frame.width, frame.height)
    converted = _ours.converter.reformat(
        frame, width, height, pixel_format, dst_colorspace=colorspace, **_one_thread()
    )
    return np.asarray(converted.to_ndarray(), dtype=np.uint8)


@cache
def _one_thread() -> dict[str, Any]:
    """Return what keeps a converter to one thread: before PyAV 17 it has no other."""
    from av import __version__

    return {"threads": 1} if int(__version__.partition(".")[0]) >= 17 else {}
