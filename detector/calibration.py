"""Bring the scores of different streams to one scale, with statistics of normal training data only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_HIGH_QUANTILE = 0.999


@dataclass(frozen=True)
class Calibration:
    """A monotone map of one stream's scores: training minimum to 0, 99.9 % quantile to 1.

    Source: AI-VAD (arXiv 2212.00789) divides a stream's score by its training range; the quantile in place of
    the maximum keeps one outlier among the training rows from deciding the scale of the whole stream.
    """

    low: float
    """Training minimum, in raw score units; maps to 0."""
    high: float
    """99.9 % quantile of the training scores; maps to 1. Always above `low`."""
    log_tail: bool = True
    """Grow only logarithmically beyond ±1, so that one extreme row cannot outshine a video once smoothed."""

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"calibration needs finite low < high, not low={self.low}, high={self.high}")

    @classmethod
    def fit(cls, scores: ArrayLike, *, log_tail: bool = True) -> "Calibration":
        """Learn the range from the anomaly scores (n,) of normal training rows.

        Where the scores do not vary, one raw unit becomes one calibrated unit.

        Raises:
            ValueError: there is no score, or one is NaN or infinite.
        """
        values = _finite_scores(scores)
        if not values.size:
            raise ValueError("calibration needs at least one training score")
        low = float(values.min())
        # Rarely 99.9 % of the scores are equal and only the maximum tells how far they reach.
        for high in (float(np.quantile(values, _HIGH_QUANTILE)), float(values.max()), low + 1.0):
            if high - low > 1e-12 * max(1.0, abs(low), abs(high)):
                return cls(low, high, log_tail)
        return cls(low, float(np.nextafter(low, np.inf)), log_tail)

    def __call__(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Return calibrated anomaly scores of the same shape and direction; the training minimum gives 0.

        Raises:
            ValueError: a score is NaN or infinite.
        """
        unit = (_finite_scores(scores) - self.low) / (self.high - self.low)
        if not self.log_tail:
            return unit
        # 0.5 -> 0.5, 1 -> 1, 1e5 -> 12.5; slope and value are continuous at ±1
        tail = 1 + np.log(np.maximum(np.abs(unit), 1))
        return np.where(np.abs(unit) <= 1, unit, np.sign(unit) * tail)


def fuse(streams: Sequence[ArrayLike]) -> NDArray[np.float64]:
    """Sum the calibrated scores of the same rows over streams.

    Args:
        streams: at least one array (n,), row i of each the same object; higher = more anomalous.

    Returns:
        Fused anomaly scores, (n,).

    Raises:
        ValueError: there is no stream, or lengths differ.
    """
    arrays = [np.asarray(stream, dtype=np.float64) for stream in streams]
    if not arrays:
        raise ValueError("fuse needs the scores of at least one stream")
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise ValueError(f"streams must score the same rows, but have shapes {sorted(shapes)}")
    return np.asarray(np.sum(arrays, axis=0))


def _finite_scores(scores: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(scores, dtype=np.float64)
    bad = ~np.isfinite(values)
    if bad.any():
        raise ValueError(f"score {int(bad.argmax())} is {values.flat[bad.argmax()]}: scores must be finite")
    return values
