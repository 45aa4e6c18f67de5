"""Stretches of high scores: hysteresis, gaps, lengths and pauses, all by the frames' times."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mulde.pipeline.events.find import Rule, Stretch, Track, count_stretches, find_stretches

PLAIN = {"least_seconds": 0.0, "merge_gap_seconds": 0.0, "release": 1.0, "usual": 0.0}


def track(scores: list[float], seconds: list[float] | None = None) -> Track:
    times = np.arange(len(scores)) / 10 if seconds is None else np.array(seconds)
    return Track(np.array(scores, dtype=np.float64), times, 10.0)


def spans(found: list[Stretch]) -> list[tuple[int, int, int]]:
    return [(stretch.start, stretch.stop, stretch.peak) for stretch in found]


@pytest.mark.parametrize("scores, rule, expected", [
    ([], {}, []),
    ([1.9], {}, []),
    ([2.0], {}, [(0, 1, 0)]),
    ([0, 2, 3, 3, 0, 2], {}, [(1, 4, 2), (5, 6, 5)]),
    # it goes on down to the release score, and begins there
    ([0, 1, 3, 1, 0, 1, 1, 0], {"release": 0.5}, [(1, 4, 2)]),
    ([0, 1, 3, 1, 0, 1, 1, 0], {"release": 0.6}, [(2, 3, 2)]),
    ([2, 2, 3, 2, 2], {"release": 0.5, "usual": 1.0}, [(0, 5, 2)]),
    # a usual score above the threshold: there is nothing below it to go down to
    ([0, 2, 1.5, 0], {"release": 0.5, "usual": 5.0}, [(1, 2, 1)]),
    # frames 1 and 4 are shown for 0.1 s each: 0.2 s lie between them
    ([0, 3, 0, 0, 2, 0], {"merge_gap_seconds": 0.19}, [(1, 2, 1), (4, 5, 4)]),
    ([0, 3, 0, 0, 2, 0], {"merge_gap_seconds": 0.2}, [(1, 5, 1)]),
    ([0, 3, 3, 0, 3, 3, 3], {"least_seconds": 0.3}, [(4, 7, 4)]),
    ([0, 3, 3, 0, 3, 3, 3], {"least_seconds": 0.31}, []),
    # too short by themselves, and long enough together
    ([3, 0, 3], {"least_seconds": 0.3, "merge_gap_seconds": 0.1}, [(0, 3, 0)]),
])  # fmt: skip
def test_table(scores: list[float], rule: dict[str, Any], expected: list[tuple[int, int, int]]) -> None:
    found = find_stretches(track(scores), 2.0, Rule(**{**PLAIN, **rule}))
    assert spans(found) == expected
    assert [stretch.score for stretch in found] == [scores[peak] for _, _, peak in expected]


def test_a_pause_of_the_recording_ends_it_and_is_not_footage() -> None:
    paused = track([3, 3, 3, 3, 3, 3], [0.0, 0.1, 0.2, 60.0, 60.1, 60.2])
    assert spans(find_stretches(paused, 2.0, Rule(**PLAIN))) == [(0, 3, 0), (3, 6, 3)]
    merging = Rule(**{**PLAIN, "merge_gap_seconds": 60.0})
    assert spans(find_stretches(paused, 2.0, merging)) == [(0, 6, 0)]
    assert paused.end(3) == pytest.approx(0.3)
    assert paused.n_seconds == pytest.approx(0.6)


def test_a_camera_that_rests_does_not_pause() -> None:
    """Four frames at 25 a second, and one a second before and after: 6 s and the last frame."""
    resting = track([0, 3, 3, 3, 3, 3, 3, 3, 0], [0, 1, 2, 2.04, 2.08, 2.12, 3.12, 4.12, 5.12])
    assert spans(find_stretches(resting, 2.0, Rule(**PLAIN))) == [(1, 8, 1)]
    assert resting.n_seconds == pytest.approx(5.12 + resting.step_seconds)


def test_a_lost_frame_is_no_pause() -> None:
    lossy = track([3, 3, 3, 3], [0.0, 0.1, 0.25, 0.35])
    assert spans(find_stretches(lossy, 2.0, Rule(**PLAIN))) == [(0, 4, 0)]


@pytest.mark.parametrize("seed", range(20))
def test_it_agrees_with_going_through_the_frames_one_by_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = np.repeat(rng.integers(0, 5, 60), rng.integers(1, 4, 60)).astype(float)
    rule = Rule(least_seconds=0.0, merge_gap_seconds=0.0, release=0.5, usual=0.0)
    expected, start = [], None
    for index, score in enumerate([*scores, -1.0]):
        if score >= 2 and start is None:
            start = index
        if score < 2 and start is not None:
            if max(scores[start:index]) >= 4:
                expected.append((start, index))
            start = None
    found = find_stretches(track(scores.tolist()), 4.0, rule)
    assert [(stretch.start, stretch.stop) for stretch in found] == expected
    assert count_stretches([track(scores.tolist()), track([])], 4.0, rule) == len(expected)
