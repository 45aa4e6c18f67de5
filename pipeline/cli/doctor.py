"""What this machine has, and whether it works: versions, devices, decoders, networks."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass

from mulde.data.version import version_of
from mulde.pipeline.cli.trials import Trial, WrongResultError, trials

_REQUIRED = ("mulde", "torch", "numpy", "scikit-learn", "h5py", "opencv-python", "av", "safetensors")
_OPTIONAL = {
    "decord2": "pip install decord2",
    "ultralytics": "pip install 'mulde[yolo]' (AGPL-3.0)",
    "open_clip_torch": "pip install 'mulde[encoders]'",
    "torchvision": "pip install 'mulde[encoders]'",
}


@dataclass(frozen=True)
class Finding:
    """One fact about the machine."""

    subject: str
    value: str
    is_good: bool = True


def examine() -> Iterator[Finding]:
    """Yield what is there, what is not and how to get it, then what works and what does not."""
    yield Finding("Python", f"{platform.python_version()} on {platform.platform()}")
    for package in _REQUIRED:
        version = version_of(package)
        yield Finding(package, version or "missing: pip install mulde", version is not None)
    for package, remedy in _OPTIONAL.items():
        yield Finding(package, version_of(package) or f"not installed, optional: {remedy}")
    try:
        gpus, n_threads = _torch_devices()
    except Exception as error:  # a broken torch raises what it likes, and the rest is still worth knowing
        yield Finding("torch", f"FAILED: {_said(error)}: pip install --upgrade torch", is_good=False)
        gpus, n_threads = {}, 0
    yield Finding("processor", f"{os.cpu_count()} cores, {n_threads} torch threads")
    for name, gpu in gpus.items():
        yield Finding(name, gpu)
    if not gpus:
        yield Finding("cuda", "none: training and scoring run on the processor")
    yield from map(_outcome, trials(["cpu", *gpus]))


def _torch_devices() -> tuple[dict[str, str], int]:
    """Return the names of GPUs by torch's names for them, and how many threads torch has."""
    import torch

    indices = range(torch.cuda.device_count())
    return {f"cuda:{i}": torch.cuda.get_device_name(i) for i in indices}, torch.get_num_threads()


def _outcome(trial: Trial) -> Finding:
    try:
        return Finding(trial.subject, f"ok: {trial.run()}")
    except Exception as error:  # whatever a broken installation may raise
        return Finding(trial.subject, f"FAILED: {_said(error)}: {trial.way_out}", is_good=False)


def _said(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else ""
    if isinstance(error, WrongResultError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
