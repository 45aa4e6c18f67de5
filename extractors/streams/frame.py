"""What a whole frame looks like: its embedding, or those of its tiles, by an image network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mulde.extractors.base import FrameExtractor, Moment
from mulde.extractors.networks.encoders import Encoder, make_encoder
from mulde.extractors.networks.images import FittedTiles
from mulde.extractors.networks.libraries import IMAGE_LIBRARIES
from mulde.extractors.settings import FrameSettings
from mulde.extractors.streams.site import Site


@dataclass(frozen=True)
class FrameEncoder(FrameExtractor):
    """The vector that an image network gives for a frame, or for each tile of it."""

    name: ClassVar[str] = "frame"
    code_version: ClassVar[int] = 1
    has_one_unit: ClassVar[bool] = True
    n_whitened: ClassVar[int | None] = 64

    encoder: Encoder
    options: FrameSettings

    @classmethod
    def build(cls, options: FrameSettings, site: Site) -> FrameEncoder:
        """Look for the network and its weights."""
        return cls(make_encoder("frame", options, IMAGE_LIBRARIES, site.machine), options)

    @property
    def preparation(self) -> FittedTiles:
        """The tiles in the network's size."""
        return FittedTiles(self.encoder.spec, self.options.fit, self.options.rows, self.options.columns)

    @property
    def n_features(self) -> int:
        """As the network has it; times the number of tiles if they are concatenated."""
        n_vectors = self._n_tiles if self.options.join == "concatenate" else 1
        return n_vectors * self.encoder.n_features

    @property
    def batch_size(self) -> int:
        """Frames whose tiles are a batch of the network."""
        return -(-self.options.batch_size // self._n_tiles)

    @property
    def every_frames(self) -> int:
        """Distance of the frames that are looked at."""
        return self.options.every_frames

    def settings(self) -> dict[str, Any]:
        """Return those of the network, and how tiles are cut and joined."""
        return {
            "code_version": self.code_version,
            **self.encoder.settings(),
            "rows": self.options.rows,
            "columns": self.options.columns,
            "join": self.options.join,
            "every_frames": self.options.every_frames,
        }

    def check(self) -> None:
        """Raise InputError if the network is not there."""
        self.encoder.check()

    def describe_batch(self, moments: Sequence[Moment]) -> NDArray[np.float32]:
        """Return (len(moments), D) float32."""
        tiles = [tile for moment in moments for tile in moment.around[moment.centre]]
        vectors = self.encoder(tiles, np.stack)  # (frames * tiles, d)
        vectors = vectors.reshape(len(moments), self._n_tiles, self.encoder.n_features)
        if self.options.join == "concatenate":
            return vectors.reshape(len(moments), self.n_features)
        return np.asarray(vectors.mean(axis=1) if self.options.join == "mean" else vectors.max(axis=1))

    @property
    def _n_tiles(self) -> int:
        return self.options.rows * self.options.columns
