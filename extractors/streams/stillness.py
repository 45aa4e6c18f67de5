"""What appeared and stands still although it does not belong there, such as an object left behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from mulde.data.video import Frame
from mulde.extractors.base import Extractor, Objects, Preparation
from mulde.extractors.images import box_means, to_grey, to_pixels
from mulde.extractors.scene import SceneModel, background_difference
from mulde.extractors.settings import StillnessSettings
from mulde.extractors.streams.site import Site

_STEPS_BACK = 3


@dataclass(frozen=True)
class StillForeground(Preparation):
    """Where something appeared in this video and has not changed since, (H, W) bool.

    A pixel counts if it clearly was background for a while, then became foreground, and has looked the same
    for about `frames_unchanged` frames. What was there from the first frame on is part of the scene.
    """

    scene_digest: str
    """Stands for the scene when preparations are compared."""
    foreground_threshold: int
    """Grey levels by which a blurred pixel must differ from the background."""
    options: StillnessSettings
    scene: SceneModel = field(compare=False)

    def start(self) -> Callable[[Frame], NDArray[np.bool_]]:
        """Return the function that follows each pixel through the frames."""
        state = _PixelHistory(self.scene.background.shape)
        enough = self.options.frames_unchanged

        def follow(frame: Frame) -> NDArray[np.bool_]:
            grey = to_grey(frame.rgb)
            smooth = cv2.GaussianBlur(grey, (7, 7), 0)
            difference = np.abs(background_difference(grey, self.scene.background))
            is_foreground = difference > self.foreground_threshold
            # Half the threshold: a pixel that hovers around it is neither background nor an arrival.
            is_background = difference <= self.foreground_threshold // 2
            return state.update(smooth, is_foreground, is_background, self.options.threshold, enough)

        return follow


@dataclass(frozen=True)
class Stillness(Extractor):
    """The share of the box where something appeared and has looked the same for a while.

    A person who waits still sways; a suitcase does not. Optical flow cannot tell it from slow walking.
    """

    name: ClassVar[str] = "stillness"
    code_version: ClassVar[int] = 1
    noise_floor: ClassVar[float] = 0.05

    scene: SceneModel = field(compare=False)
    foreground_threshold: int
    options: StillnessSettings

    @classmethod
    def build(cls, options: StillnessSettings, site: Site) -> Stillness:
        """Compare with the background of the scene."""
        return cls(site.scene, site.foreground_threshold, options)

    @property
    def preparation(self) -> StillForeground:
        """The history of each pixel."""
        return StillForeground(self.scene.digest, self.foreground_threshold, self.options, self.scene)

    @property
    def n_features(self) -> int:
        """The share."""
        return 1

    def settings(self) -> dict[str, Any]:
        """Return the options and what the scene is."""
        return {
            "code_version": self.code_version,
            "scene": self.scene.digest,
            "foreground_threshold": self.foreground_threshold,
            "frames_unchanged": self.options.frames_unchanged,
            "threshold": self.options.threshold,
        }

    def describe(
        self, around: Sequence[NDArray[np.bool_]], centre: int, objects: Objects
    ) -> NDArray[np.float32]:
        """Return (n_objects, 1) float32 in [0, 1]."""
        still = around[centre].astype(np.uint8)
        height, width = still.shape
        return box_means(still, to_pixels(objects.box_xyxy, width, height))


class _PixelHistory:
    """What is remembered of each pixel, whatever the length of the video; all of it is updated in place."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._reference = np.zeros(shape, np.uint8)
        """Blurred luminance when the pixel last changed."""
        self._n_unchanged = np.zeros(shape, np.int16)
        self._n_background = np.zeros(shape, np.int16)
        """No further than it counts."""
        self._was_background = np.zeros(shape, bool)

    def update(
        self,
        grey: NDArray[np.uint8],
        is_foreground: NDArray[np.bool_],
        is_background: NDArray[np.bool_],
        threshold: int,
        enough: int,
    ) -> NDArray[np.bool_]:
        self._n_background += 1
        self._n_background *= is_background
        np.minimum(self._n_background, enough, out=self._n_background)
        self._was_background |= self._n_background == enough
        unchanged = cv2.absdiff(grey, self._reference) < threshold
        unchanged &= is_foreground
        # A step back instead of a fresh start: noise and passers-by interrupt for a frame or two
        self._n_unchanged += unchanged * np.int16(1 + _STEPS_BACK)
        self._n_unchanged -= _STEPS_BACK
        np.clip(self._n_unchanged, 0, 2 * enough, out=self._n_unchanged)
        np.copyto(self._reference, grey, where=self._n_unchanged == 0)
        return np.asarray(self._was_background & is_foreground & (self._n_unchanged >= enough))
