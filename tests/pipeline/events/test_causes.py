"""What is behind a peak: the most unusual object near it, or the frames themselves."""

from __future__ import annotations

import numpy as np
import pytest

from mulde.pipeline.events.causes import find_cause
from mulde.pipeline.events.find import Stretch, Track
from mulde.pipeline.runs.scores import RowsBehind

TRACK = Track(np.array([0.0, 1, 5, 4, 1, 0]), np.arange(6) / 10, 10.0)
STRETCH = Stretch(1, 5, 2, 5.0)


def objects(frame: list[int], total: list[float], boxes: list[list[float]] | None = None) -> RowsBehind:
    array = np.array(frame, dtype=np.int64)
    values = np.array(total, dtype=float)
    box = None if boxes is None else np.array(boxes, dtype=np.float32).reshape(-1, 4)
    return RowsBehind({"a": array, "b": array}, {"a": values / 4, "b": values * 3 / 4}, values, box)


@pytest.mark.parametrize("frame, total, around, expected", [
    ([], [], 0.1, None),
    ([0, 5], [9, 9], 0.1, None),  # none in the stretch
    ([1, 2, 2, 3], [1, 5, 6, 4], 0.1, (2, 2)),
    ([1, 2, 3], [1, 5, 6], 0.1, (3, 2)),  # more unusual than what is at the peak, and as near as smoothing
    ([1, 2, 4], [1, 5, 9], 0.1, (2, 1)),  # too far away
    ([1, 4], [3, 9], 0.05, (4, 1)),  # nothing near: all of the stretch
])  # fmt: skip
def test_objects(
    frame: list[int], total: list[float], around: float, expected: tuple[int, int] | None
) -> None:
    boxes = [[i, i, i + 2.004, i + 3] for i in range(len(frame))]
    cause = find_cause(objects(frame, total, boxes), TRACK.seconds.__getitem__, STRETCH, around)
    if expected is None:
        assert cause is None
        return
    assert cause is not None
    row = expected[1]
    assert (cause.frame, cause.rows) == (expected[0], {"a": row, "b": row})
    assert cause.scores == {"a": total[row] / 4, "b": total[row] * 3 / 4}
    assert cause.box_xyxy == (row, row, row + 2.0, row + 3)


def test_where_scores_are_means_over_windows_so_is_the_box() -> None:
    """Of the windows of its frame that overlap the highest, by their scores; totals are means already."""
    boxes = [[0, 0, 4, 4], [2, 0, 6, 4], [2, 2, 6, 6], [9, 9, 12, 12], [0, 0, 9, 9]]
    frame = np.array([2, 2, 2, 2, 3])
    values = np.array([1.0, 3.0, -5.0, 9.0, 9.0])
    total = np.array([4.0, 5.0, 4.0, 3.0, 1.0])
    behind = RowsBehind({"a": frame}, {"a": values}, total, np.array(boxes, np.float32))
    cause = find_cause(behind, TRACK.seconds.__getitem__, STRETCH, 0.05, are_averaged=True)
    assert cause is not None
    assert (cause.frame, cause.rows) == (2, {"a": 1})
    assert cause.box_xyxy == (1.5, 0.0, 5.5, 4.0)
    alone = find_cause(behind, TRACK.seconds.__getitem__, STRETCH, 0.05)
    assert alone is not None
    assert alone.box_xyxy == (2.0, 0.0, 6.0, 4.0)


def test_objects_may_have_no_boxes_or_such_without_area() -> None:
    for boxes in (None, [[1, 1, 1, 4]]):
        cause = find_cause(objects([2], [5], boxes), TRACK.seconds.__getitem__, STRETCH, 0.1)
        assert cause is not None
        assert (cause.frame, cause.box_xyxy) == (2, None)


def test_whole_frames_have_the_row_that_is_next_and_scores_between_rows() -> None:
    frames = {"a": np.array([0, 3]), "b": np.array([1, 2]), "c": np.zeros(0, np.int64)}
    scores = {"a": np.array([0.0, 3.0]), "b": np.array([1.0, 7.0]), "c": np.zeros(0)}
    cause = find_cause(RowsBehind(frames, scores, None, None), TRACK.seconds.__getitem__, STRETCH, 0.1)
    assert cause is not None
    assert (cause.frame, cause.box_xyxy) == (2, None)
    assert cause.rows == {"a": 1, "b": 1}
    assert cause.scores == {"a": pytest.approx(2.0), "b": 7.0}


def test_whole_frames_without_rows() -> None:
    assert find_cause(RowsBehind({}, {}, None, None), TRACK.seconds.__getitem__, STRETCH, 0.1) is None
