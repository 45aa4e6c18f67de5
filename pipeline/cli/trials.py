"""What `mulde doctor` tries: each part that others rely on does a small piece of its real work.

Libraries are imported inside the trials, for one that does not load is what a trial is to find.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]

_FPS, _N_FRAMES = 10, 12
_WIDTH, _HEIGHT = 160, 128
_MOST_DIFFERENCE = 12.0
"""Mean difference of a decoded picture to the one that was encoded, of 255: the codec is lossy."""
_SHIFT_PX = 4
_SMALL_ENCODER = "open_clip/ViT-S-32-alt"
"""The network of open_clip that is made the fastest."""


@dataclass(frozen=True)
class Trial:
    """One thing to try."""

    subject: str
    run: Callable[[], str]
    """Does it and says what was seen; raises where that fails, `WrongResultError` where it ends wrongly."""
    way_out: str
    """What to do where it fails."""


class WrongResultError(Exception):
    """What was tried ended, but not with the right result."""


def trials(devices: Sequence[str]) -> Iterator[Trial]:
    """Yield what can be tried here.

    Args:
        devices: of torch, such as "cpu" and "cuda:0".
    """
    from mulde.data.decode.video_files import has_decord

    yield Trial("cache", _write_and_read_hdf5, "pip install --upgrade h5py numpy")
    yield Trial(
        "optical flow",
        _see_motion,
        "pip install --upgrade opencv-python, or opencv-python-headless in its place where libGL is missing",
    )
    yield Trial("decoder pyav", lambda: _decode("pyav"), "pip install --upgrade av")
    if has_decord():
        yield Trial(
            "decoder decord", lambda: _decode("decord"), "pip uninstall decord2: PyAV reads all files"
        )
    for device in devices:
        elsewhere = "" if device == "cpu" else f", or use --device cpu in place of {device}"
        yield Trial(
            f"detector on {device}",
            lambda device=device: _learn(device),  # type: ignore[misc]
            f"pip install --upgrade torch{elsewhere}",
        )
    if find_spec("torchvision") is not None:
        way_out = "install torch and torchvision together: pip install --upgrade torch torchvision"
        yield Trial("networks torchvision", _run_torchvision, way_out)
    if find_spec("open_clip") is not None:
        yield Trial("networks open_clip", _run_open_clip, "pip install --upgrade 'mulde[encoders]'")
    if find_spec("ultralytics") is not None:
        yield Trial("networks ultralytics", _run_ultralytics, "pip install --upgrade 'mulde[yolo]'")


def _write_and_read_hdf5() -> str:
    import h5py
    import numpy as np

    with _folder() as folder:
        path, rows = folder / "rows.h5", np.arange(12, dtype=np.float32).reshape(4, 3)
        with h5py.File(path, "w") as file:
            file["features"] = rows
        with h5py.File(path, "r") as file:
            if not np.array_equal(file["features"][()], rows):
                raise WrongResultError("an HDF5 file does not give back what was written")
    return "wrote features and read them back"


def _see_motion() -> str:
    import numpy as np

    from mulde.data.video import Frame
    from mulde.extractors.movement import Movement
    from mulde.extractors.preparer import prepare_with
    from mulde.extractors.streams.flow import DenseFlow

    random = np.random.default_rng(0)
    blocks = random.integers(0, 256, (_HEIGHT // 8, _WIDTH // 8, 3), dtype=np.uint8)
    picture = np.repeat(np.repeat(blocks, 8, axis=0), 8, axis=1)  # (H, W, 3)
    picture[: _HEIGHT // 2] = 0  # what moves is no more than a part
    flow = prepare_with(DenseFlow(Movement((_WIDTH, _HEIGHT), 10, 0.1)))
    flow(Frame.of_rgb(0, 0.0, picture))
    found = flow(Frame.of_rgb(1, 1.0, np.roll(picture, _SHIFT_PX, axis=1)))
    across = (
        float("nan") if found.vectors is None else float(np.median(found.vectors[found.moving > 0][:, 0]))
    )
    if not abs(across - _SHIFT_PX) < 1:
        raise WrongResultError(f"a picture that moved by {_SHIFT_PX} px seems to have moved by {across:.1f}")
    return "saw a picture move"


def _decode(decoder: Literal["pyav", "decord"]) -> str:
    """Compare number, pictures and times of the frames of a video with those that went into it."""
    import numpy as np

    from mulde.data.decode.readers import open_frames
    from mulde.data.video import Video

    written = [_picture(index) for index in range(_N_FRAMES)]
    with _folder() as folder:
        path = folder / "tiny.mp4"
        _encode(path, written)
        with open_frames(Video("tiny", path, folder), decoder=decoder) as frames:
            read = [(frame.seconds, frame.rgb) for frame in frames]
    if len(read) != _N_FRAMES:
        raise WrongResultError(f"a video of {_N_FRAMES} frames gives {len(read)}")
    for index, (seconds, rgb) in enumerate(read):
        if rgb.shape != written[index].shape:
            raise WrongResultError(f"frame {index} has shape {rgb.shape}, not {written[index].shape}")
        difference = float(np.abs(rgb.astype(float) - written[index]).mean())
        if difference > _MOST_DIFFERENCE:
            raise WrongResultError(
                f"frame {index} is another picture (mean difference {difference:.0f} of 255)"
            )
        if abs(seconds - index / _FPS) > 0.001:
            raise WrongResultError(f"frame {index} is at {seconds:.3f} s, not at {index / _FPS:.3f} s")
    return f"read {_N_FRAMES} frames of a video, their pictures and times"


def _picture(index: int) -> Picture:
    """Return a picture that no other index has, whose colours and directions differ, (H, W, 3)."""
    import numpy as np

    rgb = np.full((_HEIGHT, _WIDTH, 3), 40, np.uint8)
    rgb[: _HEIGHT // 2, : _WIDTH // 2, 0] = rgb[: _HEIGHT // 2, _WIDTH // 2 :, 1] = 220
    rgb[_HEIGHT // 2 :, : _WIDTH // 2, 2] = 220
    left = index * _WIDTH // _N_FRAMES
    rgb[:, left : left + _WIDTH // _N_FRAMES] = 250  # a bar that moves on by its width
    return rgb


def _encode(path: Path, pictures: Sequence[Picture]) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=_FPS)
        stream.width, stream.height, stream.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
        stream.bit_rate = 4_000_000
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def _learn(device: str) -> str:
    import numpy as np

    from mulde.detector import MULDE

    rows = np.random.default_rng(0).normal(size=(64, 2))
    detector = MULDE(widths=(8,), max_steps=5, device=device, random_state=0).fit(rows)
    scores = detector.anomaly_score(rows)
    if not np.isfinite(scores).all():
        raise WrongResultError("scores are not finite")
    return "learnt and scored"


def _run_torchvision() -> str:
    import torch
    from torchvision.ops import nms

    from mulde.extractors.networks.libraries import IMAGE_LIBRARIES

    shape = _encode_picture(IMAGE_LIBRARIES, "torchvision/shufflenet_v2_x0_5")
    # the first that breaks where torch and torchvision are not of one release
    if nms(torch.tensor([[0.0, 0, 9, 9], [0, 0, 9, 8]]), torch.tensor([0.5, 0.9]), 0.5).tolist() != [1]:
        raise WrongResultError("boxes that overlap are not recognised")
    return f"made a vector of {shape} numbers, with random weights"


def _run_open_clip() -> str:
    from mulde.extractors.networks.libraries import IMAGE_LIBRARIES

    return f"made a vector of {_encode_picture(IMAGE_LIBRARIES, _SMALL_ENCODER)} numbers, with random weights"


def _encode_picture(libraries: dict[str, Any], name: str) -> int:
    """Return how long the vector is that a network with random weights makes of a picture."""
    import numpy as np

    from mulde.extractors.networks.encoders import RANDOM, make_encoder
    from mulde.extractors.networks.machine import Machine
    from mulde.extractors.settings import AppearanceSettings

    encoder = make_encoder(
        "doctor", AppearanceSettings(encoder=name, weights=RANDOM), libraries, Machine("cpu")
    )
    side = (encoder.spec.height_px, encoder.spec.width_px)
    vectors = encoder([0], lambda items: np.full((len(items), *side, 3), 128, np.uint8))
    if not np.isfinite(vectors).all():
        raise WrongResultError(f"{name} gives vectors that are not finite")
    return int(vectors.shape[1])


def _run_ultralytics() -> str:
    import numpy as np

    from mulde.extractors.boxes.yolo import YoloDetector, import_ultralytics
    from mulde.extractors.networks.machine import Machine
    from mulde.extractors.networks.weights import find_weights
    from mulde.extractors.settings import YoloSettings

    with _folder() as folder:
        path = folder / "random.pt"
        import_ultralytics(folder).YOLO("yolo11n.yaml").save(str(path))
        machine = Machine("cpu", weights_folder=folder)
        detector = YoloDetector(find_weights(str(path), folder), YoloSettings(image_size_px=64), machine)
        detector.detect([np.full((48, 64, 3), 128, np.uint8)])
    return "looked for objects, with random weights"


@contextmanager
def _folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="mulde-doctor-") as folder:
        yield Path(folder)
