"""On what a run computes, found out before it starts; torch is imported only where it has to be asked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from mulde.data.errors import InputError
from mulde.pipeline.config.sections import Config
from mulde.pipeline.executors.kinds import MOST_IN_A_CLUSTER
from mulde.pipeline.features.recipe import runs_networks

_WORKERS_OF_A_GPU = 4
"""Worker processes of which each has the networks in the GPU's memory, unless the user says how many."""


def check_device(device: str) -> None:
    """Raise InputError for a GPU that is not there, before hours of extraction."""
    if device.startswith("cuda"):
        _resolve(device)


def extraction_device(config: Config) -> str:
    """Return "cpu", "cuda" or "cuda:N" where extraction runs networks; "cpu" where it runs none.

    On a cluster each machine finds out for itself what "auto" is.

    Raises:
        InputError: there is no such GPU.
    """
    if not runs_networks(config.extract):
        return "cpu"
    return config.device if config.executor == "ray" else _resolve(config.device)


def n_threads() -> int:
    """Return how many threads detectors learn and score with here; the last bits of sums depend on it."""
    import torch  # only here, for it takes a second

    return int(torch.get_num_threads())


@contextmanager
def with_threads(number: int) -> Iterator[None]:
    """Have detectors use so many threads, whatever the machine has, or a cluster allows for."""
    import torch  # only here, for it takes a second

    before = torch.get_num_threads()
    if before != number:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        if before != number:
            torch.set_num_threads(before)


def local_workers(config: Config) -> int:
    """Return how many videos to decode at the same time on this machine, whatever a cluster has room for."""
    n_cores = os.cpu_count() or 1
    if config.workers is None:
        return n_cores
    return min(config.workers, n_cores) if config.executor == "ray" else config.workers


def extraction_workers(config: Config, device: str) -> int:
    """Return how many videos to extract at the same time: as configured, or one a core, but few on a GPU."""
    if config.workers is not None:
        return config.workers
    if config.executor == "ray":
        return MOST_IN_A_CLUSTER
    n_workers = local_workers(config)
    return min(n_workers, _WORKERS_OF_A_GPU) if device.startswith("cuda") else n_workers


def _resolve(device: str) -> str:
    from mulde.detector.base import resolve_device  # only here, for it imports torch

    try:
        return str(resolve_device(device))
    except ValueError as error:
        raise InputError(str(error)) from None
