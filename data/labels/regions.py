"""Where in a frame something abnormal is: boxes, and the tracks that join them over time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NO_TRACK = -1


@dataclass(frozen=True)
class Regions:
    """The abnormal regions of one video, in order of their frames."""

    frame: NDArray[np.int64]
    """(R,) int64, 0-based, never decreasing: the frame that a region is in."""
    box_xyxy: NDArray[np.float32]
    """(R, 4) float32, x1, y1, x2, y2 in pixels of the frame, half-open."""
    track: NDArray[np.int64]
    """(R,) int64: regions of one object share a number ≥ 0; `NO_TRACK` where nothing is known."""

    def __post_init__(self) -> None:
        n = len(self.frame)
        if self.frame.shape != (n,) or self.box_xyxy.shape != (n, 4) or self.track.shape != (n,):
            raise ValueError(
                f"frame {self.frame.shape}, box_xyxy {self.box_xyxy.shape} and track {self.track.shape} "
                "do not match"
            )
        if n and (self.frame[0] < 0 or (np.diff(self.frame) < 0).any()):
            raise ValueError("regions must be in order of their frames, counted from 0")
        if n and (self.box_xyxy[:, 2:] <= self.box_xyxy[:, :2]).any():
            raise ValueError("a region must have x1 < x2 and y1 < y2")

    def __len__(self) -> int:
        return len(self.frame)

    @classmethod
    def from_rows(cls, rows: Iterable[tuple[int, float, float, float, float, int]]) -> Regions:
        """Make regions of rows (frame, x1, y1, x2, y2, track) in any order; rows of one frame keep theirs."""
        ordered = sorted(rows, key=lambda row: row[0])
        return cls(
            frame=np.array([row[0] for row in ordered], dtype=np.int64),
            box_xyxy=np.array([row[1:5] for row in ordered], dtype=np.float32).reshape(-1, 4),
            track=np.array([row[5] for row in ordered], dtype=np.int64),
        )
