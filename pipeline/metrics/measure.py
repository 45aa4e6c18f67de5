"""Measure a test set: frames, scenes, regions and events, each number with its protocol and its interval."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mulde.data.spelling import counted
from mulde.pipeline.metrics.bootstrap import FEW_VIDEOS, LEVEL, Draws, Statistic, bootstrap
from mulde.pipeline.metrics.events import EventTable, event_curve
from mulde.pipeline.metrics.frames import FrameStatistics, by_scene, roc_curve, video_auc
from mulde.pipeline.metrics.protocols import UNSMOOTHED, Treatment
from mulde.pipeline.metrics.records import TEXTS, Counts, Metric, Metrics, SceneMetrics, VideoMetrics
from mulde.pipeline.metrics.regions import RegionVideo, box_auc, has_tracks, rbdc, tbdc
from mulde.pipeline.metrics.settings import EvaluateConfig
from mulde.pipeline.metrics.video_scores import VideoScores

__all__ = [
    "CODE_VERSION",
    "Metrics",
    "VideoScores",
    "evaluate_frames",
    "roc_curve",
    "video_auc",
]

CODE_VERSION = 6
"""Raise it when the same scores and labels give other metrics, or other fields, than before."""

_REGION_KEYS = ("rbdc", "tbdc", "box_auc")
_REGION_TREATMENT = "scores of boxes, not smoothed, whatever the protocol does to frames"


@dataclass(frozen=True)
class _Resampling:
    n_resamples: int
    seed: int


def evaluate_frames(
    videos: Sequence[VideoScores],
    *,
    treatment: Treatment | None = None,
    unsmoothed: Sequence[VideoScores] | None = None,
    regions: Sequence[RegionVideo] = (),
    no_regions_reason: str = "no region labels",
    settings: EvaluateConfig | None = None,
    seed: int = 0,
) -> Metrics:
    """Measure how well scores tell abnormal frames from normal ones, and abnormal regions from others.

    Args:
        videos: scores of the main protocol, one entry a test video; their order does not matter.
        treatment: what was done to these scores; "scores as given" if None.
        unsmoothed: the same videos and labels with the scores before smoothing.
        regions: scored boxes and labelled regions of the same videos or some of them; empty leaves RBDC and
            TBDC without a value, for the reason in `no_regions_reason`.
        settings: of intervals and events; the defaults if None. Its protocol has been applied by the caller.
        seed: of the bootstrap.

    Returns:
        The metrics; one that a set does not define (no abnormal frame, say) has no value but a reason.

    Raises:
        ValueError: two videos share a name, or `unsmoothed` holds other videos or labels.
    """
    _check_unique([video.name for video in videos])
    settings, treatment = settings or EvaluateConfig(), treatment or Treatment()
    resampling = _Resampling(settings.n_resamples, seed)
    # In one order sums round alike and one seed draws the same videos, whatever order they came in.
    ordered = sorted(videos, key=lambda video: video.name)
    frames = FrameStatistics(ordered)
    events, no_events_reason = _events(ordered, settings)
    return Metrics(
        treatment=treatment,
        numbers=(
            *_numbers(frames, len(videos), frames.why_undefined, treatment.text, resampling),
            *_region_numbers(regions, len(videos), no_regions_reason, resampling),
        ),
        per_video=tuple(
            VideoMetrics(video.name, video.n_frames, video.n_abnormal, video_auc(video)) for video in videos
        ),
        per_video_protocol=f"One ROC curve per video, no value for a video of one class; {treatment.text}.",
        per_scene=_per_scene(ordered),
        per_scene_protocol=f"One ROC curve per scene, no value for a scene of one class; {treatment.text}.",
        counts=_count(videos),
        interval_protocol=_describe_intervals(len(videos), resampling),
        events=events,
        no_events_reason=no_events_reason,
        unsmoothed=None if unsmoothed is None else _evaluate_unsmoothed(videos, unsmoothed, settings, seed),
    )


def _numbers(
    statistics: Callable[[Draws], Mapping[str, float]],
    n_videos: int,
    why_undefined: Callable[[str], str],
    treatment: str,
    resampling: _Resampling,
    more: Mapping[str, str] | None = None,
) -> list[Metric]:
    """Measure, with intervals.

    Args:
        more: what else is to be said of single metrics.
    """
    values = statistics(np.ones(n_videos, dtype=np.int64))
    intervals = {}
    if resampling.n_resamples and not all(map(math.isnan, values.values())):
        intervals = bootstrap(n_videos, statistics, n_resamples=resampling.n_resamples, seed=resampling.seed)
    numbers = []
    for key in (key for key in TEXTS if key in values):
        protocol = f"{TEXTS[key].definition}; {treatment}{(more or {}).get(key, '')}."
        if math.isnan(values[key]):
            numbers.append(Metric(key, None, protocol, why_undefined(key)))
        else:
            numbers.append(Metric(key, values[key], protocol, interval=intervals.get(key)))
    return numbers


def _region_numbers(
    regions: Sequence[RegionVideo], n_videos: int, no_regions_reason: str, resampling: _Resampling
) -> list[Metric]:
    _check_unique([video.name for video in regions])
    ordered = sorted(regions, key=lambda video: video.name)
    criteria: dict[str, Statistic] = dict.fromkeys(_REGION_KEYS, lambda weights: math.nan)
    reason = no_regions_reason
    has_regions = any(len(video.regions) for video in ordered)
    if has_regions:
        criteria["rbdc"], criteria["box_auc"] = rbdc(ordered), box_auc(ordered)
        reason = "the region labels hold no tracks"
        if has_tracks(ordered):
            criteria["tbdc"] = tbdc(ordered)

    def measure(weights: Draws) -> dict[str, float]:
        return {key: criterion(weights) for key, criterion in criteria.items()}

    treatment = f"{_REGION_TREATMENT}, on the {len(ordered)} of {n_videos} videos whose regions are known"
    n_passed_over = sum(video.n_passed_over for video in ordered)
    if n_passed_over:
        n_frames = sum(video.n_frames for video in ordered)
        treatment += f", in the {n_frames} of {n_frames + n_passed_over} frames that were looked at"
    if any(video.are_windows for video in ordered):
        treatment += "; RBDC and TBDC of the highest of windows that overlap"
    linked = ", whose tracks are linked by overlap, since the labels hold none"
    more = {"tbdc": linked} if any(video.are_tracks_linked for video in ordered) else {}

    def why_undefined(key: str) -> str:
        return "no box lies on a region, or all do" if has_regions and key == "box_auc" else reason

    return _numbers(measure, len(ordered), why_undefined, treatment, resampling, more)


def _evaluate_unsmoothed(
    videos: Sequence[VideoScores], unsmoothed: Sequence[VideoScores], settings: EvaluateConfig, seed: int
) -> Metrics:
    _check_unique([video.name for video in unsmoothed])
    _check_same_labels(videos, unsmoothed)
    metrics = evaluate_frames(unsmoothed, treatment=UNSMOOTHED, settings=settings, seed=seed)
    # Boxes are never smoothed: their numbers stand in the block above.
    return replace(
        metrics, numbers=tuple(number for number in metrics.numbers if number.key not in _REGION_KEYS)
    )


def _per_scene(videos: Sequence[VideoScores]) -> tuple[SceneMetrics, ...]:
    scenes = by_scene(videos)
    if len(scenes) < 2:
        return ()
    rows = []
    for scene, index in scenes.items():
        inside = [videos[i] for i in index]
        counts, curve = _count(inside), roc_curve(inside)
        rows.append(
            SceneMetrics(
                scene, counts.videos, counts.frames, counts.abnormal_frames, curve.auc if curve else None
            )
        )
    return tuple(rows)


def _events(videos: Sequence[VideoScores], settings: EvaluateConfig) -> tuple[EventTable | None, str]:
    """Return the table of events, or None and the reason why there is none."""
    shown = {video.name: video.shown_seconds for video in videos}
    without_fps = [name for name, each in shown.items() if each is None]
    if without_fps:
        return (
            None,
            f"the frame rate of {counted(len(without_fps), 'video')} is not known, the first is "
            f"{without_fps[0]}: give a column time, or data.frames_per_second",
        )
    if not any(video.n_abnormal for video in videos):
        return None, "no test frame is labelled abnormal"
    seconds = math.fsum(float(each.sum()) for each in shown.values() if each is not None)
    curve = event_curve(
        [(video.scores, video.labels) for video in videos], min_share=settings.event_min_share
    )
    return curve.table(
        seconds / 3600, min_share=settings.event_min_share, rates=settings.false_alarms_per_hour
    ), ""


def _describe_intervals(n_videos: int, resampling: _Resampling) -> str:
    if not resampling.n_resamples:
        return "No intervals were asked for."
    if n_videos < 2:
        return "There are no intervals: they need two videos or more."
    rough = "; with so few videos a rough guide, mostly too narrow" if n_videos < FEW_VIDEOS else ""
    return (
        f"{100 * LEVEL:g} % percentile intervals from {resampling.n_resamples} bootstrap resamples of the "
        f"{n_videos} videos, seed {resampling.seed}; resamples that do not define a metric are left out of "
        f"its interval{rough}."
    )


def _count(videos: Sequence[VideoScores]) -> Counts:
    return Counts(
        videos=len(videos),
        frames=sum(video.n_frames for video in videos),
        abnormal_frames=sum(video.n_abnormal for video in videos),
        one_class_videos=sum(not video.has_both_classes for video in videos),
    )


def _check_unique(names: Sequence[str]) -> None:
    repeated = [name for name, n in Counter(names).items() if n > 1]
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
