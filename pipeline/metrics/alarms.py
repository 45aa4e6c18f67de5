"""Promised against observed: how often the threshold alarmed on test footage that is labelled normal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mulde.pipeline.metrics.events import event_curve, find_rule

_LEVEL = 0.95


@dataclass(frozen=True)
class AlarmCount:
    """What the threshold of a run did on its test videos."""

    promised_per_day: float
    """False alarms in 24 hours of normal footage that were asked for."""
    is_extrapolated: bool
    """Whether there was too little normal footage to promise that."""
    threshold: float
    """Score from which on events are alarms."""
    false_alarms: int
    """In all of the test footage."""
    normal_hours: float
    """Hours of test footage that are labelled normal."""
    observed_per_day: float
    """False alarms in 24 hours of it."""
    low_per_day: float
    """Rate that such a count can come from, at least: a 95 % interval (Garwood's, exact for Poisson)."""
    high_per_day: float
    """The same, at most."""
    found: int
    """Labelled events with an alarm."""
    n_events: int
    """Labelled events."""
    protocol: str
    """What is counted, in a sentence."""


def count_alarms(
    videos: Sequence[tuple[NDArray[np.bool_], NDArray[np.uint8], NDArray[np.float64]]],
    *,
    promised_per_day: float,
    is_extrapolated: bool,
    threshold: float,
    min_share: float,
) -> AlarmCount | None:
    """Count false alarms and what is found; None where no frame is labelled normal.

    Args:
        videos: which frames (T,) alarm, their labels (T,), 1 = abnormal, and how long each is
            shown in seconds (T,), by the clock that the promise goes by.
        min_share: part of an event's frames that must alarm, see `event_curve`.
    """
    hours = sum(float(shown[labels == 0].sum()) for _, labels, shown in videos) / 3600
    if not hours:
        return None
    from scipy.special import gammaincinv  # only here, for its import takes a while

    curve = event_curve([(alarm.astype(float), labels) for alarm, labels, _ in videos], min_share=min_share)
    at_one = np.flatnonzero(curve.thresholds == 1)
    n_false, n_found = (
        int(part[at_one[0]]) if at_one.size else 0 for part in (curve.false_alarms, curve.found)
    )
    low = gammaincinv(n_false, (1 - _LEVEL) / 2) if n_false else 0.0
    high = gammaincinv(n_false + 1, (1 + _LEVEL) / 2)
    per_day = 24 / hours
    return AlarmCount(
        promised_per_day,
        is_extrapolated,
        threshold,
        n_false,
        hours,
        n_false * per_day,
        float(low * per_day),
        float(high * per_day),
        n_found,
        curve.n_events,
        f"{find_rule(min_share, 'of an alarm')} The promise is for normal footage like that which was learnt "
        "from; the interval is what a Poisson count of so many allows, at 95 %.",
    )
