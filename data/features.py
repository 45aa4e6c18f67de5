"""Feature rows: what extractors make, the cache keeps and detectors score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True)
class FeatureRows:
    """Feature vectors of one stream of one video, in order of their frames."""

    features: NDArray[np.float32]
    """(N, D) float32."""
    frame: NDArray[np.int64]
    """(N,) int64, 0-based, never decreasing: the frame that a row is about."""
    box_xyxy: NDArray[np.float32] | None = None
    """(N, 4) float32, x1, y1, x2, y2 in pixels of the original frame, half-open; None for whole frames."""
    start: NDArray[np.int64] | None = None
    """(N,) int64: the first frame that a clip covers; None unless rows are about clips."""
    stop: NDArray[np.int64] | None = None
    """(N,) int64: the frame after the last that a clip covers, above `start`; there whenever `start` is."""
    extra: NDArray[np.float32] | None = None
    """(N, E) float32: measured besides, and seen by no detector, such as the confidence of key points."""

    def __post_init__(self) -> None:
        n_rows = len(self.features)
        if self.features.ndim != 2 or self.features.dtype != np.float32:
            raise ValueError(f"features are (N, D) float32, not {self.features.shape} {self.features.dtype}")
        if self.frame.shape != (n_rows,) or self.frame.dtype != np.int64:
            raise ValueError(f"frame is ({n_rows},) int64, not {self.frame.shape} {self.frame.dtype}")
        if (self.frame[1:] < self.frame[:-1]).any():
            raise ValueError("rows must be in order of their frames")
        if self.box_xyxy is not None and (
            self.box_xyxy.shape != (n_rows, 4) or self.box_xyxy.dtype != np.float32
        ):
            raise ValueError(
                f"box_xyxy is ({n_rows}, 4) float32, not {self.box_xyxy.shape} {self.box_xyxy.dtype}"
            )
        if self.extra is not None and (self.extra.ndim != 2 or self.extra.dtype != np.float32):
            raise ValueError(f"extra is (N, E) float32, not {self.extra.shape} {self.extra.dtype}")
        if self.extra is not None and len(self.extra) != n_rows:
            raise ValueError(f"extra has {len(self.extra)} rows, features have {n_rows}")
        self._check_spans(n_rows)

    def _check_spans(self, n_rows: int) -> None:
        if self.start is None and self.stop is None:
            return
        if self.start is None or self.stop is None:
            raise ValueError("a clip has both start and stop, or neither")
        for name, values in (("start", self.start), ("stop", self.stop)):
            if values.shape != (n_rows,) or values.dtype != np.int64:
                raise ValueError(f"{name} is ({n_rows},) int64, not {values.shape} {values.dtype}")
        if (self.stop <= self.start).any():
            raise ValueError("a clip must stop after it starts")

    def __len__(self) -> int:
        return len(self.features)

    @property
    def n_features(self) -> int:
        """D, the length of a row."""
        return int(self.features.shape[1])

    def in_frame(self, index: int) -> FeatureRows:
        """Return the rows of one frame."""
        start, stop = np.searchsorted(self.frame, (index, index + 1))
        return self.part(int(start), int(stop))

    def part(self, start: int, stop: int) -> FeatureRows:
        """Return the rows [start, stop), as views."""
        return FeatureRows(
            self.features[start:stop],
            self.frame[start:stop],
            None if self.box_xyxy is None else self.box_xyxy[start:stop],
            None if self.start is None else self.start[start:stop],
            None if self.stop is None else self.stop[start:stop],
            None if self.extra is None else self.extra[start:stop],
        )


def is_without_measurement(features: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return (N,) whether all features of a row are NaN: the object has no measurement of this kind.

    A person whose key points were not found is such an object. A row that is NaN in part is a mistake.
    """
    # one column decides for almost all rows, without a pass over the others
    missing: NDArray[np.bool_] = np.zeros(len(features), np.bool_)
    if features.shape[1]:
        doubtful = np.flatnonzero(np.isnan(features[:, 0]))
        missing[doubtful] = np.isnan(features[doubtful]).all(axis=1)
    return missing


def join_rows(parts: Sequence[FeatureRows]) -> FeatureRows:
    """Return the rows of several parts as one, in the order given; at least one part."""
    return FeatureRows(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.frame for part in parts]),
        _join("boxes", [part.box_xyxy for part in parts]),
        _join("clips", [part.start for part in parts]),
        _join("clips", [part.stop for part in parts]),
        _join("extra columns", [part.extra for part in parts]),
    )


def _join(what: str, columns: Sequence[NDArray[T] | None]) -> NDArray[T] | None:
    there = [column for column in columns if column is not None]
    if there and len(there) < len(columns):
        raise ValueError(f"rows with {what} and rows without cannot be joined")
    return np.concatenate(there) if there else None
