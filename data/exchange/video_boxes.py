"""What others found in videos, as boxes with their frames: one record per video, checked row by row."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mulde.data.errors import InputError

CORNERS = ("x1", "y1", "x2", "y2")
_LARGEST_WHOLE = 2.0**53  # float64 holds every whole number up to here


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
        hasher.update("\0".join(self.class_name.tolist()).encode("utf-8", "surrogatepass"))
        return hasher.hexdigest()[:16]


NO_BOXES = VideoBoxes(
    np.empty(0, np.int64),
    np.empty((0, 4), np.float32),
    np.empty(0, np.float32),
    np.empty(0, "U1"),
    np.empty(0, np.int64),
)


@dataclass(frozen=True)
class BoxTable:
    """Boxes as a file has them, of any video and in any order."""

    numbers: Mapping[str, NDArray[np.float64]]
    """frame, x1, y1, x2, y2, and perhaps score and track, (n,) each; NaN in the last two: it does not say."""
    class_name: NDArray[np.str_]
    """(n,)"""
    first_frame: int
    """The number that the file gives a video's first frame."""
    where: Callable[[int], str]
    """Says of a row where in the file it is."""

    def pick(self, rows: NDArray[np.int64]) -> VideoBoxes:
        """Return the boxes of one video, by frame."""
        frame = self.numbers["frame"][rows]
        rows = rows[np.argsort(frame, kind="stable")]
        return VideoBoxes(
            self.numbers["frame"][rows].astype(np.int64) - self.first_frame,
            np.stack([self.numbers[name][rows] for name in CORNERS], axis=1).astype(np.float32),
            self._optional("score")[rows].astype(np.float32),
            self.class_name[rows],
            np.nan_to_num(self._optional("track")[rows], nan=-1).astype(np.int64),
        )

    def by_video(self, names: NDArray[np.str_]) -> dict[str, VideoBoxes]:
        """Return the boxes by the names (n,) of the videos that they are of."""
        if not len(names):
            return {}
        videos, which = np.unique(names, return_inverse=True)
        order = np.argsort(which, kind="stable")
        ends = np.cumsum(np.bincount(which, minlength=len(videos)))[:-1]
        parts = np.split(order, ends)
        return {str(video): self.pick(rows) for video, rows in zip(videos, parts, strict=True)}

    def check(self) -> None:
        """Raise InputError if a row holds no box."""
        frame, track = self.numbers["frame"], np.nan_to_num(self._optional("track"), nan=-1)
        box = np.stack([self.numbers[name] for name in CORNERS], axis=1)  # (n, 4)
        is_index = (frame >= self.first_frame) & (frame < _LARGEST_WHOLE) & (frame == np.floor(frame))
        is_track = (np.abs(track) < _LARGEST_WHOLE) & (track == np.floor(track))
        from_where = f"the frame must be a whole number from {self.first_frame} on"
        if (frame[~is_index] == self.first_frame - 1).any():
            from_where += f", unless `boxes.first_frame` is {self.first_frame - 1}"
        for wrong, why in (
            (~is_index, from_where),
            (~is_track, "the track must be a whole number"),
            (~(np.abs(box) < _LARGEST_WHOLE).all(axis=1), "the box must be finite"),
            (
                (box[:, 2:] < box[:, :2]).any(axis=1),
                "x2 or y2 is the smaller one: is it width or height? Expected the right and lower edges",
            ),
        ):
            if wrong.any():
                place = self.where(int(np.argmax(wrong)))
                raise InputError(f"{place}: {why}; of this kind: {int(wrong.sum())}")

    def _optional(self, name: str) -> NDArray[np.float64]:
        return self.numbers.get(name, np.full(len(self.class_name), np.nan))
