"""A cheap appearance descriptor: histograms of oriented gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from mulde.extractors.base import Extractor, Objects
from mulde.extractors.boxes.motion import GreyFrame
from mulde.extractors.images import to_pixels
from mulde.extractors.settings import HogSettings
from mulde.extractors.streams.site import Site


@dataclass(frozen=True)
class Hog(Extractor):
    """Gradient orientation by cell of the resized box, normalised as a whole.

    Source: Dalal & Triggs, CVPR 2005, with one normalisation for the whole patch in place of blocks.
    """

    name: ClassVar[str] = "hog"
    code_version: ClassVar[int] = 1
    has_one_unit: ClassVar[bool] = True
    n_whitened: ClassVar[int | None] = 32

    options: HogSettings

    @classmethod
    def build(cls, options: HogSettings, site: Site) -> Hog:
        """Describe with these settings, wherever it is."""
        return cls(options)

    @property
    def preparation(self) -> GreyFrame:
        """Grey frames."""
        return GreyFrame()

    @property
    def n_features(self) -> int:
        """Cells times bins."""
        return (
            (self.options.patch_height_px // self.options.cell_px)
            * (self.options.patch_width_px // self.options.cell_px)
            * self.options.n_bins
        )

    def describe(
        self, around: Sequence[NDArray[np.uint8]], centre: int, objects: Objects
    ) -> NDArray[np.float32]:
        """Return (n_objects, cells * bins) float32, each row of length 1, or 0 for an even patch."""
        grey = around[centre]
        if not len(objects):
            return np.zeros((0, self.n_features), np.float32)
        size = (self.options.patch_width_px, self.options.patch_height_px)
        patches = np.stack(
            [
                cv2.resize(grey[y1:y2, x1:x2], size, interpolation=cv2.INTER_AREA)
                for x1, y1, x2, y2 in to_pixels(objects.box_xyxy, grey.shape[1], grey.shape[0])
            ]
        ).astype(np.float32)  # (n, h, w)
        return self._histograms(patches)

    def _histograms(self, patches: NDArray[np.float32]) -> NDArray[np.float32]:
        dy, dx = np.gradient(patches, axis=(1, 2))
        magnitude = np.hypot(dx, dy)
        position = (
            np.arctan2(dy, dx) / np.pi % 1
        ) * self.options.n_bins  # unsigned: 0 and π are the same edge
        lower = np.floor(position)
        share = position - lower  # of the upper of the two bins that a pixel is divided between
        n, height, width = patches.shape
        rows, columns = height // self.options.cell_px, width // self.options.cell_px
        result = np.zeros((n, rows, columns, self.options.n_bins), np.float32)
        for bin_index in range(self.options.n_bins):
            weight = magnitude * (
                (lower % self.options.n_bins == bin_index) * (1 - share)
                + ((lower + 1) % self.options.n_bins == bin_index) * share
            )
            cells = weight.reshape(n, rows, self.options.cell_px, columns, self.options.cell_px)
            result[..., bin_index] = cells.sum(axis=(2, 4))
        flat = result.reshape(n, -1)  # (n, rows * columns * bins)
        length = np.linalg.norm(flat, axis=1, keepdims=True)
        normalised: NDArray[np.float32] = np.divide(
            flat, length, out=np.zeros_like(flat), where=length > 1e-6
        )
        return normalised
