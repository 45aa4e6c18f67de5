"""What looks unlike anything that was seen in its place, such as a chair in the middle of the room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mulde.data.video import Frame
from mulde.extractors.base import Extractor, Objects, Preparation
from mulde.extractors.scene import SceneModel
from mulde.extractors.shake import offset_from, shifted
from mulde.extractors.streams.site import Site

_NEAREST_PX = 0.5
"""So far a person who fills a part of the picture may seem to move it."""


@dataclass(frozen=True)
class Unlike:
    """How unlike what was seen there each place of a frame looks."""

    novelty: NDArray[np.float32]
    """(rows, columns) by places, which are two cells wide and one apart; see `UsualLooks`."""
    frame_size: tuple[int, int]
    """(width, height) of the frame in pixels."""

    def at(self, box_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the novelty of the place in the middle of each box (n, 4) in pixels of the frame, (n,)."""
        rows, columns = self.novelty.shape
        middle = (box_xyxy[:, :2] + box_xyxy[:, 2:]) / 2 / np.array(self.frame_size, np.float32)
        # the first of `columns` places has its middle where the first of `columns + 1` cells ends
        column = np.clip(np.round(middle[:, 0] * (columns + 1)).astype(int) - 1, 0, columns - 1)
        row = np.clip(np.round(middle[:, 1] * (rows + 1)).astype(int) - 1, 0, rows - 1)
        return np.asarray(self.novelty[row, column])


@dataclass(frozen=True)
class Unlikeness(Preparation):
    """Compares each frame with how the places of the scene looked in normal footage."""

    scene_digest: str
    """Stands for the scene, looks too, when preparations are compared."""
    scene: SceneModel = field(compare=False)

    def start(self) -> Callable[[Frame], Unlike]:
        """Return the function for frames, each by itself."""
        usual, size, empty = self.scene.usual_looks, self.scene.size, self.scene.backgrounds[0]

        def compare(frame: Frame) -> Unlike:
            grey = frame.grey(size)
            x, y = offset_from(empty, grey, _NEAREST_PX)
            return Unlike(usual.novelty(shifted(grey, (-x, -y))), frame.size)

        return compare


@dataclass(frozen=True)
class Texture(Extractor):
    """How unlike anything that normal footage showed there the edges in the middle of the box are.

    It knows each place by itself, from the pictures that the scene is learnt from: those of hours of one
    camera show what there is to be seen, those of a few short clips do not. Light that rises or falls changes
    little. See `mulde.extractors.looks`.
    """

    name: ClassVar[str] = "texture"
    code_version: ClassVar[int] = 1
    noise_floor: ClassVar[float] = 1.0

    unlikeness: Unlikeness

    @classmethod
    def build(cls, options: None, site: Site) -> Texture:
        """Compare with what the scene's places looked like."""
        return cls(Unlikeness(site.scene.looks_digest, site.scene))

    @property
    def preparation(self) -> Unlikeness:
        """The comparison of the frame."""
        return self.unlikeness

    @property
    def n_features(self) -> int:
        """One number."""
        return 1

    def settings(self) -> dict[str, Any]:
        """Return what the scene is."""
        return {"code_version": self.code_version, "scene_digest": self.unlikeness.scene_digest}

    def describe(self, around: Sequence[Unlike], centre: int, objects: Objects) -> NDArray[np.float32]:
        """Return (n_objects, 1) float32, in standard deviations, 0 up to the mean; higher = more unlike."""
        return np.maximum(around[centre].at(objects.box_xyxy)[:, None], 0)
