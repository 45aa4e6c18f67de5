"""Tests of mulde.pipeline.metrics.events: hand-made cases, and a walk over thresholds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mulde.pipeline.metrics.events import event_curve, runs

Video = tuple[list[int], list[int]]


def as_arrays(videos: list[Video]) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.array(s, dtype=float), np.array(y, dtype=np.uint8)) for s, y in videos]


def naive(videos: list[Video], threshold: float) -> tuple[int, int]:
    """Return false alarms and events found at a threshold, by walking over the frames."""
    false_alarms = found = 0
    for scores, labels in videos:
        flagged = [score >= threshold for score in scores]
        start = 0
        for stop in range(1, len(scores) + 1):
            if stop == len(scores) or flagged[stop] != flagged[start]:
                false_alarms += flagged[start] and not any(labels[start:stop])
                start = stop
        start = 0
        for stop in range(1, len(scores) + 1):
            if stop == len(scores) or labels[stop] != labels[start]:
                found += labels[start] == 1 and any(flagged[start:stop])
                start = stop
    return false_alarms, found


@st.composite
def video_sets(draw: st.DrawFn) -> list[Video]:
    lengths = draw(st.lists(st.integers(0, 14), max_size=3))
    return [
        (
            draw(st.lists(st.integers(0, 4), min_size=n, max_size=n)),
            draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)),
        )
        for n in lengths
    ]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [([], []), ([0, 0], []), ([1], [(0, 1)]), ([0, 1, 1, 0, 1], [(1, 3), (4, 5)])],
    ids=["empty", "none", "one", "two"],
)
def test_runs(flags: list[int], expected: list[tuple[int, int]]) -> None:
    assert [tuple(pair) for pair in runs(np.array(flags, dtype=bool))] == expected


def test_nothing_at_all() -> None:
    curve = event_curve([])
    assert (curve.n_events, curve.thresholds.size, curve.at_most(0)) == (0, 0, None)


CASES = {
    # scores, labels, threshold, false alarms, found
    "a peak before an event": ([5, 0, 0, 4], [0, 0, 1, 1], 4, 1, 1),
    "flagged into the event": ([0, 4, 4, 0], [0, 0, 1, 1], 4, 0, 1),
    "touches an unflagged event": ([0, 4, 0, 0], [0, 0, 1, 1], 4, 1, 0),
    "one run over two events": ([4, 4, 4], [1, 0, 1], 4, 0, 2),
    "beside both events, not joined": ([4, 4, 0, 4, 4], [1, 0, 0, 0, 1], 4, 0, 2),
    "between two events": ([4, 0, 4, 0, 4], [1, 0, 0, 0, 1], 4, 1, 2),
    "two alarms merge lower down": ([4, 2, 4], [0, 0, 0], 2, 1, 0),
    "two alarms apart": ([4, 2, 4], [0, 0, 0], 4, 2, 0),
    "abnormal throughout": ([1, 2], [1, 1], 2, 0, 1),
}


@pytest.mark.parametrize(("scores", "labels", "threshold", "alarms", "found"), CASES.values(), ids=CASES)
def test_a_threshold(scores: list[int], labels: list[int], threshold: float, alarms: int, found: int) -> None:
    assert naive([(scores, labels)], threshold) == (alarms, found)
    curve = event_curve(as_arrays([(scores, labels)]))
    position = list(curve.thresholds).index(threshold)
    assert (curve.false_alarms[position], curve.found[position]) == (alarms, found)


@given(video_sets())
def test_every_threshold_equals_a_walk(videos: list[Video]) -> None:
    curve = event_curve(as_arrays(videos))
    assert (np.diff(curve.thresholds) < 0).all()
    for position, threshold in enumerate(curve.thresholds):
        expected = naive(videos, threshold)
        assert (curve.false_alarms[position], curve.found[position]) == expected
    # between the thresholds nothing changes
    for threshold in (-0.5, 0.5, 1.5, 2.5, 3.5, 4.5):
        position = int(np.sum(curve.thresholds >= threshold)) - 1
        known = (curve.false_alarms[position], curve.found[position]) if position >= 0 else (0, 0)
        assert naive(videos, threshold) == tuple(known)


def test_the_table_stops_before_the_rate_is_passed_for_the_first_time() -> None:
    # thresholds 9: one alarm; 7: two; 5: two merge into one beside a found event
    scores, labels = [9, 5, 7, 0, 6, 1], [0, 0, 0, 0, 1, 1]
    curve = event_curve(as_arrays([(scores, labels)]))
    table = curve.table(1.0, min_share=0, rates=[0, 1, 2])
    assert [(p.threshold, p.false_alarms, p.found) for p in table.points] == [
        (None, 0, 0),
        (9, 1, 0),
        (0, 0, 1),
    ]
    assert table.n_events == 1
    half_hour = curve.table(0.5, min_share=0, rates=[2])
    assert half_hour.points[0].threshold == 9


@pytest.mark.parametrize(("min_share", "threshold"), [(0, 8), (0.25, 8), (0.3, 6), (0.5, 6), (1, 1)], ids=str)
def test_a_share_of_the_event_must_be_flagged(min_share: float, threshold: int) -> None:
    curve = event_curve(as_arrays([([0, 8, 6, 3, 1], [0, 1, 1, 1, 1])]), min_share=min_share)
    assert curve.thresholds[curve.found == 1].max() == threshold


def test_a_share_of_whole_frames_is_not_rounded_up() -> None:
    scores, labels = np.zeros(100), np.ones(100, dtype=np.uint8)
    scores[:7] = 1
    curve = event_curve([(scores, labels)], min_share=0.07)
    assert curve.thresholds[curve.found == 1].max() == 1


def test_a_share_beyond_all_is_refused() -> None:
    with pytest.raises(ValueError, match="min_share is 2"):
        event_curve([], min_share=2)
