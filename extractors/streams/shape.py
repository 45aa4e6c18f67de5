"""How wide and how tall an object is, from its box alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mulde.extractors.base import Extractor, FrameFacts, Objects, Shown
from mulde.extractors.scene import SceneModel
from mulde.extractors.streams.site import Site


@dataclass(frozen=True)
class Shape(Extractor):
    """Width and height of the box in heights of an object of the scene where it stands, as logarithms."""

    name: ClassVar[str] = "shape"
    code_version: ClassVar[int] = 1
    needs_fitting_boxes: ClassVar[bool] = True

    scene: SceneModel = field(compare=False)

    @classmethod
    def build(cls, options: None, site: Site) -> Shape:
        """Compare with the objects of the scene."""
        return cls(site.scene)

    @property
    def preparation(self) -> FrameFacts:
        """No pixel is looked at."""
        return FrameFacts()

    @property
    def n_features(self) -> int:
        """Width and height."""
        return 2

    def settings(self) -> dict[str, Any]:
        """Return what the scene is."""
        return {**super().settings(), "scene": self.scene.digest}

    def describe(self, around: Sequence[Shown], centre: int, objects: Objects) -> NDArray[np.float32]:
        """Return (n_objects, 2) float32."""
        size = np.maximum(objects.box_xyxy[:, 2:] - objects.box_xyxy[:, :2], 1.0)  # pixels
        unit = self.scene.heights_of(objects.box_xyxy, around[centre].size)
        return np.asarray(np.log(size / unit[:, None]), np.float32)
