"""How the objects move: how fast, which way, and where; from dense optical flow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mulde.extractors.base import Extractor, Objects
from mulde.extractors.images import box_sums
from mulde.extractors.scene import SceneModel
from mulde.extractors.settings import PlaceSettings, VelocitySettings
from mulde.extractors.streams.flow import DenseFlow, FlowField, MeanFlow, mean_flow
from mulde.extractors.streams.site import Site


@dataclass(frozen=True)
class _FlowExtractor(Extractor):
    """Shared by all that look at the flow, averaged over a moment, of what moves inside a box."""

    flow: DenseFlow
    seconds_around: float
    """How long before and after the flow is averaged: limbs swing, bodies travel."""
    n_frames_around: int = field(compare=False)
    """How many frames that can be, before and after."""
    scene: SceneModel = field(compare=False)

    @property
    def preparation(self) -> DenseFlow:
        """Dense optical flow."""
        return self.flow

    @property
    def n_frames_before(self) -> int:
        """Frames whose flow is averaged."""
        return self.n_frames_around

    @property
    def n_frames_after(self) -> int:
        """Frames whose flow is averaged."""
        return self.n_frames_around

    def settings(self) -> dict[str, Any]:
        """Return the options, how flow is computed, and what the scene is."""
        return {**super().settings(), "scene": self.scene.digest}


@dataclass(frozen=True)
class Velocity(_FlowExtractor):
    """How fast what is in the box moves, in heights of an object of the scene a second.

    It is the mean length of the flow over what moves in the box, or over all of the box (`over`). With
    several bins it is a histogram: bin b holds the mean of the lengths where the direction falls into the
    b-th of `n_bins` equal sectors, the first centred on +x, and the sum of the bins is the mean length.

    Source: AI-VAD (arXiv 2212.00789), §3.2, for the histogram, which is over all of the box there, in pixels
    a frame.
    """

    name: ClassVar[str] = "velocity"
    code_version: ClassVar[int] = 7

    options: VelocitySettings

    @classmethod
    def build(cls, options: VelocitySettings, site: Site) -> Velocity:
        """Use the flow that suits the scene."""
        return cls(site.flow, site.seconds_around, site.n_frames_around, site.scene, options)

    @property
    def n_features(self) -> int:
        """One a bin, and one for the coverage."""
        return self.options.n_bins + self.options.with_coverage

    def describe(self, around: Sequence[FlowField], centre: int, objects: Objects) -> NDArray[np.float32]:
        """Return (n_objects, D) float32: speed, or speeds by direction, then coverage."""
        flow = mean_flow(around, centre, self.seconds_around)
        if self.options.n_bins == 1 and self.options.over == "moving":
            speed = flow.of_moving(objects.box_xyxy)[:, 2:]
        else:
            speed = self._by_direction(flow, objects)
        speed = speed / self._unit(objects, flow.frame_size)[:, None]  # (n_objects, n_bins)
        return np.column_stack([speed, objects.coverage]) if self.options.with_coverage else speed

    def _unit(self, objects: Objects, frame_size: tuple[int, int]) -> NDArray[np.float32]:
        """Return what each object's speed is divided by, (n_objects,) in pixels, against perspective."""
        height = self.scene.heights_of(objects.box_xyxy, frame_size)
        if self.options.per_height == "all":
            return height
        is_scaled = objects.may_be_person if self.options.per_height == "persons" else False
        nearest = self.scene.height_range[1] * frame_size[1] / self.scene.size[1]
        return np.asarray(np.where(is_scaled, height, nearest), np.float32)

    def _by_direction(self, flow: MeanFlow, objects: Objects) -> NDArray[np.float32]:
        """Return mean lengths, (n_objects, n_bins), in pixels of the frame a second."""
        n_bins, box = self.options.n_bins, flow.on_grid(objects.box_xyxy)
        turns = np.arctan2(flow.vectors[..., 1], flow.vectors[..., 0]) / (2 * np.pi)
        sector = np.round(turns * n_bins).astype(np.int64) % n_bins
        weight = np.ones_like(flow.moving) if self.options.over == "box" else flow.moving
        lengths = [np.where(sector == b, flow.lengths * weight, 0) for b in range(n_bins)]  # (h, w) each
        sums = np.concatenate([box_sums(each, box) for each in lengths], axis=1)  # (n_objects, n_bins)
        return np.asarray(sums / np.maximum(box_sums(weight, box), 1e-6), np.float32)


@dataclass(frozen=True)
class Direction(_FlowExtractor):
    """The mean flow of what moves in the box: (x, y) in heights of an object a second, so that going the
    wrong way shows.
    """

    name: ClassVar[str] = "direction"
    code_version: ClassVar[int] = 6
    has_one_unit: ClassVar[bool] = True

    @classmethod
    def build(cls, options: None, site: Site) -> Direction:
        """Use the flow that suits the scene."""
        return cls(site.flow, site.seconds_around, site.n_frames_around, site.scene)

    @property
    def n_features(self) -> int:
        """x and y."""
        return 2

    def describe(self, around: Sequence[FlowField], centre: int, objects: Objects) -> NDArray[np.float32]:
        """Return (n_objects, 2) float32."""
        flow = mean_flow(around, centre, self.seconds_around)
        means = flow.of_moving(objects.box_xyxy)[:, :2]
        return np.asarray(means / self.scene.heights_of(objects.box_xyxy, flow.frame_size)[:, None])


@dataclass(frozen=True)
class Place(Direction):
    """Where the object stands and how it moves there: what is usual on the road is not on the grass.

    x and y of the middle of the box's lower edge in heights of an object, times `weight`, then the mean flow
    of `Direction`.
    """

    name: ClassVar[str] = "place"
    code_version: ClassVar[int] = 5

    options: PlaceSettings

    @classmethod
    def build(cls, options: PlaceSettings, site: Site) -> Place:  # type: ignore[override]
        """Use the flow that suits the scene."""
        return cls(site.flow, site.seconds_around, site.n_frames_around, site.scene, options)

    @property
    def n_features(self) -> int:
        """Place and flow."""
        return 4

    def describe(self, around: Sequence[FlowField], centre: int, objects: Objects) -> NDArray[np.float32]:
        """Return (n_objects, 4) float32."""
        frame_height = around[centre].frame_size[1]
        unit = self.scene.typical_height * frame_height / self.scene.size[1]
        left, _, right, bottom = objects.box_xyxy.T
        place = np.stack([(left + right) / 2, bottom], axis=1) * np.float32(self.options.weight / unit)
        return np.column_stack([place, super().describe(around, centre, objects)])
