"""Windows and gradient boxes around things that are known to move."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mulde.data.video import Frame
from mulde.extractors.base import Objects
from mulde.extractors.boxes.motion import MotionGradient, MotionWindows
from mulde.extractors.movement import Arrivals, Mask
from mulde.extractors.preparer import prepare_with
from mulde.extractors.scene import SceneModel, learn_scene
from mulde.extractors.settings import GradientSettings, SceneSettings, WindowSettings
from mulde.extractors.unlikeness import Unlikeness, Unseen

BACKGROUND = np.full((120, 160), 90, np.uint8)


def make_scene(height: float = 24, per_row: float = 0.0) -> SceneModel:
    return SceneModel((160, 120), BACKGROUND[None], height, per_row, (8.0, 60.0), aspect=0.5)


def with_box(x1: int, y1: int, x2: int, y2: int) -> NDArray[np.uint8]:
    grey = BACKGROUND.copy()
    grey[y1:y2, x1:x2] = 200
    return grey


def windows(**options: object) -> MotionWindows:
    settings = WindowSettings(**{"scales": (1.0,), **options})  # type: ignore[arg-type]
    return MotionWindows(make_scene(), settings)


def find(finder: MotionWindows, grey: NDArray[np.uint8]) -> Objects:
    return finder.boxes_of(Mask((grey != BACKGROUND).astype(np.uint8), (160, 120)))


def test_empty_scene_has_no_windows() -> None:
    assert len(find(windows(), BACKGROUND)) == 0


def test_lattice_covers_every_pixel_of_the_floor() -> None:
    covered = np.zeros(BACKGROUND.shape, bool)
    for x1, y1, x2, y2 in windows().lattice.astype(int):
        covered[y1:y2, x1:x2] = True
    assert covered[-108:].all()


def test_windows_shrink_with_distance() -> None:
    finder = MotionWindows(make_scene(0.0, 0.3), WindowSettings(scales=(1.0,)))
    heights = finder.lattice[:, 3] - finder.lattice[:, 1]
    bottoms = finder.lattice[:, 3]
    assert heights[bottoms == bottoms.max()].max() > 2 * heights[bottoms < 50].max()


def test_found_windows_are_those_with_enough_foreground() -> None:
    finder = windows(min_coverage=0.3)
    found = find(finder, with_box(60, 40, 80, 90))
    assert len(found)
    for (x1, y1, x2, y2), (coverage,) in zip(found.box_xyxy, found.measures, strict=True):
        overlap = max(0, min(x2, 80) - max(x1, 60)) * max(0, min(y2, 90) - max(y1, 40))
        assert coverage >= 0.3
        assert coverage <= overlap / ((x2 - x1) * (y2 - y1)) + 0.02


def test_several_scales_give_windows_of_several_sizes() -> None:
    heights = windows(scales=(1.0, 2.0)).lattice[:, 3] - windows(scales=(1.0, 2.0)).lattice[:, 1]
    assert set(np.unique(heights)) == {24.0, 48.0}


def test_boxes_are_in_pixels_of_the_frame_whatever_the_working_size() -> None:
    mask = Mask((with_box(60, 40, 80, 90) != BACKGROUND).astype(np.uint8), (320, 360))
    np.testing.assert_allclose(
        windows().boxes_of(mask).box_xyxy,
        find(windows(), with_box(60, 40, 80, 90)).box_xyxy * [2, 3, 2, 3],
    )


def rgb_frame(t: int, seconds: float, grey: NDArray[np.uint8]) -> Frame:
    return Frame.of_rgb(t, seconds, np.repeat(grey[..., None], 3, axis=2))


def test_what_moved_or_came_to_stay_is_found() -> None:
    scene = make_scene()
    arrivals = Arrivals(scene.digest, 15, 0.4, 10, 60.0, scene)
    finder = MotionWindows(scene, WindowSettings(), arrivals)
    prepare = prepare_with(finder.preparation)
    greys = [*[BACKGROUND] * 6, *[with_box(60, 40, 80, 90)] * 12]
    prepared = [prepare(rgb_frame(t, t / 10, grey)) for t, grey in enumerate(greys)]
    counts = [len(finder.find([each], 0)) for each in prepared]
    assert counts[:6] == [0] * 6
    assert counts[6] > 0  # it came
    assert counts[-1] > 0  # and stays
    alone = MotionWindows(scene, WindowSettings())
    prepare = prepare_with(alone.preparation)
    prepared = [prepare(rgb_frame(t, t / 10, grey)) for t, grey in enumerate(greys)]
    assert len(alone.find([prepared[-1]], 0)) == 0
    assert finder.settings() != alone.settings()


def test_what_was_never_seen_there_is_found_though_it_never_moved() -> None:
    rng = np.random.default_rng(0)
    room = cv2.GaussianBlur(rng.integers(40, 160, BACKGROUND.shape, np.uint8), (0, 0), 2.0)
    seen = [np.clip(room + rng.normal(0, 2, room.shape), 0, 255).astype(np.uint8) for _ in range(24)]
    scene = learn_scene(seen, SceneSettings(with_looks=True, fallback_height_share=1 / 6, min_blobs=1000))
    unseen = Unseen(Unlikeness(scene.looks_digest, scene), 5.0)
    finder = MotionWindows(scene, WindowSettings(scales=(1.0,), least_novelty=5.0), unseen=unseen)
    prepare = prepare_with(finder.preparation)
    assert len(finder.find([prepare(rgb_frame(0, 0.0, seen[0]))], 0)) == 0
    grey = seen[0].copy()
    grey[40:60, 60:80] = np.tile([30, 30, 220, 220], (20, 5))
    found = finder.find([prepare(rgb_frame(0, 0.0, grey))], 0)
    assert len(found)
    x1, y1, x2, y2 = found.box_xyxy.T
    assert ((x2 > 40) & (x1 < 100) & (y2 > 20) & (y1 < 80)).all(), "within an object's height of it"
    other = MotionWindows(
        scene,
        WindowSettings(scales=(1.0,), least_novelty=6.0),
        unseen=replace(unseen, least_novelty=6.0),
    )
    with pytest.raises(ValueError, match="another for windows"):
        replace(finder, unseen=None)
    alone = MotionWindows(scene, WindowSettings(scales=(1.0,)))
    keys = [str(each.settings()) for each in (finder, other, alone)]
    assert len(set(keys)) == 3
    assert "novelty" not in keys[2], "files of the cache from before there was such a thing are found"


def test_scene_enters_the_settings() -> None:
    other = MotionWindows(make_scene(30), WindowSettings())
    assert windows().settings() != other.settings()


@pytest.mark.parametrize("index", [0, 1])
def test_gradient_finds_nothing_in_the_first_frame_or_in_a_still(index: int) -> None:
    finder = MotionGradient(GradientSettings())
    assert len(finder.find([BACKGROUND, BACKGROUND][: index + 1], index)) == 0


def test_gradient_surrounds_what_moved() -> None:
    finder = MotionGradient(GradientSettings(grow_px=2))
    found = finder.find([with_box(60, 40, 80, 80), with_box(64, 40, 84, 80)], 1)
    assert len(found) == 2  # what was uncovered, and what was covered
    assert found.box_xyxy[:, 0].min() >= 55
    assert found.box_xyxy[:, 2].max() <= 90


@pytest.mark.parametrize(
    ("settings", "n_found"),
    [
        (GradientSettings(min_area_px=10_000), 0),
        (GradientSettings(max_aspect=1), 0),
        (GradientSettings(threshold=255), 0),
    ],
)
def test_gradient_leaves_out(settings: GradientSettings, n_found: int) -> None:
    found = MotionGradient(settings).find([with_box(60, 40, 80, 80), with_box(64, 40, 84, 80)], 1)
    assert len(found) == n_found


@pytest.mark.parametrize("most", [1, 5, 40])
def test_of_too_many_windows_the_fullest_stay(most: int) -> None:
    grey = with_box(20, 40, 120, 90)
    everything, found = find(windows(), grey), find(windows(max_windows=most), grey)
    assert len(everything) > 40
    assert len(found) == most
    assert found.n_left_out == len(everything) - most
    np.testing.assert_array_equal(np.sort(found.coverage), np.sort(everything.coverage)[-most:])
    assert (np.diff(found.box_xyxy[:, 3]) <= 0).all()  # in the order of the lattice


def test_of_windows_that_are_equally_full_some_lie_all_over_the_picture() -> None:
    finder = windows(max_windows=30)
    found = finder.boxes_of(Mask(np.ones(BACKGROUND.shape, np.uint8), (160, 120)))
    assert len(found) == 30
    centres = (found.box_xyxy[:, :2] + found.box_xyxy[:, 2:]) / 2  # (30, 2)
    quarters = {(x > 80, y > 60) for x, y in centres.tolist()}
    assert len(quarters) == 4


def test_nothing_is_left_out_of_what_is_not_too_much() -> None:
    found = find(windows(), with_box(60, 40, 80, 90))
    assert found.n_left_out == 0
