"""Where and how networks run: device, threads, batches that fit into memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from mulde.data.cache.storage import DEFAULT_PLACE
from mulde.extractors.networks.weights import WEIGHTS_FOLDER
from mulde.extractors.settings import InferencePrecision

if TYPE_CHECKING:
    import torch
    from typing_extensions import Self


class Batch(Protocol):
    """Items that can be cut into parts, such as a list or a tensor."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> Self: ...


B = TypeVar("B", bound=Batch)
R = TypeVar("R")
_log = logging.getLogger(__name__)
_fitting: dict[str, int] = {}  # by network: the largest batch that has fitted after one did not
_after_batch: ContextVar[Callable[[], None]] = ContextVar("after_batch", default=lambda: None)


class NoRoomError(Exception):
    """A GPU's memory is full; it may be for a while only, as other processes use it too."""


@dataclass(frozen=True)
class Machine:
    """What networks run on; it decides no values, so it enters no cache key."""

    device: str = "auto"
    """"cpu", "cuda", "cuda:N", or "auto": a GPU if there is one."""
    n_threads: int = 1
    """Threads of each process; workers have one each, for more would only fight over the cores."""
    weights_folder: Path = DEFAULT_PLACE / WEIGHTS_FOLDER
    """Where fetched weights are kept."""
    works_ahead: bool = False
    """Whether a thread makes the pictures of the next batch meanwhile; of use where a core would be idle."""

    def torch_device(self) -> torch.device:
        """Set the threads of this process, and return the device."""
        import torch

        if torch.get_num_threads() != self.n_threads:
            torch.set_num_threads(self.n_threads)
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return torch.device(self.device)


def mixed_precision(device: torch.device, precision: InferencePrecision) -> torch.autocast:
    """Return a context in which networks multiply in a precision; of float32 it changes nothing."""
    import torch

    is_mixed = precision != "float32"
    return torch.autocast(device.type, getattr(torch, precision) if is_mixed else None, enabled=is_mixed)


@contextmanager
def signs_of_life(tell: Callable[[], None]) -> Iterator[None]:
    """Call `tell` after each batch of a network meanwhile: the crops of one frame can be hundreds."""
    token = _after_batch.set(tell)
    try:
        yield
    finally:
        _after_batch.reset(token)


@contextmanager
def on_loading(network: str) -> Iterator[None]:
    """Turn the error of a GPU that has no room for a network into a `NoRoomError`."""
    import torch

    try:
        yield
    except torch.cuda.OutOfMemoryError:
        raise _no_room(network) from None


def _no_room(network: str) -> NoRoomError:
    return NoRoomError(f"{network} does not fit into the GPU's memory, even for one item")


def cut(items: B, batch_size: int) -> Iterator[B]:
    """Yield the items, so many at a time."""
    for start in range(0, len(items), batch_size):
        yield items[start : start + batch_size]


def run_batches(run: Callable[[B], R], batches: Iterable[B], network: str) -> list[R]:
    """Run a network on one batch after the other, and return what it gives for each.

    A batch that does not fit into the GPU's memory is halved, which is remembered for as long as the process
    lives: there are more results than batches then.

    Args:
        network: its name, under which the size that fits is remembered.

    Raises:
        NoRoomError: a single item does not fit.
    """
    import torch

    results: list[R] = []
    for batch in batches:
        start = 0
        while start < len(batch):
            size = min(len(batch) - start, _fitting.get(network, len(batch)))
            try:
                results.append(run(batch[start : start + size]))
            except torch.cuda.OutOfMemoryError:
                if size == 1:
                    raise _no_room(network) from None
                _fitting[network] = size // 2
                _log.warning(
                    "%s: a batch of %d does not fit into GPU memory, going on with %d",
                    network, size, size // 2,
                )  # fmt: skip
                torch.cuda.empty_cache()
                continue
            start += size
            _after_batch.get()()
    return results
