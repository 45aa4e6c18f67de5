"""What appeared and stands still although it does not belong there, such as an object left behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mulde.extractors.base import Extractor, Objects
from mulde.extractors.movement import Arrivals, Mask
from mulde.extractors.streams.site import Site


@dataclass(frozen=True)
class Stillness(Extractor):
    """The share of the box where something appeared and has looked the same for a while.

    A person who waits still sways; a suitcase does not. Optical flow cannot tell it from slow walking.
    """

    name: ClassVar[str] = "stillness"
    code_version: ClassVar[int] = 4
    noise_floor: ClassVar[float] = 0.05

    arrivals: Arrivals

    @classmethod
    def build(cls, options: None, site: Site) -> Stillness:
        """Compare with the background of the scene."""
        return cls(site.arrivals)

    @property
    def preparation(self) -> Arrivals:
        """The history of each pixel."""
        return self.arrivals

    @property
    def n_features(self) -> int:
        """The share."""
        return 1

    def settings(self) -> dict[str, Any]:
        """Return the options and what the scene is."""
        digest = self.arrivals.scene_digest
        return {"code_version": self.code_version, "scene_digest": digest, **self.arrivals.settings}

    def describe(self, around: Sequence[Mask], centre: int, objects: Objects) -> NDArray[np.float32]:
        """Return (n_objects, 1) float32 in [0, 1]."""
        return around[centre].coverage(objects.box_xyxy)[:, None]
