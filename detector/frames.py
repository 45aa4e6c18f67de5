"""From scores of objects to scores of frames, and along time."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

_TRUNCATE_SIGMAS = 4.0  # where gaussian_filter1d ends the kernel by default
_MOST_NEIGHBOURS = 4096
"""Frames on a side that are weighed at most, where they do not come evenly."""


def max_over_objects(
    scores: ArrayLike, frame: ArrayLike, n_frames: int, *, nothing: float
) -> NDArray[np.float64]:
    """Reduce object scores to one score per frame, the highest.

    Args:
        scores: anomaly scores of objects, (n_objects,), higher = more anomalous.
        frame: the frame of each object, (n_objects,), integers in [0, n_frames), in any order.
        n_frames: frames of the video.
        nothing: score of a frame without an object; the training minimum, which is 0 after `Calibration`.

    Returns:
        Anomaly scores of frames, (n_frames,).

    Raises:
        ValueError: lengths differ, a frame lies outside the video, or a score is NaN.
    """
    values, index = np.asarray(scores, dtype=np.float64), np.asarray(frame)
    if values.ndim != 1 or values.shape != index.shape:
        raise ValueError(
            f"scores {values.shape} and frame {index.shape} must be one-dimensional and equally long"
        )
    if np.isnan(values).any():
        raise ValueError(f"the score of object {int(np.isnan(values).argmax())} is NaN")
    result = np.full(n_frames, -np.inf)
    if index.size:
        if index.dtype.kind not in "iu":
            raise ValueError(f"frame must hold integers, not {index.dtype}")
        if index.min() < 0 or index.max() >= n_frames:
            raise ValueError(
                f"frame spans [{index.min()}, {index.max()}], but the video has {n_frames} frames"
            )
        np.maximum.at(result, index, values)
    occupied = np.zeros(n_frames, dtype=bool)
    occupied[index.astype(np.int64)] = True
    result[~occupied] = nothing
    return result


def mean_of_overlapping(
    scores: ArrayLike, frame: ArrayLike, box_xyxy: ArrayLike, n_highest: int
) -> NDArray[np.float64]:
    """Give each window the mean of the highest scores among those of its frame that overlap it.

    Windows that lie close see each object several times: what only one of them sees is chance. Where fewer
    than `n_highest` overlap, 0 stands for the missing ones, which is usual after `Calibration`.

    Args:
        scores: anomaly scores of windows, (n,), higher = more anomalous.
        frame: the frame of each, (n,), in rising order.
        box_xyxy: (n, 4), x1, y1, x2, y2, half-open, in any unit.
        n_highest: how many are averaged, a window's own included; 1 leaves scores as they are.

    Returns:
        Anomaly scores of windows, (n,).

    Raises:
        ValueError: lengths differ, or `n_highest` is less than 1.
    """
    values, index, boxes = np.asarray(scores, np.float64), np.asarray(frame), np.asarray(box_xyxy, np.float64)
    if values.shape != index.shape or boxes.shape != (*values.shape, 4):
        raise ValueError(f"scores {values.shape}, frame {index.shape} and boxes {boxes.shape} do not match")
    if n_highest < 1:
        raise ValueError(f"a mean of {n_highest} scores cannot be")
    if n_highest == 1:
        return values
    bounds = np.flatnonzero(np.diff(index, prepend=-1, append=-1))
    means = np.empty_like(values)
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        means[start:stop] = _mean_of_highest(values[start:stop], boxes[start:stop], n_highest)
    return means


def highest_overlapping(
    scores: NDArray[np.float64], box_xyxy: NDArray[np.floating], index: int, n_highest: int
) -> NDArray[np.int64]:
    """Return which windows of a frame the mean of one is made of, and itself, in rising order.

    With these alone, `mean_of_overlapping` gives it the same score and, of scores of 0 or more, none of the
    others a higher one.

    Args:
        scores: anomaly scores of the windows of one frame, (m,), higher = more anomalous.
        box_xyxy: (m, 4), x1, y1, x2, y2, half-open.
        index: the window whose mean it is; it alone counts if `n_highest` is 1.
        n_highest: see `mean_of_overlapping`.

    Returns:
        Positions in the frame, (k,), k at most `n_highest` + 1.
    """
    if n_highest == 1:
        return np.array([index])
    near = np.flatnonzero(_overlaps(box_xyxy)[index])
    highest = near[np.argsort(-scores[near], kind="stable")[:n_highest]]
    return np.asarray(np.union1d(highest, index))


def box_of_overlapping(
    scores: NDArray[np.float64], box_xyxy: NDArray[np.floating], index: int
) -> NDArray[np.float64]:
    """Return where a thing is that several windows see in part: the mean of their boxes, weighted by scores.

    Args:
        scores: anomaly scores of the windows of one frame, (m,), higher = more anomalous; below 0 they count
            nothing.
        box_xyxy: (m, 4), x1, y1, x2, y2, half-open.
        index: the window around which the others are that overlap it; where no score is above 0, it alone.

    Returns:
        A box, (4,).
    """
    weights = np.where(_overlaps(box_xyxy)[index], np.maximum(scores, 0), 0)
    boxes = np.asarray(box_xyxy, dtype=np.float64)
    return np.asarray(weights @ boxes / weights.sum() if weights.any() else boxes[index])


def _overlaps(boxes: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return which of the boxes (m, 4) overlap which, (m, m); each overlaps itself, an empty one too."""
    x1, y1, x2, y2 = boxes.T
    overlaps = (x1[:, None] < x2) & (x1 < x2[:, None]) & (y1[:, None] < y2) & (y1 < y2[:, None])
    np.fill_diagonal(overlaps, True)
    return np.asarray(overlaps)


def _mean_of_highest(scores: NDArray[np.float64], boxes: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return the means in one frame: of (m,) scores and (m, 4) boxes, (m,)."""
    near = np.where(_overlaps(boxes), scores, -np.inf)  # (m, m)
    if len(scores) > n:
        near = np.partition(near, len(scores) - n, axis=1)[:, len(scores) - n :]
    return np.asarray(np.where(np.isinf(near), 0.0, near).sum(axis=1) / n)


def interpolate_frames(
    scores: ArrayLike, frame: ArrayLike, at: ArrayLike, *, nothing: float
) -> NDArray[np.float64]:
    """Spread the scores of rows over frames: linear in between, constant before the first and after the last.

    Args:
        scores: anomaly scores of frames or clips, (n_rows,), higher = more anomalous.
        frame: the frame that each row is about, (n_rows,), in any order; of several the highest score counts.
            Where frames do not come evenly, in place of its number where it is in time, in any unit.
        at: the frames that get a score, (n_frames,), likewise.
        nothing: what they get if there is no row at all.

    Returns:
        Anomaly scores, (n_frames,), in the same direction.

    Raises:
        ValueError: lengths differ, or a score is NaN.
    """
    values, index = np.asarray(scores, dtype=np.float64), np.asarray(frame)
    if values.ndim != 1 or values.shape != index.shape:
        raise ValueError(
            f"scores {values.shape} and frame {index.shape} must be one-dimensional and equally long"
        )
    if np.isnan(values).any():
        raise ValueError(f"the score of row {int(np.isnan(values).argmax())} is NaN")
    if not values.size:
        return np.full(np.shape(at), nothing, dtype=np.float64)
    known, place = np.unique(index, return_inverse=True)
    highest = np.full(len(known), -np.inf)
    np.maximum.at(highest, place, values)
    return np.asarray(np.interp(np.asarray(at), known, highest), dtype=np.float64)


def smooth(
    scores: ArrayLike, sigma_frames: float, *, causal: bool = False, position: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Smooth the scores of one video over time with a Gaussian.

    Args:
        scores: one score per frame, (n_frames,), finite.
        sigma_frames: standard deviation of the kernel in frames, at least 0; 0 changes nothing.
        causal: use the present and past frames only, as live footage demands. Weights are renormalised over
            the frames that exist, so the first frame keeps its score.
        position: where each frame is in time, (n_frames,), never falling: its number where frames come
            evenly, in steps of exactly 1. Near other steps frames are weighed by their distance, so that
            what lies behind a pause weighs nothing. None for evenly spaced frames.

    Returns:
        Smoothed scores, (n_frames,), in the same direction.

    Raises:
        ValueError: scores are not one-dimensional, positions not as many, or sigma_frames is negative.
    """
    values = np.array(scores, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"scores must be one-dimensional, not {values.shape}")
    if not 0 <= sigma_frames < np.inf:
        raise ValueError(f"sigma_frames is {sigma_frames}, but must be finite and at least 0")
    radius = int(_TRUNCATE_SIGMAS * sigma_frames + 0.5)  # frames, as gaussian_filter1d rounds it
    evenly = _smooth_evenly(values, sigma_frames, radius, causal=causal)
    if position is None or sigma_frames == 0:
        return evenly
    where = np.asarray(position, dtype=np.float64)
    if where.shape != values.shape:
        raise ValueError(f"{values.shape} scores have positions {where.shape}")
    at = np.flatnonzero(_near_uneven(where, radius + 1, causal=causal))
    evenly[at] = _by_position(values, where, at, sigma_frames, causal=causal)
    return evenly


def _smooth_evenly(
    values: NDArray[np.float64], sigma_frames: float, radius: int, *, causal: bool
) -> NDArray[np.float64]:
    """Return scores (n_frames,) of frames that come evenly, smoothed, as an array of its own."""
    if radius == 0 or values.size == 0:
        return np.array(values)
    if causal:
        return _half_gaussian(values, sigma_frames, min(radius, values.size - 1))
    from scipy.ndimage import gaussian_filter1d  # only here, for its import takes a while

    return np.asarray(gaussian_filter1d(values, sigma_frames, radius=radius))


def _near_uneven(position: NDArray[np.float64], n_around: int, *, causal: bool) -> NDArray[np.bool_]:
    """Return for each frame (n_frames,) whether one of so many steps before it, or after it, is not 1."""
    n_uneven = np.concatenate([[0], np.cumsum(np.diff(position) != 1)])[: position.size]  # up to each frame
    index = np.arange(position.size)
    first = np.maximum(index - n_around, 0)
    last = index if causal else np.minimum(index + n_around, position.size - 1)
    return np.asarray(n_uneven[last] > n_uneven[first])


def _by_position(
    values: NDArray[np.float64],
    position: NDArray[np.float64],
    at: NDArray[np.int64],
    sigma: float,
    *,
    causal: bool,
) -> NDArray[np.float64]:
    """Return smoothed scores of some frames (n_at,), of values and positions of all (n_frames,).

    Of evenly spaced frames the weights are those of `gaussian_filter1d`, over the frames that exist.
    """
    reach = _TRUNCATE_SIGMAS * sigma + 0.5
    total, weight = values[at], np.ones(at.size)
    for side in (-1,) if causal else (-1, 1):
        for k in range(1, min(values.size, _MOST_NEIGHBOURS)):
            other = at + side * k
            is_there = (other >= 0) & (other < values.size)
            other = np.where(is_there, other, at)
            distance = np.abs(position[other] - position[at])
            is_near = is_there & (distance <= reach)
            if not is_near.any():
                break
            share = np.where(is_near, np.exp(-0.5 * np.minimum(distance / sigma, 1e3) ** 2), 0.0)
            total += share * values[other]
            weight += share
    return np.asarray(total / weight)


def _half_gaussian(values: NDArray[np.float64], sigma_frames: float, n_past: int) -> NDArray[np.float64]:
    kernel = np.exp(-0.5 * (np.arange(n_past + 1) / sigma_frames) ** 2)  # kernel[k] weighs the frame k ago
    total = np.convolve(values, kernel)[: values.size]
    return np.asarray(total / np.convolve(np.ones(values.size), kernel)[: values.size])
