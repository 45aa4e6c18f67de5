"""On what a run computes, found out before it starts; torch is imported only where it has to be asked."""

from __future__ import annotations

import os

from mulde.data.errors import InputError
from mulde.pipeline.config.sections import Config
from mulde.pipeline.features.recipe import runs_networks

_WORKERS_OF_A_GPU = 4
"""Worker processes of which each has the networks in the GPU's memory, unless the user says how many."""


def check_device(device: str) -> None:
    """Raise InputError for a GPU that is not there, before hours of extraction."""
    if device.startswith("cuda"):
        _resolve(device)


def extraction_device(config: Config) -> str:
    """Return "cpu", "cuda" or "cuda:N" where extraction runs networks; "cpu" where it runs none.

    Raises:
        InputError: there is no such GPU.
    """
    return _resolve(config.device) if runs_networks(config.extract) else "cpu"


def extraction_workers(config: Config, device: str) -> int:
    """Return how many videos to extract at the same time: as configured, or one a core, but few on a GPU."""
    if config.workers is not None:
        return config.workers
    n_cores = os.cpu_count() or 1
    return min(n_cores, _WORKERS_OF_A_GPU) if device.startswith("cuda") else n_cores


def _resolve(device: str) -> str:
    from mulde.detector.base import resolve_device  # only here, for it imports torch

    try:
        return str(resolve_device(device))
    except ValueError as error:
        raise InputError(str(error)) from None
