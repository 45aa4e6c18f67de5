"""Score normal footage by detectors that did not learn from it.

The scores of training rows are too low, so a threshold read off them promises too much. Footage is left out
by folds, as in cross-validation: detectors of the same settings learn from the others and score it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mulde.data.cache.store import read_frame_seconds, read_rows
from mulde.data.features import FeatureRows
from mulde.data.times import positions_of
from mulde.pipeline.config.sections import ScoreConfig
from mulde.pipeline.features.inventory import CachedVideo
from mulde.pipeline.models.fit import MIN_ROWS, NotLearnableError, StreamRows, fit_stream
from mulde.pipeline.models.fuse import frames_looked_at, fuse_streams
from mulde.pipeline.models.held_out import HeldOutPiece
from mulde.pipeline.models.model import StreamModel
from mulde.pipeline.models.pieces import Piece, cut_into_pieces, is_left_out

if TYPE_CHECKING:
    from mulde.detector import Detector


@dataclass(frozen=True)
class Footage:
    """Normal videos that share their detectors, cut into pieces."""

    videos: tuple[CachedVideo, ...]
    seconds: tuple[NDArray[np.float64], ...]
    """(T,), the times of the frames, of each video."""
    pieces: tuple[Piece, ...]

    def __post_init__(self) -> None:
        if len(self.videos) != len(self.seconds):
            raise ValueError(f"{len(self.videos)} videos have times of {len(self.seconds)}")

    @property
    def folds(self) -> tuple[int, ...]:
        """What is left out in turn; none where there are not two pieces to learn from one another."""
        folds = sorted({piece.fold for piece in self.pieces})
        return tuple(folds) if len(folds) > 1 else ()

    def fuse(
        self, scores: Mapping[str, Mapping[Piece, NDArray[np.float64]]], settings: ScoreConfig
    ) -> list[list[HeldOutPiece]]:
        """Put the scores of the streams together, in their order; return the pieces of each video.

        Args:
            scores: by stream, and by piece those of its rows (n_rows,); higher = more anomalous.

        Raises:
            CacheFileError: a file is damaged.
        """
        found: list[list[HeldOutPiece]] = [[] for _ in self.videos]
        for piece in self.pieces:
            of_piece = {stream: by_piece[piece] for stream, by_piece in scores.items()}
            cached, seconds = self.videos[piece.video], self.seconds[piece.video]
            found[piece.video].append(_fuse(cached, piece, seconds, of_piece, settings))
        return found


def cut_footage(videos: Sequence[CachedVideo], n_folds: int) -> Footage:
    """Cut videos into pieces, dealt out to so many folds or fewer.

    Raises:
        CacheFileError: a file is damaged.
    """
    seconds = tuple(read_frame_seconds(next(iter(cached.entries.values())).path) for cached in videos)
    return Footage(tuple(videos), seconds, tuple(cut_into_pieces(seconds, n_folds)))


def score_left_out(
    videos: Sequence[CachedVideo],
    pieces: Sequence[Piece],
    fold: int,
    rows: StreamRows,
    build: Callable[[StreamRows], Detector],
) -> dict[Piece, NDArray[np.float64]]:
    """Score the pieces of a fold by a detector that learns from the others.

    Args:
        pieces: of all folds.
        rows: of one stream, of all of the videos.
        build: makes an unfitted detector for what is left of them.

    Returns:
        By piece the scores of its rows (n_rows,); higher = more anomalous.

    Raises:
        NotLearnableError: what is left is too little to learn from.
        CacheFileError: a file is damaged.
    """
    rest = rows.without(is_left_out(pieces, fold, rows.groups, rows.frame))
    n_rows = rest.source.shape[0]
    if n_rows < MIN_ROWS:
        raise NotLearnableError(f"without what is left out there are {n_rows} rows of {rows.name}")
    model = fit_stream(build(rest), rest)
    return {
        piece: model.score(_rows_of(videos[piece.video], rows.name, piece).features)
        for piece in pieces
        if piece.fold == fold
    }


def score_whole(
    cached: CachedVideo, models: Mapping[str, StreamModel], settings: ScoreConfig
) -> HeldOutPiece:
    """Score a video in one piece, by detectors that did not learn from it.

    Raises:
        CacheFileError: a file is damaged.
    """
    seconds = read_frame_seconds(next(iter(cached.entries.values())).path)
    piece = Piece(0, 0, len(seconds), 0, 0, len(seconds))
    scores = {
        stream: model.score(_rows_of(cached, stream, piece).features) for stream, model in models.items()
    }
    return _fuse(cached, piece, seconds, scores, settings)


def _fuse(
    cached: CachedVideo,
    piece: Piece,
    seconds: NDArray[np.float64],
    scores: Mapping[str, NDArray[np.float64]],
    settings: ScoreConfig,
) -> HeldOutPiece:
    rows = {stream: _rows_of(cached, stream, piece) for stream in scores}
    looked_at = frames_looked_at(cached, rows, seconds)
    if looked_at is not None:
        looked_at = looked_at[(looked_at >= piece.start) & (looked_at < piece.stop)] - piece.start
    times = seconds[piece.start : piece.stop]
    position = positions_of(times, cached.report.fps)
    fused = fuse_streams(scores, rows, position, settings, looked_at=looked_at)
    return HeldOutPiece(
        times,
        cached.report.fps,
        fused.looked_at,
        fused.fused.astype(np.float32),
        is_bent=settings.log_tail,
        n_averaged=settings.n_averaged,
        fusion=settings.fusion,
    )


def _rows_of(cached: CachedVideo, stream: str, piece: Piece) -> FeatureRows:
    """Return the rows of a piece, whose first frame is 0."""
    rows = read_rows(cached.entries[stream].path)
    first, last = np.searchsorted(rows.frame, (piece.start, piece.stop))
    part = rows.part(int(first), int(last))
    return FeatureRows(part.features, part.frame - piece.start, part.box_xyxy)
