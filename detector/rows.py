"""Feature rows that need not fit into memory: read in blocks, checked once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypeIs

ROWS_A_READ = 65_536
BLOCK_ROWS = 256
"""Neighbouring rows that are read together when rows are drawn at random: single rows would read 50×
slower.
"""


class RowSource(Protocol):
    """A matrix of features that is read piece by piece, such as the files of a cache."""

    @property
    def shape(self) -> tuple[int, int]:
        """(n_samples, n_features)."""

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the rows start to stop, half-open."""


def is_row_source(given: object) -> TypeIs[RowSource]:
    """Whether that is a `RowSource`, and no table with a column of the name `read`, which it has as well."""
    return callable(getattr(type(given), "read", None)) and hasattr(given, "shape")


@dataclass(frozen=True)
class Moments:
    """Count, mean and standard deviation of the rows of a source."""

    n_rows: int
    mean: NDArray[np.float64]
    """(d,)"""
    std: NDArray[np.float64]
    """(d,), of the rows as a population."""
    lowest: NDArray[np.float64]
    """(d,)"""
    highest: NDArray[np.float64]
    """(d,)"""

    @property
    def largest(self) -> float:
        """Largest absolute value of all features."""
        return float(max(np.abs(self.lowest).max(), np.abs(self.highest).max()))


def iterate(source: RowSource, n_rows: int = ROWS_A_READ) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield (number of the first row, rows) until all are read."""
    for start in range(0, source.shape[0], n_rows):
        yield start, source.read(start, min(start + n_rows, source.shape[0]))


def measure(source: RowSource) -> Moments:
    """Return the moments of all rows, in one pass.

    Raises:
        ValueError: a value is NaN or infinite; the text names row and column.
    """
    n_rows, n_features = source.shape
    mean, squares, seen = np.zeros(n_features), np.zeros(n_features), 0
    lowest, highest = np.full(n_features, np.inf), np.full(n_features, -np.inf)
    for start, block in iterate(source):
        rows = block.astype(np.float64)
        check_finite(rows, start)
        lowest, highest = np.minimum(lowest, rows.min(axis=0)), np.maximum(highest, rows.max(axis=0))
        with np.errstate(over="ignore", invalid="ignore"):  # the caller refuses what is too large
            # Chan, Golub & LeVeque: moments of parts combine without a loss of digits
            block_mean = rows.mean(axis=0)
            delta, total = block_mean - mean, seen + len(rows)
            squares += np.square(rows - block_mean).sum(axis=0) + delta**2 * seen * len(rows) / total
            mean, seen = mean + delta * len(rows) / total, total
    return Moments(n_rows, mean, np.sqrt(squares / n_rows), lowest, highest)


def sample(source: RowSource, n_rows: int, seed: int) -> NDArray[np.float32]:
    """Return about n_rows rows, (n, d), in blocks drawn at random without replacement; all if there are
    fewer.
    """
    n_all = source.shape[0]
    if n_all <= n_rows:
        return source.read(0, n_all)
    n_blocks = -(-n_all // BLOCK_ROWS)
    chosen = np.random.default_rng(seed).permutation(n_blocks)[: -(-n_rows // BLOCK_ROWS)]
    parts = [source.read(b * BLOCK_ROWS, min((b + 1) * BLOCK_ROWS, n_all)) for b in sorted(chosen.tolist())]
    return np.concatenate(parts)[:n_rows]


def check_finite(values: NDArray[np.float64], first_row: int = 0) -> None:
    """Raise ValueError that names row and column if a value is NaN or infinite."""
    is_bad = ~np.isfinite(values)
    if is_bad.any():
        row, column = np.argwhere(is_bad)[0]
        name = "NaN" if np.isnan(values[row, column]) else "infinity (inf)"
        raise ValueError(
            f"features hold {name} in row {row + first_row}, column {column} ({is_bad.sum()} such values)"
        )
