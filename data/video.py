"""What a video is: a file or a folder of frames, its frames in order, and what decoding it found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class Frame:
    """One decoded frame."""

    index: int
    """0-based position among the frames that decode."""
    seconds: float
    """Presentation time from the first frame on, in seconds."""
    rgb: NDArray[np.uint8]
    """(H, W, 3) uint8, RGB, rotation applied."""

    def __post_init__(self) -> None:
        if self.rgb.ndim != 3 or self.rgb.shape[2] != 3 or self.rgb.dtype != np.uint8:
            raise ValueError(f"a frame is (H, W, 3) uint8, not {self.rgb.shape} {self.rgb.dtype}")


@dataclass(frozen=True)
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
