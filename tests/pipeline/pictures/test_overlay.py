"""What is drawn on frames is where it was found, and has the colour of its score."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mulde.pipeline.events.record import Event
from mulde.pipeline.pictures.overlay import Annotations, Overlay, colour_of
from mulde.pipeline.runs.scores import ScoredObjects

N = 40
SECONDS = np.arange(N) / 10
EVENT = Event("v", 10, 20, 1.0, 2.0, None, 12, 2.0, None, "velocity", "faster than anything seen here")
GREY = np.full((240, 640, 3), 120, np.uint8)


def make_annotations(**changes: Any) -> Annotations:
    scores = np.full(N, 0.5)
    scores[10:20] = 2.0
    return dataclasses.replace(Annotations(SECONDS, scores, 1.0), **changes)


def make_objects(rows: list[tuple[int, tuple[float, ...], float]]) -> ScoredObjects:
    return ScoredObjects(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.float32).reshape(-1, 4),
        {},
        np.array([row[2] for row in rows], np.float64),
    )


def test_whole_frames_have_no_box_and_are_left_as_they_are() -> None:
    drawn = Overlay(make_annotations()).draw(0, GREY)
    assert drawn.shape[1:] == (640, 3)
    np.testing.assert_array_equal(drawn[:240], GREY)
    assert drawn.shape[0] > 240


def test_a_frame_without_objects() -> None:
    overlay = Overlay(make_annotations(objects=make_objects([])))
    assert overlay.boxes(3) == []
    np.testing.assert_array_equal(overlay.draw(3, GREY)[:240], GREY)


def test_small_frames_are_enlarged_with_their_boxes() -> None:
    objects = make_objects([(5, (10.0, 10.0, 50.0, 30.0), 3.0)])
    drawn = Overlay(make_annotations(objects=objects)).draw(5, GREY[:60, :160])
    assert drawn.shape[1] == 640  # four times
    red = drawn[:240].astype(int)[..., 0] - drawn[:240].astype(int)[..., 2]
    ys, xs = np.nonzero(red > 100)
    assert (xs.min(), xs.max() + 1) == (pytest.approx(40, abs=4), pytest.approx(200, abs=4))
    assert (ys.min(), ys.max() + 1) == (pytest.approx(40, abs=4), pytest.approx(120, abs=4))


def test_only_what_is_unusual_is_drawn_and_of_neighbours_the_highest() -> None:
    rows = [
        (5, (0.0, 0.0, 40.0, 40.0), 0.4),  # too low
        (5, (100.0, 0.0, 140.0, 40.0), 0.9),
        (5, (104.0, 0.0, 144.0, 40.0), 0.8),  # nearly the same place
        (5, (200.0, 0.0, 240.0, 40.0), 0.7),
        (6, (300.0, 0.0, 340.0, 40.0), 0.95),  # of another frame
    ]
    found = Overlay(make_annotations(objects=make_objects(rows))).boxes(5)
    assert [(box[0], share) for box, share in found] == [(100.0, 0.9), (200.0, pytest.approx(0.7))]


def test_totals_are_compared_with_the_threshold_on_the_scale_of_frames() -> None:
    objects = make_objects([(5, (0.0, 0.0, 40.0, 40.0), 2.5)])
    annotations = make_annotations(objects=objects)
    (_, share), *_ = Overlay(annotations).boxes(5)
    assert annotations.threshold is not None
    assert share == pytest.approx(2.5 / annotations.threshold)


@pytest.mark.parametrize(("index", "x1"), [(0, None), (4, 10.0), (7, 10.0), (8, 90.0), (39, 90.0)])
def test_frames_that_were_not_looked_at_show_the_last_that_was(index: int, x1: float | None) -> None:
    rows = [(4, (10.0, 0.0, 40.0, 40.0), 3.0), (8, (90.0, 0.0, 140.0, 40.0), 3.0)]
    overlay = Overlay(make_annotations(objects=make_objects(rows), looked_at=np.array([4, 8])))
    assert [box[0] for box, _ in overlay.boxes(index)] == ([] if x1 is None else [x1])


def test_colours_by_score() -> None:
    low, at_threshold, high = (np.array(colour_of(share)) for share in (0.5, 1.0, 1.5))
    assert low.argmax() == 2
    assert at_threshold[0] > at_threshold[1] > at_threshold[2]
    assert high[0] - high[1] > 100
    assert colour_of(0.1) == colour_of(0.5)
    assert colour_of(9.0) == colour_of(1.5)


def strip(found: Annotations, index: int, *span: int) -> NDArray[np.int64]:
    return Overlay(found, *span).draw(index, GREY)[240:].astype(np.int64)


def is_like(picture: NDArray[np.int64], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    return np.asarray(np.abs(picture - colour).max(axis=-1) < 12)


def test_the_strip_has_events_labels_and_now_at_their_times() -> None:
    labels = np.zeros(N, np.uint8)
    labels[20:40] = 1
    shown = strip(make_annotations(events=[EVENT], labels=labels), 30)
    alarm = np.flatnonzero(is_like(shown[1], (255, 138, 102)))
    assert (alarm[0], alarm[-1]) == (pytest.approx(160, abs=2), pytest.approx(320, abs=2))
    label = np.flatnonzero(is_like(shown[57], (178, 148, 221)))
    assert (label[0], label[-1]) == (pytest.approx(320, abs=2), pytest.approx(639, abs=2))
    now = np.flatnonzero(is_like(shown[30], (235, 238, 240)))
    assert now.mean() == pytest.approx(480, abs=2)


def test_the_strip_of_a_clip_spans_the_clip() -> None:
    shown = strip(make_annotations(events=[EVENT]), 12, 5, 25)
    alarm = np.flatnonzero(is_like(shown[1], (255, 138, 102)))
    assert (alarm[0], alarm[-1]) == (pytest.approx(160, abs=2), pytest.approx(480, abs=2))


def test_the_reason_is_written_while_it_lasts() -> None:
    found = make_annotations(events=[EVENT])
    written = [int(is_like(strip(found, index)[88:], (255, 138, 102)).sum()) for index in (5, 12)]
    assert written[0] == 0
    assert written[1] > 100


@pytest.mark.parametrize("reason", ["", "x" * 500, "любой текст · 任意"])
def test_reasons_of_any_length_and_script(reason: str) -> None:
    event = dataclasses.replace(EVENT, reason=reason)
    assert strip(make_annotations(events=[event]), 12).shape[1] == 640


def test_scores_without_a_threshold() -> None:
    found = make_annotations(threshold=None, scores=np.zeros(N), objects=make_objects([]))
    assert Overlay(found).draw(0, GREY).shape[0] > 240
