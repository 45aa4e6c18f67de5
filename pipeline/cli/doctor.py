"""What this machine has: versions, devices, decoders."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

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
    """Yield what is there, what is not, and how to get it."""
    yield Finding("Python", f"{platform.python_version()} on {platform.platform()}")
    for package in _REQUIRED:
        version = _version(package)
        yield Finding(package, version or "missing: pip install mulde", version is not None)
    for package, remedy in _OPTIONAL.items():
        yield Finding(package, _version(package) or f"not installed, optional: {remedy}")
    yield from _devices()
    yield from _decoders()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _devices() -> Iterator[Finding]:
    import torch

    yield Finding("processor", f"{os.cpu_count()} cores, {torch.get_num_threads()} torch threads")
    for index in range(torch.cuda.device_count()):
        yield Finding(f"cuda:{index}", torch.cuda.get_device_name(index))
    if not torch.cuda.is_available():
        yield Finding("cuda", "none: training and scoring run on the processor")


def _decoders() -> Iterator[Finding]:
    import av

    from mulde.data.decode.video_files import has_decord

    libraries = ", ".join(
        f"{name} {'.'.join(map(str, v))}" for name, v in av.library_versions.items() if name == "libavcodec"
    )
    yield Finding("decoder pyav", f"{libraries}; reads all files that FFmpeg reads")
    yield Finding(
        "decoder decord", "for regular files" if has_decord() else "not installed: PyAV reads all files"
    )
