"""Abnormal events found against false alarms per hour: what an operator at the screen would live with.

An event here is a labelled one, a run of abnormal frames; `mulde.pipeline.events` has those that are found
without labels. It is found at a threshold when enough of its frames have that score or a higher one: one
frame, or a share of its length. A false alarm is a run of flagged frames that holds no abnormal frame;
flagged frames that touch a flagged frame of an event belong to its detection.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class EventPoint:
    """What the lowest threshold that keeps to a rate of false alarms finds."""

    allowed_per_hour: float
    threshold: float | None
    """Frames with this score or a higher one are flagged; None where nothing may be flagged."""
    false_alarms: int
    """In all of the footage."""
    found: int
    """Events."""


@dataclass(frozen=True)
class EventTable:
    """Events found at a handful of false-alarm rates."""

    n_events: int
    hours: float
    """Hours of footage, normal and abnormal."""
    min_share: float
    """Part of an event's frames that must be flagged, one frame at least."""
    protocol: str
    """What counts as found and as a false alarm, and where the threshold is, in a sentence."""
    points: tuple[EventPoint, ...]


@dataclass(frozen=True)
class EventCurve:
    """Events found and false alarms raised at every threshold that makes a difference."""

    thresholds: NDArray[np.float64]
    """(K,), from the highest score down."""
    false_alarms: NDArray[np.int64]
    """(K,); not monotone: runs that grow can merge with each other and with a found event."""
    found: NDArray[np.int64]
    """(K,), events."""
    n_events: int

    def at_most(self, false_alarms: float) -> int | None:
        """Return the position of the lowest threshold that, as all above it, raises at most so many alarms.

        None where even the highest score raises more. It is the place where somebody stops who lowers the
        threshold until it alarms too often.
        """
        too_many = np.flatnonzero(self.false_alarms > false_alarms)
        position = int(too_many[0]) - 1 if too_many.size else self.thresholds.size - 1
        return position if position >= 0 else None

    def table(self, hours: float, *, min_share: float, rates: Sequence[float]) -> EventTable:
        """Read the curve of so many hours of footage at rates of false alarms per hour."""
        points = tuple(self._point(rate, rate * hours) for rate in rates)
        return EventTable(self.n_events, hours, min_share, _rule(min_share), points)

    def share_found(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return numbers of false alarms put up with, rising, and the part of the events found then.

        That is `at_most` for every number: (M,) from 0 on where nothing alarms, each the first to find more.
        """
        allowed, last = np.unique(np.maximum.accumulate(self.false_alarms)[::-1], return_index=True)
        found = self.found[::-1][last]
        if not allowed.size or allowed[0] > 0:
            allowed, found = np.append(0, allowed), np.append(0, found)
        return allowed, found / max(self.n_events, 1)

    def _point(self, rate: float, allowed: float) -> EventPoint:
        position = self.at_most(allowed)
        if position is None:
            return EventPoint(rate, None, 0, 0)
        return EventPoint(
            rate,
            float(self.thresholds[position]),
            int(self.false_alarms[position]),
            int(self.found[position]),
        )


def event_curve(
    videos: Sequence[tuple[NDArray[np.float64], NDArray[np.uint8]]], *, min_share: float = 0.0
) -> EventCurve:
    """Count events found and false alarms at every threshold.

    Args:
        videos: the scores (T,), higher = more anomalous, and labels (T,), 1 = abnormal, of each video.
        min_share: part of an event's frames that must be flagged, in [0, 1]; at least one frame must be.
    """
    if not 0 <= min_share <= 1:
        raise ValueError(f"min_share is {min_share}, but must be in [0, 1]")
    parts = [_count_alarms(scores, labels) for scores, labels in videos]
    starts = np.sort(np.concatenate([np.empty(0), *(part[0] for part in parts)]))
    ends = np.sort(np.concatenate([np.empty(0), *(part[1] for part in parts)]))
    found = np.sort(np.array([s for scores, labels in videos for s in _found_at(scores, labels, min_share)]))
    thresholds = np.unique(np.concatenate([starts, ends, found]))[::-1]
    return EventCurve(
        thresholds,
        _reached(starts, thresholds) - _reached(ends, thresholds),
        _reached(found, thresholds),
        found.size,
    )


def runs(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the runs of true values as half-open pairs, (R, 2): [0, 1, 1, 0, 1]  ->  (1, 3), (4, 5)."""
    steps = np.diff(flags.astype(np.int8), prepend=0, append=0)
    return np.stack([np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)], axis=1)


def _count_alarms(
    scores: NDArray[np.float64], labels: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return two lists of scores of which n_first(≥ t) − n_second(≥ t) false alarms are there at threshold t.

    A frame begins a run of flagged frames at the thresholds above its predecessor's score up to its own: one
    more below its own score, one less from the predecessor's down. A run at the border of a normal stretch is
    no false alarm at the thresholds that flag the abnormal neighbour too: one less. A stretch between two
    events that is flagged throughout has been taken off twice then: one more.
    """
    is_normal = labels == 0
    before = np.concatenate([[-np.inf], np.where(is_normal, scores, -np.inf)[:-1]])[: scores.size]
    begins = is_normal & (scores > before)
    border = np.flatnonzero(is_normal[1:] != is_normal[:-1])  # between a frame and the next
    joined = np.minimum(scores[border], scores[border + 1])
    stretches = [
        scores[start - 1 : stop + 1].min()
        for start, stop in runs(is_normal)
        if start > 0 and stop < scores.size
    ]
    ends = before[begins]
    return (
        np.concatenate([scores[begins], stretches]),
        np.concatenate([ends[np.isfinite(ends)], joined]),
    )


def _found_at(scores: NDArray[np.float64], labels: NDArray[np.uint8], min_share: float) -> list[float]:
    """Return, for each event, the highest threshold that finds it."""
    found = []
    for start, stop in runs(labels == 1):
        # 0.07 of 100 frames are 7.000000000000001 in floating point, and 7 are meant
        n_needed = max(1, math.ceil(min_share * (stop - start) - 1e-9))
        found.append(float(np.partition(scores[start:stop], -n_needed)[-n_needed]))
    return found


def _reached(rising: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
    return rising.size - np.searchsorted(rising, thresholds, side="left")


def find_rule(min_share: float, flagged: str) -> str:
    """Return what counts as found and as a false alarm, in a sentence.

    Args:
        flagged: what frames are that count, such as "flagged".
    """
    needed = "one of its frames is" if min_share == 0 else f"{100 * min_share:g} % of its frames are"
    return (
        f"A labelled event is a run of abnormal frames, found when {needed} {flagged}; a false alarm is a "
        f"run of frames {flagged} without an abnormal one."
    )


def _rule(min_share: float) -> str:
    return (
        f"{find_rule(min_share, 'flagged')} The threshold is the lowest that, as all above it, keeps to the "
        "rate."
    )
