"""Frame-level metrics of a test set, each number beside the protocol that it follows."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class VideoScores:
    """The scores of one video beside its labels; raises ValueError where they cannot be evaluated."""

    name: str
    """Unique within the test set."""
    scores: NDArray[np.float64]
    """(T,), one score a decoded frame, finite, higher = more anomalous."""
    labels: NDArray[np.uint8]
    """(T,), 1 = abnormal, 0 = normal."""

    def __post_init__(self) -> None:
        if self.scores.ndim != 1 or self.scores.shape != self.labels.shape:
            raise ValueError(
                f"{self.name}: scores {self.scores.shape} and labels {self.labels.shape} differ in shape: "
                "give one score and one label for every decoded frame"
            )
        check_finite(self.name, self.scores)
        if not np.isin(self.labels, (0, 1)).all():
            raise ValueError(f"{self.name}: labels must be 0 (normal) or 1 (abnormal)")

    @property
    def n_frames(self) -> int:
        return len(self.scores)

    @property
    def n_abnormal(self) -> int:
        return int(np.count_nonzero(self.labels))

    @property
    def has_both_classes(self) -> bool:
        return 0 < self.n_abnormal < self.n_frames


@dataclass(frozen=True)
class Metric:
    """One number and how it came about."""

    key: str
    value: float | None
    """In [0, 1]; None where the metric is not defined on this set."""
    protocol: str
    """What was compared with what, in a sentence."""
    reason: str = ""
    """Why there is no value; empty where there is one."""

    def __post_init__(self) -> None:
        assert (self.value is None) == bool(self.reason)

    @property
    def title(self) -> str:
        """Return the name for people, such as "Micro AUC"."""
        return _TITLES.get(self.key, self.key)


@dataclass(frozen=True)
class VideoMetrics:
    """What was measured on one video alone."""

    name: str
    n_frames: int
    n_abnormal: int
    auc: float | None
    """In [0, 1], higher = better; None for a video of one class."""


@dataclass(frozen=True)
class Counts:
    """The size of a test set."""

    videos: int
    frames: int
    abnormal_frames: int
    one_class_videos: int
    """Videos without a normal or without an abnormal frame."""


@dataclass(frozen=True)
class Metrics:
    """All frame-level metrics of one test set; `metrics["micro_auc"]` is a `Metric`."""

    numbers: tuple[Metric, ...]
    per_video: tuple[VideoMetrics, ...]
    per_video_protocol: str
    counts: Counts
    unsmoothed: Metrics | None = None
    """The same metrics of the scores before smoothing, where the caller gave them."""

    def __getitem__(self, key: str) -> Metric:
        for number in self.numbers:
            if number.key == key:
                return number
        raise KeyError(f"no metric {key!r}: known are {', '.join(number.key for number in self.numbers)}")

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON types: numbers at the top, `protocols` and `reasons` (for null) beside them."""
        protocols = {number.key: number.protocol for number in self.numbers}
        return {
            **{number.key: number.value for number in self.numbers},
            "protocols": {**protocols, "per_video": self.per_video_protocol},
            "reasons": {number.key: number.reason for number in self.numbers if number.reason},
            "counts": asdict(self.counts),
            "per_video": {
                video.name: {"auc": video.auc, "frames": video.n_frames, "abnormal_frames": video.n_abnormal}
                for video in self.per_video
            },
            "unsmoothed": None if self.unsmoothed is None else self.unsmoothed.as_dict(),
        }

    def to_json(self) -> str:
        """Return the text of `metrics.json`; `from_json` is its inverse."""
        return json.dumps(self.as_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Metrics:
        """Read what `to_json` wrote."""
        return cls._from_dict(json.loads(text))

    @classmethod
    def _from_dict(cls, block: Mapping[str, Any]) -> Metrics:
        protocols = dict(block["protocols"])
        per_video_protocol = protocols.pop("per_video")
        return cls(
            numbers=tuple(
                Metric(key, block[key], protocol, block["reasons"].get(key, ""))
                for key, protocol in protocols.items()
            ),
            per_video=tuple(
                VideoMetrics(name, row["frames"], row["abnormal_frames"], row["auc"])
                for name, row in block["per_video"].items()
            ),
            per_video_protocol=per_video_protocol,
            counts=Counts(**block["counts"]),
            unsmoothed=None if block["unsmoothed"] is None else cls._from_dict(block["unsmoothed"]),
        )


@dataclass(frozen=True)
class RocCurve:
    """What each threshold flags, from one above all scores (nothing) down to the lowest score (all)."""

    false_positives: NDArray[np.int64]
    """(K,), normal frames at or above each distinct score, beginning with 0."""
    true_positives: NDArray[np.int64]
    """(K,), abnormal frames at or above each distinct score, beginning with 0."""

    @classmethod
    def from_scores(cls, labels: NDArray[np.uint8], scores: NDArray[np.float64]) -> RocCurve:
        """Rank frames that hold both classes, labels (N,) and scores (N,), higher = more anomalous."""
        order = np.argsort(scores)[::-1]
        ranked = scores[order]
        # Tied frames are flagged together: [5, 3, 3, 1]  ->  steps after ranks 0, 2 and 3.
        last_of_tie = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
        true_positives = np.cumsum(labels[order], dtype=np.int64)[last_of_tie]  # (K - 1,)
        return cls(np.append(0, last_of_tie + 1 - true_positives), np.append(0, true_positives))

    @property
    def false_positive_rate(self) -> NDArray[np.float64]:
        """Return (K,), the part of the normal frames that is flagged, from 0 to 1."""
        return _shares(self.false_positives)

    @property
    def true_positive_rate(self) -> NDArray[np.float64]:
        """Return (K,), the part of the abnormal frames that is flagged, from 0 to 1."""
        return _shares(self.true_positives)

    @property
    def auc(self) -> float:
        """Return the area under the curve, higher = better, 0.5 = chance."""
        # Twice the trapezoids in whole numbers, so that a perfect ranking gives 1.0 and not nearly 1.
        twice = np.sum(np.diff(self.false_positives) * (self.true_positives[1:] + self.true_positives[:-1]))
        return float(twice / (2 * self.false_positives[-1] * self.true_positives[-1]))

    @property
    def average_precision(self) -> float:
        """Return the precision summed over the steps of recall, higher = better."""
        precision = self.true_positives[1:] / (self.true_positives + self.false_positives)[1:]
        return float(np.sum(np.diff(self.true_positives) * precision) / self.true_positives[-1])

    @property
    def equal_error_rate(self) -> float:
        """Return the false positive rate where it equals the miss rate, lower = better."""
        # Their difference climbs strictly from -1 to 1, so it has one zero on the interpolated curve.
        difference = self.false_positive_rate + self.true_positive_rate - 1
        return float(np.interp(0.0, difference, self.false_positive_rate))


def evaluate_frames(
    videos: Sequence[VideoScores],
    *,
    treatment: str = "scores as given",
    unsmoothed: Sequence[VideoScores] | None = None,
) -> Metrics:
    """Measure how well frame scores tell abnormal frames from normal ones.

    Args:
        videos: scores of the main protocol, one entry a test video; their order does not matter.
        treatment: what was done to these scores, in the words that shall end each protocol sentence,
            such as "scores smoothed over time (Gaussian, σ = 3 frames)".
        unsmoothed: the same videos and labels with the scores before smoothing.

    Returns:
        The metrics; one that a set does not define (no abnormal frame, say) has no value but a reason.

    Raises:
        ValueError: two videos share a name, or `unsmoothed` holds other videos or labels.
    """
    _check_unique(videos)
    if unsmoothed is not None:
        _check_unique(unsmoothed)
        _check_same_labels(videos, unsmoothed)
    return Metrics(
        numbers=tuple(_measure(definition, videos, treatment) for definition in _DEFINITIONS),
        per_video=tuple(
            VideoMetrics(video.name, video.n_frames, video.n_abnormal, video_auc(video)) for video in videos
        ),
        per_video_protocol=f"One ROC curve a video, no value for a video of one class; {treatment}.",
        counts=_count(videos),
        unsmoothed=None
        if unsmoothed is None
        else evaluate_frames(unsmoothed, treatment="scores not smoothed"),
    )


def video_auc(video: VideoScores) -> float | None:
    """Return the area under the ROC curve of one video (higher = better), None for a video of one class."""
    return RocCurve.from_scores(video.labels, video.scores).auc if video.has_both_classes else None


def roc_curve(videos: Sequence[VideoScores]) -> RocCurve | None:
    """Return the ROC curve over all frames of all videos, None where the set lacks a class."""
    try:
        _require_both_classes(videos)
    except _UndefinedError:
        return None
    return _micro_curve(videos)


def check_finite(name: str, scores: NDArray[np.float64]) -> None:
    """Raise ValueError that names the video and the first frame whose score is NaN or infinite."""
    broken = np.flatnonzero(~np.isfinite(scores))
    if broken.size:
        raise ValueError(
            f"{name}: {broken.size} of {scores.size} scores are NaN or infinite, the first at frame "
            f"{broken[0]}: score this video again"
        )


class _UndefinedError(Exception):
    """A metric has no value on this set; the message is the reason that users read."""


@dataclass(frozen=True)
class _Definition:
    key: str
    title: str
    protocol: str
    compute: Callable[[Sequence[VideoScores]], float]
    """Called with sets that hold both classes; may raise _UndefinedError."""


def _micro_curve(videos: Sequence[VideoScores]) -> RocCurve:
    labels = np.concatenate([video.labels for video in videos])
    return RocCurve.from_scores(labels, np.concatenate([video.scores for video in videos]))


def _macro_auc(videos: Sequence[VideoScores]) -> float:
    aucs = [auc for auc in map(video_auc, videos) if auc is not None]
    if not aucs:
        raise _UndefinedError("every video is of one class")
    return _mean(aucs)


def _macro_auc_padded(videos: Sequence[VideoScores]) -> float:
    filled = [video for video in videos if video.n_frames]  # an empty one would score 1 by padding alone
    lowest = min(video.scores.min() for video in filled)
    highest = max(video.scores.max() for video in filled)
    padded = (
        RocCurve.from_scores(
            np.append(video.labels, np.array([0, 1], dtype=np.uint8)),
            np.append(video.scores, [lowest, highest]),
        )
        for video in filled
    )
    return _mean([curve.auc for curve in padded])


_DEFINITIONS = (
    _Definition(
        "micro_auc",
        "Micro AUC",
        "All test frames of all videos in one ROC curve",
        lambda videos: _micro_curve(videos).auc,
    ),
    _Definition(
        "macro_auc",
        "Macro AUC",
        "Mean of the AUCs of the single videos, videos of one class left out",
        _macro_auc,
    ),
    _Definition(
        "macro_auc_padded",
        "Macro AUC, padded",
        "Mean of the AUCs of all videos, each padded with one normal frame of the lowest and one abnormal "
        "frame of the highest score of the whole set (Georgescu et al., AI-VAD)",
        _macro_auc_padded,
    ),
    _Definition(
        "average_precision",
        "Average precision",
        "All test frames of all videos in one ranking, abnormal = positive, precision summed over the steps "
        "of recall without interpolation",
        lambda videos: _micro_curve(videos).average_precision,
    ),
    _Definition(
        "eer",
        "Equal error rate",
        "Lower is better: the point of the micro ROC curve, linearly interpolated, where as large a part of "
        "the normal frames is flagged as of the abnormal frames is missed",
        lambda videos: _micro_curve(videos).equal_error_rate,
    ),
)
_TITLES = {definition.key: definition.title for definition in _DEFINITIONS}


def _measure(definition: _Definition, videos: Sequence[VideoScores], treatment: str) -> Metric:
    protocol = f"{definition.protocol}; {treatment}."
    try:
        _require_both_classes(videos)
        return Metric(definition.key, definition.compute(videos), protocol)
    except _UndefinedError as undefined:
        return Metric(definition.key, None, protocol, str(undefined))


def _require_both_classes(videos: Sequence[VideoScores]) -> None:
    counts = _count(videos)
    if counts.frames == 0:
        raise _UndefinedError("there are no labelled test frames")
    if counts.abnormal_frames == 0:
        raise _UndefinedError("no test frame is labelled abnormal")
    if counts.abnormal_frames == counts.frames:
        raise _UndefinedError("every test frame is labelled abnormal")


def _count(videos: Sequence[VideoScores]) -> Counts:
    return Counts(
        videos=len(videos),
        frames=sum(video.n_frames for video in videos),
        abnormal_frames=sum(video.n_abnormal for video in videos),
        one_class_videos=sum(not video.has_both_classes for video in videos),
    )


def _shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = counts / counts[-1]
    return shares


def _mean(values: Sequence[float]) -> float:
    # fsum rounds once, so that the order of the videos cannot change the last digit.
    return math.fsum(values) / len(values)


def _check_unique(videos: Sequence[VideoScores]) -> None:
    repeated = [name for name, n in Counter(video.name for video in videos).items() if n > 1]
    if repeated:
        raise ValueError(f"videos share a name: {', '.join(repeated)}: give every video a name of its own")


def _check_same_labels(videos: Sequence[VideoScores], others: Sequence[VideoScores]) -> None:
    labels = {video.name: video.labels for video in videos}
    names = labels.keys() ^ {other.name for other in others}
    if names:
        raise ValueError(f"smoothed and unsmoothed scores differ in videos: {', '.join(sorted(names))}")
    for other in others:
        if not np.array_equal(labels[other.name], other.labels):
            raise ValueError(f"{other.name}: smoothed and unsmoothed scores come with different labels")
