"""Flow, speed and direction of known motion."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import pytest

from mulde.data.video import Frame
from mulde.extractors.base import Objects
from mulde.extractors.settings import VelocitySettings
from mulde.extractors.streams.flow import DenseFlow, FlowField, mean_flow, suitable_scale
from mulde.extractors.streams.velocity import Direction, Velocity

BOX = np.array([[30, 30, 90, 70]], np.float32)


def shifted(dx: float, dy: float, n_frames: int = 2) -> list[Frame]:
    """A smooth random texture that moves by (dx, dy) pixels a frame."""
    rng = np.random.default_rng(3)
    texture = cv2.GaussianBlur(rng.integers(0, 256, (140, 180), np.uint8), (0, 0), 2)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
    frames = []
    for t in range(n_frames):
        move = np.array([[1, 0, t * dx - 30], [0, 1, t * dy - 20]], np.float32)
        moved = cv2.warpAffine(texture, move, (120, 100), flags=cv2.INTER_CUBIC)
        frames.append(Frame(t, t / 10, np.repeat(moved[..., None], 3, axis=2)))
    return frames


def flow_of(frames: list[Frame], scale: float) -> FlowField:
    step = DenseFlow("medium", scale).start()
    fields = [step(frame) for frame in frames]
    assert fields[0] is None
    assert fields[1] is not None
    return fields[1]


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("motion", [(0, 0), (3, 0), (-2, 1.5), (0.5, -2)])
def test_vectors_are_in_original_pixels_whatever_the_scale(motion: tuple[float, float], scale: float) -> None:
    field = flow_of(shifted(*motion), scale)
    mean = field.box_means(field.vectors_px, BOX)[0]
    np.testing.assert_allclose(mean, motion, atol=0.2)  # DIS is off by up to 0.22 px on known motion


@pytest.mark.parametrize(("direction", "bin_index"), [((2, 0), 0), ((0, 2), 1), ((-2, 0), 2), ((0, -2), 3)])
def test_magnitude_falls_into_the_bin_of_its_direction(
    direction: tuple[float, float], bin_index: int
) -> None:
    field = FlowField(np.full((100, 120, 2), direction, np.float32), (1.0, 1.0))
    velocity = Velocity(DenseFlow(), 0, VelocitySettings("lengths", 4, with_coverage=False))
    row = velocity.describe([field], 0, Objects(BOX, np.zeros((1, 1), np.float32)))[0]
    np.testing.assert_allclose(row, np.eye(4)[bin_index] * 2)


def test_histogram_sums_to_the_mean_speed() -> None:
    rng = np.random.default_rng(0)
    field = FlowField(rng.normal(size=(100, 120, 2)).astype(np.float32), (1.0, 1.0))
    objects = Objects(BOX, np.zeros((1, 1), np.float32))
    rows = [
        Velocity(DenseFlow(), 0, VelocitySettings("lengths", n_bins, with_coverage=False)).describe(
            [field], 0, objects
        )
        for n_bins in (1, 3, 8)
    ]
    speed = np.hypot(field.vectors_px[30:70, 30:90, 0], field.vectors_px[30:70, 30:90, 1]).mean()
    np.testing.assert_allclose([row.sum() for row in rows], speed, rtol=1e-5)


def test_coverage_is_the_last_column() -> None:
    field = FlowField(np.zeros((100, 120, 2), np.float32), (1.0, 1.0))
    velocity = Velocity(DenseFlow(), 0, VelocitySettings())
    row = velocity.describe([field], 0, Objects(BOX, np.array([[0.25]], np.float32)))[0]
    np.testing.assert_allclose(row, [0, 0.25])


def test_flow_is_averaged_over_the_frames_that_have_one() -> None:
    fields = [FlowField(np.full((4, 4, 2), value, np.float32), (1.0, 1.0)) for value in (1, 3)]
    averaged = mean_flow([None, *fields])
    assert averaged is not None
    np.testing.assert_allclose(averaged.vectors_px, 2)
    assert mean_flow([None]) is None


@pytest.mark.parametrize(("average", "speed"), [("vectors", 0), ("lengths", 1)])
def test_opposite_motion_cancels_in_vectors_and_not_in_lengths(
    average: Literal["vectors", "lengths"], speed: float
) -> None:
    vectors = np.zeros((100, 120, 2), np.float32)
    vectors[:, :60, 0], vectors[:, 60:, 0] = 1, -1
    field = FlowField(vectors, (1.0, 1.0))
    objects = Objects(BOX, np.zeros((1, 1), np.float32))
    np.testing.assert_allclose(Direction(DenseFlow(), 0).describe([field], 0, objects), [[0, 0]], atol=1e-6)
    velocity = Velocity(DenseFlow(), 0, VelocitySettings(average, with_coverage=False))
    np.testing.assert_allclose(velocity.describe([field], 0, objects), [[speed]], atol=1e-6)


def test_speed_is_the_length_of_the_mean_vector() -> None:
    field = FlowField(np.full((100, 120, 2), (3, -4), np.float32), (1.0, 1.0))
    velocity = Velocity(DenseFlow(), 0, VelocitySettings(with_coverage=False))
    row = velocity.describe([field], 0, Objects(BOX, np.zeros((1, 1), np.float32)))
    np.testing.assert_allclose(row, [[5]], rtol=1e-6)


def test_directions_need_lengths() -> None:
    with pytest.raises(ValueError, match="set average=lengths"):
        VelocitySettings(n_bins=8)


@pytest.mark.parametrize(
    ("height", "frame_size", "scale"),
    [
        (10, (360, 240), 2.0),
        (30, (360, 240), 2.0),
        (60, (640, 480), 1.0),
        (75, (640, 480), 0.75),
        (1000, (640, 480), 0.25),
        (30, (1920, 1080), 0.5),  # more would take a second a frame
        (30, (3840, 2160), 0.25),
        (30, (20_000, 20_000), 0.25),
    ],
)
def test_suitable_scale(height: float, frame_size: tuple[int, int], scale: float) -> None:
    assert suitable_scale(height, frame_size) == scale


@pytest.mark.parametrize(
    ("per_height", "speeds"), [("no", [4, 4, 4]), ("persons", [0.1, 4, 4]), ("all", [0.1, 0.2, 0.4])]
)
def test_speed_in_heights_of_persons_or_of_all(
    per_height: Literal["no", "persons", "all"], speeds: list[float]
) -> None:
    field = FlowField(np.full((100, 120, 2), (4, 0), np.float32), (1.0, 1.0))
    boxes = np.array([[10, 10, 30, 50], [40, 10, 60, 30], [80, 10, 90, 20]], np.float32)
    measures = np.array([[0.5, 0.9, 0], [0.5, 0.9, 1], [0.5, np.nan, -1]], np.float32)  # a person, a bicycle
    velocity = Velocity(DenseFlow(), 0, VelocitySettings(with_coverage=False, per_height=per_height))
    rows = velocity.describe([field], 0, Objects(boxes, measures))
    np.testing.assert_allclose(rows[:, 0], speeds, rtol=1e-6)
