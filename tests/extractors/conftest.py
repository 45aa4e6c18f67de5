"""Small networks with random but fixed weights, and real ones where they are at hand."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mulde.extractors.boxes.yolo import import_ultralytics
from mulde.extractors.networks.machine import Machine
from mulde.extractors.networks.weights import Weights, find_weights


def skip_without_ultralytics() -> None:
    """Skip a test; nothing is imported, for that is the business of `import_ultralytics`."""
    if find_spec("ultralytics") is None:
        pytest.skip("the extra `yolo` is not installed")


def enliven(network: Any) -> None:
    """Normalise activations, which die away in a random network, and have it be sure of what it sees."""
    import torch

    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.rand(2, 3, 96, 96))
        for branch in network.eval().model[-1].cv3:
            branch[-1].bias.fill_(-1.0)


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """One thread of the processor, and an empty folder of weights."""
    return Machine("cpu", 1, tmp_path_factory.mktemp("cache") / "weights")


@pytest.fixture(scope="session")
def random_yolo(machine: Machine) -> Callable[[str], Weights]:
    """Give a function that builds a YOLO11n with random weights for "detect" or "pose", which sees much."""
    skip_without_ultralytics()

    def build(task: str) -> Weights:
        import torch

        path = machine.weights_folder / f"random-{task}.pt"
        if not path.exists():
            ultralytics = import_ultralytics(machine.weights_folder)
            torch.manual_seed(0)
            model = ultralytics.YOLO("yolo11n.yaml" if task == "detect" else "yolo11n-pose.yaml")
            enliven(model.model)
            model.save(str(path))
        return find_weights(str(path), machine.weights_folder)

    return build


@pytest.fixture(scope="session")
def real_weights(shared_folder: Path, machine: Machine) -> Callable[[str], Weights]:
    """Give a function that finds a real network's weights, or skips where they are not at hand."""

    def find(file: str) -> Weights:
        path = shared_folder / "weights" / file
        if not path.exists():
            pytest.skip(f"no real weights: {path} is not there")
        skip_without_ultralytics()
        return find_weights(str(path), machine.weights_folder)

    return find


@pytest.fixture(scope="session")
def ped2_frames(shared_folder: Path) -> list[NDArray[np.uint8]]:
    """Four frames of UCSD Ped2, (240, 360, 3) uint8 RGB, with about ten people each."""
    from mulde.data.decode.readers import sample_frames
    from mulde.data.layouts.find_videos import find_videos

    videos = find_videos(shared_folder / "ped2" / "testing")[:2]
    return [rgb for video in videos for rgb in sample_frames(video, 2, lambda frame: frame.rgb)]


@pytest.fixture(scope="session")
def colourful() -> list[NDArray[np.uint8]]:
    """Three pictures of one odd size, (53, 90, 3) uint8 RGB: gradients, red on the left, blue below."""
    height, width = 53, 90
    y, x = np.mgrid[:height, :width].astype(np.float64)
    planes = [255 * (1 - x / width), 255 * (x + y) / (width + height), 255 * y / height]
    picture = np.stack(planes, axis=-1).round().astype(np.uint8)
    return [picture, np.ascontiguousarray(picture[::-1]), np.ascontiguousarray(picture[:, ::-1])]
