"""torchvision's networks against direct calls, with random weights."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mulde.data.errors import InputError
from mulde.extractors.base import Objects
from mulde.extractors.boxes.torchvision import COCO_80, COCO_91, TorchvisionDetector, _has_epsilon_0
from mulde.extractors.networks.machine import Machine
from mulde.extractors.scene import SceneModel
from mulde.extractors.settings import (
    ArrivalSettings,
    FlowSettings,
    PoseSettings,
    TorchvisionBoxSettings,
    WindowSettings,
)
from mulde.extractors.streams.pose import Pose
from mulde.extractors.streams.site import Site

pytest.importorskip("torchvision", reason="the extra `encoders` is not installed")
Images = list[NDArray[np.uint8]]
NETWORK = "ssdlite320_mobilenet_v3_large"
CONFIDENCE = 0.1


@pytest.fixture(scope="module")
def detector(machine: Machine) -> TorchvisionDetector:
    """The smallest network, with random weights in a file."""
    import torch
    from torchvision.models import get_model

    torch.manual_seed(0)
    path = machine.weights_folder / "random-ssd.pth"
    path.parent.mkdir(parents=True, exist_ok=True)
    network = get_model(NETWORK, weights=None, weights_backbone=None)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0  # one batch normalises activations, which die away in a random network
    with torch.no_grad():
        network.head.train()(list(network.backbone.train()(torch.rand(4, 3, 320, 320)).values()))
        for layer in network.head.classification_head.module_list:
            layer[-1].weight *= 5.0
    torch.save(network.state_dict(), path)
    options = TorchvisionBoxSettings(NETWORK, str(path), confidence=CONFIDENCE)
    return TorchvisionDetector.from_settings(options, machine)


def test_no_image_gives_no_detections(detector: TorchvisionDetector) -> None:
    assert detector.detect([]) == []


def test_equals_a_direct_call(detector: TorchvisionDetector, colourful: Images) -> None:
    import torch
    from torchvision.models import get_model
    from torchvision.transforms.functional import to_tensor

    network = get_model(NETWORK, weights=None, weights_backbone=None).eval()
    network.load_state_dict(torch.load(detector.weights.require(), weights_only=True))
    for found, image in zip(detector.detect(colourful), colourful, strict=True):
        with torch.inference_mode():
            expected = network([to_tensor(image)])[0]
        kept = (expected["scores"] >= CONFIDENCE) & torch.tensor(
            [bool(COCO_91[k - 1]) for k in expected["labels"]]
        )
        assert kept.sum() > 5
        # a batch of three agrees with single images to a thousandth of a pixel
        boxes = expected["boxes"][expected["scores"] >= CONFIDENCE]
        np.testing.assert_allclose(found.box_xyxy, boxes, atol=1e-3)
        names = [COCO_80[k] for k in found.class_id if k >= 0]
        assert names == [COCO_91[k - 1] for k in expected["labels"][kept]]


def test_classes_are_numbered_as_yolo_does() -> None:
    assert len(COCO_91) == 90
    assert len(COCO_80) == 80
    assert (COCO_80[0], COCO_80[1], COCO_80[2], COCO_80[79]) == ("person", "bicycle", "car", "toothbrush")
    from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

    theirs = FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"][1:]
    assert [name if name != "N/A" else "" for name in theirs] == list(COCO_91)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"network": "fasterrcnn"},
            r"`boxes\.torchvision\.network` = fasterrcnn is not one of .*: .*fasterrcnn_resnet50_fpn",
        ),
        (
            {"classes": ("persn",)},
            r"`boxes\.torchvision\.classes` has persn, but COCO's classes are person, bicycle",
        ),
    ],
)
def test_mistakes_are_named(detector: TorchvisionDetector, options: dict[str, object], message: str) -> None:
    settings = TorchvisionBoxSettings(**{"network": NETWORK, "weights": detector.options.weights, **options})  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message):
        TorchvisionDetector.from_settings(settings, detector.machine).check()


def test_weights_of_another_network_are_refused(
    detector: TorchvisionDetector, tmp_path: Path, colourful: Images
) -> None:
    other = tmp_path / "other.pth"
    other.write_bytes(b"nothing")
    options = TorchvisionBoxSettings(NETWORK, str(other))
    with pytest.raises(InputError, match=r"other\.pth does not hold the weights of torchvision's ssdlite"):
        TorchvisionDetector.from_settings(options, detector.machine).detect(colourful)


@pytest.mark.slow  # 59 million random numbers
def test_poses_by_keypoint_rcnn(machine: Machine, colourful: Images, tmp_path: Path) -> None:
    import torch
    from torchvision.models import get_model

    torch.manual_seed(0)
    network = get_model("keypointrcnn_resnet50_fpn", weights=None, weights_backbone=None)
    path = tmp_path / "random.pth"
    torch.save(network.state_dict(), path)
    options = PoseSettings(network="torchvision", weights=str(path), confidence=0.01, min_overlap=0.01)
    scene = SceneModel((64, 48), np.full((1, 48, 64), 128, np.uint8), 20.0, 0.0, (20.0, 20.0), aspect=0.5)
    pose = Pose.build(
        options, Site(scene, machine, FlowSettings(), WindowSettings(), ArrivalSettings(), 10.0)
    )
    pose.check()
    objects = Objects(np.array([[10, 5, 60, 45]], np.float32), np.ones((1, 1), np.float32))
    rows = pose.describe(colourful[:1], 0, objects)
    assert rows.shape == (1, 34 + 17)
    assert rows.dtype == np.float32


def test_epsilon_is_left_out_where_torchvision_leaves_it_out() -> None:
    """Its builders call `overwrite_eps` for weights that they load themselves; we load the same files."""
    from torchvision.models import detection, get_model_builder, get_model_weights, list_models

    for network in list_models(module=detection):
        published = Path(get_model_weights(network).DEFAULT.url)
        source = inspect.getsource(inspect.unwrap(get_model_builder(network)))
        digest = published.stem.rpartition("-")[2] + "01234567"
        assert _has_epsilon_0(network, digest) == ("overwrite_eps(" in source), network
        assert not _has_epsilon_0(network, "0123456789abcdef")
