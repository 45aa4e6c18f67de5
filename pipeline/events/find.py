"""From frame scores to stretches of a video in which they are high, by the frames' own times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mulde.data.times import longest_step, shown_seconds, usual_step


@dataclass(frozen=True)
class Rule:
    """What makes a stretch."""

    least_seconds: float
    """One that is shorter does not count."""
    merge_gap_seconds: float
    """Two that are no further apart are one."""
    release: float
    """Where a stretch begins and ends, in [0, 1]: at the usual score (0), at the threshold (1) or between."""
    usual: float
    """The score of half of the normal frames."""

    def release_score(self, threshold: float) -> float:
        """Return the score down to which a stretch that reaches the threshold goes on."""
        return min(threshold, self.usual + self.release * (threshold - self.usual))

    def longest_step(self, usual_seconds: float) -> float:
        """Return the longest distance of neighbours in a stretch, in seconds, by the usual one."""
        return max(self.merge_gap_seconds, longest_step(usual_seconds))


@dataclass(frozen=True)
class Stretch:
    """Frames in a row that score high."""

    start: int
    """0-based frame."""
    stop: int
    """The frame after the last."""
    peak: int
    """The frame of the highest score, the first of several."""
    score: float
    """That score."""


class Track:
    """The frame scores of a video and what they are about in time."""

    def __init__(self, scores: NDArray[np.float64], seconds: NDArray[np.float64], fps: float) -> None:
        """Take scores (T,), higher = more anomalous, the frames' times (T,) and, in case these do not tell,
        the rate.
        """
        if scores.shape != seconds.shape or scores.ndim != 1:
            raise ValueError(f"scores {scores.shape} and times {seconds.shape} must be of the same frames")
        self.scores, self.seconds = scores, seconds
        self.step_seconds = usual_step(seconds, fps)
        """The usual distance of frames."""
        self.n_seconds = float(shown_seconds(seconds, fps).sum())
        """How long the footage lasts, without the pauses of the recording."""

    def end(self, stop: int) -> float:
        """Return when the frame before `stop` is no longer shown, in a pause a usual distance after it."""
        shown = float(self.seconds[stop - 1]) + self.step_seconds
        return shown if stop == len(self.seconds) else min(shown, float(self.seconds[stop]))


def find_stretches(track: Track, threshold: float, rule: Rule) -> list[Stretch]:
    """Return where scores reach a threshold, from and until they are below the release score, in order.

    A pause of the recording that is longer than what is merged ends a stretch.
    """
    if not track.scores.size or track.scores.max() < threshold:
        return []
    is_high = track.scores >= rule.release_score(threshold)
    goes_on = is_high[1:] & is_high[:-1] & (np.diff(track.seconds) <= rule.longest_step(track.step_seconds))
    starts = np.flatnonzero(is_high & ~np.concatenate([[False], goes_on]))
    stops = np.flatnonzero(is_high & ~np.concatenate([goes_on, [False]])) + 1
    highest = np.maximum.reduceat(track.scores, np.stack([starts, stops], axis=1).ravel()[:-1])[::2]
    reached = highest >= threshold
    return _long_enough(track, starts[reached], stops[reached], rule)


def count_stretches(tracks: Sequence[Track], threshold: float, rule: Rule) -> int:
    """Return how many there are in all."""
    return sum(len(find_stretches(track, threshold, rule)) for track in tracks)


def _long_enough(
    track: Track, starts: NDArray[np.int64], stops: NDArray[np.int64], rule: Rule
) -> list[Stretch]:
    """Merge neighbours, and leave out what is too short then."""
    merged: list[tuple[int, int]] = []
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        if merged and track.seconds[start] - track.end(merged[-1][1]) <= rule.merge_gap_seconds:
            merged[-1] = merged[-1][0], stop
        else:
            merged.append((start, stop))
    found = []
    for start, stop in merged:
        # 0.3 s at 10 frames a second are 0.30000000000000004, and 0.3 is meant
        if track.end(stop) - track.seconds[start] >= rule.least_seconds - 1e-9:
            peak = start + int(track.scores[start:stop].argmax())
            found.append(Stretch(start, stop, peak, float(track.scores[peak])))
    return found
