"""Stage evaluate: metrics of the scores against the labels."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mulde.data.atomic import write_text
from mulde.data.cache.store import digest_of
from mulde.data.errors import InputError
from mulde.data.labels.labels import Labels
from mulde.pipeline.config.sections import ScoreConfig
from mulde.pipeline.features.inventory import Inventory
from mulde.pipeline.metrics.measure import CODE_VERSION, Metrics, VideoScores, evaluate_frames
from mulde.pipeline.metrics.protocols import Smoothing, find_protocol
from mulde.pipeline.metrics.settings import EvaluateConfig
from mulde.pipeline.runs.job import Job
from mulde.pipeline.stages.region_labels import read_region_videos
from mulde.pipeline.stages.score import STAGE as SCORE_STAGE
from mulde.pipeline.stages.score import ScoredVideo, current_fingerprint, is_current, read_scores
from mulde.pipeline.stages.train import fingerprint as train_fingerprint

STAGE = "evaluate"
_log = logging.getLogger(__name__)


def evaluate(job: Job, inventory: Inventory) -> Metrics | None:
    """Write metrics.json, unless it is up to date; return what it says, or None where there are no labels.

    Raises:
        InputError: scores are missing or damaged, or labels do not fit them.
    """
    labels = job.dataset.labels
    if labels is None:
        _log.info("evaluate: left out, no labels were given (--labels)")
        job.run.metrics.unlink(missing_ok=True)
        return None
    names = scored_videos(job, inventory)
    wanted = fingerprint(job, names)
    if job.run.fingerprint(STAGE) == wanted and (known := read_metrics(job.run.metrics)):
        _log.info("evaluate: up to date, %s", job.run.metrics)
        return known
    scored = [read_scores(job.run, name) for name in names if labels.has(name)]
    if not scored:
        raise InputError("none of the scored videos has labels: nothing can be evaluated")
    metrics = _measure(job, scored, labels)
    write_text(job.run.metrics, metrics.to_json())
    job.run.remember(STAGE, {"": wanted})
    _log.info("evaluate: %d videos, %s", len(scored), job.run.metrics)
    return metrics


def scored_videos(job: Job, inventory: Inventory) -> list[str]:
    """Return the names of the test videos that have scores, without those that can no longer be read.

    Raises:
        InputError: there are none, or some were made from other features or settings than these.
    """
    failed = {failure.path for failure in job.run.failures()}
    videos = [cached for cached in inventory.test if str(cached.video.path.absolute()) not in failed]
    names = [cached.video.name for cached in videos if job.run.csv(cached.video.name).exists()]
    if not names:
        raise InputError(f"there are no scores in {job.run.scores}: run `mulde score` first")
    # Where the cache is gone, the scores are all there is: they are taken as they are.
    known = videos if inventory.scenes and any(cached.is_complete for cached in videos) else []
    model = train_fingerprint(job, inventory) if known else ""
    stale = [
        c.video.name
        for c in known
        if not c.is_complete or not is_current(job.run, c.video.name, current_fingerprint(job, c, model))
    ]
    if stale:
        raise InputError(
            f"the scores of {len(stale)} of {len(videos)} test videos are missing or not up to date, the "
            f"first is {stale[0]}: run `mulde score` with the same options first, after `mulde extract` "
            "if a video is new"
        )
    return names


def fingerprint(job: Job, names: list[str]) -> str:
    """Return a hash of all that the metrics are made from."""
    labels, scenes = job.dataset.labels, scenes_of(job)
    return digest_of(
        {
            "code_version": CODE_VERSION,
            "scores": [
                [name, job.run.fingerprint(SCORE_STAGE, name), scenes.get(name, "")] for name in names
            ],
            "labels": labels.digest if labels else None,
            "settings": job.config.evaluate.model_dump(mode="json"),
            "seed": job.config.seed,
        }
    )


def read_metrics(path: Path) -> Metrics | None:
    """Read metrics back; None if they are missing, damaged or of another version."""
    try:
        return Metrics.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def scenes_of(job: Job) -> Mapping[str, str]:
    """Return the scene of each test video by name."""
    return {video.name: video.scene for video in job.dataset.test}


def configured_smoothing(settings: ScoreConfig) -> Smoothing:
    """Return how the scores of a run are smoothed."""
    return Smoothing(settings.smoothing_sigma_frames, settings.causal)


def apply_protocol(
    settings: EvaluateConfig, smoothed: Sequence[VideoScores], unsmoothed: Sequence[VideoScores]
) -> list[VideoScores]:
    """Return the scores that the protocol measures, from the same videos with and without smoothing."""
    protocol = find_protocol(settings.protocol)
    return [
        replace(video, scores=protocol.apply(video.scores, raw.scores))
        for video, raw in zip(smoothed, unsmoothed, strict=True)
    ]


def _measure(job: Job, scored: Sequence[ScoredVideo], labels: Labels) -> Metrics:
    scenes, settings = scenes_of(job), job.config.evaluate
    smoothed, raw = (
        [
            VideoScores(
                video.name,
                video.unsmoothed if is_raw else video.scores,
                labels.frames(video.name, len(video.scores)),
                scenes.get(video.name, ""),
                video.fps,
            )
            for video in scored
        ]
        for is_raw in (False, True)
    )
    regions, no_regions_reason = read_region_videos(job.run, labels, raw)
    protocol = find_protocol(settings.protocol)
    return evaluate_frames(
        apply_protocol(settings, smoothed, raw),
        treatment=protocol.describe(settings.protocol, configured_smoothing(job.config.score)),
        unsmoothed=raw,
        regions=regions,
        no_regions_reason=no_regions_reason,
        settings=settings,
        seed=job.config.seed,
    )
