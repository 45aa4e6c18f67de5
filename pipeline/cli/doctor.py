"""What this machine has, and whether it works: versions, devices, decoders, networks."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

_REQUIRED = ("mulde", "torch", "numpy", "scikit-learn", "h5py", "opencv-python", "av", "safetensors")
_OPTIONAL = {
    "decord2": "pip install decord2",
    "ultralytics": "pip install 'mulde[yolo]' (AGPL-3.0)",
    "open_clip_torch": "pip install 'mulde[encoders]'",
    "torchvision": "pip install 'mulde[encoders]'",
}


_GREYS = (40, 90, 140, 190, 240)
"""Greys of the frames of the video that decoders are tried on."""
_NEWER_AV = "pip install --upgrade av"


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
    yield from _networks()


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
    """Have each decoder read a tiny video of known frames, and a network of each library see one."""
    from mulde.data.decode.video_files import has_decord

    with TemporaryDirectory(prefix="mulde-doctor-") as folder:
        video = Path(folder) / "tiny.mp4"
        try:
            _write_tiny_video(video)
        except Exception as error:
            yield Finding(
                "decoder pyav", f"cannot write a video ({_said(error)}): pip install --upgrade av", False
            )
            return
        yield _decoder("pyav", video, "reads all files that FFmpeg reads", "pip install --upgrade av")
        if has_decord():
            yield _decoder(
                "decord", video, "for regular files", "pip uninstall decord2: PyAV reads all files"
            )
        else:
            yield Finding("decoder decord", "not installed: PyAV reads all files")


def _decoder(name: Literal["pyav", "decord"], video: Path, what_for: str, way_out: str) -> Finding:
    from mulde.data.decode.readers import open_frames
    from mulde.data.video import Video

    subject = f"decoder {name}"
    try:
        with open_frames(Video("tiny", video, video.parent), decoder=name) as frames:
            greys = [int(frame.rgb.mean()) for frame in frames]
    except Exception as error:  # whatever a broken installation may raise
        return Finding(subject, f"does not read a video ({_said(error)}): {way_out}", False)
    if len(greys) != len(_GREYS) or any(abs(a - b) > 4 for a, b in zip(greys, _GREYS, strict=True)):
        return Finding(subject, f"reads greys {greys} where a video has {list(_GREYS)}: {way_out}", False)
    return Finding(subject, f"read a video rightly; {what_for}")


def _write_tiny_video(path: Path) -> None:
    import av
    import numpy as np

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 128, "yuv420p"
        for grey in _GREYS:
            picture = np.full((128, 160, 3), grey, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def _networks() -> Iterator[Finding]:
    """Train a tiny detector, and have a network of torchvision, where it is installed, see a picture."""
    import numpy as np

    try:
        from mulde.detector import MULDE

        rows = np.random.default_rng(0).normal(size=(64, 2))
        detector = MULDE(widths=(8,), max_steps=5, random_state=0).fit(rows)
        far, near = detector.anomaly_score(np.array([[30.0, 30.0], [0.0, 0.0]]))
        is_good = bool(np.isfinite([far, near]).all())
        yield Finding("detector", "learnt and scored" if is_good else "its scores are not finite", is_good)
    except Exception as error:
        yield Finding("detector", f"does not run ({_said(error)}): pip install --upgrade torch", False)
    if _version("torchvision") is None:
        return
    try:
        import torch
        from torchvision.models import shufflenet_v2_x0_5
        from torchvision.ops import nms

        shufflenet_v2_x0_5().eval()(torch.zeros(1, 3, 64, 64))
        nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
        yield Finding("networks", "one of torchvision's, with random weights, saw a picture")
    except Exception as error:
        way_out = "install torch and torchvision together: pip install --upgrade torch torchvision"
        yield Finding("networks", f"torchvision does not run ({_said(error)}): {way_out}", False)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
