"""Boxes of a file are taken as they are: those of the frame that is asked about, clipped to the picture."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mulde.data.boxes import NO_BOXES, VideoBoxes
from mulde.extractors.base import NO_TRACK, PERSON, UNKNOWN_CLASS, Moment, Objects, Shown
from mulde.extractors.boxes.given import FileBoxes, class_id_of
from mulde.extractors.boxes.motion import MotionGradient
from mulde.extractors.settings import GradientSettings

GREY = np.zeros((60, 80), np.uint8)
MOVED = GREY.copy()
MOVED[20:40, 10:30] = 200
BOXES = VideoBoxes(
    np.array([2, 5, 5, 5, 9]),
    np.float32([[0, 0, 9, 9], [10, 20, 30, 40], [-5, 50, 20, 70], [80, 0, 90, 9], [3, 3, 3, 9]]),
    np.float32([0.9, np.nan, 0.25, 1, 1]),
    np.array(["", "Person", "car", "", ""]),
    np.array([-1, 10**12, 40, -1, 40]),
)


def find(finder: FileBoxes, *indices: int) -> list[Objects]:
    around = [(Shown(t / 10, (80, 60)), grey) for t, grey in enumerate((GREY, MOVED))]
    return finder.find_batch([Moment(index, around, 1) for index in indices])


def finder(boxes: VideoBoxes = BOXES, *, joins: bool = False, whole: bool = False) -> FileBoxes:
    return FileBoxes(MotionGradient(GradientSettings()), joins, whole, boxes)


def test_a_video_without_boxes_has_no_objects() -> None:
    (found,) = find(finder(NO_BOXES), 5)
    assert found.measures.shape == (0, 4)


def test_a_frame_has_its_own_boxes() -> None:
    first, none, several, empty = find(finder(), 2, 3, 5, 9)
    assert_array_equal(first.box_xyxy, [[0, 0, 9, 9]])
    assert len(none) == len(empty) == 0
    assert_array_equal(several.box_xyxy, [[10, 20, 30, 40], [0, 50, 20, 60]])
    assert_array_equal(several.coverage > 0.5, [True, False])
    assert_array_equal(several.confidence, np.float32([np.nan, 0.25]))
    assert_array_equal(several.may_be_person, [True, False])
    assert_array_equal(first.may_be_person, [True])  # nobody says what it is
    assert_array_equal(first.track, [NO_TRACK])
    assert len({*several.track} - {NO_TRACK}) == 2
    assert several.track.max() < 100  # float32 holds them


def test_motion_is_joined_where_no_box_is() -> None:
    alone, joined = (find(finder(NO_BOXES, joins=joins), 5)[0] for joins in (False, True))
    assert (len(alone), len(joined)) == (0, 1)
    assert_array_equal(joined.track, [NO_TRACK])
    assert not joined.may_be_person.any()
    (found,) = find(finder(joins=True), 5)  # the box is where something moves
    assert len(found) == 2


def test_a_frame_without_boxes_is_one_where_that_is_asked_for() -> None:
    (found,) = find(finder(whole=True), 3)
    assert_array_equal(found.box_xyxy, [[0, 0, 80, 60]])


def test_settings_hold_how_and_not_what() -> None:
    assert finder().settings() == finder(NO_BOXES).settings()
    assert finder().settings() != finder(joins=True).settings() != finder(whole=True).settings()


@pytest.mark.parametrize(
    ("name", "class_id"),
    [("", UNKNOWN_CLASS), ("person", PERSON), ("Pedestrian", PERSON), ("0", PERSON), ("00", PERSON),
     ("1", 1), ("car", 1), ("²", 1), ("9" * 5000, 1)],
)  # fmt: skip
def test_class(name: str, class_id: int) -> None:
    assert class_id_of(name) == class_id
