"""On what a run computes, found out before it starts; torch is imported only where it has to be asked."""

from __future__ import annotations

from mulde.data.errors import InputError
from mulde.pipeline.config import Config
from mulde.pipeline.recipe import runs_networks

_WORKERS_OF_A_GPU = 4
"""Worker processes of which each has the networks in the GPU's memory, unless the user says how many."""


def check_device(device: str) -> None:
    """Raise InputError for a GPU that is not there, before hours of extraction."""
    if device.startswith("cuda"):
        _resolve(device)


def extraction_device(config: Config) -> str:
    """Return "cpu", "cuda" or "cuda:N" where extraction runs networks; else what the user gave.

    Raises:
        InputError: there is no such GPU.
    """
    return _resolve(config.device) if runs_networks(config.extract) else config.device


def extraction_workers(config: Config, device: str) -> int:
    """Return how many videos to extract at the same time: as configured, by default few on a GPU."""
    if "workers" in config.model_fields_set or not device.startswith("cuda"):
        return config.workers
    return min(config.workers, _WORKERS_OF_A_GPU)


def _resolve(device: str) -> str:
    from mulde.detector.base import resolve_device  # only here, for it imports torch

    try:
        return str(resolve_device(device))
    except ValueError as error:
        raise InputError(str(error)) from None
