"""Flow, speed, direction and place of known motion."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mulde.data.video import Frame
from mulde.extractors.base import Objects
from mulde.extractors.movement import Movement
from mulde.extractors.preparer import prepare_with
from mulde.extractors.scene import SceneModel
from mulde.extractors.settings import PlaceSettings, VelocitySettings
from mulde.extractors.streams.flow import (
    DenseFlow,
    FlowField,
    MeanFlow,
    mean_flow,
    n_coarser_scales,
    part_around,
)
from mulde.extractors.streams.velocity import Direction, Place, Velocity

SIZE = (120, 100)
BOX = np.array([[30, 30, 90, 70]], np.float32)
SCENE = SceneModel(SIZE, np.zeros((1, 100, 120), np.uint8), 20.0, 0.0, (20.0, 20.0), 0.5)
FLOW = DenseFlow(Movement(SIZE, 10, 0.1))
OBJECTS = Objects(BOX, np.array([[0.25]], np.float32))


def field(
    vectors: object, moving: object = 1.0, seconds: float = 0.0, frame_size: tuple[int, int] = SIZE
) -> FlowField:
    """A flow field on a grid of half the size."""
    everywhere = np.broadcast_to(np.asarray(vectors, np.float32), (50, 60, 2)).copy()
    return FlowField(seconds, everywhere, np.broadcast_to(np.float32(moving), (50, 60)).copy(), frame_size)


def velocity(**options: object) -> Velocity:
    return Velocity(FLOW, 0.2, 2, SCENE, VelocitySettings(**options))  # type: ignore[arg-type]


def shifted(dx: float, dy: float, fps: float, n_frames: int = 3) -> list[Frame]:
    """A smooth random texture that moves by (dx, dy) pixels a second in one part of the picture."""
    rng = np.random.default_rng(3)
    texture = cv2.GaussianBlur(rng.integers(0, 256, (140, 180), np.uint8), (0, 0), 2)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
    frames = []
    for t in range(n_frames):
        move = np.array([[1, 0, t * dx / fps - 30], [0, 1, t * dy / fps - 20]], np.float32)
        moved = cv2.warpAffine(texture, move, SIZE, flags=cv2.INTER_CUBIC)
        moved[:, 48:] = 0
        frames.append(Frame.of_rgb(t, t / fps, np.repeat(moved[..., None], 3, axis=2)))
    return frames


@pytest.mark.parametrize("scale", [0.5, 1.0])
@pytest.mark.parametrize("fps", [10.0, 25.0])
@pytest.mark.parametrize("motion", [(0, 0), (30, 0), (-20, 15), (5, -20)])
def test_vectors_are_in_pixels_of_the_frame_a_second(
    motion: tuple[float, float], fps: float, scale: float
) -> None:
    movement = Movement((round(SIZE[0] * scale), round(SIZE[1] * scale)), 5, 0.05)
    step = prepare_with(DenseFlow(movement, "medium"))
    fields = [step(frame) for frame in shifted(*motion, fps)]
    assert fields[0].vectors is None
    flow = mean_flow([fields[-1]], 0, 0.0)
    if motion == (0, 0):
        assert fields[-1].vectors is None  # nothing moves
    mean = flow.of_moving(np.array([[10, 20, 38, 80]], np.float32))[0]
    np.testing.assert_allclose(
        mean[:2], motion, atol=0.5 * fps
    )  # DIS is off by up to 0.22 px on known motion


@pytest.mark.parametrize(("direction", "bin_index"), [((2, 0), 0), ((0, 2), 1), ((-2, 0), 2), ((0, -2), 3)])
@pytest.mark.parametrize("over", ["moving", "box"])
def test_lengths_fall_into_the_bin_of_their_direction(
    direction: tuple[float, float], bin_index: int, over: str
) -> None:
    row = velocity(over=over, n_bins=4).describe([field(direction)], 0, OBJECTS)[0]
    np.testing.assert_allclose(row, np.eye(4)[bin_index] * 2 / 20)


@pytest.mark.parametrize("over", ["moving", "box"])
def test_histogram_sums_to_the_mean_speed(over: str) -> None:
    rng = np.random.default_rng(0)
    flow = FlowField(
        0.0, rng.normal(size=(50, 60, 2)).astype(np.float32), rng.random((50, 60), np.float32), SIZE
    )
    rows = [velocity(over=over, n_bins=n).describe([flow], 0, OBJECTS) for n in (1, 3, 8)]
    assert flow.vectors is not None
    inside = np.s_[15:35, 15:45]
    weights = flow.moving[inside] if over == "moving" else np.ones((20, 30))
    speed = np.average(np.hypot(*np.moveaxis(flow.vectors, 2, 0))[inside], weights=weights)
    np.testing.assert_allclose([row.sum() for row in rows], speed / 20, rtol=1e-5)


def test_coverage_is_the_last_column() -> None:
    row = velocity(with_coverage=True).describe([field((0, 0))], 0, OBJECTS)[0]
    np.testing.assert_allclose(row, [0, 0.25])


def test_only_what_moves_counts_however_little_of_the_box_it_fills() -> None:
    vectors, moving = np.zeros((50, 60, 2), np.float32), np.zeros((50, 60), np.float32)
    vectors[20:30, 20:30], moving[20:30, 20:30] = (10, 0), 1
    flow = field(vectors, moving)
    np.testing.assert_allclose(velocity().describe([flow], 0, OBJECTS), [[0.5]], rtol=1e-6)
    np.testing.assert_allclose(velocity(over="box").describe([flow], 0, OBJECTS), [[0.5 / 6]], rtol=1e-6)


def test_nothing_moves_at_no_speed() -> None:
    still = FlowField(0.0, None, np.zeros((50, 60), np.float32), SIZE)
    np.testing.assert_array_equal(velocity().describe([still], 0, OBJECTS), [[0]])
    np.testing.assert_array_equal(Direction(FLOW, 0.2, 2, SCENE).describe([still], 0, OBJECTS), [[0, 0]])


def test_flow_is_averaged_over_the_frames_that_have_one_and_are_near_enough() -> None:
    still = FlowField(0.0, None, np.ones((50, 60), np.float32), SIZE)
    fields = [field(9, seconds=-0.3), still, field(1, seconds=0.1), field(3, seconds=0.2)]
    np.testing.assert_allclose(mean_flow(fields, 1, 0.2).vectors, 2)
    alone = FlowField(0.0, None, np.ones((50, 60), np.float32), SIZE)
    np.testing.assert_allclose(mean_flow([alone], 0, 0.2).vectors, 0)
    assert mean_flow(fields, 1, 0.2) is mean_flow(fields, 1, 0.2)  # all extractors share it


def test_lengths_are_the_same_wherever_in_memory_the_flow_lies() -> None:
    vectors = np.random.default_rng(0).normal(0, 3, (50, 61, 2)).astype(np.float32)
    expected = np.hypot(vectors[..., 0], vectors[..., 1])
    found = []
    for offset in range(16):
        there = np.empty(vectors.size + offset, np.float32)[offset:].reshape(vectors.shape)
        there[...] = vectors
        found.append(MeanFlow(there, np.ones((50, 61), np.float32), SIZE).lengths)
    np.testing.assert_allclose(found[0], expected, rtol=1e-6)
    for lengths in found[1:]:
        np.testing.assert_array_equal(lengths, found[0])


@pytest.mark.parametrize(
    ("size", "speed"),
    [
        ((1, 1), 0),
        ((9, 20), 0),
        ((28, 20), 30),
        ((31, 31), 30),
        ((44, 34), 30),
        ((48, 36), 30),
        ((65, 47), 30),
    ],
)
def test_pictures_of_any_size_have_a_flow(size: tuple[int, int], speed: float) -> None:
    step = prepare_with(DenseFlow(Movement(size, 5, 0.05)))
    fields = [step(frame) for frame in shifted(30, 0, 10.0)]
    found = mean_flow([fields[-1]], 0, 0.0).of_moving(np.array([[10, 20, 38, 80]], np.float32))[0]
    np.testing.assert_allclose(found, [speed, 0, speed], atol=speed / 2.5)


@pytest.mark.parametrize("n_times", [1, 2, 4])
def test_a_picture_that_is_shown_again_neither_stops_nor_doubles_a_speed(n_times: int) -> None:
    """Of a camera that gives 5 pictures a second, in a file that has 5 n: the frames are all looked at."""
    step = prepare_with(DenseFlow(Movement(SIZE, 5, 0.05)))
    pictures = shifted(30, 0, 5.0, n_frames=5)
    frames = [
        replace(picture, seconds=picture.seconds + k * 0.2 / n_times)
        for picture in pictures
        for k in range(n_times)
    ]
    fields = [step(frame) for frame in frames][2 * n_times :]  # from when it is known that something moves
    box = np.array([[10, 20, 38, 80]], np.float32)
    speeds = [mean_flow([field], 0, 0.0).of_moving(box)[0, 2] for field in fields]
    np.testing.assert_allclose(speeds, 30, atol=6)


@pytest.mark.parametrize(("preset", "off_by"), [("ultrafast", 1e-4), ("fast", 0.1), ("medium", 0.1)])
def test_flow_is_what_dis_gives_that_ends_at_half_the_picture(
    preset: Literal["ultrafast", "fast", "medium"], off_by: float
) -> None:
    first, second = shifted(30, -20, 10.0)[1:]
    step = prepare_with(DenseFlow(Movement(SIZE, 5, 0.05), preset))
    step(first)
    found = step(second).vectors
    engine = cv2.DISOpticalFlow.create(["ultrafast", "fast", "medium"].index(preset))
    engine.setFinestScale(1)
    enlarged = engine.calc(first.grey(SIZE), second.grey(SIZE), None)  # by 2, to the size of the picture
    halved = cv2.resize(enlarged, (60, 50), interpolation=cv2.INTER_AREA)
    assert found is not None
    moves = slice(None), slice(0, 22)  # with what is far from it, only smoothing is another
    np.testing.assert_allclose(found[moves], 10 * halved[moves], atol=off_by)


@pytest.mark.parametrize("at", [(2, 2), (150, 4), (276, 180)])
@pytest.mark.parametrize("step", [(4, 0), (-2, 4), (8, -2)])
@pytest.mark.parametrize("size", [(300, 200), (320, 216), (480, 270)])
def test_one_thing_in_a_still_picture_has_the_flow_that_the_whole_picture_gives(
    at: tuple[int, int], step: tuple[int, int], size: tuple[int, int]
) -> None:
    at = min(max(at[0], -step[0]), size[0] - 32), min(max(at[1], -step[1]), size[1] - 32)
    rng = np.random.default_rng(3)
    blurred = [
        cv2.GaussianBlur(rng.integers(0, 256, shape, np.uint8), (0, 0), 2) for shape in (size[::-1], (24, 24))
    ]
    street, thing = (
        cv2.normalize(each, None, 0, top, cv2.NORM_MINMAX)
        for each, top in zip(blurred, (100, 255), strict=True)
    )
    greys = [street.copy(), street.copy()]
    for t, grey in enumerate(greys):
        x, y = at[0] + t * step[0], at[1] + t * step[1]
        grey[y : y + 24, x : x + 24] = thing
    compute = prepare_with(DenseFlow(Movement(size, 10, 0.1)))
    first, second = (Frame.of_rgb(t, t / 10, cv2.merge([grey] * 3)) for t, grey in enumerate(greys))
    compute(first)
    found = compute(second)
    assert found.vectors is not None
    where = np.any(found.vectors, axis=2)
    assert where.mean() < 0.6  # the rest was not looked at
    assert where[found.moving > 0].all()
    halves = [
        cv2.resize(frame.grey(size), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        for frame in (first, second)
    ]
    engine = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    engine.setFinestScale(0)
    whole = 20 * engine.calc(*halves, None)
    inside = slice(at[1] // 2 + 3, at[1] // 2 + 9), slice(at[0] // 2 + 3, at[0] // 2 + 9)
    np.testing.assert_allclose(
        found.vectors[inside].mean(axis=(0, 1)), whole[inside].mean(axis=(0, 1)), atol=2
    )
    np.testing.assert_allclose(found.vectors[inside].mean(axis=(0, 1)), 10 * np.array(step), atol=4)


@given(rows=st.integers(16, 80), columns=st.integers(16, 140), data=st.data())
def test_the_part_around_what_moves_holds_it_and_has_all_scales(
    rows: int, columns: int, data: st.DataObject
) -> None:
    moving = np.zeros((rows, columns), np.float32)
    for _ in range(data.draw(st.integers(1, 3))):
        moving[data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))] = 1
    part = part_around(moving)
    assert moving[part].sum() == moving.sum()
    assert min(moving[part].shape) >= 16
    assert n_coarser_scales(*moving[part].shape) == n_coarser_scales(rows, columns)


def test_opposite_motion_cancels_in_direction_and_not_in_speed() -> None:
    vectors = np.zeros((50, 60, 2), np.float32)
    vectors[:, :30, 0], vectors[:, 30:, 0] = 20, -20
    direction = Direction(FLOW, 0.2, 2, SCENE).describe([field(vectors)], 0, OBJECTS)
    np.testing.assert_allclose(direction, [[0, 0]], atol=1e-6)
    np.testing.assert_allclose(velocity().describe([field(vectors)], 0, OBJECTS), [[1]], atol=1e-6)


@pytest.mark.parametrize(
    ("per_height", "speeds"),
    [("no", [0.1, 0.1, 0.1]), ("persons", [0.2, 0.1, 0.1]), ("all", [0.2, 0.4, 0.4])],
)
def test_speed_in_heights_of_persons_or_of_all(
    per_height: Literal["no", "persons", "all"], speeds: list[float]
) -> None:
    scene = SceneModel(SIZE, np.zeros((1, 100, 120), np.uint8), 0.0, 0.4, (10.0, 40.0), 0.5)
    boxes = np.array([[10, 10, 30, 50], [40, 5, 60, 25], [80, 5, 90, 25]], np.float32)
    measures = np.array([[0.5, 0.9, 0], [0.5, 0.9, 1], [0.5, np.nan, -1]], np.float32)  # a person, a bicycle
    kind = Velocity(FLOW, 0.2, 2, scene, VelocitySettings(per_height=per_height))
    rows = kind.describe([field((4, 0))], 0, Objects(boxes, measures))
    np.testing.assert_allclose(rows[:, 0], speeds, rtol=1e-6)


def test_the_same_motion_in_a_larger_picture_is_the_same() -> None:
    twice = field((20, 10), frame_size=(240, 200))
    once = field((10, 5))
    larger = Objects(BOX * 2, OBJECTS.measures)
    for kind in (
        velocity(),
        velocity(per_height="no"),
        Direction(FLOW, 0.2, 2, SCENE),
        Place(FLOW, 0.2, 2, SCENE, PlaceSettings()),
    ):
        np.testing.assert_allclose(
            kind.describe([twice], 0, larger), kind.describe([once], 0, OBJECTS), rtol=1e-6
        )


def test_place_is_where_the_box_stands_in_heights_of_an_object() -> None:
    row = Place(FLOW, 0.2, 2, SCENE, PlaceSettings(weight=0.5)).describe([field((20, -10))], 0, OBJECTS)[0]
    np.testing.assert_allclose(row, [0.5 * 60 / 20, 0.5 * 70 / 20, 1, -0.5], rtol=1e-6)
