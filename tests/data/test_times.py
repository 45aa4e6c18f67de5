"""How long frames are shown and where they are in time: even, jittered, bursts beside rest, pauses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mulde.data.times import longest_step, positions, positions_of, shown_seconds


@pytest.mark.parametrize("seconds, fps, expected", [
    ([], 10, []),
    ([0], 4, [0.25]),
    ([0, 0.1, 0.2], 25, [0.1, 0.1, 0.1]),
    ([0, 0.1, 0.3, 0.4], 10, [0.1, 0.2, 0.1, 0.1]),  # a lost frame: the one before it stays
    ([0, 0.1, 0.2, 60, 60.1], 10, [0.1, 0.1, 0.1, 0.1, 0.1]),  # a pause
    ([0, 1, 2, 2.04, 2.08, 2.12, 2.16, 3.16], 25, [1, 1, 0.04, 0.04, 0.04, 0.04, 1, 0.04]),
    ([0, 10, 20, 34, 44, 60], 25, [10, 10, 14, 10, 10, 10]),  # 14 s are no pause, 16 s are
    ([0, 0, 0], 10, [0.1, 0.1, 0.1]),  # the times do not tell
    ([5, 5.1, 0, 0.1], 10, [0.1, 0.1, 0.1, 0.1]),  # a clock that starts again
])  # fmt: skip
def test_how_long_frames_are_shown(seconds: list[float], fps: float, expected: list[float]) -> None:
    found = shown_seconds(np.array(seconds, dtype=np.float64), fps)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@given(st.integers(1, 3000), st.sampled_from([0.1, 1.0, 7.0, 25.0, 29.97, 240.0]))
def test_of_evenly_spaced_frames_it_is_their_number_by_the_rate(n_frames: int, rate: float) -> None:
    shown = shown_seconds(np.arange(n_frames) / rate, rate)
    assert shown.sum() == pytest.approx(n_frames / rate, rel=1e-9)


@given(st.lists(st.sampled_from([0.04, 0.5, 1.0, 2.0, 5.0, 3600.0]), min_size=1, max_size=60))
def test_the_sum_is_the_span_without_pauses_and_a_usual_step(steps: list[float]) -> None:
    seconds = np.concatenate([[0.0], np.cumsum(steps)])
    usual = float(np.median(np.diff(seconds)))
    pauses = [step for step in np.diff(seconds) if step > longest_step(usual)]
    expected = seconds[-1] - sum(pauses) + usual * (len(pauses) + 1)
    assert shown_seconds(seconds, 25.0).sum() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("usual", "longest"), [(0.04, 2.0), (1.0, 2.0), (1.3, 2.0), (2.0, 3.0), (60.0, 90.0)]
)
def test_what_is_no_pause(usual: float, longest: float) -> None:
    assert longest_step(usual) == longest


@pytest.mark.parametrize("seconds, expected", [
    ([], []),
    ([7], [0]),
    ([0, 0.1, 0.2, 0.3], [0, 1, 2, 3]),
    ([0, 0.06, 0.2, 0.34, 0.4], [0, 1, 2, 3, 4]),  # jitter
    ([0, 0.1, 0.3, 0.4], [0, 1, 3, 4]),  # a lost frame
    ([0, 0.1, 0.21, 0.3, 7.3, 7.4], [0, 1, 2, 3, 73, 74]),
    ([0, 0.1, 0.125, 0.15, 0.25], [0, 1, 1.25, 1.5, 2.5]),
    ([0, 0.1, 0.1, 0.2], [0, 1, 2, 3]),  # a clock that stands still
])  # fmt: skip
def test_where_frames_are(seconds: list[float], expected: list[float]) -> None:
    np.testing.assert_allclose(positions(np.array(seconds, float), 0.1), expected, atol=1e-6)


@given(st.lists(st.floats(0.51, 1.49), max_size=100), st.floats(0.001, 100))
def test_frames_that_come_evenly_are_where_their_numbers_are(jitter: list[float], usual: float) -> None:
    seconds = 3.0 + usual * np.concatenate([[0.0], np.cumsum(jitter)])
    np.testing.assert_array_equal(positions(seconds, usual), np.arange(len(jitter) + 1))
    assert positions(seconds, usual).dtype == np.float64


def test_after_a_pause_steps_are_exactly_one() -> None:
    """A billion frames later, where 1e9 + 1/3 would not add up."""
    seconds = np.concatenate([np.arange(50), 1e9 + 1 / 3 + np.arange(50)]) / 30
    assert set(np.diff(positions_of(seconds, 25.0))[50:]) == {1.0}
