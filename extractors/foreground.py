"""What does not belong to the background, frame by frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mulde.data.video import Frame
from mulde.extractors.base import Preparation
from mulde.extractors.images import blur, to_grey
from mulde.extractors.scene import SceneModel, foreground


@dataclass(frozen=True)
class ForegroundFrame:
    """A frame and its foreground."""

    blurred: NDArray[np.uint8]
    """(H, W) uint8: the luminance, slightly blurred."""
    mask: NDArray[np.bool_]
    """(H, W) whether a pixel differs from the background."""


@dataclass(frozen=True)
class Foreground(Preparation):
    """Subtraction of a scene's background."""

    scene_digest: str
    """Stands for the scene when preparations are compared."""
    threshold: int
    """Grey levels by which a blurred pixel must differ."""
    scene: SceneModel = field(compare=False)

    @classmethod
    def of(cls, scene: SceneModel, threshold: int) -> Foreground:
        """Return the preparation for a scene."""
        return cls(scene.digest, threshold, scene)

    def start(self) -> Callable[[Frame], ForegroundFrame]:
        """Return the subtraction."""
        background, threshold = self.scene.background, self.threshold

        def subtract(frame: Frame) -> ForegroundFrame:
            grey = to_grey(frame.rgb)
            return ForegroundFrame(blur(grey), foreground(grey, background, threshold))

        return subtract
