"""What looks unlike anything that was seen in its place, such as a chair in the middle of the room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mulde.extractors.base import Extractor, Objects
from mulde.extractors.streams.site import Site
from mulde.extractors.unlikeness import Unlike, Unlikeness


@dataclass(frozen=True)
class Texture(Extractor):
    """How unlike anything that normal footage showed there the edges in the middle of the box are.

    It knows each place by itself, from the pictures that the scene is learnt from: those of hours of one
    camera show what there is to be seen, those of a few short clips do not. Light that rises or falls changes
    little, and what has stayed for some ten minutes of a video is no news. See `mulde.extractors.looks`.
    """

    name: ClassVar[str] = "texture"
    code_version: ClassVar[int] = Unlikeness.code_version
    noise_floor: ClassVar[float] = 1.0

    unlikeness: Unlikeness

    @classmethod
    def build(cls, options: None, site: Site) -> Texture:
        """Compare with what the scene's places looked like."""
        return cls(site.unlikeness)

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
        return self.unlikeness.settings

    def describe(self, around: Sequence[Unlike], centre: int, objects: Objects) -> NDArray[np.float32]:
        """Return (n_objects, 1) float32, in standard deviations, 0 up to the mean; higher = more unlike."""
        return np.maximum(around[centre].at(objects.box_xyxy)[:, None], 0)
