"""The scores of one video beside its labels: what every frame metric is computed from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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

    def __post_init__(self) -> None:
        if self.scores.ndim != 1 or self.scores.shape != self.labels.shape:
            raise ValueError(
                f"{self.name}: scores {self.scores.shape} and labels {self.labels.shape} differ in shape: "
                "give one score and one label for every decoded frame"
            )
        check_finite(self.name, self.scores)
        if not np.isin(self.labels, (0, 1)).all():
            raise ValueError(f"{self.name}: labels must be 0 (normal) or 1 (abnormal)")
        if self.fps is not None and not 0 < self.fps < np.inf:
            raise ValueError(f"{self.name}: {self.fps} is no frame rate")

    @property
    def n_frames(self) -> int:
        return len(self.scores)

    @property
    def n_abnormal(self) -> int:
        return int(np.count_nonzero(self.labels))

    @property
    def has_both_classes(self) -> bool:
        return 0 < self.n_abnormal < self.n_frames


def check_finite(name: str, scores: NDArray[np.float64]) -> None:
    """Raise ValueError that names the video and the first frame whose score is NaN or infinite."""
    broken = np.flatnonzero(~np.isfinite(scores))
    if broken.size:
        raise ValueError(
            f"{name}: {broken.size} of {scores.size} scores are NaN or infinite, the first at frame "
            f"{broken[0]}: score this video again"
        )
