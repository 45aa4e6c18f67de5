"""Detected boxes: which count, and how motion boxes join them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from mulde.extractors.base import NO_CLASS, Moment, Objects
from mulde.extractors.boxes.detected import (
    BoxDetector,
    DetectedBoxes,
    Detections,
    MotionOrWholeFrame,
    not_covered,
)
from mulde.extractors.boxes.motion import MotionGradient, MotionWindows
from mulde.extractors.movement import Mask
from mulde.extractors.scene import SceneModel
from mulde.extractors.settings import GradientSettings, WindowSettings

WIDTH, HEIGHT = 160, 120
BACKGROUND = np.full((HEIGHT, WIDTH), 90, np.uint8)
SCENE = SceneModel((WIDTH, HEIGHT), BACKGROUND[None], 24.0, 0.0, (24.0, 24.0), aspect=0.5)


@dataclass(frozen=True)
class Always(BoxDetector):
    """Finds the same boxes in every frame."""

    name: ClassVar[str] = "always"

    boxes: tuple[tuple[float, float, float, float], ...] = ()

    @property
    def batch_size(self) -> int:
        return 2

    def settings(self) -> dict[str, Any]:
        return {"boxes": [list(box) for box in self.boxes]}

    def check(self) -> None: ...

    def detect(self, images_rgb: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        n = len(self.boxes)
        box = np.array(self.boxes, np.float32).reshape(-1, 4)
        return [
            Detections(box, np.full(n, 0.9, np.float32), np.arange(n, dtype=np.int64)) for _ in images_rgb
        ]


def grey_with(*boxes: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    grey = BACKGROUND.copy()
    for x1, y1, x2, y2 in boxes:
        grey[y1:y2, x1:x2] = 200
    return grey


def find(finder: DetectedBoxes, *greys: NDArray[np.uint8]) -> Objects:
    """The objects of the last of some frames, whose preparation for motion is the grey picture."""
    prepared = [(np.repeat(grey[..., None], 3, axis=2), grey) for grey in greys]
    return finder.find(prepared, len(prepared) - 1)


def finder(
    *boxes: tuple[float, float, float, float],
    joins: bool = True,
    whole: bool = False,
    min_area: float = 100,
    max_covered: float = 0.65,
) -> DetectedBoxes:
    return DetectedBoxes(
        MotionGradient(GradientSettings()), joins, whole, Always(boxes), min_area, max_covered
    )


@pytest.mark.parametrize(
    ("boxes", "kept"),
    [
        ([], []),
        ([[0, 0, 10, 10]], [True]),
        ([[0, 0, 10, 10], [0, 0, 10, 10]], [True, False]),  # twins: the first stays
        ([[0, 0, 10, 10], [0, 0, 20, 20]], [False, True]),  # inside a larger one
        ([[0, 0, 20, 20], [14, 0, 24, 10]], [True, True]),  # 60 % of it inside
        ([[0, 0, 20, 20], [13, 0, 23, 10]], [True, False]),  # 70 %
        ([[0, 0, 10, 10], [50, 50, 90, 90]], [True, True]),
    ],
)
def test_boxes_that_larger_ones_cover_are_left_out(boxes: list[list[float]], kept: list[bool]) -> None:
    found = not_covered(np.array(boxes, np.float32).reshape(-1, 4), 0.65)
    np.testing.assert_array_equal(found, kept)


def test_blanked_boxes_are_grown() -> None:
    mask = Mask(np.ones((20, 20), np.uint8), (20, 20))
    blanked = mask.without(np.array([[5, 5, 10, 10], [18, 18, 25, 25]], np.float32), 2).pixels
    expected = np.ones((20, 20), np.uint8)
    expected[3:12, 3:12] = 0
    expected[16:, 16:] = 0
    np.testing.assert_array_equal(blanked, expected)


def test_nothing_found_gives_no_objects() -> None:
    found = find(finder(), BACKGROUND, BACKGROUND)
    assert len(found) == 0
    assert found.measures.shape == (0, 3)


def test_small_boxes_and_what_lies_outside_are_left_out() -> None:
    found = find(finder((0, 0, 9, 11), (150, 100, 170, 130), (200, 10, 240, 40)), BACKGROUND, BACKGROUND)
    np.testing.assert_array_equal(found.box_xyxy, [[150, 100, 160, 120]])  # cut at the border


def test_detected_boxes_come_first_with_class_confidence_and_coverage() -> None:
    before, now = grey_with((20, 20, 40, 60)), grey_with((24, 20, 44, 60), (100, 40, 120, 80))
    found = find(finder((20, 18, 44, 62)), before, now)
    assert len(found) == 2  # the person, and what appeared, but not the person's motion
    np.testing.assert_array_equal(found.class_id, [0, NO_CLASS])
    np.testing.assert_allclose(found.confidence, [0.9, np.nan])
    np.testing.assert_array_equal(found.may_be_person, [True, False])
    changed = 2 * 4 * 40 / (24 * 44)  # two strips, and what the blur adds
    assert changed <= found.coverage[0] <= changed * 1.6
    x1, y1, x2, y2 = found.box_xyxy[1]
    np.testing.assert_allclose([x1, y1, x2, y2], [98, 38, 122, 82], atol=2)


def test_motion_is_left_out_unless_joined() -> None:
    found = find(finder(joins=False), BACKGROUND, grey_with((100, 40, 120, 80)))
    assert len(found) == 0


@pytest.mark.parametrize(
    ("greys", "n"), [((BACKGROUND, BACKGROUND), 1), ((BACKGROUND, grey_with((9, 9, 40, 40))), 1)]
)
def test_frame_without_a_box_is_an_object(greys: tuple[NDArray[np.uint8], ...], n: int) -> None:
    found = find(finder(whole=True), *greys)
    assert len(found) == n
    is_whole = (found.box_xyxy == [0, 0, WIDTH, HEIGHT]).all()
    assert is_whole == (greys[1] is BACKGROUND)
    alone = MotionOrWholeFrame(MotionGradient(GradientSettings())).find(greys, 1)
    assert len(alone) == 1
    assert (alone.box_xyxy == [0, 0, WIDTH, HEIGHT]).all() == is_whole


def test_joined_windows_lie_where_no_detection_is() -> None:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[40:90, 20:40] = mask[40:90, 100:120] = True
    joined = DetectedBoxes(
        MotionWindows(SCENE, WindowSettings()), True, False, Always(((20, 40, 40, 90),)), 100, 0.65
    )
    pixels = Mask(mask.astype(np.uint8), (WIDTH, HEIGHT))
    found = joined.find([(np.zeros((HEIGHT, WIDTH, 3), np.uint8), pixels)], 0)
    assert found.class_id[0] == 0
    assert len(found) > 1
    assert (found.box_xyxy[1:, 2] > 95).all()
    np.testing.assert_allclose(found.coverage[0], 1.0)


def test_motion_just_around_a_detection_is_part_of_it() -> None:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[38:92, 18:42] = True  # two pixels more on each side than the detection
    joined = DetectedBoxes(
        MotionWindows(SCENE, WindowSettings()), True, False, Always(((20, 40, 40, 90),)), 100, 0.65
    )
    pixels = Mask(mask.astype(np.uint8), (WIDTH, HEIGHT))
    found = joined.find([(np.zeros((HEIGHT, WIDTH, 3), np.uint8), pixels)], 0)
    np.testing.assert_array_equal(found.box_xyxy, [[20, 40, 40, 90]])


def test_batches_give_what_single_frames_give() -> None:
    greys = [grey_with((10 + 5 * t, 20, 40 + 5 * t, 60)) for t in range(5)]
    prepared = [(np.repeat(grey[..., None], 3, axis=2), grey) for grey in greys]
    moments = [Moment(t, prepared[max(0, t - 1) : t + 1], min(t, 1)) for t in range(5)]
    joined = finder((80, 80, 100, 110))
    for moment, among in zip(moments, joined.find_batch(moments), strict=True):
        alone = joined.find(moment.around, moment.centre)
        np.testing.assert_array_equal(alone.box_xyxy, among.box_xyxy)
        np.testing.assert_array_equal(alone.measures, among.measures)


def test_settings_hold_what_decides() -> None:
    several = [finder(), finder((0, 0, 50, 50)), finder(joins=False), finder(min_area=4), finder(whole=True)]
    assert len({json.dumps(each.settings(), sort_keys=True) for each in several}) == len(several)
