"""Promised against observed false alarms."""

from __future__ import annotations

import numpy as np
import pytest

from mulde.pipeline.metrics.alarms import AlarmCount, count_alarms


def count(videos: list[tuple[list[int], list[int]]]) -> AlarmCount | None:
    """Count in videos of one frame a second."""
    arrays = [(np.array(a, dtype=bool), np.array(y, dtype=np.uint8), 1.0) for a, y in videos]
    return count_alarms(arrays, promised_per_day=1, is_extrapolated=False, threshold=2.0, min_share=0)


@pytest.mark.parametrize("videos", [[], [([], [])], [([1, 1], [1, 1])]])
def test_without_normal_footage_there_is_nothing_to_compare(
    videos: list[tuple[list[int], list[int]]],
) -> None:
    assert count(videos) is None


@pytest.mark.parametrize("videos, false_alarms, found, n_events", [
    ([([0] * 6, [0] * 6)], 0, 0, 0),
    ([([0, 1, 1, 0, 1, 0], [0] * 6)], 2, 0, 0),
    ([([0, 1, 1, 0, 1, 0], [0, 0, 1, 1, 0, 0])], 1, 1, 1),
    ([([1, 0], [0, 1]), ([0, 1], [0, 1])], 1, 1, 2),
])  # fmt: skip
def test_table(
    videos: list[tuple[list[int], list[int]]], false_alarms: int, found: int, n_events: int
) -> None:
    counted = count(videos)
    assert counted is not None
    assert (counted.false_alarms, counted.found, counted.n_events) == (false_alarms, found, n_events)
    seconds = sum(labels.count(0) for _, labels in videos)
    assert counted.normal_hours == pytest.approx(seconds / 3600)
    assert counted.observed_per_day == pytest.approx(false_alarms * 86400 / seconds)


def test_the_interval_is_that_of_a_poisson_count() -> None:
    normal = [0] * 86400
    nothing = count([(normal, normal)])
    three = count([([1, 0, 1, 0, 1, *normal[5:]], normal)])
    assert nothing is not None and three is not None
    assert (nothing.low_per_day, nothing.high_per_day) == (0.0, pytest.approx(3.689, abs=1e-3))
    # tables of the exact interval of 3
    assert (three.low_per_day, three.high_per_day) == (
        pytest.approx(0.619, abs=1e-3),
        pytest.approx(8.767, abs=1e-3),
    )
