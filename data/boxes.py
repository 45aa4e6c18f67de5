"""Boxes in one video that somebody has found."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class VideoBoxes:
    """The boxes of one video, by frame; those of one frame stay in the order of the file."""

    frame: NDArray[np.int64]
    """(n,) int64, 0-based, ascending."""
    box_xyxy: NDArray[np.float32]
    """(n, 4) float32, x1, y1, x2, y2 in pixels of the frame; may reach beyond the picture, or be empty."""
    score: NDArray[np.float32]
    """(n,) float32, higher is surer; NaN where the file does not say."""
    class_name: NDArray[np.str_]
    """(n,) text; empty where the file does not say."""
    track: NDArray[np.int64]
    """(n,) int64; -1 for a box of no track."""

    def __post_init__(self) -> None:
        n = len(self.frame)
        others = (self.score, self.class_name, self.track)
        if self.box_xyxy.shape != (n, 4) or any(column.shape != (n,) for column in others):
            raise ValueError(f"{n} frames, boxes of shape {self.box_xyxy.shape}, or columns of other lengths")
        if (np.diff(self.frame) < 0).any():
            raise ValueError("frames must ascend")

    def __len__(self) -> int:
        return len(self.frame)

    @cached_property
    def digest(self) -> str:
        """A hash of all values, the same on every machine."""
        hasher = hashlib.sha256()
        for column in (self.frame, self.box_xyxy, self.score, self.track):
            hasher.update(np.ascontiguousarray(column).tobytes())
        names = "\0".join(self.class_name.tolist())
        hasher.update(names.encode("utf-8", "surrogatepass"))
        return hasher.hexdigest()[:16]

    def is_beyond(self, frame_size: tuple[int, int]) -> NDArray[np.bool_]:
        """Return which boxes (n,) reach beyond a picture of a size, (width, height) in pixels."""
        return np.asarray((self._clipped(frame_size) != self.box_xyxy).any(axis=1))

    def is_empty(self, frame_size: tuple[int, int]) -> NDArray[np.bool_]:
        """Return which boxes (n,) have no area inside a picture of a size."""
        clipped = self._clipped(frame_size)
        return np.asarray((clipped[:, 2:] <= clipped[:, :2]).any(axis=1))

    def _clipped(self, frame_size: tuple[int, int]) -> NDArray[np.float32]:
        return self.box_xyxy.clip(0, np.array(frame_size * 2, np.float32))


NO_BOXES = VideoBoxes(
    np.empty(0, np.int64),
    np.empty((0, 4), np.float32),
    np.empty(0, np.float32),
    np.empty(0, "U1"),
    np.empty(0, np.int64),
)
