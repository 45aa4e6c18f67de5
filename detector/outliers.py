"""Training rows so far out that they alone would decide how features are scaled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mulde.detector.rows import Moments, RowSource, iterate
from mulde.detector.standardisation import ROUNDING

Array = NDArray[np.float64]
MOST_LEFT_OUT = 0.01
"""Share of the training rows: what is not rare is normal, however far out it is."""
LEAST_ROWS = 20
"""With fewer rows nobody knows what is usual."""
_QUANTILES = (0.75, 0.9, 0.95, 0.99)
_OF_GAUSSIAN = (1.150, 1.645, 1.960, 2.576)  # these quantiles of |x|, standard deviation 1


@dataclass(frozen=True)
class Usual:
    """Where nearly all values of each feature lie."""

    median: Array
    """(d,)"""
    spread: Array
    """(d,), the standard deviation of a Gaussian feature, however far out a few rows are; infinite where all
    values but a few are equal, so that nothing is known.
    """

    @classmethod
    def fit(cls, rows: Array, *, scale_floor: ArrayLike = 0.0, has_one_unit: bool = False) -> Usual:
        """Learn from normal rows (n, d), or a sample of them.

        The spread is that of the Gaussian with the 75, 90, 95 or 99 % quantile of the distance to the median,
        whichever is largest: where hardly anything moves, one row in fifty may be someone who walks by, and
        is normal.

        Args:
            scale_floor: least spread, for all features or for each.
            has_one_unit: the largest spread is that of every feature.
        """
        median = np.median(rows, axis=0)
        distance = np.abs(rows - median)  # (n, d)
        # "lower" is a distance that is there: between 0 and 1e6 no mean of the two
        quantiles = np.quantile(distance, _QUANTILES, axis=0, method="lower")  # (4, d)
        spreads = (
            np.where(quantiles > ROUNDING * np.abs(median), quantiles, 0) / np.array(_OF_GAUSSIAN)[:, None]
        )
        spread = spreads.max(axis=0)
        if has_one_unit:
            spread = np.full_like(spread, spread.max())
        spread = np.maximum(spread, scale_floor)
        return cls(median, np.where(spread > 0, spread, np.inf))

    def distance(self, rows: NDArray[np.floating]) -> Array:
        """Return how many spreads rows (n, d) lie from the medians in the feature where it is most, (n,)."""
        return np.asarray((np.abs(rows - self.median) / self.spread).max(axis=1))


def find_outliers(source: RowSource, moments: Moments, usual: Usual, limit: float) -> NDArray[np.int64]:
    """Return the numbers of the rows that lie more than `limit` spreads out, the farthest first.

    All rows are read only if the moments, which are theirs, say that there are any.
    """
    if usual.distance(np.stack([moments.lowest, moments.highest])).max() <= limit:
        return np.zeros(0, np.int64)
    found, distances = [], []
    for start, rows in iterate(source):
        distance = usual.distance(rows.astype(np.float64))
        is_far = distance > limit
        found.append(start + np.flatnonzero(is_far))
        distances.append(distance[is_far])
    farthest_first = np.argsort(-np.concatenate(distances), kind="stable")
    return np.asarray(np.concatenate(found)[farthest_first], dtype=np.int64)


class RowsWithout:
    """A `RowSource` that lacks some rows.

    Args:
        source: all rows.
        left_out: numbers of the rows that it lacks, growing.
    """

    def __init__(self, source: RowSource, left_out: NDArray[np.int64]) -> None:
        self._source, self._left_out = source, left_out
        self._before = left_out - np.arange(len(left_out))  # kept rows before each that is left out

    @property
    def shape(self) -> tuple[int, int]:
        """(n_samples, n_features), without those left out."""
        return self._source.shape[0] - len(self._left_out), self._source.shape[1]

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the rows start to stop of those kept, half-open."""
        # left out 2 of rows 0 1 2 3 4: kept row 2 is row 3 of the source
        first, end = start + self._skipped(start), stop + self._skipped(stop - 1)
        rows = self._source.read(first, max(first, end))
        inside = self._left_out[(self._left_out >= first) & (self._left_out < end)]
        return np.delete(rows, inside - first, axis=0)

    def _skipped(self, row: int) -> int:
        """Return how many rows are left out before a kept one."""
        return int(np.searchsorted(self._before, row, side="right"))
