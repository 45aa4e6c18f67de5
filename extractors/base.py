"""What every extractor is: per-frame preparation that is shared, and one method that describes objects.

A pass over a video (`mulde.extractors.one_pass`) owns the loop: it decodes once, prepares each frame once for
all that ask for the same preparation, and hands each operator the frames around the one it is about.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mulde.data.video import Frame


@dataclass(frozen=True)
class Objects:
    """The objects of one frame."""

    box_xyxy: NDArray[np.float32]
    """(n_objects, 4) float32, x1, y1, x2, y2 in pixels of the frame, half-open."""
    measures: NDArray[np.float32]
    """(n_objects, M) float32: what the finder measured of each, see its `measure_names`."""

    def __post_init__(self) -> None:
        n = len(self.box_xyxy)
        if self.box_xyxy.shape != (n, 4) or self.measures.ndim != 2 or len(self.measures) != n:
            raise ValueError(f"boxes {self.box_xyxy.shape} and measures {self.measures.shape} do not match")

    def __len__(self) -> int:
        return len(self.box_xyxy)


@dataclass(frozen=True)
class Preparation(ABC):
    """Work on a frame that does not depend on objects; done once a frame for all operators that share it.

    Two preparations with equal settings are the same.
    """

    @abstractmethod
    def start(self) -> Callable[[Frame], Any]:
        """Return a function for the frames of one video, called in order; it may keep the frame before."""


@dataclass(frozen=True)
class Operator(ABC):
    """What box finders and extractors share: settings as fields, a preparation, frames of context."""

    name: ClassVar[str]
    code_version: ClassVar[int]
    """Raise it when the same settings give other values than before: cached results are then made again."""

    @property
    @abstractmethod
    def preparation(self) -> Preparation:
        """What must be done to each frame first."""

    @property
    def n_frames_before(self) -> int:
        """Prepared frames wanted before the one in question; fewer come at a video's start."""
        return 0

    @property
    def n_frames_after(self) -> int:
        """Prepared frames wanted after the one in question; fewer come at a video's end."""
        return 0

    def settings(self) -> dict[str, Any]:
        """Return all that decides the values, as JSON holds it: it enters the cache key."""
        return {"code_version": self.code_version, **asdict(self)}


@dataclass(frozen=True)
class BoxFinder(Operator):
    """Finds the objects of a frame."""

    measure_names: ClassVar[tuple[str, ...]]

    @abstractmethod
    def find(self, around: Sequence[Any], centre: int) -> Objects:
        """Return the objects of the frame whose preparation is around[centre]."""


@dataclass(frozen=True)
class Extractor(Operator):
    """Describes each object of a frame by a vector."""

    has_one_unit: ClassVar[bool] = False
    """Whether all features are components of one quantity, so that a detector must not scale them apart."""
    n_whitened: ClassVar[int | None] = None
    """Principal components that a detector keeps of many correlated features; None for all features."""
    noise_floor: ClassVar[float] = 0.0
    """Differences of a feature far below this are measurement noise, whatever the training rows say."""

    @property
    @abstractmethod
    def n_features(self) -> int:
        """D, the length of a vector."""

    @abstractmethod
    def describe(self, around: Sequence[Any], centre: int, objects: Objects) -> NDArray[np.float32]:
        """Return one vector an object, (n_objects, D) float32, for the frame of around[centre]."""
