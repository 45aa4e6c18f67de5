"""Windows and gradient boxes around things that are known to move."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mulde.data.video import Frame
from mulde.extractors.base import Objects
from mulde.extractors.boxes.motion import MotionGradient, MotionWindows
from mulde.extractors.scene import SceneModel
from mulde.extractors.settings import GradientSettings, WindowSettings

BACKGROUND = np.full((120, 160), 90, np.uint8)


def make_scene(height: float = 24, per_row: float = 0.0) -> SceneModel:
    return SceneModel(BACKGROUND, height, per_row, (8.0, 60.0), aspect=0.5)


def with_box(x1: int, y1: int, x2: int, y2: int) -> NDArray[np.uint8]:
    grey = BACKGROUND.copy()
    grey[y1:y2, x1:x2] = 200
    return grey


def windows(**options: object) -> MotionWindows:
    return MotionWindows(make_scene(), WindowSettings(**options))  # type: ignore[arg-type]


def find(finder: MotionWindows, grey: NDArray[np.uint8]) -> Objects:
    rgb = np.repeat(grey[..., None], 3, axis=2)
    return finder.find([finder.preparation.start()(Frame(0, 0.0, rgb))], 0)


def test_empty_scene_has_no_windows() -> None:
    assert len(find(windows(), BACKGROUND)) == 0


def test_lattice_covers_every_pixel_of_the_floor() -> None:
    covered = np.zeros(BACKGROUND.shape, bool)
    for x1, y1, x2, y2 in windows().lattice.astype(int):
        covered[y1:y2, x1:x2] = True
    assert covered[-108:].all()


def test_windows_shrink_with_distance() -> None:
    finder = MotionWindows(make_scene(0.0, 0.3), WindowSettings())
    heights = finder.lattice[:, 3] - finder.lattice[:, 1]
    bottoms = finder.lattice[:, 3]
    assert heights[bottoms == bottoms.max()].max() > 2 * heights[bottoms < 50].max()


def test_found_windows_are_those_with_enough_foreground() -> None:
    finder = windows(min_coverage=0.3)
    found = find(finder, with_box(60, 40, 80, 90))
    assert len(found)
    for (x1, y1, x2, y2), (coverage,) in zip(found.box_xyxy, found.measures, strict=True):
        overlap = max(0, min(x2, 81) - max(x1, 59)) * max(0, min(y2, 91) - max(y1, 39))
        assert coverage >= 0.3
        assert coverage <= overlap / ((x2 - x1) * (y2 - y1)) + 0.02


def test_several_scales_give_windows_of_several_sizes() -> None:
    heights = windows(scales=(1.0, 2.0)).lattice[:, 3] - windows(scales=(1.0, 2.0)).lattice[:, 1]
    assert set(np.unique(heights)) == {24.0, 48.0}


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


def test_windows_of_a_frame_are_bounded_and_the_fullest_stay() -> None:
    other_place = np.random.default_rng(0).integers(0, 2, (15, 20), np.uint8).repeat(8, 0).repeat(8, 1) * 255
    everything = find(windows(), other_place)
    assert everything.n_left_out == 0
    assert everything.foreground_share > 0.5
    few = find(windows(max_windows=10), other_place)
    assert len(few) == 10
    assert few.n_left_out == len(everything) - 10
    thing = with_box(60, 40, 80, 90)
    whole, fullest = find(windows(), thing), find(windows(max_windows=3), thing)
    assert fullest.measures.min() >= np.sort(whole.measures[:, 0])[-3]
