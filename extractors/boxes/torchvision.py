"""Detection networks of torchvision (BSD-3-Clause): the permissive alternative to YOLO."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mulde.data.errors import InputError, require_package
from mulde.extractors.boxes.detected import BoxDetector, Detections
from mulde.extractors.networks.machine import Machine, cut, on_loading, run_batches
from mulde.extractors.networks.weights import Weights, find_weights
from mulde.extractors.settings import TorchvisionBoxSettings

COCO_91 = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "", "backpack", "umbrella", "", "", "handbag", "tie", "suitcase",
    "frisbee", "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard",
    "surfboard", "tennis racket", "bottle", "", "wine glass", "cup", "fork", "knife", "spoon", "bowl",
    "banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake",
    "chair", "couch", "potted plant", "bed", "", "dining table", "", "", "toilet", "", "tv", "laptop",
    "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "",
    "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
"""COCO's categories 1 to 90; "" where a number is not in use."""
COCO_80 = tuple(name for name in COCO_91 if name)
"""The classes as YOLO networks number them."""
_WITHOUT_EPSILON = frozenset(
    f"{name}_resnet50_fpn" for name in ("fasterrcnn", "keypointrcnn", "maskrcnn", "retinanet")
)
_TO_80 = np.array([-1] + [COCO_80.index(name) if name else -1 for name in COCO_91])


@dataclass(frozen=True)
class TorchvisionDetector(BoxDetector):
    """Objects found by a torchvision network that was trained on COCO."""

    name: ClassVar[str] = "torchvision"
    code_version: ClassVar[int] = 2

    weights: Weights
    options: TorchvisionBoxSettings
    machine: Machine = field(default_factory=Machine, compare=False)

    @classmethod
    def from_settings(cls, options: TorchvisionBoxSettings, machine: Machine) -> TorchvisionDetector:
        """Look for the weights, which are the network's published ones if none are named."""
        return cls(find_weights(options.weights or options.network, machine.weights_folder), options, machine)

    @property
    def batch_size(self) -> int:
        """Frames at a time."""
        return self.options.batch_size

    def settings(self) -> dict[str, Any]:
        """Return the options, and the content of the weights."""
        return {
            "code_version": self.code_version,
            "weights": self.weights.digest,
            "network": self.options.network,
            "confidence": self.options.confidence,
            "classes": list(self.options.classes),
        }

    def check(self) -> None:
        """Raise InputError if torchvision, the network or the file is not there, or a class is unknown."""
        check_torchvision(self.options.network, "detection", "boxes.torchvision.network")
        self.weights.require()
        unknown = set(self.options.classes) - set(COCO_80)
        if unknown:
            raise InputError(
                f"`boxes.torchvision.classes` has {', '.join(sorted(unknown))}, but COCO's classes are "
                f"{', '.join(COCO_80)}"
            )

    def detect(self, images_rgb: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Return what is in each image, the surest first."""
        network = load_torchvision(self.options.network, self.weights, self.machine)
        results = run_torchvision(network, images_rgb, self.machine, self.options.batch_size)
        return [self._detections(result) for result in results]

    def _detections(self, result: dict[str, Any]) -> Detections:
        found = Detections(
            result["boxes"].cpu().numpy().astype(np.float32),
            result["scores"].cpu().numpy().astype(np.float32),
            _TO_80[result["labels"].cpu().numpy()],
        )
        kept = found.confidence >= self.options.confidence
        if self.options.classes:
            kept &= np.isin(found.class_id, [COCO_80.index(name) for name in self.options.classes])
        return found[kept]


def check_torchvision(network: str, module: str, key: str) -> None:
    """Raise InputError if torchvision is not installed or has no such network in `torchvision.models`."""
    models = require_package("torchvision.models", "encoders")
    known = models.list_models(module=getattr(models, module))
    if network not in known:
        raise InputError(f"`{key}` = {network} is not one of torchvision's: {', '.join(known)}")


def load_torchvision(network: str, weights: Weights, machine: Machine, **options: Any) -> Any:
    """Return a torchvision detection network with weights from a file; the same one for the same file.

    Args:
        options: of the network's constructor.

    Raises:
        InputError: the file is not there, or does not fit the network.
        NoRoomError: the network does not fit into the GPU's memory.
    """
    path = weights.require()
    stat = path.stat()
    with on_loading(f"torchvision's {network}"):
        return _load(
            network, str(path), stat.st_size, stat.st_mtime_ns,
            _has_epsilon_0(network, weights.digest), machine, tuple(options.items()),
        )  # fmt: skip


def _has_epsilon_0(network: str, digest: str) -> bool:
    """Whether these are published weights that torchvision runs without the epsilon of normalisation.

    They were trained so; torchvision sets it when it loads them itself.

    Args:
        digest: the first digits of the file's SHA-256; what the file is called does not matter.
    """
    if network not in _WITHOUT_EPSILON:
        return False
    models = require_package("torchvision.models", "encoders")
    published = Path(models.get_model_weights(network).COCO_V1.url).stem  # NAME-DIGITS
    return digest.startswith(published.rpartition("-")[2])


@lru_cache(maxsize=8)
def _load(
    network: str,
    path: str,
    size_bytes: int,
    mtime_ns: int,
    has_epsilon_0: bool,
    machine: Machine,
    options: tuple[tuple[str, Any], ...],
) -> Any:
    import torch

    models = require_package("torchvision.models", "encoders")
    model = models.get_model(network, weights=None, weights_backbone=None, **dict(options))
    if has_epsilon_0:
        for layer in model.backbone.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.eps = 0.0
    try:
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # pickles fail in many ways
        text = " ".join(str(error).split())[:200]
        raise InputError(f"{path} does not hold the weights of torchvision's {network} ({text})") from None
    return model.eval().to(machine.torch_device())


def run_torchvision(
    network: Any, images_rgb: Sequence[NDArray[np.uint8]], machine: Machine, batch_size: int
) -> list[dict[str, Any]]:
    """Run a detection network on images (H, W, 3) uint8 RGB; return its results in their pixels."""
    import torch

    device = machine.torch_device()

    def run(batch: Sequence[NDArray[np.uint8]]) -> list[dict[str, Any]]:
        tensors = [torch.from_numpy(np.ascontiguousarray(image)).to(device) for image in batch]
        with torch.inference_mode():
            results: list[dict[str, Any]] = network([t.permute(2, 0, 1).float() / 255 for t in tensors])
        return results

    batches = run_batches(run, cut(images_rgb, batch_size), type(network).__name__)
    return [result for results in batches for result in results]
