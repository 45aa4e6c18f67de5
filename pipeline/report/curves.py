"""Score curves reduced to what a page can draw: no peak and no trough is lost or moved."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mulde.data.times import usual_rate

POINTS_PER_PAGE = 120_000
"""Of all curves together: a page with so many opens in well under two seconds."""
LEAST_POINTS = 800
"""Of a curve: about one a pixel of the page's width."""

_QUANTA = np.iinfo(np.uint16).max
_LEAST_MS = 0.5


@dataclass(frozen=True)
class Curve:
    """The scores of a video at P of its frames, in order; higher = more anomalous."""

    n_frames: int
    """Of the video, at least P."""
    frame: NDArray[np.int64]
    """(P,), 0-based, rising."""
    seconds: NDArray[np.float64]
    """(P,), when each is shown."""
    score: NDArray[np.float64]
    """(P,), finite."""
    streams: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """(P,) each, the highest score of a kind in the frame and its neighbours that are not drawn, by name."""

    def __post_init__(self) -> None:
        for what, values in {"seconds": self.seconds, "score": self.score, **self.streams}.items():
            if values.shape != self.frame.shape or values.ndim != 1:
                raise ValueError(f"{what} {values.shape} do not match frames {self.frame.shape}")
            if not np.isfinite(values).all():
                raise ValueError(f"{what} are NaN or infinite")
        if self.frame.size > self.n_frames:
            raise ValueError(f"{self.frame.size} points of {self.n_frames} frames")

    @property
    def peak(self) -> int | None:
        """Return the first point of the highest score; None for a video without frames."""
        return int(self.score.argmax()) if self.score.size else None


def n_points(n_videos: int) -> int:
    """Return how many points each of so many curves may have."""
    return max(LEAST_POINTS, POINTS_PER_PAGE // max(n_videos, 1))


def reduce_curve(
    score: NDArray[np.float64],
    seconds: NDArray[np.float64],
    streams: Mapping[str, NDArray[np.float64]],
    n_most: int,
) -> Curve:
    """Return the lowest and the highest point of each of `n_most` / 2 stretches, or all where they are fewer.

    Args:
        score: (T,), one per frame.
        seconds: (T,)
        streams: (T,) each, by name.
    """
    n_frames = score.size
    if n_frames <= n_most:
        return Curve(n_frames, np.arange(n_frames), seconds, score, dict(streams))
    starts = bin_starts(n_frames, n_most // 2)
    extremes = [
        (start + part.argmin(), start + part.argmax())
        for start, part in zip(starts, np.split(score, starts[1:]), strict=True)
    ]
    both = np.sort(np.array(extremes), axis=1)  # (n_most / 2, 2)
    frame, first = np.unique(both.ravel(), return_index=True)
    stretch = first // 2
    highest = {name: np.maximum.reduceat(values, starts)[stretch] for name, values in streams.items()}
    return Curve(n_frames, frame, seconds[frame], score[frame], highest)


def bin_starts(n_frames: int, n_most: int) -> NDArray[np.int64]:
    """Return the first frame of each of at most `n_most` stretches of about equal length."""
    n_bins = min(n_frames, n_most)
    return np.arange(n_bins, dtype=np.int64) * n_frames // max(n_bins, 1)


def outline(curve: Curve, n_most: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the times and the highest scores, (B,) each, of at most `n_most` stretches of a curve."""
    if not curve.frame.size:
        return np.empty(0), np.empty(0)
    starts = bin_starts(curve.frame.size, n_most)
    return curve.seconds[starts], np.maximum.reduceat(curve.score, starts)


def encode(curve: Curve) -> dict[str, Any]:
    """Return a curve as plain JSON types: scores in 16 bits, frames and milliseconds in 32, as base64.

    What is even is left out: frames where all are there, times where the rate is constant.
    """
    return {
        "n": curve.frame.size,
        "frames": None if curve.frame.size == curve.n_frames else _base64(curve.frame, "<u4"),
        "times": _encode_times(curve),
        "score": _encode_values(curve.score),
        "streams": [{"name": name, **_encode_values(values)} for name, values in curve.streams.items()],
    }


def _encode_times(curve: Curve) -> dict[str, Any]:
    rate = usual_rate(curve.seconds) if curve.frame.size == curve.n_frames else None
    if rate is not None:
        even = curve.seconds[0] + np.arange(curve.seconds.size) / rate
        if np.abs(even - curve.seconds).max() * 1000 < _LEAST_MS:
            return {"first": float(curve.seconds[0]), "rate": rate}
    return {"ms": _base64(np.round(curve.seconds * 1000), "<u4")}


def _encode_values(values: NDArray[np.float64]) -> dict[str, Any]:
    if not values.size:
        return {"low": 0.0, "step": 0.0, "data": ""}
    low = float(values.min())
    step = (float(values.max()) - low) / _QUANTA
    levels = np.zeros(values.size) if step == 0 else np.round((values - low) / step)
    return {"low": low, "step": step, "data": _base64(levels, "<u2")}


def _base64(values: NDArray[Any], kind: str) -> str:
    return base64.b64encode(values.astype(kind).tobytes()).decode("ascii")
