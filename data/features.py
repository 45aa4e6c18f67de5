"""Feature rows: what extractors make, the cache keeps and detectors score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class FeatureRows:
    """Feature vectors of one stream of one video, in order of their frames."""

    features: NDArray[np.float32]
    """(N, D) float32."""
    frame: NDArray[np.int64]
    """(N,) int64, 0-based, never decreasing: the frame that a row is about."""
    box_xyxy: NDArray[np.float32] | None = None
    """(N, 4) float32, x1, y1, x2, y2 in pixels of the original frame, half-open; None for whole frames."""

    def __post_init__(self) -> None:
        n_rows = len(self.features)
        if self.features.ndim != 2 or self.features.dtype != np.float32:
            raise ValueError(f"features are (N, D) float32, not {self.features.shape} {self.features.dtype}")
        if self.frame.shape != (n_rows,) or self.frame.dtype != np.int64:
            raise ValueError(f"frame is ({n_rows},) int64, not {self.frame.shape} {self.frame.dtype}")
        if n_rows and (np.diff(self.frame) < 0).any():
            raise ValueError("rows must be in order of their frames")
        if self.box_xyxy is not None and (
            self.box_xyxy.shape != (n_rows, 4) or self.box_xyxy.dtype != np.float32
        ):
            raise ValueError(
                f"box_xyxy is ({n_rows}, 4) float32, not {self.box_xyxy.shape} {self.box_xyxy.dtype}"
            )

    def __len__(self) -> int:
        return len(self.features)

    @property
    def n_features(self) -> int:
        """D, the length of a row."""
        return int(self.features.shape[1])

    def in_frame(self, index: int) -> FeatureRows:
        """Return the rows of one frame."""
        start, stop = np.searchsorted(self.frame, (index, index + 1))
        box = None if self.box_xyxy is None else self.box_xyxy[start:stop]
        return FeatureRows(self.features[start:stop], self.frame[start:stop], box)


def join_rows(parts: Sequence[FeatureRows]) -> FeatureRows:
    """Return the rows of several parts as one, in the order given; at least one part."""
    boxes = [part.box_xyxy for part in parts if part.box_xyxy is not None]
    if boxes and len(boxes) < len(parts):
        raise ValueError("rows with boxes and rows without cannot be joined")
    return FeatureRows(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.frame for part in parts]),
        np.concatenate(boxes) if boxes else None,
    )
