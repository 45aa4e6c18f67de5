"""Batches of standardised rows in random order: from memory, or streamed from a source that is larger.

The order depends on the seed and the epoch alone, so a training that was interrupted goes on where it was.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mulde.detector.rows import BLOCK_ROWS, RowSource

_ROWS_A_BUFFER = 2**17
_ORDER = 0
"""Kind of `derived_seed` for the order of rows."""


class Batches(ABC):
    """An endless sequence of batches; an epoch's differ in size by few rows, so none is tiny and noisy."""

    n_rows: int
    n_batches: int
    """Batches of one epoch."""

    @abstractmethod
    def of_epoch(self, epoch: int, first: int) -> Iterator[Tensor]:
        """Yield the batches of an epoch from number `first` on, each (n, k) float32 on the device."""

    def starting_at(self, step: int) -> Iterator[tuple[int, Tensor]]:
        """Yield (epoch, batch) from a step on, counted from 0 over all epochs, without an end."""
        epoch, first = divmod(step, self.n_batches)
        while True:
            for batch in self.of_epoch(epoch, first):
                yield epoch, batch
            epoch, first = epoch + 1, 0


class RowsInMemory(Batches):
    """Batches of rows that are on the device, (N, k)."""

    def __init__(self, x: Tensor, batch_size: int, seed: int) -> None:
        self._x, self._seed = x, seed
        self.n_rows = len(x)
        self.n_batches = math.ceil(self.n_rows / batch_size)

    def of_epoch(self, epoch: int, first: int) -> Iterator[Tensor]:
        generator = torch.Generator(self._x.device).manual_seed(derived_seed(self._seed, _ORDER, epoch))
        order = torch.randperm(self.n_rows, generator=generator, device=self._x.device)
        for rows in order.tensor_split(self.n_batches)[first:]:
            yield self._x[rows]


class RowsStreamed(Batches):
    """Batches of rows that are read in blocks while training goes on.

    Blocks come in random order, many are gathered in a buffer, and the rows of a buffer are shuffled: two
    rows of one block may meet in a batch a little more often than chance has it.

    Args:
        source: what to read from.
        ranges: which of its rows, half-open (start, stop) in order.
        prepare: from raw rows (n, d) to rows (n, k) float32 that the network sees.
    """

    def __init__(
        self,
        source: RowSource,
        ranges: Sequence[tuple[int, int]],
        prepare: Callable[[NDArray[np.float32]], NDArray[np.float32]],
        batch_size: int,
        seed: int,
        device: torch.device,
        *,
        buffer_rows: int = _ROWS_A_BUFFER,
    ) -> None:
        self._source, self._prepare, self._device, self._seed = source, prepare, device, seed
        self._blocks = [
            (start, min(start + BLOCK_ROWS, stop))
            for first, stop in ranges
            for start in range(first, stop, BLOCK_ROWS)
        ]
        self._blocks_a_buffer = max(1, buffer_rows // BLOCK_ROWS)
        self.n_rows = sum(stop - start for start, stop in self._blocks)
        n_buffers = math.ceil(len(self._blocks) / self._blocks_a_buffer)
        self._batches_a_buffer = max(1, round(self.n_rows / n_buffers / batch_size))
        self.n_batches = n_buffers * self._batches_a_buffer

    def of_epoch(self, epoch: int, first: int) -> Iterator[Tensor]:
        rng = np.random.default_rng(derived_seed(self._seed, _ORDER, epoch))
        order = rng.permutation(len(self._blocks))
        buffers = np.array_split(order, self.n_batches // self._batches_a_buffer)
        seeds = rng.integers(2**63, size=len(buffers))
        skipped, first = divmod(first, self._batches_a_buffer)
        with ThreadPoolExecutor(1) as reader:  # reads the next buffer while this one is used
            tasks = zip(buffers[skipped:], seeds[skipped:], strict=True)
            ahead: Future[NDArray[np.float32]] | None = reader.submit(self._read, *next(tasks))
            while ahead is not None:
                rows = ahead.result()
                following = next(tasks, None)
                ahead = None if following is None else reader.submit(self._read, *following)
                yield from (
                    torch.from_numpy(rows).to(self._device).tensor_split(self._batches_a_buffer)[first:]
                )
                first = 0

    def _read(self, blocks: NDArray[np.int64], seed: int) -> NDArray[np.float32]:
        """Return the rows of some blocks, prepared and shuffled."""
        parts = [self._source.read(*self._blocks[block]) for block in sorted(blocks.tolist())]
        rows = self._prepare(np.concatenate(parts))
        return rows[np.random.default_rng(seed).permutation(len(rows))]


def derived_seed(seed: int, kind: int, index: int) -> int:
    """Return a seed of 32 bits for one purpose (`kind`) and one step or epoch (`index`)."""
    return int(np.random.SeedSequence([seed, kind, index]).generate_state(1)[0])
