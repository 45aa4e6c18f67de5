"""Pictures as FFmpeg decodes them, from which colour is made only where somebody wants it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mulde.data.conversion import convert
from mulde.data.decode.orientation import Orientation
from mulde.data.pictures import BT709, look_up, resize
from mulde.data.video import Picture

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_WITH_LUMINANCE = {
    *("yuv410p", "yuv411p", "yuv420p", "yuv422p", "yuv440p", "yuv444p", "yuva420p", "yuva422p", "yuva444p"),
    *("yuvj411p", "yuvj420p", "yuvj422p", "yuvj440p", "yuvj444p", "nv12", "nv21", "nv16", "nv24"),
}
"""Formats whose first plane holds the luminance, a byte a pixel."""
_FULL_RANGE = 2  # of FFmpeg's colour ranges: that of JPEG, 0 to 255
_WIDENED = np.clip(np.rint((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)
"""From video's range of luminance, 16 to 235, to 0 to 255."""


@dataclass(frozen=True)
class DecodedPicture(Picture):
    """A frame of FFmpeg's and how it has to be turned."""

    frame: VideoFrame
    orientation: Orientation

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels, as shown."""
        size = self.frame.width, self.frame.height
        return size[::-1] if self.orientation.transposes else size

    def to_rgb(self) -> NDArray[np.uint8]:
        """Return the picture as shown, (H, W, 3) uint8 RGB."""
        return self.orientation.apply(convert(self.frame, "rgb24"))

    def to_grey(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Return its luminance at a size, (width, height) in pixels: the plane of it where there is one."""
        if self.frame.format.name not in _WITH_LUMINANCE:
            return super().to_grey(size)
        lying = size[::-1] if self.orientation.transposes else size
        grey = resize(self._luminance(), lying)
        return self.orientation.apply(grey if self._is_full_range else look_up(grey, _WIDENED))

    def to_yuv(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Return YUV 4:2:0 of BT.709 at a size, (width, height) in pixels, if it is YUV by the short way."""
        # nor is the range of luminance converted by every FFmpeg
        is_direct = self.frame.format.name in _WITH_LUMINANCE and not self._is_full_range
        if not is_direct or self.orientation != Orientation():
            return super().to_yuv(size)
        return convert(self.frame, "yuv420p", size, BT709)

    @property
    def _is_full_range(self) -> bool:
        return self.frame.format.name.startswith("yuvj") or self.frame.color_range == _FULL_RANGE

    def _luminance(self) -> NDArray[np.uint8]:
        plane = self.frame.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        return np.asarray(rows[: self.frame.height, : self.frame.width])
