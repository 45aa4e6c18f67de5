"""From the scores of a video's rows to those of its frames: put the streams together, reduce to frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mulde.data.cache.entries import BOXES_STREAM as BOXES
from mulde.data.features import FeatureRows, is_without_measurement
from mulde.data.times import LookRate, positions_of, usual_rate
from mulde.detector import (
    fuse,
    interpolate_frames,
    log_tail,
    max_over_objects,
    mean_of_overlapping,
    smooth,
)
from mulde.pipeline.config.sections import ScoreConfig
from mulde.pipeline.features.inventory import CachedVideo
from mulde.pipeline.runs.scores import object_datasets, row_datasets


@dataclass(frozen=True)
class FusedScores:
    """The frame scores that rows of a video were fused into, not smoothed; higher = more anomalous."""

    unsmoothed: NDArray[np.float64]
    """(n_frames,), higher = more anomalous."""
    looked_at: NDArray[np.int64]
    """(K,), the frames that were looked at, in order; the scores of the others are interpolated."""
    fused: NDArray[np.float64]
    """(K,), the scores there."""
    datasets: dict[str, NDArray[Any]]
    """What the rows are about and their scores, by name in the file."""
    note: str = ""


def frames_looked_at(
    cached: CachedVideo, rows: Mapping[str, FeatureRows], seconds: NDArray[np.float64]
) -> NDArray[np.int64] | None:
    """Return the frames in which objects were looked for, in order; None where rows are of whole frames.

    Args:
        seconds: (n_frames,), the times of all frames.
    """
    if not is_of_objects(cached, rows):
        return None
    keys = [cached.keys[BOXES]] if BOXES in cached.keys else [cached.keys[stream] for stream in rows]
    return LookRate(keys[0].settings.get("rate")).frames(seconds)  # imported objects are the same in all


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
    position: NDArray[np.float64],
    settings: ScoreConfig,
    *,
    looked_at: NDArray[np.int64] | None,
) -> FusedScores:
    """Return the frame scores of a video, not yet smoothed, from the calibrated scores of its rows.

    Args:
        scores: by stream, (n_rows,) each, higher = more anomalous.
        rows: by stream; of objects, row i of each is the same one.
        position: (n_frames,), where each frame is in time, see `mulde.data.times.positions`.
        looked_at: the frames in which objects were looked for, each of which may have several rows or none;
            None where rows are of whole frames or clips.
    """
    if looked_at is None:
        return _fuse_frames(scores, rows, position, settings)
    return _fuse_objects(scores, rows, position, settings, looked_at)


def bent(scores: NDArray[np.float64], settings: ScoreConfig) -> NDArray[np.float64]:
    """Return calibrated scores of a stream (n,) with their tail treated as settings say."""
    return log_tail(scores) if settings.log_tail else scores


def put_together(streams: Iterable[NDArray[np.float64]], settings: ScoreConfig) -> NDArray[np.float64]:
    """Return the sum or maximum of calibrated scores (n,) over streams, each bent before."""
    return fuse([bent(scores, settings) for scores in streams], settings.fusion)


def average(fused: NDArray[np.float64], objects: FeatureRows, settings: ScoreConfig) -> NDArray[np.float64]:
    """Return scores of objects (n,) from those (n,): of windows, the mean over those that overlap."""
    if objects.box_xyxy is None:
        return fused
    return mean_of_overlapping(fused, objects.frame, objects.box_xyxy, settings.n_averaged)


def to_frames(
    fused: NDArray[np.float64], looked_at: NDArray[np.int64], position: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return scores of all frames (n_frames,), not yet smoothed, from those of the frames looked at (K,).

    Args:
        position: (n_frames,), where each frame is in time, see `mulde.data.times.positions`.
    """
    if len(looked_at) == len(position):
        return fused
    return interpolate_frames(fused, position[looked_at], position, nothing=0.0)


def smooth_frames(
    unsmoothed: NDArray[np.float64], seconds: NDArray[np.float64], fps: float, settings: ScoreConfig
) -> NDArray[np.float64]:
    """Smooth the scores of a video's frames over time (T,).

    Args:
        seconds: (T,), the times of the frames.
        fps: frames per second where the times do not tell.
    """
    sigma_frames = settings.smoothing_sigma_seconds * (usual_rate(seconds) or fps)
    return smooth(unsmoothed, sigma_frames, causal=settings.causal, position=positions_of(seconds, fps))


def _fuse_objects(
    scores: Mapping[str, NDArray[np.float64]],
    rows: Mapping[str, FeatureRows],
    position: NDArray[np.float64],
    settings: ScoreConfig,
    looked_at: NDArray[np.int64],
) -> FusedScores:
    """Put the streams together for each object; a frame has the score of its highest, or one interpolated
    between the frames that were looked at.
    """
    objects, n_frames = next(iter(rows.values())), len(position)
    totals = average(put_together(scores.values(), settings), objects, settings)
    datasets = object_datasets(objects.frame, objects.box_xyxy, scores, totals)
    fused = max_over_objects(totals, objects.frame, n_frames, nothing=0.0)[looked_at]
    unsmoothed = to_frames(fused, looked_at, position)
    if len(looked_at) == n_frames:
        return FusedScores(unsmoothed, looked_at, fused, datasets)
    datasets["looked_at"] = looked_at
    note = f"objects in {len(looked_at)} of {n_frames} frames; scores in between are interpolated linearly"
    return FusedScores(unsmoothed, looked_at, fused, datasets, note)


def _fuse_frames(
    scores: Mapping[str, NDArray[np.float64]],
    rows: Mapping[str, FeatureRows],
    position: NDArray[np.float64],
    settings: ScoreConfig,
) -> FusedScores:
    """Put the streams together for each frame that has a row in one of them; interpolate in between."""
    n_frames = len(position)
    measured = {stream: _with_measurement(part) for stream, part in rows.items()}
    scores = {
        stream: values[~is_without_measurement(rows[stream].features)] for stream, values in scores.items()
    }
    looked_at = np.unique(np.concatenate([part.frame for part in measured.values()]))
    fused = fuse(
        [
            interpolate_frames(
                bent(values, settings), position[measured[stream].frame], position[looked_at], nothing=0.0
            )
            for stream, values in scores.items()
        ],
        settings.fusion,
    )
    datasets: dict[str, NDArray[Any]] = {}
    for stream, part in measured.items():
        spans = {
            name: span for name, span in (("start", part.start), ("stop", part.stop)) if span is not None
        }
        datasets |= row_datasets(stream, part.frame, scores[stream], spans)
    sparse = [
        f"{stream} in {len(part)} of {n_frames} frames"
        for stream, part in measured.items()
        if len(part) < n_frames
    ]
    note = f"rows of {', '.join(sparse)}; scores in between are interpolated linearly" if sparse else ""
    unsmoothed = to_frames(fused, looked_at, position)
    return FusedScores(unsmoothed, looked_at, fused, datasets, note)


def _with_measurement(rows: FeatureRows) -> FeatureRows:
    kept = ~is_without_measurement(rows.features)
    return FeatureRows(
        rows.features[kept],
        rows.frame[kept],
        None,
        None if rows.start is None else rows.start[kept],
        None if rows.stop is None else rows.stop[kept],
    )
