"""Stage score: an anomaly score for every frame of every test video."""

from __future__ import annotations

import csv
import io
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mulde.data.atomic import replacing, write_text
from mulde.data.cache.store import digest_of, read_frame_seconds, read_rows
from mulde.data.errors import InputError
from mulde.data.features import FeatureRows, is_without_measurement
from mulde.data.labels.labels import Labels
from mulde.detector import fuse, interpolate_frames, log_tail, max_over_objects, smooth
from mulde.pipeline.config.sections import Config, ScoreConfig
from mulde.pipeline.features.inventory import CachedVideo, Inventory, usable
from mulde.pipeline.models.model import RunModel, StreamModel, load_model
from mulde.pipeline.progress import Progress, Tracked, silent
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.job import Job
from mulde.pipeline.stages.train import fingerprint as train_fingerprint
from mulde.pipeline.stages.train import is_current as is_trained
from mulde.pipeline.stages.train import source_of

STAGE = "score"
CODE_VERSION = 3
"""Raise it when the same features and model give other scores than before."""
_log = logging.getLogger(__name__)
_ROWS_SHOWN = 8192
"""Rows between two signs of progress; some blocks of the detector's."""


@dataclass(frozen=True)
class ScoredVideo:
    """The scores of a video as they are in its files."""

    name: str
    scores: NDArray[np.float64]
    """(n_frames,) after smoothing; higher = more anomalous."""
    unsmoothed: NDArray[np.float64]
    """(n_frames,)"""
    fps: float
    warnings: tuple[str, ...]
    """Of decoding."""
    note: str = ""
    """Which frames have no row of their own, if any; they have interpolated scores."""


@dataclass(frozen=True)
class FusedScores:
    """What is made of the rows of a video."""

    unsmoothed: NDArray[np.float64]
    """(n_frames,), higher = more anomalous."""
    datasets: dict[str, NDArray[Any]]
    """What the rows are about and their scores, by name in the file."""
    note: str = ""


def score(job: Job, inventory: Inventory) -> None:
    """Score the test videos whose scores are not up to date.

    Raises:
        InputError: features or the model are missing, or the model was made from something else.
    """
    videos = usable(job, inventory.test, "test")
    wanted = train_fingerprint(job, inventory)
    if not is_trained(job, wanted):
        load_model(job.run.model, job.config.extract, "cpu")  # a clearer reason, if there is one
        raise InputError(
            f"the model in {job.run.model} was made from other features or settings: run `mulde train` with "
            "the same options first"
        )
    score_videos(job.run, videos, job.config, wanted, progress=job.progress)


def score_videos(
    run: RunFolder,
    videos: Sequence[CachedVideo],
    config: Config,
    model_fingerprint: str,
    *,
    model_folder: Path | None = None,
    progress: Progress = silent,
) -> None:
    """Write the scores of videos with the model in `run` or `model_folder`, unless they are up to date.

    Raises:
        InputError: the model is missing, damaged, or made from other streams.
    """
    wanted = {cached.video.name: _fingerprint(cached, config, model_fingerprint) for cached in videos}
    todo = [cached for cached in videos if not is_current(run, cached.video.name, wanted[cached.video.name])]
    if not todo:
        _log.info("score: up to date, %d videos", len(videos))
        return
    started = time.monotonic()
    model = load_model(model_folder or run.model, config.extract, config.device)
    notes = []
    with Tracked(progress, "score", len(todo), "videos") as tracked:
        for done, cached in enumerate(todo, 1):

            def show(n_rows: int, n_all: int, before: int = done - 1, name: str = cached.video.name) -> None:
                share = (before + n_rows / n_all) / len(todo)
                tracked.update(before, f"{name}: {n_rows} of {n_all} rows", share=share)

            notes += _score_video(run, model, cached, config, show)
            run.remember(STAGE, {cached.video.name: wanted[cached.video.name]})
            tracked.update(done)
    if notes:
        _log.info("score: %d videos have interpolated scores; the first: %s", len(notes), notes[0])
    _log.info("score: %d videos in %.1f s, %s", len(todo), time.monotonic() - started, run.scores)


def check_labels(labels: Labels | None, videos: Sequence[CachedVideo]) -> None:
    """Raise InputError if labels do not fit the decoded frames of a video."""
    for cached in videos:
        if labels is not None and labels.has(cached.video.name):
            labels.frames(cached.video.name, cached.report.n_frames)


def is_current(run: RunFolder, video: str, wanted: str) -> bool:
    """Whether the scores of a video were made from what the fingerprint stands for."""
    return run.fingerprint(STAGE, video) == wanted and run.csv(video).exists() and run.objects(video).exists()


def current_fingerprint(job: Job, cached: CachedVideo, model_fingerprint: str) -> str:
    """Return a hash of all that the scores of a video are made from."""
    return _fingerprint(cached, job.config, model_fingerprint)


def read_scores(run: RunFolder, video: str) -> ScoredVideo:
    """Read the scores of a video back.

    Raises:
        InputError: they are missing or damaged.
    """
    path = run.csv(video)
    try:
        scores = np.loadtxt(path, delimiter=",", skiprows=1, usecols=2, dtype=np.float64, ndmin=1)
        with h5py.File(run.objects(video), "r") as file:
            unsmoothed = file["frame_score_unsmoothed"][()]
            fps, warnings = float(file.attrs["fps"]), tuple(json.loads(file.attrs["warnings"]))
            note = str(file.attrs.get("interpolation", ""))
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise InputError(f"scores {path} are missing or damaged ({error}): run `mulde score` again") from None
    if len(scores) != len(unsmoothed):
        raise InputError(f"{path} has {len(scores)} rows, but {len(unsmoothed)} frames were scored")
    return ScoredVideo(video, scores, unsmoothed, fps, warnings, note)


def _fingerprint(cached: CachedVideo, config: Config, model_fingerprint: str) -> str:
    return digest_of(
        {
            "code_version": CODE_VERSION,
            "model": model_fingerprint,
            "features": source_of(cached),
            "settings": config.score.model_dump(mode="json"),
        }
    )


def _score_video(
    run: RunFolder,
    model: RunModel,
    cached: CachedVideo,
    config: Config,
    show: Callable[[int, int], None],
) -> list[str]:
    """Write the scores of a video; return what is to be said of them.

    Args:
        show: is told now and then how many rows are scored, and of how many.
    """
    name, n_frames = cached.video.name, cached.report.n_frames
    settings = config.score
    streams = model.of(cached.video)
    rows = {stream: read_rows(cached.entries[stream].path) for stream in streams}
    scores = _score_rows(streams, rows, show)
    scored = fuse_streams(scores, rows, n_frames, settings, are_objects=is_of_objects(cached, rows))
    smoothed = smooth(scored.unsmoothed, settings.smoothing_sigma_frames, causal=settings.causal)
    seconds = read_frame_seconds(next(iter(cached.entries.values())).path)
    write_text(run.csv(name), _csv(seconds, smoothed))
    with replacing(run.objects(name)) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["fps"] = cached.report.fps
        file.attrs["warnings"] = json.dumps(cached.report.warnings)
        file.attrs["interpolation"] = scored.note
        file["frame_score"], file["frame_score_unsmoothed"] = smoothed, scored.unsmoothed
        for dataset, values in scored.datasets.items():
            file[dataset] = values
    return [f"{name}: {scored.note}"] if scored.note else []


def _score_rows(
    streams: Mapping[str, StreamModel], rows: Mapping[str, FeatureRows], show: Callable[[int, int], None]
) -> dict[str, NDArray[np.float64]]:
    """Return the calibrated scores (n_rows,) of each stream."""
    scores = {stream: np.empty(len(part)) for stream, part in rows.items()}
    n_done, n_all = 0, sum(map(len, scores.values()))
    for stream, part in rows.items():
        for start in range(0, len(part), _ROWS_SHOWN):
            block = slice(start, start + _ROWS_SHOWN)
            scores[stream][block] = streams[stream].score(part.features[block])
            n_done += len(scores[stream][block])
            show(n_done, n_all)
    return scores


def is_of_objects(cached: CachedVideo, rows: Mapping[str, FeatureRows]) -> bool:
    """Whether rows are about objects, of which a frame can have several or none; not clips or whole frames.

    Imported objects may come without boxes; their key says what they are.
    """
    return any(
        part.box_xyxy is not None or cached.keys[stream].settings.get("is_of_objects", False)
        for stream, part in rows.items()
    )


def fuse_streams(
    scores: Mapping[str, NDArray[np.float64]],
    rows: Mapping[str, FeatureRows],
    n_frames: int,
    settings: ScoreConfig,
    *,
    are_objects: bool,
) -> FusedScores:
    """Return the frame scores of a video, not yet smoothed, from the calibrated scores of its rows.

    Args:
        scores: by stream, (n_rows,) each, higher = more anomalous.
        rows: by stream; of objects, row i of each is the same one.
        are_objects: whether a frame can have several rows, or none.
    """
    return (_fuse_objects if are_objects else _fuse_frames)(scores, rows, n_frames, settings)


def _fuse_objects(
    scores: Mapping[str, NDArray[np.float64]],
    rows: Mapping[str, FeatureRows],
    n_frames: int,
    settings: ScoreConfig,
) -> FusedScores:
    """Add the streams up for each object; a frame has the score of its highest."""
    objects = next(iter(rows.values()))
    fused = fuse(list(scores.values()))
    total = log_tail(fused) if settings.log_tail else fused
    datasets: dict[str, NDArray[Any]] = {"frame": objects.frame}
    if objects.box_xyxy is not None:
        datasets["box"] = objects.box_xyxy
    datasets |= {f"object_score/{stream}": values for stream, values in {**scores, "total": fused}.items()}
    return FusedScores(max_over_objects(total, objects.frame, n_frames, nothing=0.0), datasets)


def _fuse_frames(
    scores: Mapping[str, NDArray[np.float64]],
    rows: Mapping[str, FeatureRows],
    n_frames: int,
    settings: ScoreConfig,
) -> FusedScores:
    """Add the streams up for each frame that has a row in one of them; interpolate in between."""
    measured = {stream: _with_measurement(part) for stream, part in rows.items()}
    scores = {
        stream: values[~is_without_measurement(rows[stream].features)] for stream, values in scores.items()
    }
    looked_at = np.unique(np.concatenate([part.frame for part in measured.values()]))
    streams = [
        interpolate_frames(values, measured[stream].frame, looked_at, nothing=0.0)
        for stream, values in scores.items()
    ]
    total = log_tail(fuse(streams)) if settings.log_tail else fuse(streams)
    datasets: dict[str, NDArray[Any]] = {}
    for stream, part in measured.items():
        datasets |= {f"row/{stream}/frame": part.frame, f"row/{stream}/score": scores[stream]}
        if part.start is not None and part.stop is not None:
            datasets |= {f"row/{stream}/start": part.start, f"row/{stream}/stop": part.stop}
    unsmoothed = interpolate_frames(total, looked_at, np.arange(n_frames), nothing=0.0)
    sparse = [
        f"{stream} in {len(part)} of {n_frames} frames"
        for stream, part in measured.items()
        if len(part) < n_frames
    ]
    note = f"rows of {', '.join(sparse)}; scores in between are interpolated linearly" if sparse else ""
    return FusedScores(unsmoothed, datasets, note)


def _with_measurement(rows: FeatureRows) -> FeatureRows:
    kept = ~is_without_measurement(rows.features)
    return FeatureRows(
        rows.features[kept],
        rows.frame[kept],
        None,
        None if rows.start is None else rows.start[kept],
        None if rows.stop is None else rows.stop[kept],
    )


def _csv(seconds: NDArray[np.float64], scores: NDArray[np.float64]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["frame", "time", "score"])
    for index, (second, value) in enumerate(zip(seconds, scores, strict=True)):
        # repr of a float is the shortest text that reads back as the same number
        writer.writerow([index, f"{second:.6f}", repr(float(value))])
    return text.getvalue()
