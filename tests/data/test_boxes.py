"""The record of boxes that somebody has found checks itself, and knows what lies outside of the picture."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mulde.data.boxes import NO_BOXES, VideoBoxes


def boxes_of(*boxes: list[float]) -> VideoBoxes:
    n = len(boxes)
    return VideoBoxes(
        np.arange(n),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(n, np.nan, np.float32),
        np.full(n, ""),
        np.full(n, -1),
    )


def test_no_boxes() -> None:
    assert len(NO_BOXES) == 0
    assert NO_BOXES.is_empty((8, 6)).shape == NO_BOXES.is_beyond((8, 6)).shape == (0,)
    assert NO_BOXES.digest == boxes_of().digest


@pytest.mark.parametrize(
    ("box", "is_beyond", "is_empty"),
    [
        ([0, 0, 8, 6], False, False),
        ([-1, 0, 8, 6], True, False),
        ([0, 0, 8, 6.5], True, False),
        ([3, 3, 3, 5], False, True),
        ([8, 0, 9, 6], True, True),
        ([-9, -9, -1, -1], True, True),
    ],
)
def test_what_lies_outside_of_the_picture(box: list[float], is_beyond: bool, is_empty: bool) -> None:
    assert_array_equal(boxes_of(box).is_beyond((8, 6)), [is_beyond])
    assert_array_equal(boxes_of(box).is_empty((8, 6)), [is_empty])


def test_frames_must_ascend() -> None:
    good = boxes_of([0, 0, 1, 1], [0, 0, 2, 2])
    with pytest.raises(ValueError, match="ascend"):
        VideoBoxes(good.frame[::-1], good.box_xyxy, good.score, good.class_name, good.track)
    with pytest.raises(ValueError, match="columns of other lengths"):
        VideoBoxes(good.frame, good.box_xyxy, good.score, good.class_name, good.track[:1])
