"""How the objects move: speed and direction, from dense optical flow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mulde.extractors.base import Extractor, Objects
from mulde.extractors.settings import VelocitySettings
from mulde.extractors.streams.flow import DenseFlow, FlowField, mean_flow
from mulde.extractors.streams.site import Site


@dataclass(frozen=True)
class _FlowExtractor(Extractor):
    """Shared by all that look at the flow, averaged over a few frames, inside a box."""

    flow: DenseFlow
    frames_averaged_around: int
    """Frames before and after over which the flow is averaged: limbs swing, bodies travel."""

    @property
    def preparation(self) -> DenseFlow:
        """Dense optical flow."""
        return self.flow

    @property
    def n_frames_before(self) -> int:
        """Frames whose flow is averaged."""
        return self.frames_averaged_around

    @property
    def n_frames_after(self) -> int:
        """Frames whose flow is averaged."""
        return self.frames_averaged_around


@dataclass(frozen=True)
class Velocity(_FlowExtractor):
    """How fast the object travels, in pixels a frame, and the share of the box that is foreground.

    The speed is the length of the mean flow vector of the box. With `average="lengths"` it is a histogram:
    bin b holds the mean over the box of |flow| where its direction falls into the b-th of `n_bins` equal
    sectors, the first centred on +x, and the sum of the bins is the mean length. With `per_height` either is
    in heights of the object a frame.

    Source: AI-VAD (arXiv 2212.00789), §3.2, for the histogram. The length of the mean is ours: legs and arms
    of walkers are as fast as a bicycle, but swing against each other. So is the foreground share: a slow full
    box and a half-empty fast one have the same mean speed, but only the latter is unusual.
    """

    name: ClassVar[str] = "velocity"
    code_version: ClassVar[int] = 2

    options: VelocitySettings

    @classmethod
    def build(cls, options: VelocitySettings, site: Site) -> Velocity:
        """Use the flow that suits the scene."""
        return cls(site.flow, site.flow_settings.frames_averaged_around, options)

    @property
    def n_features(self) -> int:
        """One a bin, and one for the coverage."""
        return self.options.n_bins + self.options.with_coverage

    def describe(
        self, around: Sequence[FlowField | None], centre: int, objects: Objects
    ) -> NDArray[np.float32]:
        """Return (n_objects, D) float32: speed, or magnitudes by direction, then coverage."""
        flow = mean_flow(around)
        if flow is None:
            speed = np.zeros((len(objects), self.options.n_bins), np.float32)
        elif self.options.average == "vectors":
            speed = np.linalg.norm(flow.box_means(flow.vectors_px, objects.box_xyxy), axis=1, keepdims=True)
        else:
            speed = flow.box_means(self._magnitude_by_direction(flow.vectors_px), objects.box_xyxy)
        speed = speed / self._unit(objects)[:, None]  # (n_objects, n_bins)
        return np.column_stack([speed, objects.coverage]) if self.options.with_coverage else speed

    def _unit(self, objects: Objects) -> NDArray[np.float32]:
        """Return what each object's speed is divided by, (n_objects,), against perspective."""
        height = np.asarray(np.maximum(objects.box_xyxy[:, 3] - objects.box_xyxy[:, 1], np.float32(1)))
        if self.options.per_height == "all":
            return height
        is_scaled = objects.may_be_person if self.options.per_height == "persons" else False
        return np.asarray(np.where(is_scaled, height, np.float32(1)))

    def _magnitude_by_direction(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        magnitude = np.hypot(vectors[..., 0], vectors[..., 1])  # (h, w)
        n_bins = self.options.n_bins
        if n_bins == 1:
            return magnitude[..., None]
        turns = np.arctan2(vectors[..., 1], vectors[..., 0]) / (2 * np.pi)
        sector = np.round(turns * n_bins).astype(np.int64) % n_bins
        return np.stack([np.where(sector == b, magnitude, 0) for b in range(n_bins)], axis=-1)  # (h, w, B)


@dataclass(frozen=True)
class Direction(_FlowExtractor):
    """The mean flow vector in the box: (x, y) in pixels a frame, so that going the wrong way shows."""

    name: ClassVar[str] = "direction"
    code_version: ClassVar[int] = 1
    has_one_unit: ClassVar[bool] = True

    @classmethod
    def build(cls, options: None, site: Site) -> Direction:
        """Use the flow that suits the scene."""
        return cls(site.flow, site.flow_settings.frames_averaged_around)

    @property
    def n_features(self) -> int:
        """x and y."""
        return 2

    def describe(
        self, around: Sequence[FlowField | None], centre: int, objects: Objects
    ) -> NDArray[np.float32]:
        """Return (n_objects, 2) float32."""
        flow = mean_flow(around)
        if flow is None:
            return np.zeros((len(objects), 2), np.float32)
        return flow.box_means(flow.vectors_px, objects.box_xyxy)
