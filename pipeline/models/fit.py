"""Fit one detector to the rows of one stream."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mulde.data.cache.rows import CachedRows
from mulde.data.errors import InputError
from mulde.data.spelling import counted
from mulde.detector import Calibration
from mulde.detector.outliers import RowsWithout
from mulde.detector.rows import RowSource
from mulde.extractors.base import FeatureOperator, FrameExtractor
from mulde.pipeline.features.imported import ImportedStream, imported_streams
from mulde.pipeline.features.inventory import CachedVideo
from mulde.pipeline.features.recipe import BOXES, build_recipe
from mulde.pipeline.features.scenes import Scenes
from mulde.pipeline.models.model import StreamModel
from mulde.pipeline.runs.job import Job

if TYPE_CHECKING:
    from mulde.detector import Detector

_log = logging.getLogger(__name__)
MIN_ROWS = 2


_MEMORY_SHARE, _UNKNOWN_MEMORY_GB = 0.25, 16.0
_ROWS_FOR_CALIBRATION = 500_000
"""About; hundreds of those lie beyond the quantile that is learnt from them."""


class NotLearnableError(InputError):
    """Rows are too few, or too much alike, to learn from."""


@dataclass(frozen=True)
class StreamRows:
    """The feature rows of one stream of some videos, and what a detector has to know of them."""

    name: str
    source: NDArray[np.float32] | RowSource
    """(N, D), in memory or not."""
    groups: NDArray[np.int64]
    """(N,), the number of the video that each row is from."""
    frame: NDArray[np.int64]
    """(N,), the frame of that video that each row is about."""
    frames: NDArray[np.int64] | None
    """(N,), a number for each frame of any video; None where no frame has several rows."""
    has_one_unit: bool
    noise_floor: float | Sequence[float]
    n_whitened: int | None

    def without(self, is_left_out: NDArray[np.bool_]) -> StreamRows:
        """Return the same without some rows, (N,)."""
        kept, source = ~is_left_out, self.source
        if isinstance(source, np.ndarray):
            rest: NDArray[np.float32] | RowSource = source[kept]
        else:
            rest = RowsWithout(source, np.flatnonzero(is_left_out))
        return replace(
            self,
            source=rest,
            groups=self.groups[kept],
            frame=self.frame[kept],
            frames=None if self.frames is None else np.unique(self.frames[kept], return_inverse=True)[1],
        )


def describe_streams(job: Job, scenes: Scenes) -> Sequence[FeatureOperator | ImportedStream]:
    """Return what made the features of each stream, or what stands for it where they were imported."""
    if job.is_imported:
        return imported_streams(job)
    scene = next(iter(scenes.models.values()))  # streams do not depend on which
    return build_recipe(job.config.extract, scene).extractors


def open_rows(
    extractor: FeatureOperator | ImportedStream, videos: Sequence[CachedVideo], limit_gb: float
) -> StreamRows:
    """Return the rows of a stream: in memory, or to be read while training where they take more than allowed.

    What is learnt from either differs as with another seed: batches, and rows that are held out, are drawn in
    blocks where they are read.

    Args:
        limit_gb: see `memory_limit_gb`.

    Raises:
        NotLearnableError: there are too few.
        CacheFileError: a file is damaged.
    """
    name = extractor.name
    rows = CachedRows([cached.entries[name] for cached in videos])
    if rows.shape[0] < MIN_ROWS:
        n_objects = sum(cached.entries[name].n_rows for cached in videos)
        n_frames = sum(cached.entries[name].report.n_frames for cached in videos)
        way_out = (
            "does anything move in them? A minute or two of footage are the least; or lower "
            "extract.boxes.windows.min_coverage or extract.boxes.windows.threshold"
        )
        if n_objects >= MIN_ROWS:
            way_out = (
                f"none of {n_objects} objects could be measured, are they of other classes? Leave it out"
            )
        if (
            any(cached.keys[BOXES].beside for cached in videos if BOXES in cached.keys)
            and n_objects < MIN_ROWS
        ):
            way_out = "extract.boxes.file has hardly a box of them"
        if isinstance(extractor, FrameExtractor):
            way_out = f"lower extract.{name}.every_frames"
        if isinstance(extractor, ImportedStream):
            way_out = "look at what was imported with `mulde cache list`"
        raise NotLearnableError(
            f"{counted(len(videos), 'normal video')} of {counted(n_frames, 'frame')} in all "
            f"{'has' if len(videos) == 1 else 'have'} {counted(rows.shape[0], 'row')}, too few to learn "
            f"{name} from: {way_out}, or add videos"
        )
    source: NDArray[np.float32] | CachedRows = rows
    groups, frame = rows.groups(), rows.frames()
    if rows.size_bytes > limit_gb * 1e9:
        _log.info(
            "train %s: %.1f GB of features are read while training, train.memory_gb is %.1f",
            name, rows.size_bytes / 1e9, limit_gb,
        )  # fmt: skip
    else:
        source = rows.read(0, rows.shape[0])
        rows.close()
    return StreamRows(
        name,
        source,
        groups,
        frame,
        _number_frames(groups, frame),
        extractor.has_one_unit,
        extractor.noise_floor,
        extractor.n_whitened,
    )


def build_detector(
    kind: str, settings: dict[str, Any], rows: StreamRows, *, device: str, seed: int, **more: Any
) -> Detector:
    """Return an unfitted detector for the rows of a stream.

    Args:
        settings: arguments of the kind's constructor.
        more: arguments that only detectors with a network have.
    """
    from mulde.detector import DETECTORS, MULDE  # only here, for it imports torch

    detector = DETECTORS[kind]
    return detector(
        **settings,
        scaling="common" if rows.has_one_unit else "feature",
        scale_floor=rows.noise_floor,
        n_whitened=rows.n_whitened,
        random_state=seed,
        **({"device": device, **more} if issubclass(detector, MULDE) else {}),
    )


def fit_stream(detector: Detector, rows: StreamRows) -> StreamModel:
    """Fit a detector to the rows of a stream, and learn the scale of its scores on them.

    Raises:
        NotLearnableError: the rows cannot be learnt from.
        InputError: they cannot be read, or the checkpoint of the training is damaged.
    """
    try:
        detector.fit(rows.source, groups=rows.groups)
        frames = None if rows.frames is None else np.delete(rows.frames, detector.left_out_)
        some = _rows_of_some_frames(detector.n_samples_fit_, frames)
        scores = detector.training_scores(rows.source, groups=rows.groups, of=some)
        frames = frames if frames is None or some is None else frames[some]
        return StreamModel(detector, Calibration.fit(scores, least_range=detector.least_range, frame=frames))
    except InputError:
        raise
    except ValueError as error:
        raise NotLearnableError(f"{rows.name} cannot be learnt: {error}") from None


def _rows_of_some_frames(n_rows: int, frames: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
    """Return the numbers of all rows of frames that are drawn at random, growing; None for all rows."""
    if n_rows <= _ROWS_FOR_CALIBRATION:
        return None
    if frames is None:
        frames = np.arange(n_rows)
    share = _ROWS_FOR_CALIBRATION / n_rows
    is_drawn = np.random.default_rng(0).random(int(frames.max()) + 1) < share
    return np.flatnonzero(is_drawn[frames])


def _number_frames(groups: NDArray[np.int64], frame: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Return a number for the frame of each row, each frame's own; None where none has several rows.

    Rows are in order of their videos, and of the frames of each.
    """
    is_next = (np.diff(groups) != 0) | (np.diff(frame) != 0)
    return None if is_next.all() else np.concatenate([[0], np.cumsum(is_next)])


def memory_limit_gb(given: float | None) -> float:
    """Return how much features may take before they are read while training: as given, or by this machine."""
    return given or _memory_gb() * _MEMORY_SHARE


def _memory_gb() -> float:
    """Return how much memory the machine has; a guess where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (AttributeError, ValueError, OSError):
        return _UNKNOWN_MEMORY_GB
