"""What every test may use: small real videos, made on the fly."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: each core has a process of its own

import logging
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import av
import hypothesis
import numpy as np
import pytest
from miniature_layouts import MINIATURES
from numpy.typing import NDArray
from object_stores import Server, served

# on a busy machine any example may be slow
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")


class WriteVideo(Protocol):
    """Encode frames into a video file; see the fixture `write_video`."""

    def __call__(
        self,
        path: Path,
        frames: Iterable[NDArray[np.uint8]],
        fps: float = 10,
        codec: str = "libx264",
        *,
        pix_fmt: str = "yuv420p",
        **options: object,
    ) -> Path: ...


@pytest.fixture(autouse=True)
def _quiet_log() -> Iterator[None]:
    """Undo what a command has done to the log: its handlers write to a test's own streams."""
    yield
    root = logging.getLogger("mulde")
    root.handlers[:], root.propagate = [logging.NullHandler()], True


@pytest.fixture(scope="session", autouse=True)
def _own_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Sign the runs of tests with a key of their own, not with that of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MULDE_KEY", str(tmp_path_factory.mktemp("key") / "key"))
        yield


@pytest.fixture(scope="session")
def store_server() -> Iterator[Server]:
    """Serve buckets like S3's from a process of its own."""
    with served() as server:
        yield server


@pytest.fixture
def address(store_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the address of a cache in a bucket of its own, that nothing is in yet."""
    for name, value in {**store_server.environment, "MULDE_COPIES": str(tmp_path / "copies")}.items():
        monkeypatch.setenv(name, value)
    bucket = f"b{uuid4().hex[:12]}"
    store_server.make_bucket(bucket)
    return f"s3://{bucket}/some/cache"


@pytest.fixture(scope="session")
def write_video() -> WriteVideo:
    """Give a function that encodes (H, W, 3) uint8 RGB frames into `path`, whose suffix names the container.

    `options` go to the codec, such as g=5 (key frame distance), bf=0 (no B-frames) or qp=0 (lossless in
    YUV; codec="libx264rgb", pix_fmt="rgb24" with qp=0 gives the very same RGB back). `movflags` goes to the
    container. H and W must be even with yuv420p. The path comes back.
    """

    def write(
        path: Path,
        frames: Iterable[NDArray[np.uint8]],
        fps: float = 10,
        codec: str = "libx264",
        *,
        pix_fmt: str = "yuv420p",
        **options: object,
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        muxer_options = {"movflags": str(options.pop("movflags"))} if "movflags" in options else {}
        with av.open(str(path), "w", options=muxer_options) as container:
            stream = container.add_stream(
                codec,
                rate=Fraction(fps).limit_denominator(1001),
                options={k: str(v) for k, v in options.items()},
            )
            stream.pix_fmt = pix_fmt
            stream.thread_count = 1
            for index, rgb in enumerate(frames):
                if index == 0:
                    stream.height, stream.width = rgb.shape[:2]
                container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
            container.mux(stream.encode(None))
        return path

    return write


@pytest.fixture(scope="session")
def miniatures(tmp_path_factory: pytest.TempPathFactory, write_video: WriteVideo) -> dict[str, Path]:
    """Give a miniature copy of each benchmark by its layout; they are not to be changed."""
    base = tmp_path_factory.mktemp("miniatures")
    return {layout: make(base / layout, write_video) for layout, make in MINIATURES.items()}


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """Give the folder of real footage next to this repository, or skip where there is none."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"no real footage: {folder} is not there")
    return folder
