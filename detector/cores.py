"""Share work out among the cores of a CPU, in parts that are worth it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from torch import Tensor

_LEAST_PASSES = 4
"""With fewer, threads cost more than they gain."""
_NARROW = 256
"""Units of a layer, up to which the operations of a training step are too small to be shared out."""


def score_passes(score: Callable[[Tensor], Tensor], passes: Sequence[Tensor], device: torch.device) -> Tensor:
    """Return what `score` makes of each pass of rows on a device, one below the other, on the CPU.

    A pass goes through dozens of small operations, which torch shares out one by one among its threads, each
    waiting for all others. Whole passes side by side, each on one thread, wait for nobody.
    """

    @torch.inference_mode()  # which holds for one thread
    def scored(rows: Tensor) -> Tensor:
        return score(rows).cpu()

    n_threads = torch.get_num_threads()
    if device.type != "cpu" or n_threads == 1 or len(passes) < _LEAST_PASSES:
        return torch.cat([scored(rows) for rows in passes])
    with (
        _threads_kept(n_threads),
        ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        return torch.cat(list(pool.map(scored, passes)))


@contextmanager
def threads_for(widths: Sequence[int], device: torch.device) -> Iterator[None]:
    """Have a network with such layers trained on as many threads as pay: on one, where it is narrow."""
    if device.type != "cpu" or max(widths) > _NARROW:
        yield
        return
    with _threads_kept(torch.get_num_threads()):
        torch.set_num_threads(1)
        yield


@contextmanager
def _threads_kept(n_threads: int) -> Iterator[None]:
    """Set the number of threads in the end, also for threads that are begun later."""
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
