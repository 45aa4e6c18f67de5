"""How far a metric might move with other videos of the same kind: percentile intervals over resampled videos.

Videos, not frames, are drawn with replacement, because the frames of one video are anything but independent
(Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13).

A metric comes as a function of the videos that prepares what it needs once, such as one sort of all frames,
and returns a function of the weights: how often each video was drawn. `from_videos` makes such a metric of
any function of a list of videos, slowly; it is handed the same video more than once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
FEW_VIDEOS = 20
"""With fewer videos a percentile interval is a rough guide, mostly too narrow."""

T = TypeVar("T")
Draws = NDArray[np.int64]
"""(V,), how often each video was drawn, summing to V."""
Statistic = Callable[[Draws], float]
"""Returns NaN where the drawn videos do not define the metric."""
WeightedMetric = Callable[[Sequence[T]], Statistic]


@dataclass(frozen=True)
class ConfidenceInterval:
    """Where the middle part of the resampled values lies."""

    low: float
    high: float
    level: float
    """Part of the resampled values inside, such as 0.95."""
    n_resamples: int
    n_undefined: int
    """How many of them do not define the metric, such as videos of one class only; left out."""


def bootstrap_over_videos(
    videos: Sequence[T],
    metric: WeightedMetric[T],
    *,
    n_resamples: int,
    seed: int,
    level: float = LEVEL,
) -> ConfidenceInterval | None:
    """Return the percentile interval of a metric over videos drawn with replacement.

    Args:
        videos: such as `VideoScores`; with one seed, their order decides which resamples are drawn.
        metric: prepared once with the videos, then called with weights; see the module.
        n_resamples: how many times as many videos as there are get drawn; at least 1.
        seed: of the draws.
        level: part of the resampled values that the interval holds, in (0, 1).

    Returns:
        The interval, or None where fewer than two videos or no resample define it.
    """
    if len(videos) < 2:
        return None
    statistic = metric(videos)
    return bootstrap(
        len(videos), lambda weights: {"": statistic(weights)}, n_resamples=n_resamples, seed=seed, level=level
    ).get("")


def bootstrap(
    n_videos: int,
    statistics: Callable[[Draws], Mapping[str, float]],
    *,
    n_resamples: int,
    seed: int,
    level: float = LEVEL,
) -> dict[str, ConfidenceInterval]:
    """Return the percentile interval of several metrics by key, each computed on the same resamples.

    A metric that no resample defines is left out; with fewer than two videos all are.
    """
    if n_resamples < 1:
        raise ValueError(f"n_resamples is {n_resamples}, but must be at least 1")
    if not 0 < level < 1:
        raise ValueError(f"level is {level}, but must lie between 0 and 1")
    if n_videos < 2:
        return {}
    draws = np.random.default_rng(seed).multinomial(
        n_videos, np.full(n_videos, 1 / n_videos), size=n_resamples
    )
    rows = [statistics(weights) for weights in draws]
    found = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    return {
        key: interval
        for key, values in found.items()
        if (interval := _percentiles(values, level)) is not None
    }


def from_videos(metric: Callable[[Sequence[T]], float | None]) -> WeightedMetric[T]:
    """Make a metric of a function of a list of videos, which is called with each video as often as drawn."""

    def prepare(videos: Sequence[T]) -> Statistic:
        def measure(weights: Draws) -> float:
            value = metric([video for video, n in zip(videos, weights, strict=True) for _ in range(n)])
            return math.nan if value is None else value

        return measure

    return prepare


def weighted_mean(values: NDArray[np.float64]) -> Statistic:
    """Return the statistic that takes the mean of one value per video, (V,), without those that are NaN."""
    is_there = ~np.isnan(values)
    filled = np.where(is_there, values, 0.0)

    def measure(weights: Draws) -> float:
        total = float(weights @ is_there)
        return float(weights @ filled) / total if total else math.nan

    return measure


def _percentiles(values: NDArray[np.float64], level: float) -> ConfidenceInterval | None:
    defined = values[~np.isnan(values)]
    if not defined.size:
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return ConfidenceInterval(float(low), float(high), level, values.size, values.size - defined.size)
