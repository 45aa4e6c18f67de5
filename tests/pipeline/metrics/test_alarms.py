"""Promised against observed false alarms."""

from __future__ import annotations

import numpy as np
import pytest

from mulde.data.times import shown_seconds
from mulde.pipeline.events.find import Rule, Track, find_stretches
from mulde.pipeline.events.thresholds import NormalFootage
from mulde.pipeline.metrics.alarms import AlarmCount, count_alarms


def count(videos: list[tuple[list[int], list[int]]]) -> AlarmCount | None:
    """Count in videos of one frame a second."""
    arrays = [(np.array(a, dtype=bool), np.array(y, dtype=np.uint8), np.ones(len(y))) for a, y in videos]
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


def test_hours_are_those_in_which_frames_are_normal_without_pauses() -> None:
    """A minute at ten frames a second, an hour of nothing, and another minute, of which 5 s are labelled."""
    seconds = np.concatenate([np.arange(600), 36600 + np.arange(600)]) / 10
    alarm, labels = np.zeros(1200, bool), np.zeros(1200, np.uint8)
    alarm[100:110] = alarm[900:950] = labels[900:950] = 1
    shown = shown_seconds(seconds, 10.0)
    counted = count_alarms(
        [(alarm, labels, shown)], promised_per_day=720, is_extrapolated=False, threshold=0.5, min_share=0
    )
    assert counted is not None
    assert (counted.false_alarms, counted.normal_hours) == (1, pytest.approx(115 / 3600))
    assert counted.observed_per_day == pytest.approx(86400 / 115)


@pytest.mark.parametrize("per_second", [0.5, 1.0])
def test_what_is_promised_is_observed_where_the_rate_varies(per_second: float) -> None:
    """Promise and observation go by one clock: a camera that rests and sends bursts, with known hours."""
    seconds, peak = [], []
    for burst in range(200):
        start = 500.0 * burst
        rest = np.arange(0, 480, 1 / per_second)
        busy = 480 + np.arange(500) / 25
        seconds += [start + rest, start + busy]
        peak += [np.zeros(rest.size), np.where(np.abs(busy - 490) < 2, burst + 1.0, 0.0)]
    times, scores = np.concatenate(seconds), np.concatenate(peak)
    footage = NormalFootage([Track(scores, times, 25.0)], lambda usual: Rule(0.3, 2.0, 0.5, usual))
    assert footage.hours == pytest.approx(200 * 500 / 3600, rel=1e-4)
    threshold = footage.threshold(24.0)  # 27 of the 200 bursts, the last of which raises none
    assert threshold.score == pytest.approx(174)
    stretches = find_stretches(footage.tracks[0], threshold.score, footage.rule)
    alarm = np.zeros(times.size, bool)
    for stretch in stretches:
        alarm[stretch.start : stretch.stop] = True
    counted = count_alarms(
        [(alarm, np.zeros(times.size, np.uint8), shown_seconds(times, 25.0))],
        promised_per_day=24,
        is_extrapolated=False,
        threshold=threshold.score,
        min_share=0,
    )
    assert counted is not None
    assert counted.normal_hours == pytest.approx(footage.hours)
    assert counted.false_alarms == 26
    assert counted.observed_per_day == pytest.approx(26 * 24 / footage.hours)
