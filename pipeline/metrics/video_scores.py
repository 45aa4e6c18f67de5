"""The scores of one video beside its labels: what every frame metric is computed from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mulde.data.errors import InputError
from mulde.data.times import shown_seconds


@dataclass(frozen=True)
class VideoScores:
    """The scores of one video beside its labels; raises ValueError where they cannot be evaluated."""

    name: str
    """Unique within the test set."""
    scores: NDArray[np.float64]
    """(T,), one score a decoded frame, finite, higher = more anomalous."""
    labels: NDArray[np.uint8]
    """(T,), 1 = abnormal, 0 = normal."""
    scene: str = ""
    """The camera; "" where nobody said."""
    fps: float | None = None
    """Frames a second, > 0; None where nobody said."""
    seconds: NDArray[np.float64] | None = None
    """(T,), when each frame is shown; None where nobody said, and frames come evenly at that rate."""

    def __post_init__(self) -> None:
        if self.scores.ndim != 1 or self.scores.shape != self.labels.shape:
            raise ValueError(
                f"{self.name}: scores {self.scores.shape} and labels {self.labels.shape} differ in shape: "
                "give one score and one label for every decoded frame"
            )
        check_finite(self.name, self.scores)
        labels_of(self.name, self.labels)
        if self.fps is not None and not 0 < self.fps < np.inf:
            raise ValueError(f"{self.name}: {self.fps} is no frame rate")
        if self.seconds is not None and self.seconds.shape != self.scores.shape:
            raise ValueError(f"{self.name}: {self.scores.shape} scores have times {self.seconds.shape}")

    @property
    def shown_seconds(self) -> NDArray[np.float64] | None:
        """How long each frame is shown, (T,), without pauses of the recording; None without a rate."""
        if self.fps is None:
            return None
        if self.seconds is None:
            return np.full(self.n_frames, 1 / self.fps)
        return shown_seconds(self.seconds, self.fps)

    @property
    def n_frames(self) -> int:
        return len(self.scores)

    @property
    def n_abnormal(self) -> int:
        return int(np.count_nonzero(self.labels))

    @property
    def has_both_classes(self) -> bool:
        return 0 < self.n_abnormal < self.n_frames


def scene_of(name: str) -> str:
    """Return the camera of a video's name: its first folder, as below a folder of videos; "" for none."""
    first, is_below, _ = name.partition("/")
    return first if is_below else ""


def labels_of(name: str, values: ArrayLike) -> NDArray[np.uint8]:
    """Return the labels of a video, (T,), of whatever numbers they are.

    Raises:
        ValueError: one is neither 0 nor 1, as of a frame that nobody labelled.
    """
    array = np.asarray(values)
    if not np.isin(array, (0, 1)).all():
        raise ValueError(f"{name}: labels must be 0 (normal) or 1 (abnormal)")
    return array.astype(np.uint8)


def require_scores_of(labelled: Iterable[str], scored: Iterable[str], where: str) -> None:
    """Check that every labelled video has scores.

    Args:
        labelled, scored: names of videos.
        where: where the scores are, for the message.

    Raises:
        InputError: one has none.
    """
    names, known = list(labelled), dict.fromkeys(scored)
    missing = [name for name in names if name not in known]
    if missing:
        some = ", ".join(map(str, [*known][:3])) + (", …" if len(known) > 3 else "") or "none"
        raise InputError(
            f"{len(missing)} of {len(names)} labelled videos have no scores in {where}, the first is "
            f"{missing[0]} (there are scores of {some}): a metric of a part would pass for one of the whole; "
            "name the scores as the videos, or give labels of the part"
        )


def check_finite(name: str, scores: NDArray[np.float64]) -> None:
    """Raise ValueError that names the video and the first frame whose score is NaN or infinite."""
    broken = np.flatnonzero(~np.isfinite(scores))
    if broken.size:
        raise ValueError(
            f"{name}: {broken.size} of {scores.size} scores are NaN or infinite, the first at frame "
            f"{broken[0]}: score this video again"
        )
