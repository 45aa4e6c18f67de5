"""What an object looks like: the embedding of its crop by an image network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mulde.extractors.base import Extractor, Moment, Objects, RgbFrame
from mulde.extractors.images import to_pixels
from mulde.extractors.networks.encoders import Encoder, make_encoder
from mulde.extractors.networks.images import fit_image
from mulde.extractors.networks.libraries import IMAGE_LIBRARIES
from mulde.extractors.settings import AppearanceSettings
from mulde.extractors.streams.site import Site

_FRAMES_GATHERED = 8
"""Their crops fill batches together; more would only keep more frames in memory."""


@dataclass(frozen=True)
class Appearance(Extractor):
    """The vector that an image network gives for each box.

    Source: MULDE §4.1 and AI-VAD (arXiv 2212.00789) §3.3 with CLIP ViT-B/16; crops are RGB here.
    """

    name: ClassVar[str] = "appearance"
    code_version: ClassVar[int] = 1
    has_one_unit: ClassVar[bool] = True
    n_whitened: ClassVar[int | None] = 64

    encoder: Encoder

    @classmethod
    def build(cls, options: AppearanceSettings, site: Site) -> Appearance:
        """Look for the network and its weights."""
        return cls(make_encoder("appearance", options, IMAGE_LIBRARIES, site.machine))

    @property
    def preparation(self) -> RgbFrame:
        """Frames as they are."""
        return RgbFrame()

    @property
    def n_features(self) -> int:
        """As the network has it."""
        return self.encoder.n_features

    @property
    def batch_size(self) -> int:
        """Frames that are gathered."""
        return _FRAMES_GATHERED

    def settings(self) -> dict[str, Any]:
        """Return those of the network."""
        return {"code_version": self.code_version, **self.encoder.settings()}

    def check(self) -> None:
        """Raise InputError if the network is not there."""
        self.encoder.check()

    def describe(
        self, around: Sequence[NDArray[np.uint8]], centre: int, objects: Objects
    ) -> NDArray[np.float32]:
        """Return (n_objects, D) float32."""
        return self.describe_batch([Moment(0, around, centre)], [objects])[0]

    def describe_batch(
        self, moments: Sequence[Moment], objects: Sequence[Objects]
    ) -> list[NDArray[np.float32]]:
        """Return (n_objects, D) float32 a frame; crops of all frames fill batches together."""
        crops = [
            crop
            for moment, of_frame in zip(moments, objects, strict=True)
            for crop in _crops(moment.around[moment.centre], of_frame)
        ]
        vectors = self.encoder(crops, self._pictures)  # (all objects, D)
        return np.split(vectors, np.cumsum([len(of_frame) for of_frame in objects])[:-1])

    def _pictures(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
        spec, fit = self.encoder.spec, self.encoder.options.fit
        return np.stack([fit_image(crop, spec, fit) for crop in crops])  # (n, h, w, 3)


def _crops(rgb: NDArray[np.uint8], objects: Objects) -> list[NDArray[np.uint8]]:
    """Return the boxes' parts of a frame (H, W, 3), as views."""
    boxes = to_pixels(objects.box_xyxy, rgb.shape[1], rgb.shape[0])
    return [rgb[y1:y2, x1:x2] for x1, y1, x2, y2 in boxes]
