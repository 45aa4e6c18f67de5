"""Metrics of frame scores, as functions of how often each video counts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mulde.pipeline.metrics.bootstrap import Draws, Statistic, weighted_mean
from mulde.pipeline.metrics.roc import Ranking, RocCurve
from mulde.pipeline.metrics.video_scores import VideoScores

MICRO_KEYS = ("micro_auc", "average_precision", "eer")


def video_auc(video: VideoScores) -> float | None:
    """Return the area under the ROC curve of one video (higher = better), None for a video of one class."""
    return RocCurve.from_scores(video.labels, video.scores).auc if video.has_both_classes else None


def roc_curve(videos: Sequence[VideoScores]) -> RocCurve | None:
    """Return the ROC curve over all frames of all videos, None where the set lacks a class."""
    curve = _rank(videos).curve()
    return curve if curve.is_defined else None


def micro_auc(videos: Sequence[VideoScores]) -> Statistic:
    """Return the micro AUC as a function of the videos' weights, for `bootstrap_over_videos`; exact."""
    ranking = _rank(videos)

    def measure(weights: Draws) -> float:
        curve = ranking.curve(weights)
        return curve.auc if curve.is_defined else math.nan

    return measure


def macro_auc(videos: Sequence[VideoScores]) -> Statistic:
    """Return the mean AUC of the videos of both classes as a function of the videos' weights."""
    return weighted_mean(np.array([_or_nan(video_auc(video)) for video in videos]))


def macro_auc_padded(videos: Sequence[VideoScores]) -> Statistic:
    """Return the mean AUC of all videos, each padded with the extremes of the whole set.

    Resampled videos keep the padding of the whole set. A video without frames is left out: it would score 1
    by its padding alone.
    """
    filled = [video for video in videos if video.n_frames]
    lowest = min((video.scores.min() for video in filled), default=0.0)
    highest = max((video.scores.max() for video in filled), default=0.0)
    padding = np.array([0, 1], dtype=np.uint8)
    aucs = [
        RocCurve.from_scores(np.append(video.labels, padding), np.append(video.scores, [lowest, highest])).auc
        if video.n_frames
        else math.nan
        for video in videos
    ]
    return weighted_mean(np.array(aucs))


def by_scene(videos: Sequence[VideoScores]) -> dict[str, NDArray[np.int64]]:
    """Return the positions of the videos of each scene, in order of the scenes' names."""
    scenes = [video.scene for video in videos]
    return {
        scene: np.array([index for index, other in enumerate(scenes) if other == scene])
        for scene in sorted(set(scenes))
    }


def scene_auc(videos: Sequence[VideoScores]) -> Statistic:
    """Return the mean over scenes of the micro AUC within each; not defined where all are of one scene."""
    scenes = by_scene(videos)
    parts = [(index, micro_auc([videos[i] for i in index])) for index in scenes.values()]

    def measure(weights: Draws) -> float:
        aucs = [auc for index, of in parts if not math.isnan(auc := of(weights[index]))]
        return sum(aucs) / len(aucs) if aucs and len(scenes) > 1 else math.nan

    return measure


class FrameStatistics:
    """All metrics of frames at once, with one sort of the frames and one pass over them a call."""

    def __init__(self, videos: Sequence[VideoScores]) -> None:
        self._videos = videos
        self._ranking = _rank(videos)
        self._others: Mapping[str, Statistic] = {
            "macro_auc": macro_auc(videos),
            "macro_auc_padded": macro_auc_padded(videos),
            "scene_auc": scene_auc(videos) if len(by_scene(videos)) > 1 else lambda weights: math.nan,
        }

    def __call__(self, weights: Draws) -> dict[str, float]:
        """Return each metric by key, NaN where the weighted videos do not define it."""
        curve = self._ranking.curve(weights)
        if not curve.is_defined:
            return dict.fromkeys((*MICRO_KEYS, *self._others), math.nan)
        return {
            "micro_auc": curve.auc,
            "average_precision": curve.average_precision,
            "eer": curve.equal_error_rate,
            **{key: statistic(weights) for key, statistic in self._others.items()},
        }

    def why_undefined(self, key: str) -> str:
        """Return the reason for a metric that the videos, each counted once, do not define."""
        curve = self._ranking.curve()
        if curve.n_positives + curve.n_negatives == 0:
            return "there are no labelled test frames"
        if curve.n_positives == 0:
            return "no test frame is labelled abnormal"
        if curve.n_negatives == 0:
            return "every test frame is labelled abnormal"
        if key == "scene_auc":
            is_one = len(by_scene(self._videos)) == 1
            return "the videos are of one scene" if is_one else "every scene is of one class"
        return "every video is of one class"


def _rank(videos: Sequence[VideoScores]) -> Ranking:
    return Ranking.of(
        [video.scores[video.labels == 1] for video in videos],
        [video.scores[video.labels == 0] for video in videos],
    )


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
