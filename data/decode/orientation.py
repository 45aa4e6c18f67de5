"""How a decoded picture has to be turned and mirrored to stand as it is shown."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_MATRIX = struct.Struct("=9i")


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways in which a picture can lie: first transposed, then flipped."""

    transposes: bool = False
    """Whether rows become columns."""
    flips_rows: bool = False
    """Whether top and bottom change places, then."""
    flips_columns: bool = False
    """Whether left and right do."""

    @classmethod
    def of(cls, frame: VideoFrame) -> Orientation:
        """Read the display matrix of a frame, to the nearest quarter turn; upright where there is none."""
        from av.sidedata.sidedata import SideDataContainer, Type

        try:
            # `frame.side_data` is kept by the frame, which it keeps: pictures would stay until the garbage is
            # collected, which is ever more seldom. Its keys PyAV types in one way and has in another.
            side_data: Any = cast("Any", SideDataContainer)(frame)
        except ValueError:  # FFmpeg knows kinds of it that PyAV does not, such as EXIF
            return cls.from_quarter_turns(round(frame.rotation / 90))
        matrix = side_data.get(Type.DISPLAYMATRIX)
        return cls() if matrix is None else cls.from_matrix(_MATRIX.unpack(bytes(matrix)))

    @classmethod
    def from_quarter_turns(cls, n: int) -> Orientation:
        """Return what turns a picture `n` times by 90 degrees, counter-clockwise."""
        return (cls(), cls(True, flips_rows=True), cls(False, True, True), cls(True, flips_columns=True))[
            n % 4
        ]

    @classmethod
    def from_matrix(cls, matrix: tuple[int, ...]) -> Orientation:
        """Read FFmpeg's display matrix (a b u c d v x y w).

        The pixel in column p and row q is shown in column a·p + c·q and row b·p + d·q, up to an offset.
        """
        a, b, _, c, d = matrix[:5]
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, flips_rows=d < 0, flips_columns=a < 0)
        return cls(True, flips_rows=b < 0, flips_columns=c < 0)

    def apply(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a picture (H, W, ...) as it is shown, contiguous."""
        if self.transposes:
            picture = picture.swapaxes(0, 1)
        rows, columns = (
            slice(None, None, -1 if flips else 1) for flips in (self.flips_rows, self.flips_columns)
        )
        return np.ascontiguousarray(picture[rows, columns])
