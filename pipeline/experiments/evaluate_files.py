"""Evaluate scores that others made, so that any method can be compared under one protocol."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mulde.data.errors import InputError
from mulde.data.labels.files import read_labels
from mulde.data.labels.labels import Labels
from mulde.data.layouts.catalogue import open_dataset
from mulde.data.spelling import counted
from mulde.pipeline.config.sections import Config
from mulde.pipeline.metrics.measure import Metrics, VideoScores, evaluate_frames
from mulde.pipeline.metrics.protocols import Smoothing, find_protocol
from mulde.pipeline.metrics.score_files import ScoreFile, read_score_files
from mulde.pipeline.metrics.video_scores import require_scores_of, scene_of
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.scores import read_scores
from mulde.pipeline.stages.evaluate import apply_protocol, write_metrics

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Reference:
    """What scores are compared with."""

    labels: Labels
    scenes: dict[str, str]
    """By name of the video; empty where only labels are known."""
    fps: float | None
    """Of scores without times; None where nobody says."""


def evaluate_files(config: Config, path: Path) -> Metrics:
    """Measure the scores at `path` against the labels of a data set or a file.

    metrics.json is written only where a run folder is named (--out). No model, cache or video is needed.

    Raises:
        InputError: scores or labels cannot be used or do not fit, a labelled video has no scores, or the run
            folder is that of another method.
    """
    if config.out is not None and RunFolder(config.out).scores.exists():
        raise InputError(
            f"{config.out} is a run with scores of its own: choose another folder with --out DIR"
        )
    reference = _open_reference(config)
    files = read_score_files(path)
    labelled = _labelled(files, reference.labels, path)
    times = {file.name: _times(file, reference) for file in labelled}
    reference.labels.tell_doubt({name: seconds for name, seconds in times.items() if seconds is not None})
    videos = [_video(file, reference, times[file.name]) for file in labelled]
    settings = config.evaluate
    protocol = find_protocol(settings.protocol)
    unsmoothed = _unsmoothed(path, videos) if protocol.starts_from == "unsmoothed" else None
    metrics = evaluate_frames(
        apply_protocol(settings, videos, unsmoothed or videos),
        treatment=protocol.describe(settings.protocol, Smoothing(0) if unsmoothed else None),
        no_regions_reason="the scores are of whole frames, without boxes",
        settings=settings,
        seed=config.seed,
    )
    if config.out is not None:
        run = RunFolder(config.out)
        run.require_writable()
        with run.held():
            write_metrics(run.metrics, metrics)
    return metrics


def _open_reference(config: Config) -> _Reference:
    data = config.data
    if data.dataset is not None and data.labels is None:
        dataset = open_dataset(data.dataset, data.layout)
        if dataset.labels is None:
            raise InputError(f"data set {data.dataset} has no labels: give --labels PATH in its place")
        scenes = {video.name: video.scene for video in dataset.test}
        return _Reference(dataset.labels, scenes, data.frames_per_second or dataset.frames_per_second)
    if data.labels is not None and data.dataset is None:
        return _Reference(read_labels(data.labels), {}, data.frames_per_second)
    raise InputError("what shall the scores be compared with? Give either --dataset ROOT or --labels PATH")


def _labelled(files: Sequence[ScoreFile], labels: Labels, path: Path) -> list[ScoreFile]:
    """Return the files of labelled videos; every labelled video must have one."""
    require_scores_of(labels.names, [file.name for file in files], str(path))
    unlabelled = [file.name for file in files if not labels.has(file.name)]
    if unlabelled:
        _log.warning(
            "evaluate: %s with scores but without labels left out, the first is %s",
            counted(len(unlabelled), "video"),
            unlabelled[0],
        )
    return [file for file in files if labels.has(file.name)]


def _times(file: ScoreFile, reference: _Reference) -> NDArray[np.float64] | None:
    """Return when each frame is shown; None where neither the scores nor the data set say."""
    if file.seconds is None and reference.fps is not None:
        return np.arange(len(file.scores)) / reference.fps
    return file.seconds


def _video(file: ScoreFile, reference: _Reference, seconds: NDArray[np.float64] | None) -> VideoScores:
    return VideoScores(
        file.name,
        file.scores,
        reference.labels.frames(file.name, len(file.scores), seconds),
        reference.scenes.get(file.name, scene_of(file.name)),
        file.fps or reference.fps,
        file.seconds,
    )


def _unsmoothed(path: Path, videos: Sequence[VideoScores]) -> list[VideoScores] | None:
    """Return the scores before smoothing, which mulde keeps beside its own; None for scores of others.

    Raises:
        InputError: they are there, but cannot be read as those of a run.
    """
    if not any((path / f"{video.name}.h5").is_file() for video in videos):
        return None
    run = RunFolder(path.absolute().parent)
    if run.scores != path.absolute():
        raise InputError(
            f"{path} holds scores of mulde, which are smoothed, with .h5 files beside that have them before: "
            f"call the folder {run.scores.name}, as a run does, for a protocol that starts from those; or "
            "take the .h5 files out"
        )
    return [replace(video, scores=read_scores(run, video.name).unsmoothed) for video in videos]
