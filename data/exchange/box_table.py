"""A table of boxes of any videos, as a file has it: checked row by row, then taken apart by video."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mulde.data.boxes import VideoBoxes
from mulde.data.errors import InputError

CORNERS = ("x1", "y1", "x2", "y2")
BYTES_A_CHARACTER = 8
"""Of the longest text of an array, for each text of it: 4, and as many in the copies by video."""
_LARGEST_WHOLE = 2.0**53  # float64 holds every whole number up to here


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

    def by_video(self, videos: Sequence[str], which: NDArray[np.int64]) -> dict[str, VideoBoxes]:
        """Return the boxes by the names of the videos that they are of.

        Args:
            videos: names, each once.
            which: (n,), the place among them of the video of each box.
        """
        if not len(which):
            return {}
        order = np.argsort(which, kind="stable")
        ends = np.cumsum(np.bincount(which, minlength=len(videos)))[:-1]
        parts = np.split(order, ends)
        return {video: self.pick(rows) for video, rows in zip(videos, parts, strict=True)}

    def check(self) -> None:
        """Raise InputError if a row holds no box."""
        frame, track = self.numbers["frame"], np.nan_to_num(self._optional("track"), nan=-1)
        box = np.stack([self.numbers[name] for name in CORNERS], axis=1)  # (n, 4)
        is_index = (frame >= self.first_frame) & (frame < _LARGEST_WHOLE) & (frame == np.floor(frame))
        is_track = (np.abs(track) < _LARGEST_WHOLE) & (track == np.floor(track))
        from_where = f"the frame must be a whole number from {self.first_frame} on"
        if self.first_frame and (frame == 0).any():
            from_where += ", unless `boxes.first_frame` is 0"
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
