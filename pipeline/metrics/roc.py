"""What each threshold finds and what it flags wrongly: exact curves, also of resampled videos.

One sort serves all: `Ranking` keeps the order of the scores, and a curve for any weights of the videos is
then a pass over it without sorting again. That is what makes a bootstrap over videos exact and quick.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RocCurve:
    """True and false positives while the threshold falls: a polyline from (0, 0).

    It is kept at the G distinct scores of positives. Between two of them only negatives are flagged, so the
    curve runs level; where positives and negatives are tied, it rises in a straight line.
    """

    true_positives: NDArray[np.int64]
    """(G,), positives at or above each distinct score of a positive, highest score first."""
    false_positives_before: NDArray[np.int64]
    """(G,), negatives above that score."""
    false_positives_after: NDArray[np.int64]
    """(G,), negatives at or above it."""
    n_positives: int
    """At least the last of `true_positives`; more where some positives have no score at all."""
    n_negatives: int

    @classmethod
    def from_scores(cls, labels: NDArray[np.uint8], scores: NDArray[np.float64]) -> RocCurve:
        """Rank frames, labels (N,) with 1 = positive and scores (N,), higher = more anomalous."""
        positives, negatives = scores[labels == 1], scores[labels == 0]
        return Ranking.of([positives], [negatives]).curve()

    @property
    def is_defined(self) -> bool:
        """Whether there is something to find and something to flag wrongly."""
        return self.n_positives > 0 and self.n_negatives > 0

    @property
    def false_positive_rate(self) -> NDArray[np.float64]:
        """Return (2G + 2,), the part of the negatives that is flagged, from 0 to 1."""
        steps = np.stack([self.false_positives_before, self.false_positives_after], axis=1).ravel()
        return np.concatenate([[0], steps, [self.n_negatives]]) / self.n_negatives

    @property
    def true_positive_rate(self) -> NDArray[np.float64]:
        """Return (2G + 2,), the part of the positives that is found, from 0 to 1."""
        steps = np.stack([self.true_positives - self._rises, self.true_positives], axis=1).ravel()
        return np.concatenate([[0], steps, [self.true_positives.max(initial=0)]]) / self.n_positives

    @property
    def auc(self) -> float:
        """Return the area under the curve, higher = better, 0.5 = chance."""
        # Twice the trapezoids in whole numbers, so that a perfect ranking gives 1.0 and not nearly 1.
        twice = 2 * self.n_negatives - self.false_positives_before - self.false_positives_after
        return float(np.sum(self._rises * twice) / (2 * self.n_negatives * self.n_positives))

    @property
    def average_precision(self) -> float:
        """Return the precision summed over the steps of recall, higher = better."""
        # nothing is flagged only where nothing rises, and then the quotient does not matter
        flagged = np.maximum(self.true_positives + self.false_positives_after, 1)
        return float(np.sum(self._rises * (self.true_positives / flagged)) / self.n_positives)

    @property
    def equal_error_rate(self) -> float:
        """Return the false positive rate where it equals the miss rate, lower = better."""

        def excess(false_positives: int, true_positives: int) -> int:
            """Return false positive rate − miss rate, times both numbers; it climbs along the curve."""
            return false_positives * self.n_positives + (true_positives - self.n_positives) * self.n_negatives

        after, found = self.false_positives_after, self.true_positives
        group = bisect_left(range(len(found)), 0, key=lambda g: excess(int(after[g]), int(found[g])))
        found_before = int(found[group - 1]) if group else 0
        start, stop = int(self.false_positives_before[group]), int(after[group])
        lack = -excess(start, found_before)
        if lack <= 0:  # it crosses on the level part that leads here
            return 1 - found_before / self.n_positives
        part = lack / (lack + excess(stop, int(found[group])))
        return (start + (stop - start) * part) / self.n_negatives

    def area_up_to(self, limit: float) -> float:
        """Return the area under the rate of true positives up to `limit` > 0 false positives, over `limit`.

        Where there are fewer false positives the curve goes on level. In [0, 1], higher = better.
        """
        start = np.minimum(self.false_positives_before, limit)
        stop = np.minimum(self.false_positives_after, limit)
        width = np.maximum(self.false_positives_after - self.false_positives_before, 1)
        # Of a rise that the limit cuts, the part before it counts: a triangle, (stop - start) / width high.
        rise = (stop - start) / width * (stop - start) / 2
        level = np.where(self.false_positives_after <= limit, limit - stop, 0)
        return float(np.sum(self._rises * (rise + level)) / (limit * self.n_positives))

    @property
    def _rises(self) -> NDArray[np.int64]:
        return np.diff(self.true_positives, prepend=0)


@dataclass(frozen=True)
class Ranking:
    """Positives and negatives of V videos in order of their scores, sorted once."""

    n_positives: NDArray[np.int64]
    """(V,), positives of each video, with those that have no score."""
    n_negatives: NDArray[np.int64]
    """(V,)"""
    positive_video: NDArray[np.intp]
    """(1 + P,), V for a video of weight 0, then the video of each scored positive, highest score first."""
    negative_video: NDArray[np.intp]
    """(1 + N,), the same of the negatives."""
    group_stop: NDArray[np.int64]
    """(G,), how many positives are at or above each distinct score of a positive."""
    negatives_above: NDArray[np.int64]
    """(G,), how many negatives are above that score."""
    negatives_from: NDArray[np.int64]
    """(G,), how many negatives are at or above it."""

    @classmethod
    def of(
        cls,
        positives: Sequence[NDArray[np.float64]],
        negatives: Sequence[NDArray[np.float64]],
        *,
        n_positives: Sequence[int] | None = None,
    ) -> Ranking:
        """Sort the scores of the positives and of the negatives of each video.

        Args:
            positives: one (P_v,) array per video, higher = more anomalous.
            negatives: one (N_v,) array per video.
            n_positives: how many positives each video has, where some have no score and are never found.
        """
        scores, video = _ranked(positives)
        negative_scores, negative_video = _ranked(negatives)
        is_last_of_tie = np.append(scores[1:] != scores[:-1], True)[: scores.size]
        stop = np.flatnonzero(is_last_of_tie) + 1  # scores [5, 3, 3, 1]  ->  [1, 3, 4]
        thresholds, rising = scores[stop - 1], negative_scores[::-1]
        given = [part.size for part in positives] if n_positives is None else n_positives
        return cls(
            n_positives=np.array(given, dtype=np.int64),
            n_negatives=np.array([part.size for part in negatives], dtype=np.int64),
            positive_video=video,
            negative_video=negative_video,
            group_stop=stop,
            negatives_above=negative_scores.size - np.searchsorted(rising, thresholds, side="right"),
            negatives_from=negative_scores.size - np.searchsorted(rising, thresholds, side="left"),
        )

    def curve(self, weights: NDArray[np.int64] | None = None) -> RocCurve:
        """Return the curve where each video counts as often as its weight, (V,) integers; once if None."""
        if weights is None:
            return RocCurve(
                self.group_stop,
                self.negatives_above,
                self.negatives_from,
                int(self.n_positives.sum()),
                int(self.n_negatives.sum()),
            )
        weights = np.append(weights, 0)  # of the video V, with which running totals begin
        found = _running_total(weights, self.positive_video)
        flagged = _running_total(weights, self.negative_video)
        return RocCurve(
            found[self.group_stop],
            flagged[self.negatives_above],
            flagged[self.negatives_from],
            int(weights[:-1] @ self.n_positives),
            int(weights[:-1] @ self.n_negatives),
        )


def _ranked(parts: Sequence[NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return all scores from the highest down, and the video of each after the number of videos."""
    scores = np.concatenate([np.empty(0), *parts])
    video = np.repeat(np.arange(len(parts), dtype=np.intp), [part.size for part in parts])
    order = np.argsort(scores)[::-1]
    return scores[order], np.append(len(parts), video[order])


def _running_total(weights: NDArray[np.int64], video: NDArray[np.intp]) -> NDArray[np.int64]:
    # In place, with an index of numpy's own type: a bootstrap spends nearly all of its time here.
    total = weights[video]
    return np.cumsum(total, out=total)
