"""Which rows a density learns from, and which it is judged by while it learns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mulde.detector.rows import BLOCK_ROWS, RowSource

_LEAST_ROWS = 100
_LEAST_GROUPS = 4
_MOST_HELD_OUT = 8192  # more would sharpen the judgement no further


@dataclass(frozen=True)
class Split:
    """Rows of a source, for two purposes."""

    ranges: tuple[tuple[int, int], ...]
    """Rows to learn from, half-open, in order."""
    held_out: NDArray[np.float32] | None
    """Raw rows to judge by, (n, d); None for none."""

    @property
    def is_whole(self) -> bool:
        """Whether all rows are learnt from."""
        return self.held_out is None

    def indices(self) -> NDArray[np.int64]:
        """Return the numbers of the rows to learn from."""
        return np.concatenate([np.arange(start, stop) for start, stop in self.ranges])


def split_rows(source: RowSource, groups: NDArray[np.int64] | None, share: float, seed: int) -> Split:
    """Hold out a share of the rows of a source, drawn at random: whole groups, or rows that lie together.

    Args:
        source: all rows.
        groups: (n_rows,) which belong together, such as those of a video: neighbours in time are so alike
            that holding out one and learning the other would judge nothing. With fewer than 4 groups, and for
            None, rows are drawn one by one, or in blocks where there are very many.
        share: about how much to hold out, in [0, 1); nothing where there are fewer than 100 rows.
        seed: of the draw.
    """
    n_rows = source.shape[0]
    if share == 0 or n_rows < _LEAST_ROWS:
        return Split(((0, n_rows),), None)
    rng = np.random.default_rng(seed)
    if groups is None or groups.max() + 1 < _LEAST_GROUPS:
        groups = np.arange(n_rows) // (BLOCK_ROWS if n_rows > 100 * BLOCK_ROWS else 1)
    sizes = np.bincount(groups)
    order = rng.permutation(len(sizes))
    n_chosen = int(np.searchsorted(np.cumsum(sizes[order]), share * n_rows)) + 1
    is_held = np.zeros(len(sizes), bool)
    is_held[order[: min(n_chosen, len(sizes) - 1)]] = True
    mask = is_held[groups]
    held = np.concatenate([source.read(start, stop) for start, stop in _runs(mask)])
    if len(held) > _MOST_HELD_OUT:
        held = held[np.sort(rng.permutation(len(held))[:_MOST_HELD_OUT])]
    return Split(_runs(~mask), held)


def _runs(mask: NDArray[np.bool_]) -> tuple[tuple[int, int], ...]:
    """Return where a mask is set, as half-open ranges: [0, 1, 1, 0, 1] -> (1, 3), (4, 5)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return tuple((int(start), int(stop)) for start, stop in edges.reshape(-1, 2))
