"""Where a frame looks unlike anything that normal footage showed there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mulde.data.video import Frame
from mulde.extractors.base import Preparation
from mulde.extractors.movement import Mask
from mulde.extractors.scene import SceneModel
from mulde.extractors.shake import offset_from, shifted

_NEAREST_PX = 0.5
"""So far a person who fills a part of the picture may seem to move it."""
_MOST_NOVEL = 0.9
"""Share of the picture; who stands right before the camera, or what is carried past it, may be most of it."""
_ENOUGH_PLACES = 25
"""An object as large as a place lies in nine of them, for they overlap: of fewer it may be nearly all."""
_SECONDS_TO_USUAL = 600.0
"""In about so long what stays becomes a part of the scene: light that normal footage lacked, a chair that was
moved."""
_SECONDS_TO_UNUSUAL = 60.0
"""In about so long after it is gone it would be new again."""


@dataclass(frozen=True)
class Unlike:
    """How unlike what was seen there, and what has been there for long, each place of a frame looks."""

    novelty: NDArray[np.float32]
    """(rows, columns) by places, which are two cells wide and one apart: in standard deviations, see
    `UsualLooks`; higher = more anomalous."""
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

    def mask(self, least_novelty: float) -> Mask:
        """Return where places look unlike anything by so many standard deviations or more; each counts up to
        halfway to the middle of the next. Nothing where nearly all of the picture does: the light is another,
        if there are places enough to tell that from an object.
        """
        is_novel = (self.novelty >= least_novelty).astype(np.uint8)
        if is_novel.size >= _ENOUGH_PLACES and is_novel.mean() > _MOST_NOVEL:
            is_novel[:] = 0
        half_cells = np.kron(is_novel, np.ones((2, 2), np.uint8))  # two between the middles of places
        return Mask(np.pad(half_cells, 1, mode="edge"), self.frame_size)


@dataclass(frozen=True)
class Unlikeness(Preparation):
    """Compares each frame with how the places of the scene looked in normal footage.

    How unlike a place has looked for long in this video, up to the frame, is taken off: it is no news.
    """

    code_version: ClassVar[int] = 2
    """Raise it when the same frames give other values than before."""

    scene_digest: str
    """Stands for the scene, looks too, when preparations are compared."""
    scene: SceneModel = field(compare=False)

    @property
    def settings(self) -> dict[str, Any]:
        """Return all that decides about its values."""
        return {"code_version": self.code_version, "scene_digest": self.scene_digest}

    def start(self) -> Callable[[Frame], Unlike]:
        """Return the function that follows the places through the frames."""
        usual, size, empty = self.scene.usual_looks, self.scene.size, self.scene.backgrounds[0]
        lasting = before = np.zeros(1, np.float32)
        last_seconds = np.inf

        def compare(frame: Frame) -> Unlike:
            nonlocal lasting, before, last_seconds
            # until this frame it looked as it did in the last one, however long ago that was
            lasting = lasting + _towards(before - lasting, max(0.0, frame.seconds - last_seconds))
            grey = frame.grey(size)
            x, y = offset_from(empty, grey, _NEAREST_PX)
            novelty = usual.novelty(shifted(grey, (-x, -y)))
            before, last_seconds = np.maximum(novelty, 0), frame.seconds
            return Unlike(novelty - lasting, frame.size)

        return compare


def _towards(difference: NDArray[np.float32], elapsed_seconds: float) -> NDArray[np.float32]:
    """Return how far what has been for long moves on, by how far it is from what is now."""
    up, down = (-np.expm1(-elapsed_seconds / s) for s in (_SECONDS_TO_USUAL, _SECONDS_TO_UNUSUAL))
    return np.asarray(difference * np.where(difference > 0, up, down), np.float32)


@dataclass(frozen=True)
class Unseen(Preparation):
    """Where a frame looks unlike anything by so many standard deviations or more."""

    code_version: ClassVar[int] = 2
    """Raise it when the same novelty gives another mask than before."""

    unlikeness: Unlikeness
    least_novelty: float
    """See `Unlike.novelty`."""

    @property
    def settings(self) -> dict[str, Any]:
        """What it was told, and what decides how unlike a place looks."""
        settings = {"least_novelty": self.least_novelty, "unlikeness": self.unlikeness.settings}
        return {**settings, "unseen_version": self.code_version}

    @property
    def parts(self) -> tuple[Unlikeness]:
        """How unlike it looks."""
        return (self.unlikeness,)

    def start(self) -> Callable[[Frame, Unlike], Mask]:
        """Return the function for frames, each by itself."""
        return lambda frame, unlike: unlike.mask(self.least_novelty)
