"""Which score raises an alarm: a budget of false alarms, and normal footage that was not learnt from.

What is counted is stretches, found by the rule that finds them in test videos, for neighbouring frames are
not independent. Where there is as much normal footage as the budget needs, the threshold is the j-th highest
peak: if normal footage goes on like it, in as much new footage j stretches are expected above it, the number
down to it; nothing is assumed about the scores (conformal prediction), but that stretches come one by one.
Where an hour unlike the others has dozens, no more than j hours in as much footage are expected to have any.
Where there is less footage, peaks are taken
to be exponentially distributed above the highest few dozen, with the uncertainty of their mean (the
predictive distribution of an exponential sample, a Lomax distribution), and it is said that this is a guess.

Events that somebody marked as normal were picked because they score high. They count together with all of
the footage that was watched to find them; below the score from which events were told, nobody has looked, so
that they raise a threshold and never lower it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mulde.data.spelling import counted
from mulde.pipeline.events.find import Rule, Track, count_stretches, find_stretches
from mulde.pipeline.events.record import Threshold

_TAIL_PEAKS = 30
"""So many of the highest peaks tell how fast the tail falls off; fewer where there are fewer."""
_LEAST_PEAKS = 5
"""With fewer, nobody can tell."""
_HOURS_A_DAY = 24.0


@dataclass(frozen=True)
class Tail:
    """How many stretches of all normal footage are expected to reach high scores."""

    start: float
    """A score."""
    n_above: int
    """Stretches that reach it, itself included."""
    mean_excess: float
    """By how much the others reach beyond it on average."""

    def expected(self, score: float) -> float:
        """Return how many stretches of as much normal footage are expected to reach a score above `start`."""
        n = self.n_above - 1
        return float(self.n_above * (1 + (score - self.start) / (n * self.mean_excess)) ** -n)

    def score(self, expected: float) -> float:
        """Return the score that so many stretches are expected to reach, fewer than `n_above`."""
        n = self.n_above - 1
        return float(self.start + n * self.mean_excess * ((self.n_above / expected) ** (1 / n) - 1))


@dataclass(frozen=True)
class Marked:
    """Events that were told of and then marked as normal."""

    tracks: Sequence[Track]
    """A piece of footage each."""
    watched_hours: float
    """How much footage was watched to find them."""


class NormalFootage:
    """Normal footage that was not learnt from, and how often it reaches which scores."""

    def __init__(self, tracks: Sequence[Track], make_rule: Callable[[float], Rule]) -> None:
        """Take the scores of the footage, and what makes the rule of stretches from the usual score."""
        self.tracks, self.make_rule = list(tracks), make_rule
        scores = np.concatenate([np.empty(0), *(track.scores for track in tracks)])
        self.usual = float(np.median(scores)) if scores.size else 0.0
        """The score of half of the frames."""
        self.rule = make_rule(self.usual)

    @property
    def hours(self) -> float:
        """How much footage there is, without pauses of recordings."""
        return sum(track.n_seconds for track in self.tracks) / 3600

    @cached_property
    def peaks(self) -> NDArray[np.float64]:
        """Scores at local maxima above the usual score, the highest first: what can make a difference."""
        parts = [np.empty(0)]
        for track in self.tracks:
            padded = np.concatenate([[-np.inf], track.scores, [-np.inf]])
            is_peak = (padded[1:-1] >= padded[:-2]) & (padded[1:-1] >= padded[2:])
            parts.append(track.scores[is_peak & (track.scores > self.usual)])
        return np.unique(np.concatenate(parts))[::-1]

    def count(self, score: float) -> int:
        """Return how many stretches reach a score."""
        return count_stretches(self.tracks, score, self.rule)

    def peak_of_rank(self, rank: int) -> tuple[float, int]:
        """Return the highest score that so many stretches reach, and how many do; else the lowest score."""
        low, high = 0, len(self.peaks) - 1
        while low < high:
            middle = (low + high) // 2
            if self.count(float(self.peaks[middle])) >= rank:
                high = middle
            else:
                low = middle + 1
        score = float(self.peaks[low])
        return score, self.count(score)

    @cached_property
    def tail(self) -> Tail | None:
        """How high scores go on beyond those seen; None where too few were seen to tell."""
        if not len(self.peaks):
            return None
        start, _ = self.peak_of_rank(_TAIL_PEAKS)
        heights = [stretch.score for t in self.tracks for stretch in find_stretches(t, start, self.rule)]
        if len(heights) < _LEAST_PEAKS or max(heights) == min(heights):
            return None
        excess = np.array(heights) - min(heights)
        return Tail(min(heights), len(heights), float(excess.sum() / (len(heights) - 1)))

    def expected_per_day(self, score: float) -> float | None:
        """Return how often normal footage reaches a score, in times a day; None where nobody can tell."""
        if not self.hours:
            return None
        seen = self.count(score)
        if seen == 0 and self.tail is not None and score > self.tail.start:
            return self.tail.expected(score) * _HOURS_A_DAY / self.hours
        return max(seen, 1) * _HOURS_A_DAY / self.hours

    def threshold(self, per_day: float, marked: Marked | None = None) -> Threshold:
        """Return the score that keeps to a budget of false alarms in 24 hours of normal footage.

        Args:
            marked: events that were marked as normal since.
        """
        alone = self._threshold(per_day)
        return alone if marked is None or alone.score is None else self._raised(alone, marked)

    def _raised(self, alone: Threshold, marked: Marked) -> Threshold:
        """Return a threshold that footage which was watched since keeps to as well."""
        assert alone.score is not None and alone.listed_score is not None
        both = NormalFootage([*self.tracks, *marked.tracks], lambda usual: self.rule)
        hours = self.hours + marked.watched_hours
        allowed = alone.false_alarms_per_day * hours / _HOURS_A_DAY + 1e-9

        def just_above(rank: int) -> float:
            return float(np.nextafter(both.peak_of_rank(max(1, rank))[0], np.inf))

        score = max(alone.score, just_above(int(allowed)))
        # where the budget asks for more footage than there is, events are listed as often as before
        rank = int(hours / self.hours) if alone.is_extrapolated else int(allowed)
        listed = max(alone.listed_score, just_above(rank))
        raised = replace(
            alone,
            score=max(score, listed),
            listed_score=listed,
            normal_hours=hours,
            is_extrapolated=allowed < 1,
        )
        return replace(raised, text=f"{self._describe_raised(raised, alone, marked)} {self.describe_scale()}")

    def _describe_raised(self, raised: Threshold, alone: Threshold, marked: Marked) -> str:
        """Return what a threshold that takes marked events into account promises, as sentences."""
        n_marked = counted(len(marked.tracks), "event")
        footage = (
            f"{amount_in_words(self.hours)} of normal footage that was not learnt from, and in "
            f"{amount_in_words(marked.watched_hours)} that were watched, with {n_marked} marked as normal"
        )
        before = "" if raised.score == alone.score else f" (from {alone.score:.3f} on without these)"
        start = f"Alarms from a score of {raised.score:.3f} on{before}"
        if not raised.is_extrapolated:
            return (
                f"{start}: a false alarm {rate_in_words(raised.false_alarms_per_day)}, as counted in "
                f"{footage}, if footage goes on like it."
            )
        return (
            f"{start}, above all that was seen in {footage}; these support no better than a false alarm "
            f"{rate_in_words(_HOURS_A_DAY / raised.normal_hours)}. Events are listed from a score of "
            f"{raised.listed_score:.3f} on."
        )

    def _threshold(self, per_day: float) -> Threshold:
        """Return what follows from normal footage that was left out of learning alone."""
        if not len(self.peaks):
            return no_threshold(per_day, "nothing in the normal footage scores above the usual", self.hours)
        allowed = per_day * self.hours / _HOURS_A_DAY + 1e-9  # 1 h of 24 a day is 1, and not 0.9999…
        rank = max(1, int(allowed))
        seen = float(np.nextafter(self.peak_of_rank(rank)[0], np.inf))  # that peak itself raises no alarm
        is_seen = allowed >= 1
        score = seen if is_seen or self.tail is None else max(seen, self.tail.score(allowed))
        text = f"{self._describe(score, seen, per_day, is_seen=is_seen)} {self.describe_scale()}"
        return Threshold(score, seen, per_day, self.hours, is_extrapolated=not is_seen, text=text)

    def describe_scale(self) -> str:
        """Return what a score of 1 means, as a sentence."""
        per_day, knows_tail = self.expected_per_day(1.0), self.tail is not None and self.tail.start < 1.0
        if per_day is None or (self.count(1.0) == 0 and not knows_tail):
            return f"Scores: 1 was not reached in {amount_in_words(self.hours)} of normal footage."
        return f"Scores: 1 is what normal footage reaches {rate_in_words(per_day)}."

    def _describe(self, score: float, seen: float, per_day: float, *, is_seen: bool) -> str:
        """Return what the threshold promises, as sentences."""
        budget, footage = rate_in_words(per_day), amount_in_words(self.hours)
        if is_seen:
            return (
                f"Alarms from a score of {score:.3f} on: a false alarm {budget}, as counted in {footage} of "
                "normal footage that was not learnt from, if footage goes on like it."
            )
        supported = rate_in_words(_HOURS_A_DAY / self.hours)
        needed = amount_in_words(_HOURS_A_DAY / per_day)
        start = f"Only {footage} of normal footage support no better than a false alarm {supported}"
        if self.tail is None:
            return (
                f"{start}: events and alarms from a score of {seen:.3f} on, above all that was seen. For a "
                f"false alarm {budget}, {needed} or more of normal footage would do."
            )
        return (
            f"{start}: events are listed from a score of {seen:.3f} on, above all that was seen. Alarms from "
            f"{score:.3f} on: a false alarm {budget} by extrapolation, which {needed} or more of normal "
            "footage would make a promise."
        )


def no_threshold(per_day: float, reason: str, hours: float = 0.0) -> Threshold:
    """Return what there is where no threshold can be told."""
    return Threshold(None, None, per_day, hours, is_extrapolated=False, text=f"No threshold: {reason}.")


def rate_in_words(per_day: float) -> str:
    """Return a rate as people say it: "3.2 times an hour", "twice a day", "once in 12 days"."""
    if per_day >= 24 * 60:
        return f"{_times(per_day / 24 / 60)} a minute"
    if per_day >= 24:
        return f"{_times(per_day / 24)} an hour"
    if per_day >= 1:
        return f"{_times(per_day)} a day"
    return f"once in {_number(1 / per_day)} days"


def amount_in_words(hours: float) -> str:
    """Return a length of time as people say it: "40 s", "4.3 min", "30 h", "12 days"."""
    if hours < 1 / 60:
        return f"{3600 * hours:.0f} s"
    if hours < 1:
        return f"{_number(60 * hours)} min"
    return f"{_number(hours)} h" if hours < 72 else f"{_number(hours / 24)} days"


def _times(value: float) -> str:
    number = _number(value)
    return {"1": "once", "2": "twice"}.get(number, f"{number} times")


def _number(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"
