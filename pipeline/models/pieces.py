"""Which footage is left out of learning together: whole videos, and blocks of time of long ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_LEAST_SECONDS = 10.0
"""A shorter block would be known from what lies around it."""
_GUARD_SECONDS = 2.0
"""What lies so close to a block that is left out is not learnt from either: it shows the same."""


@dataclass(frozen=True)
class Piece:
    """Frames in a row of one video."""

    video: int
    """Which, from 0 on."""
    start: int
    """0-based frame."""
    stop: int
    """The frame after the last."""
    fold: int
    """Pieces of one fold are left out together."""
    guard_start: int
    """From this frame on, what is too close to the piece to be learnt where the piece is left out."""
    guard_stop: int
    """The frame after the last of those."""


def cut_into_pieces(seconds: Sequence[NDArray[np.float64]], n_folds: int) -> list[Piece]:
    """Return pieces that cover all frames, dealt out in turn to folds of about the same length.

    Videos stay whole, but those that are longer than half a fold: they are cut into blocks of equal length.
    Folds are fewer where there are not as many pieces; where there is only one, nothing can be left out.

    Args:
        seconds: the times of the frames (T,) of each video.
    """
    total = sum(float(times[-1] - times[0]) for times in seconds if len(times))
    longest = max(_LEAST_SECONDS, total / (2 * n_folds))
    spans: list[tuple[int, int, int]] = []
    for video, times in enumerate(seconds):
        if not len(times):
            continue
        # 0.1 of a block too long, as of frames' rounding, is no reason for another
        n_blocks = max(1, int(np.ceil((times[-1] - times[0]) / longest - 0.1)))
        borders = np.linspace(times[0], times[-1], n_blocks + 1)[1:-1]
        frames = [0, *np.searchsorted(times, borders).tolist(), len(times)]
        spans += [(video, start, stop) for start, stop in pairwise(frames) if start < stop]
    n_folds = min(n_folds, len(spans))
    return [
        Piece(video, start, stop, k % n_folds, *_guarded(seconds[video], start, stop))
        for k, (video, start, stop) in enumerate(spans)
    ]


def _guarded(times: NDArray[np.float64], start: int, stop: int) -> tuple[int, int]:
    """Return the frames, half-open, that a piece and what is close to it take."""
    first, last = np.searchsorted(times, (times[start] - _GUARD_SECONDS, times[stop - 1] + _GUARD_SECONDS))
    return int(first), max(int(last), stop)


def is_left_out(
    pieces: Sequence[Piece], fold: int, video: NDArray[np.int64], frame: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return of rows, each of a video (N,) and its frame (N,), which a fold must not learn from, (N,)."""
    left_out = np.zeros(len(video), bool)
    for piece in (piece for piece in pieces if piece.fold == fold):
        left_out |= (video == piece.video) & (frame >= piece.guard_start) & (frame < piece.guard_stop)
    return left_out
