"""What stands still although it does not belong there, such as an object left behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from mulde.extractors.base import Extractor, Objects
from mulde.extractors.foreground import Foreground, ForegroundFrame
from mulde.extractors.images import box_means, to_pixels
from mulde.extractors.settings import StillnessSettings


@dataclass(frozen=True)
class Stillness(Extractor):
    """The share of the box that is foreground and has looked the same for a while.

    A person who waits still sways; a suitcase does not. Optical flow cannot tell it from slow walking.
    """

    name: ClassVar[str] = "stillness"
    code_version: ClassVar[int] = 1

    foreground: Foreground
    options: StillnessSettings

    @property
    def preparation(self) -> Foreground:
        """Background subtraction."""
        return self.foreground

    @property
    def n_frames_before(self) -> int:
        """How long a pixel must have been the same."""
        return self.options.frames_unchanged

    @property
    def n_features(self) -> int:
        """The share."""
        return 1

    def settings(self) -> dict[str, object]:
        """Return the options and what the scene is."""
        return {
            "code_version": self.code_version,
            "scene": self.foreground.scene_digest,
            "foreground_threshold": self.foreground.threshold,
            "frames_unchanged": self.options.frames_unchanged,
            "threshold": self.options.threshold,
        }

    def describe(
        self, around: Sequence[ForegroundFrame], centre: int, objects: Objects
    ) -> NDArray[np.float32]:
        """Return (n_objects, 1) float32 in [0, 1]; 0 until the video is `frames_unchanged` old."""
        if centre < self.options.frames_unchanged or not len(objects):
            return np.zeros((len(objects), 1), np.float32)
        now = around[centre]
        still = now.mask.copy()
        for before in (around[0], around[centre // 2]):
            still &= before.mask & (cv2.absdiff(now.blurred, before.blurred) < self.options.threshold)
        height, width = still.shape
        return box_means(still.astype(np.uint8), to_pixels(objects.box_xyxy, width, height))
