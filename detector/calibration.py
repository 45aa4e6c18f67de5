"""Bring the scores of different streams to one scale, with statistics of normal training data only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mulde.detector.settings import Fusion

_HIGH_QUANTILE = 0.999
_HIGH_QUANTILE_OF_FRAMES = 0.99
# What the energy of a single Gaussian feature spans up to that quantile at noise scale 1: x²/(2(1 + σ²)) at
# x = 3.29, in standardised units.
LEAST_RANGE_NATS = 3.29**2 / 4


@dataclass(frozen=True)
class Calibration:
    """A monotone map of one stream's scores: training minimum to 0, a high quantile to 1.

    The quantile is that of rows, 99.9 %, or where a frame has several objects that of the frames' highest
    scores, 99 %: a frame is judged by its most unusual object, and what one row in a thousand is may be in
    every tenth frame.

    Source: AI-VAD (arXiv 2212.00789) divides a stream's score by its training range; the quantile in place of
    the maximum keeps one outlier among the training rows from deciding the scale of the whole stream.
    """

    low: float
    """Training minimum, in raw score units; maps to 0."""
    high: float
    """High quantile of the training scores; maps to 1. Always above `low`."""
    mean: float
    """Mean of the training scores, in raw score units."""

    def __post_init__(self) -> None:
        if not (np.isfinite([self.low, self.high, self.mean]).all() and self.low < self.high):
            raise ValueError(
                f"calibration needs finite low < high and mean, not {self.low}, {self.high} and {self.mean}"
            )

    @classmethod
    def fit(
        cls, scores: ArrayLike, *, least_range: float = LEAST_RANGE_NATS, frame: ArrayLike | None = None
    ) -> "Calibration":
        """Learn the range from the anomaly scores (n,) of normal training rows.

        Args:
            frame: (n,) whole numbers, one for all rows of a frame, where a frame can have several.
            least_range: the range is at least this, in units of the scores; the default is for nats. Where
                normal rows hardly differ, as in a feature that is nearly always zero, the least deviation
                would otherwise count as much as the rarest of another stream.

        Raises:
            ValueError: there is no score, one is NaN or infinite, or there are not as many frames.
        """
        values = _finite_scores(scores)
        if not values.size:
            raise ValueError("calibration needs at least one training score")
        low = float(values.min())
        if frame is None:
            high = float(np.quantile(values, _HIGH_QUANTILE))
        else:
            high = float(np.quantile(_highest_by_frame(values, np.asarray(frame)), _HIGH_QUANTILE_OF_FRAMES))
        high = max(high, low + least_range)
        return cls(low, max(high, float(np.nextafter(low, np.inf))), float(values.mean()))

    @property
    def unmeasured(self) -> float:
        """Calibrated score of a row without a measurement: the mean of training, evidence of nothing.

        With the minimum, objects without a pose would seem more normal than persons in the sum over streams.
        """
        return (self.mean - self.low) / (self.high - self.low)

    def __call__(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Return calibrated anomaly scores of the same shape and direction; the training minimum gives 0.

        Raises:
            ValueError: a score is NaN or infinite.
        """
        return (_finite_scores(scores) - self.low) / (self.high - self.low)


def _highest_by_frame(values: NDArray[np.float64], frame: NDArray[np.integer]) -> NDArray[np.float64]:
    if frame.shape != values.shape:
        raise ValueError(f"there are scores {values.shape} but frames {frame.shape}")
    _, place = np.unique(frame, return_inverse=True)
    highest = np.full(int(place.max()) + 1, -np.inf)
    np.maximum.at(highest, place, values)
    return highest


def log_tail(scores: ArrayLike) -> NDArray[np.float64]:
    """Let calibrated scores grow only logarithmically beyond ±1, in the same order.

    Before the sum over streams, no stream alone can outshine what several agree on: how far beyond its
    training range a score lies says less than that it does. Nor can an extreme one outshine a video once it
    is smoothed over time.
    """
    values = np.asarray(scores, dtype=np.float64)
    # 0.5 -> 0.5, 1 -> 1, 1e5 -> 12.5; slope and value are continuous at ±1
    tail = 1 + np.log(np.maximum(np.abs(values), 1))
    return np.where(np.abs(values) <= 1, values, np.sign(values) * tail)


def fuse(streams: Sequence[ArrayLike], fusion: Fusion = "sum") -> NDArray[np.float64]:
    """Put the calibrated scores of the same rows together over streams.

    Args:
        streams: at least one array (n,), row i of each the same object; higher = more anomalous.
        fusion: their sum, in which what several streams agree on counts most, or their maximum, in which what
            one is sure of does, whatever the others say.

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
    return np.asarray(np.max(arrays, axis=0) if fusion == "max" else np.sum(arrays, axis=0))


def _finite_scores(scores: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(scores, dtype=np.float64)
    bad = ~np.isfinite(values)
    if bad.any():
        raise ValueError(f"score {int(bad.argmax())} is {values.flat[bad.argmax()]}: scores must be finite")
    return values
