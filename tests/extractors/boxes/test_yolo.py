"""YOLO against direct calls of ultralytics, and against a letterbox of our own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mulde.data.errors import InputError
from mulde.extractors.boxes.geometry import intersection_over_union
from mulde.extractors.boxes.yolo import YoloDetector, load_yolo, person_class
from mulde.extractors.networks.machine import Machine
from mulde.extractors.networks.weights import Weights, find_weights
from mulde.extractors.settings import YoloSettings

RandomYolo = Callable[[str], Weights]
Images = list[NDArray[np.uint8]]
SMALL = YoloSettings(image_size_px=96, confidence=0.51, batch_size=3)
GOLDEN = Path(__file__).parents[1] / "networks" / "golden_preprocessing.json"


def direct(weights: Weights, image_rgb: NDArray[np.uint8], **options: Any) -> NDArray[np.float32]:
    """What ultralytics gives for one image, by nothing but its own interface: (n, 6)."""
    import ultralytics

    model = ultralytics.YOLO(str(weights.path))
    result = model.predict(image_rgb[..., ::-1].copy(), device="cpu", verbose=False, **options)[0]
    boxes: NDArray[np.float32] = result.boxes.data.numpy()
    return boxes


def test_no_image_gives_no_detections(random_yolo: RandomYolo, machine: Machine) -> None:
    assert YoloDetector(random_yolo("detect"), SMALL, machine).detect([]) == []


def test_equals_a_direct_call(random_yolo: RandomYolo, machine: Machine, colourful: Images) -> None:
    weights = random_yolo("detect")
    (found,) = YoloDetector(weights, SMALL, machine).detect(colourful[:1])
    expected = direct(weights, colourful[0], imgsz=96, conf=0.51, iou=0.7)
    assert len(expected) > 10
    np.testing.assert_array_equal(found.box_xyxy, expected[:, :4])
    np.testing.assert_array_equal(found.confidence, expected[:, 4])
    np.testing.assert_array_equal(found.class_id, expected[:, 5])


def test_equals_a_direct_call_on_real_footage(
    real_weights: Callable[[str], Weights], machine: Machine, ped2_frames: Images
) -> None:
    weights = real_weights("yolov8n_dequant.pt")
    options = YoloSettings(classes=("person",), image_size_px=320, confidence=0.3)
    for found, frame in zip(
        YoloDetector(weights, options, machine).detect(ped2_frames), ped2_frames, strict=True
    ):
        expected = direct(weights, frame, imgsz=320, conf=0.3, iou=0.7, classes=[0])
        assert len(expected) > 1
        np.testing.assert_array_equal(found.box_xyxy, expected[:, :4])


def test_bfloat16_finds_the_same_people(
    real_weights: Callable[[str], Weights], machine: Machine, ped2_frames: Images
) -> None:
    weights = real_weights("yolov8n_dequant.pt")
    exact, mixed = (
        YoloDetector(weights, YoloSettings(confidence=confidence, precision=precision), machine).detect(
            ped2_frames
        )
        for confidence, precision in ((0.3, "float32"), (0.25, "bfloat16"))
    )
    overlaps = [
        intersection_over_union(first.box_xyxy, second.box_xyxy).max(axis=1)
        for first, second in zip(exact, mixed, strict=True)
    ]
    assert sum(map(len, overlaps)) > 30
    assert np.concatenate(overlaps).min() > 0.8
    assert not np.array_equal(exact[0].confidence[:5], mixed[0].confidence[:5])  # it was not float32


def test_batch_size_does_not_matter(random_yolo: RandomYolo, machine: Machine, colourful: Images) -> None:
    detector = YoloDetector(random_yolo("detect"), SMALL, machine)
    together = detector.detect(colourful)
    for image, among in zip(colourful, together, strict=True):
        (alone,) = detector.detect([image])
        np.testing.assert_array_equal(alone.box_xyxy, among.box_xyxy)
        np.testing.assert_array_equal(alone.confidence, among.confidence)


def test_network_sees_the_picture_as_it_was_trained_to(
    random_yolo: RandomYolo, machine: Machine, colourful: Images
) -> None:
    """Red first, 0 to 1, longer side scaled to the size, the rest grey up to a multiple of the stride."""
    weights = random_yolo("detect")
    seen = seen_by_network(
        weights, machine, "detect", lambda: YoloDetector(weights, SMALL, machine).detect(colourful[:1])
    )
    resized = cv2.resize(colourful[0], (96, 57), interpolation=cv2.INTER_LINEAR)  # 53 x 90 -> 57 x 96
    expected = np.full((64, 96, 3), 114, np.uint8)
    expected[3:60] = resized  # 7 rows of grey: 3 above, 4 below
    np.testing.assert_allclose(seen[0].transpose(1, 2, 0), expected / 255.0, atol=1e-6)


def test_preprocessing_has_not_drifted(random_yolo: RandomYolo, machine: Machine, colourful: Images) -> None:
    """The golden file holds the mean of each eighth of what the network sees, by channel."""
    weights = random_yolo("detect")
    seen = seen_by_network(
        weights, machine, "detect", lambda: YoloDetector(weights, SMALL, machine).detect(colourful)
    )
    pooled = seen.reshape(3, 3, 4, 16, 2, 48).mean(axis=(3, 5))  # (n, channel, 4, 2)
    golden = np.array(json.loads(GOLDEN.read_text())["yolo"])
    np.testing.assert_allclose(pooled, golden, atol=1e-3)


def seen_by_network(
    weights: Weights, machine: Machine, task: str, run: Callable[[], object]
) -> NDArray[np.float32]:
    """Return the tensor (n, 3, H, W) that reaches the network's first layer."""
    run()  # the network exists once it has run
    seen: list[NDArray[np.float32]] = []
    first = load_yolo(weights, machine, task).predictor.model.model.model[0]
    hook = first.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].numpy().copy()))
    run()
    hook.remove()
    return np.concatenate(seen)


def test_unknown_class_is_named(random_yolo: RandomYolo, machine: Machine, colourful: Images) -> None:
    detector = YoloDetector(random_yolo("detect"), YoloSettings(classes=("persn",)), machine)
    with pytest.raises(InputError, match=r"persn, but the classes that .* knows are 0, 1, 2"):
        detector.detect(colourful[:1])


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["person", "bicycle", "car"], [0, 1, 2]),
        (["car", "bicycle", "person"], [2, 1, 0]),
        (["car", "bicycle", "Person"], [2, 1, 0]),
        (["car", "bicycle", "dog"], [3, 1, 2]),  # nothing is a person
        (["class0", "class1", "class2"], [0, 1, 2]),  # an export that lost its names
    ],
)
def test_a_person_is_0_whatever_the_networks_number(names: list[str], expected: list[int]) -> None:
    import torch

    person = person_class(dict(enumerate(names)))
    boxes = SimpleNamespace(data=torch.tensor([[0, 0, 1, 1, 0.9, k] for k in range(3)]))
    weights = Weights("my.pt", Path("my.pt"), Path("weights"))
    found = YoloDetector(weights, SMALL)._detections(boxes, person, 3)
    assert found.class_id.tolist() == expected


def test_precision_of_exported_weights_is_their_own(machine: Machine, tmp_path: Path) -> None:
    exported = tmp_path / "my.onnx"
    exported.write_bytes(b"")
    weights = find_weights(str(exported), machine.weights_folder)
    with pytest.raises(InputError, match=r"`boxes\.yolo\.precision`=bfloat16 does nothing for .*my\.onnx"):
        YoloDetector(weights, YoloSettings(precision="bfloat16"), machine).check()


def write_onnx(path: Path, **metadata: str) -> Path:
    """Write a network that gives its input back, 416 px wide, with what an exporter says of it."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    shape, helper = [1, 3, 416, 416], onnx.helper
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "same", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, metadata)
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, r"my\.onnx is no export of ultralytics.*`yolo export`"),
        ({"task": "pose"}, "is a network for pose, but one for detect is needed"),
        ({"task": "detect"}, r"takes images of 416 px alone: set `boxes\.yolo\.image_size_px`=416"),
    ],
)
def test_onnx_that_would_find_nothing_is_refused(
    machine: Machine, tmp_path: Path, metadata: dict[str, str], message: str
) -> None:
    pytest.importorskip("ultralytics")
    weights = find_weights(str(write_onnx(tmp_path / "my.onnx", **metadata)), machine.weights_folder)
    with pytest.raises(InputError, match=message):
        YoloDetector(weights, YoloSettings(), machine).check()
    if metadata == {"task": "detect"}:
        YoloDetector(weights, YoloSettings(image_size_px=416), machine).check()


@pytest.mark.parametrize("content", [b"", b"no network"])
@pytest.mark.usefixtures("random_yolo")
def test_damaged_weights_are_named(
    tmp_path: Path, machine: Machine, colourful: Images, content: bytes
) -> None:
    path = tmp_path / "broken.pt"
    path.write_bytes(content)
    detector = YoloDetector(find_weights(str(path), machine.weights_folder), SMALL, machine)
    with pytest.raises(InputError, match=r"broken\.pt cannot be loaded as a YOLO network"):
        detector.detect(colourful[:1])


def test_network_for_another_task_is_refused(
    random_yolo: RandomYolo, machine: Machine, colourful: Images
) -> None:
    with pytest.raises(InputError, match="is a network for pose, but one for detect is needed"):
        YoloDetector(random_yolo("pose"), SMALL, machine).detect(colourful[:1])


def test_same_content_is_the_same_weights_wherever_it_is(
    random_yolo: RandomYolo, machine: Machine, tmp_path: Path
) -> None:
    weights = random_yolo("detect")
    copy = tmp_path / "copy.pt"
    assert weights.path is not None
    copy.write_bytes(weights.path.read_bytes())
    moved = find_weights(str(copy), machine.weights_folder)
    settings = [YoloDetector(each, SMALL, machine).settings() for each in (weights, moved)]
    assert settings[0] == settings[1]
    copy.write_bytes(weights.path.read_bytes() + b"\0")
    assert find_weights(str(copy), machine.weights_folder).digest != weights.digest


def test_ultralytics_stays_offline_and_out_of_the_home_folder(
    random_yolo: RandomYolo, machine: Machine
) -> None:
    random_yolo("detect")
    from ultralytics.utils import AUTOINSTALL, ONLINE, SETTINGS, USER_CONFIG_DIR

    assert not ONLINE
    assert not AUTOINSTALL
    assert not SETTINGS["sync"]
    assert machine.weights_folder in Path(USER_CONFIG_DIR).parents
