"""Thresholds keep to their budget on footage like that which they are read off, and say what they cannot."""

from __future__ import annotations

import numpy as np
import pytest

from mulde.pipeline.events.find import Rule, Track
from mulde.pipeline.events.thresholds import (
    Marked,
    NormalFootage,
    Tail,
    amount_in_words,
    rate_in_words,
)


def make_rule(usual: float) -> Rule:
    return Rule(least_seconds=0.0, merge_gap_seconds=1.0, release=0.5, usual=usual)


def footage(peaks: list[float], seconds_each: float = 60.0) -> list[Track]:
    """Make a track at 1 frame a second with one peak in each stretch of so many seconds."""
    scores = np.zeros(int(len(peaks) * seconds_each))
    scores[:: int(seconds_each)] = peaks
    return [Track(scores, np.arange(len(scores), dtype=float), 1.0)]


def test_no_footage_is_no_threshold() -> None:
    found = NormalFootage([], make_rule).threshold(1.0)
    assert (found.score, found.listed_score, found.normal_hours) == (None, None, 0.0)
    assert found.text.startswith("No threshold")


def test_footage_without_any_peak_is_no_threshold() -> None:
    assert NormalFootage(footage([0.0] * 5), make_rule).threshold(1.0).score is None


@pytest.mark.parametrize("per_hour, expected", [
    (1.0, 9.0),  # one in an hour: the highest peak raises no alarm, any above would
    (2.0, 8.0),
    (4.9, 6.0),
])  # fmt: skip
def test_the_threshold_is_just_above_the_peak_of_that_rank(per_hour: float, expected: float) -> None:
    peaks = [*map(float, range(10)), *[0.5] * 50]  # an hour
    normal = NormalFootage(footage(peaks), make_rule)
    found = normal.threshold(24 * per_hour)
    assert found.score == found.listed_score == np.nextafter(expected, np.inf)
    assert not found.is_extrapolated
    assert normal.count(found.score) == int(per_hour) - 1


@pytest.mark.parametrize("per_hour", [2.0, 10.0, 40.0])
def test_new_footage_alarms_as_often_as_was_promised(per_hour: float) -> None:
    rng = np.random.default_rng(0)
    n_alarms, n_hours, n_tries = 0, 4, 60
    for _ in range(n_tries):
        peaks = rng.exponential(size=2 * 60 * n_hours).tolist()
        learnt, new = footage(peaks[: 60 * n_hours]), footage(peaks[60 * n_hours :])
        threshold = NormalFootage(learnt, make_rule).threshold(24 * per_hour)
        assert threshold.score is not None
        n_alarms += NormalFootage(new, make_rule).count(threshold.score)
    promised = per_hour * n_hours * n_tries
    # the count of alarms above the j-th highest peak has the variance 2j, a negative binomial's
    assert abs(n_alarms - promised) < 3 * np.sqrt(2 * promised)


@pytest.mark.parametrize("share", [0.2, 0.02])
def test_extrapolation_keeps_to_its_budget_where_the_tail_is_exponential(share: float) -> None:
    rng = np.random.default_rng(1)
    expected = []
    for _ in range(120):
        normal = NormalFootage(footage(rng.exponential(size=60).tolist()), make_rule)  # an hour
        threshold = normal.threshold(24 * share)
        assert (
            threshold.is_extrapolated and threshold.score is not None and threshold.listed_score is not None
        )
        assert threshold.listed_score <= threshold.score
        expected.append(60 * np.exp(-threshold.score))  # alarms an hour, were there endless footage
    assert share / 2 < np.mean(expected) < 1.5 * share


HOUR = [*map(float, range(10)), *[0.5] * 50]


@pytest.mark.parametrize("per_hour, watched_hours, marked, score, listed", [
    (2.0, 0.0, [], 8.0, 8.0),  # nothing
    (2.0, 1.0, [], 8.0, 8.0),  # four are allowed now, but below it nobody has looked
    (2.0, 1.0, [8.5, 8.6], 8.0, 8.0),  # just as many as were promised
    (2.0, 1.0, [8.5, 8.6, 8.7], 8.5, 8.5),  # 9, 8.7, 8.6 are left
    (2.0, 0.0, [8.5, 8.6, 8.7], 8.7, 8.7),  # were the footage not counted, it would be higher still
    (2.0, 1.0, [20.0, 21.0, 22.0, 23.0], 20.0, 20.0),
])  # fmt: skip
def test_marked_events_count_with_the_footage_that_was_watched(
    per_hour: float, watched_hours: float, marked: list[float], score: float, listed: float
) -> None:
    tracks = [footage([0.5, peak, 0.5], 10.0)[0] for peak in marked]
    found = NormalFootage(footage(HOUR), make_rule).threshold(24 * per_hour, Marked(tracks, watched_hours))
    assert found.score == np.nextafter(score, np.inf)
    assert found.listed_score == np.nextafter(listed, np.inf)
    assert found.normal_hours == 1 + watched_hours
    assert not found.is_extrapolated
    assert ("from 8.000 on without these" in found.text) == (score > 8.0)


@pytest.mark.parametrize("watched_hours, marked, listed, is_extrapolated", [
    (0.5, [], 9.0, True),
    (0.5, [12.0], 12.0, True),  # above all that was seen
    (1.5, [11.0, 12.0], 11.0, True),  # about as often as before
    (3.5, [12.0], 9.0, False),
])  # fmt: skip
def test_where_footage_is_short_events_are_listed_as_often_as_before(
    watched_hours: float, marked: list[float], listed: float, is_extrapolated: bool
) -> None:
    normal = NormalFootage(footage(HOUR), make_rule)
    alone = normal.threshold(6.0)  # one in four hours
    assert alone.is_extrapolated and alone.score is not None
    tracks = [footage([0.5, peak, 0.5], 10.0)[0] for peak in marked]
    found = normal.threshold(6.0, Marked(tracks, watched_hours))
    assert (found.listed_score, found.is_extrapolated) == (np.nextafter(listed, np.inf), is_extrapolated)
    assert found.score == max(alone.score, found.listed_score, *(np.nextafter(marked[-1:], np.inf)))


def test_marks_keep_the_budget_where_footage_has_changed_and_do_little_where_not() -> None:
    rng = np.random.default_rng(2)
    n_hours, per_hour, n_tries = 4, 3.0, 40
    for scale, is_kept_before in ((1.0, True), (1.5, False)):
        counts = {"before": 0, "marked": 0, "not counted": 0}
        for _ in range(n_tries):
            peaks = rng.exponential(size=60 * n_hours)
            watched, new = scale * rng.exponential(size=(2, 60 * 4 * n_hours))  # another season
            normal = NormalFootage(footage(peaks.tolist()), make_rule)
            alone = normal.threshold(24 * per_hour)
            tracks = [footage([peak], 2.0)[0] for peak in watched if peak >= alone.score]
            found = {
                "before": alone,
                "marked": normal.threshold(24 * per_hour, Marked(tracks, 4.0 * n_hours)),
                "not counted": normal.threshold(24 * per_hour, Marked(tracks, 0.0)),
            }
            for name, threshold in found.items():
                counts[name] += int((new >= threshold.score).sum())
        promised = per_hour * 4 * n_hours * n_tries
        assert (counts["before"] < 1.3 * promised) == is_kept_before
        assert 0.5 * promised < counts["marked"] < 1.3 * promised
        assert counts["not counted"] < 0.5 * promised


def test_a_tail_is_its_own_inverse_and_begins_at_its_start() -> None:
    tail = Tail(start=2.0, n_above=20, mean_excess=0.5)
    assert tail.expected(2.0) == pytest.approx(20)
    for expected in (10.0, 1.0, 1e-3):
        assert tail.expected(tail.score(expected)) == pytest.approx(expected)
    # with endless peaks it is the exponential distribution itself
    many = Tail(start=0.0, n_above=10**6, mean_excess=0.5)
    assert many.score(1.0) == pytest.approx(0.5 * np.log(1e6), rel=1e-3)


def test_too_little_footage_is_said_with_what_would_do() -> None:
    text = NormalFootage(footage([*np.linspace(1, 2, 20)]), make_rule).threshold(1.0).text
    for part in (
        "Only 20 min of normal footage",
        "3 times an hour",
        "once a day by extrapolation",
        "24 h or",
    ):
        assert part in text
    few = NormalFootage(footage([1.0, 2.0, 1.5]), make_rule).threshold(1.0)
    assert few.is_extrapolated
    assert few.score == few.listed_score == np.nextafter(2.0, np.inf)
    assert "above all that was seen" in few.text


def test_enough_footage_is_said_to_be_enough() -> None:
    text = NormalFootage(footage([*np.linspace(1, 2, 120)]), make_rule).threshold(24.0).text
    assert "a false alarm once an hour, as counted in 2 h" in text
    assert "1 is what normal footage reaches" in text


@pytest.mark.parametrize("per_day, text", [
    (0.1, "once in 10 days"),
    (1, "once a day"),
    (2, "twice a day"),
    (24, "once an hour"),
    (60, "2.5 times an hour"),
    (24 * 60 * 12, "12 times a minute"),
])  # fmt: skip
def test_rates_in_words(per_day: float, text: str) -> None:
    assert rate_in_words(per_day) == text


@pytest.mark.parametrize("hours, text", [
    (0.01, "36 s"), (0.25, "15 min"), (1.5, "1.5 h"), (24, "24 h"), (240, "10 days")
])  # fmt: skip
def test_amounts_in_words(hours: float, text: str) -> None:
    assert amount_in_words(hours) == text
