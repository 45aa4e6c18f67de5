"""Poses: crops and back, who belongs to which box, what is not a person, real people."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from mulde.data.features import FeatureRows
from mulde.data.video import Frame
from mulde.extractors.base import Moment, Objects
from mulde.extractors.boxes.yolo import YoloDetector
from mulde.extractors.networks.machine import Machine
from mulde.extractors.networks.weights import Weights
from mulde.extractors.one_pass import OnePass
from mulde.extractors.settings import PoseSettings, YoloSettings
from mulde.extractors.streams.pose import (
    Persons,
    Pose,
    PoseNetwork,
    YoloPose,
    crop_square,
    match,
)

Images = list[NDArray[np.uint8]]
GOLDEN = Path(__file__).parents[1] / "networks" / "golden_preprocessing.json"


def boxes(*rows: Sequence[float]) -> NDArray[np.float32]:
    return np.array(rows, np.float32).reshape(-1, 4)


def detected(*rows: Sequence[float], class_id: Sequence[int]) -> Objects:
    measures = np.array([[0.5, 0.9, number] for number in class_id], np.float32).reshape(-1, 3)
    return Objects(boxes(*rows), measures)


def persons(*rows: Sequence[float]) -> Persons:
    """Persons whose key points are numbered: those of the first are 0, of the second 1, …"""
    points = np.arange(len(rows), dtype=np.float32)[:, None, None]
    return Persons(boxes(*rows), np.broadcast_to(points, (len(rows), 17, 3)).copy())


@pytest.mark.parametrize(
    ("seen", "asked", "expected"),
    [
        ([], [], []),
        ([], [[0, 0, 10, 10]], [None]),
        ([[0, 0, 10, 10]], [], []),
        ([[0, 0, 10, 10]], [[0, 0, 10, 10]], [0]),
        ([[0, 0, 10, 10]], [[50, 50, 60, 60]], [None]),
        ([[0, 0, 10, 10], [20, 0, 30, 10]], [[21, 0, 31, 10], [0, 0, 10, 9]], [1, 0]),
        ([[0, 0, 10, 10]], [[0, 0, 10, 6], [0, 0, 10, 9]], [None, 0]),  # one person, the better box
    ],
)
def test_each_box_gets_the_person_that_overlaps_most(
    seen: list[list[float]], asked: list[list[float]], expected: list[int | None]
) -> None:
    found = match(persons(*seen), boxes(*asked), 0.3)
    assert found.shape == (len(asked), 17, 3)
    for points, person in zip(found, expected, strict=True):
        np.testing.assert_array_equal(points, np.nan if person is None else float(person))


@pytest.mark.parametrize("box", [[30, 20, 40, 45], [0, 0, 12, 12], [80, 40, 120, 90], [5, 5, 5, 5]])
@pytest.mark.parametrize("size", [32, 192])
def test_crop_and_back(box: list[float], size: int) -> None:
    """A point that is bright in the frame is bright in the crop where `in_frame` says."""
    image = np.zeros((60, 100, 3), np.uint8)
    image[:, :, 1] = np.arange(100)
    crop = crop_square(image, np.array(box, np.float32), size)
    assert crop.rgb.shape == (size, size, 3)
    points = np.full((1, 17, 3), size / 2, np.float32)
    back = crop.in_frame(Persons(boxes([0, 0, size, size]), points))
    x, y, _ = back.points[0, 0]
    assert abs(x - (box[0] + box[2]) / 2) <= 1
    assert abs(y - (box[1] + box[3]) / 2) <= 1
    if 1 < x < 99 and 1 < y < 59:
        assert abs(float(crop.rgb[size // 2, size // 2, 1]) - x) <= 1.5


class Fixed(PoseNetwork):
    """Sees one person, in the middle half of the crop, whose points are its corners and its middle."""

    def check(self) -> None: ...

    def persons(self, images_rgb: Sequence[NDArray[np.uint8]], size_px: int) -> list[Persons]:
        a, b, c = size_px / 4, size_px * 3 / 4, size_px / 2
        points = np.array([[a, a, 0.5], [b, b, 0.6]] + 15 * [[c, c, 0.7]], np.float32)
        return [Persons(boxes([a, a, b, b]), points[None]) for _ in images_rgb]


def fixed(machine: Machine, **options: object) -> Pose:
    weights = Weights("fixed", None, machine.weights_folder)
    return Pose(Fixed(weights, PoseSettings(**options), machine))  # type: ignore[arg-type]


@pytest.mark.parametrize("box", [[40, 20, 60, 40], [10, 10, 14, 14], [300, 100, 380, 180]])
def test_points_are_relative_to_the_box_in_its_heights(machine: Machine, box: list[float]) -> None:
    image = np.zeros((200, 400, 3), np.uint8)
    objects = detected(box, class_id=[0])
    row = fixed(machine).describe([image], 0, objects)[0]
    points = row[:34].reshape(17, 2)
    np.testing.assert_allclose(points[:3], [[-0.5, -0.5], [0.5, 0.5], [0, 0]], atol=1e-5)
    np.testing.assert_allclose(row[34:], [0.5, 0.6] + 15 * [0.7], rtol=1e-6)


@pytest.mark.parametrize("with_confidence", [True, False])
def test_confidence_of_points_is_kept_as_a_feature_or_beside_them(
    machine: Machine, with_confidence: bool
) -> None:
    pose = fixed(machine, with_confidence=with_confidence)
    objects = detected([40, 20, 60, 40], [10, 10, 14, 14], class_id=[0, 3])
    known = FeatureRows(objects.measures, np.zeros(2, np.int64), objects.box_xyxy)
    parts: list[FeatureRows] = []
    one_pass = OnePass([(pose, parts.append)], known_objects=known)
    one_pass.push(one_pass.prepare(Frame.of_rgb(0, 0.0, np.zeros((200, 400, 3), np.uint8))))
    one_pass.finish()
    (rows,) = parts
    assert (rows.n_features, pose.n_features) == (51, 51) if with_confidence else (34, 34)
    kept = rows.features[:, 34:] if with_confidence else rows.extra
    assert kept is not None
    np.testing.assert_allclose(kept[0], [0.5, 0.6] + 15 * [0.7], rtol=1e-6)
    assert np.isnan(kept[1]).all()


def test_what_is_no_person_has_no_pose(machine: Machine) -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    objects = detected([10, 10, 30, 30], [50, 50, 70, 70], [20, 60, 40, 80], class_id=[2, 0, -1])
    rows = fixed(machine).describe([image], 0, objects)
    np.testing.assert_array_equal(np.isnan(rows).all(axis=1), [True, False, True])
    from_motion = Objects(objects.box_xyxy, objects.measures[:, :1])  # no detector was asked
    assert not np.isnan(fixed(machine).describe([image], 0, from_motion)).any()


def test_person_in_whom_the_network_sees_nobody_has_a_row_of_nan(
    random_yolo: Callable[[str], Weights], machine: Machine
) -> None:
    pose = Pose(YoloPose(random_yolo("pose"), PoseSettings(confidence=0.999, crop_size_px=64), machine))
    rows = pose.describe([np.zeros((50, 60, 3), np.uint8)], 0, detected([0, 0, 20, 40], class_id=[0]))
    assert rows.shape == (1, 34 + 17)
    assert np.isnan(rows).all()


@pytest.mark.parametrize("run_on", ["crops", "frames"])
def test_no_object_and_no_person(
    random_yolo: Callable[[str], Weights], machine: Machine, run_on: Literal["crops", "frames"]
) -> None:
    pose = Pose(YoloPose(random_yolo("pose"), PoseSettings(run_on=run_on, image_size_px=64), machine))
    moments = [Moment(t, [np.zeros((50, 60, 3), np.uint8)], 0) for t in range(2)]
    described = pose.describe_batch(moments, [detected(class_id=[]), detected([0, 0, 9, 9], class_id=[7])])
    assert [rows.shape for rows in described] == [(0, 51), (1, 51)]


def test_preprocessing_of_crops_has_not_drifted(machine: Machine, colourful: Images) -> None:
    """The golden file holds the mean of each sixteenth of the crop, by channel; beyond the border is grey."""
    crop = crop_square(colourful[0], np.array([60, 10, 85, 50], np.float32), 64).rgb
    pooled = crop.reshape(4, 16, 4, 16, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(pooled, json.loads(GOLDEN.read_text())["pose_crop"], atol=0.05)


def test_real_people_have_poses_whichever_way(
    real_weights: Callable[[str], Weights], machine: Machine, ped2_frames: Images
) -> None:
    frames = ped2_frames[:2]
    detector = YoloDetector(
        real_weights("yolov8n_dequant.pt"), YoloSettings(classes=("person",), confidence=0.6), machine
    )
    objects = [
        detected(*found.box_xyxy, class_id=[0] * len(found.box_xyxy)) for found in detector.detect(frames)
    ]
    assert sum(map(len, objects)) >= 10
    moments = [Moment(t, [frame], 0) for t, frame in enumerate(frames)]
    options = PoseSettings()
    network = YoloPose(real_weights("yolo11n-pose_dequant.pt"), options, machine)
    on_crops = np.concatenate(Pose(network).describe_batch(moments, objects))
    on_frames = np.concatenate(
        Pose(replace(network, options=replace(options, run_on="frames"))).describe_batch(moments, objects)
    )
    on_crops, on_frames = on_crops[:, :34], on_frames[:, :34]
    both = ~np.isnan(on_crops[:, 0]) & ~np.isnan(on_frames[:, 0])
    assert both.mean() > 0.8
    # the two looks agree on where limbs are to within a tenth of the person's height, most of the time
    assert np.median(np.abs(on_crops[both] - on_frames[both])) < 0.05
    # a batch of one crop at a time gives the same to a ten-thousandth of a height
    alone = Pose(replace(network, options=replace(options, batch_size=1))).describe_batch(moments, objects)
    np.testing.assert_allclose(np.concatenate(alone)[:, :34], on_crops, atol=1e-4)
    head, feet = on_crops[both].reshape(-1, 17, 2)[:, 0, 1], on_crops[both].reshape(-1, 17, 2)[:, 15:, 1]
    assert (head < feet.min(axis=1)).mean() > 0.9
