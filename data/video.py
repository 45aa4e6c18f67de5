"""What a video is: a file or a folder of frames, its frames in order, and what decoding it found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mulde.data.pictures import grey_of_rgb, resize, yuv_of_rgb


@dataclass(frozen=True, slots=True)
class Video:
    """A video file, or a folder that holds one image per frame."""

    name: str
    """Path below its split folder without suffix, parts joined by "/"; its name in the cache and scores/."""
    path: Path
    """The file, or the folder of images."""
    split_folder: Path
    """The folder that `name` is relative to."""
    scene: str = ""
    """The camera: videos of one scene share a background. "" where the layout knows of only one."""

    def __post_init__(self) -> None:
        if not self.name or self.name.startswith("/") or ".." in self.name.split("/"):
            raise ValueError(f"video name {self.name!r} must be a relative path without '..'")

    @property
    def is_frame_folder(self) -> bool:
        """Whether the frames are images in a folder."""
        return self.path.is_dir()


class Picture(ABC):
    """What a decoder gave of a frame; what is asked of it is made then, for most of it is not asked for."""

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels, as shown."""

    @abstractmethod
    def to_rgb(self) -> NDArray[np.uint8]:
        """Return the picture as shown, (H, W, 3) uint8 RGB."""

    def to_grey(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Return its luminance at a size, (width, height) in pixels: (height, width) uint8, 0 to 255."""
        return resize(grey_of_rgb(self.to_rgb()), size)

    def to_yuv(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Return what H.264 is made from, at a size, (width, height) in pixels, both even.

        That is YUV 4:2:0 of BT.709, limited range: (height * 3 / 2, width) uint8, one plane below the other.
        """
        return yuv_of_rgb(resize(self.to_rgb(), size))


@dataclass(frozen=True)
class RgbPicture(Picture):
    """A picture that is there in colour."""

    rgb: NDArray[np.uint8]
    """(H, W, 3) uint8."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.rgb.shape[1], self.rgb.shape[0]

    def to_rgb(self) -> NDArray[np.uint8]:
        """Return the array itself, not a copy."""
        return self.rgb


@dataclass(frozen=True)
class Frame:
    """One decoded frame."""

    index: int
    """0-based position among the frames that decode."""
    seconds: float
    """Presentation time from the first frame on, in seconds."""
    picture: Picture
    """As shown: rotation applied."""
    _greys: dict[tuple[int, int], NDArray[np.uint8]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of_rgb(cls, index: int, seconds: float, rgb: NDArray[np.uint8]) -> Frame:
        """Return a frame of a picture, (H, W, 3) uint8 RGB."""
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
            raise ValueError(f"a frame is (H, W, 3) uint8, not {rgb.shape} {rgb.dtype}")
        return cls(index, seconds, RgbPicture(rgb))

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.picture.size

    @property
    def rgb(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8, RGB; made anew each time it is asked for."""
        return self.picture.to_rgb()

    def grey(self, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """Return the luminance at a size, (width, height) in pixels, or the frame's: (height, width) uint8.

        Where a video holds luminance apart from colour, as nearly all do, that costs much less than `rgb`. It
        is made once for each size.
        """
        size = size or self.size
        if size not in self._greys:
            self._greys[size] = self.picture.to_grey(size)
        return self._greys[size]


IMAGES = "images"
"""Stands in the place of a decoder in the report of images, in a folder or in one file."""


@dataclass(frozen=True, slots=True)
class DecodeReport:
    """What decoding one video found, kept beside its features."""

    backend: str
    """"decord", "pyav" or "images"."""
    n_frames: int
    """Frames that decoded; what the container claims is in `n_frames_claimed`."""
    n_frames_claimed: int | None
    """The container's own count, or duration × fps; None where it makes no claim."""
    fps: float
    """Frames a second, > 0."""
    width: int
    height: int
    n_bad_packets: int = 0
    """Packets the decoder refused and that were skipped."""
    rotation_degrees: int = 0
    interlaced: bool = False
    warnings: tuple[str, ...] = ()
    """Sentences for the user, such as a shortfall against the container's claim."""
