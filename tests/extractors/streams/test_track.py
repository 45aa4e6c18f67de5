"""Tracks and shapes: what boxes do is measured, from boxes alone, whoever has linked them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from mulde.data.features import FeatureRows, join_rows
from mulde.data.video import Frame
from mulde.extractors.base import Objects, Shown
from mulde.extractors.one_pass import OnePass
from mulde.extractors.scene import SceneModel
from mulde.extractors.settings import TrackSettings
from mulde.extractors.streams.shape import Shape
from mulde.extractors.streams.track import Track

TRACK = Track(TrackSettings(), 5)
PICTURE = np.zeros((8, 8, 3), np.uint8)


def known(*rows: tuple[int, float, float, float, float, int]) -> FeatureRows:
    """Rows of frame, x1, y1, x2, y2, track."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    measures = np.column_stack([np.full((len(table), 3), 0.5), table[:, 5]]).astype(np.float32)
    return FeatureRows(measures, table[:, 0].astype(np.int64), table[:, 1:5])


def run(objects: FeatureRows, n_frames: int = 12, rate: float = 10.0, track: Track = TRACK) -> FeatureRows:
    parts: list[FeatureRows] = []
    one_pass = OnePass([(track, parts.append)], known_objects=objects)
    for t in range(n_frames):
        one_pass.push(one_pass.prepare(Frame.of_rgb(t, t / rate, PICTURE)))
    one_pass.finish()
    return join_rows(parts)


def moving(
    t: int, track: int, *, x: float = 0.0, step: float = 4.0, growth: float = 1.0
) -> tuple[int, float, float, float, float, int]:
    width, height = 10 * growth**t, 20 * growth**t
    return t, x + step * t - width / 2, 50 - height / 2, x + step * t + width / 2, 50 + height / 2, track


def test_no_object_gives_no_row() -> None:
    assert run(known()).features.shape == (0, 2)


@pytest.mark.parametrize("track", [-1, 7])
def test_speed_is_in_heights_of_the_box_a_second(track: int) -> None:
    rows = run(known(*(moving(t, track) for t in range(12))))
    assert_array_equal(rows.frame, np.arange(12))
    # 4 px a frame at 10 frames a second, 20 px tall
    assert_allclose(rows.features, np.tile([2.0, 0.0], (12, 1)), atol=1e-5)


@pytest.mark.parametrize("track", [-1, 7])
def test_growth_is_a_logarithm_a_second(track: int) -> None:
    rows = run(known(*(moving(t, track, step=0, growth=1.02) for t in range(12))))
    assert_allclose(rows.features[:, 1], 10 * np.log(1.02), rtol=1e-4)
    assert_allclose(rows.features[:, 0], 0, atol=1e-5)


def test_times_count_and_not_frames() -> None:
    rows = [run(known(*(moving(t, -1) for t in range(12))), rate=rate).features for rate in (10.0, 5.0, 1.0)]
    assert_allclose(rows[1], rows[0] * [0.5, 1], atol=1e-5)
    assert_allclose(rows[2], rows[0] * [0.1, 1], atol=1e-5)  # neighbours count, whatever lies between


def test_only_half_a_second_counts() -> None:
    """A box that stood for long and then moves: its last frames do not see it stand."""
    still = [moving(t, 3, step=0) for t in range(12)]
    then = [(t, *moving(t - 11, 3)[1:]) for t in range(12, 24)]
    speed = run(known(*still, *then), n_frames=24).features[:, 0]
    assert_allclose(speed[:7], 0, atol=1e-5)
    assert_allclose(speed[16:], 2.0, atol=1e-4)
    assert (np.diff(speed[6:17]) > 0).all()


def test_tracks_of_others_are_believed() -> None:
    """Two boxes that change places: by overlap they stand, by their tracks they cross."""
    rows = [(t, *moving(0, 0, x=x)[1:5], track) for t in range(2) for x, track in ((0, t), (40, 1 - t))]
    crossing = run(known(*rows), n_frames=2).features[:, 0]
    assert_allclose(crossing, 40 / 0.1 / 20)
    alone = [(*row[:5], -1) for row in rows]
    assert_allclose(run(known(*alone), n_frames=2).features[:, 0], 0, atol=1e-5)


def test_a_box_without_a_track_among_others_is_linked_to_its_like() -> None:
    rows = [row for t in range(12) for row in (moving(t, 2, step=0), moving(t, -1, x=200, step=2))]
    speed = run(known(*rows)).features[:, 0]
    assert_allclose(speed[::2], 0, atol=1e-5)
    assert_allclose(speed[1::2], 1.0, atol=1e-5)


def test_a_gap_in_a_track_is_bridged() -> None:
    rows = run(known(*(moving(t, 5) for t in (0, 1, 4, 5))))
    assert_allclose(rows.features[:, 0], 2.0, atol=1e-5)


def test_a_box_alone_on_its_track_has_no_measurement() -> None:
    rows = run(known(moving(0, 5), moving(6, 5), (6, 500, 0, 510, 20, -1), (6, 500, 60, 510, 80, 9)))
    assert np.isnan(rows.features).all()  # 0.6 s apart is too far


def test_a_track_that_is_twice_in_a_frame_is_no_mistake_of_ours() -> None:
    rows = run(known(moving(0, 5), (0, 500, 0, 510, 20, 5), moving(1, 5)), n_frames=2)
    assert np.isfinite(rows.features).all()


def test_empty_boxes_have_finite_values() -> None:
    rows = run(known(*((t, 5.0, 5.0, 5.0, 5.0, 1) for t in range(3))), n_frames=3)
    assert_allclose(rows.features, 0, atol=1e-6)


def shapes(box: list[float], frame_size: tuple[int, int]) -> NDArray[np.float32]:
    scene = SceneModel((64, 48), np.zeros((1, 48, 64), np.uint8), 4.0, 0.5, (4.0, 20.0), aspect=0.5)
    objects = Objects(np.array([box], np.float32), np.ones((1, 1), np.float32))
    return Shape(scene).describe([Shown(0.0, frame_size)], 0, objects)


def test_shape_is_in_heights_of_an_object_where_it_stands() -> None:
    # on row 24 objects are 4 + 24 / 2 = 16 tall
    assert_allclose(shapes([10, 8, 14, 24], (64, 48)), [[np.log(4 / 16), 0]], atol=1e-6)
    assert_allclose(shapes([20, 16, 28, 48], (128, 96)), [[np.log(4 / 16), 0]], atol=1e-6)
    assert_allclose(shapes([10, 0, 74, 8], (64, 48)), [[np.log(64 / 8), 0]], atol=1e-6)
