"""What happens around a frame: the vector that a video network gives for a clip of whole frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mulde.extractors.base import FrameExtractor, Moment
from mulde.extractors.networks.encoders import Encoder, make_encoder
from mulde.extractors.networks.images import FittedTiles
from mulde.extractors.networks.libraries import CLIP_LIBRARIES
from mulde.extractors.settings import ClipSettings
from mulde.extractors.streams.site import Site


@dataclass(frozen=True)
class ClipEncoder(FrameExtractor):
    """The vector of a clip around each frame, or around every k-th.

    Where a clip reaches beyond the video, the first or last frame stands in, so that every frame has a clip.
    A frame is decoded and scaled once, however many clips it is in.

    Source: MULDE §4.2 with Hiera-L on 16 frames at a distance of 4.
    """

    name: ClassVar[str] = "clip"
    code_version: ClassVar[int] = 1
    has_one_unit: ClassVar[bool] = True
    n_whitened: ClassVar[int | None] = 64

    encoder: Encoder
    options: ClipSettings

    @classmethod
    def build(cls, options: ClipSettings, site: Site) -> ClipEncoder:
        """Look for the network and its weights."""
        return cls(make_encoder("clip", options, CLIP_LIBRARIES, site.machine), options)

    @property
    def preparation(self) -> FittedTiles:
        """Frames in the network's size, which is all that is kept of them."""
        return FittedTiles(self.encoder.spec, self.options.fit)

    @property
    def n_frames_before(self) -> int:
        """All that the clip spans, half of it, or nothing."""
        return {"first": 0, "centre": self._span // 2, "last": self._span}[self.options.place]

    @property
    def n_frames_after(self) -> int:
        """What is left of the span."""
        return self._span - self.n_frames_before

    @property
    def n_features(self) -> int:
        """As the network has it."""
        return self.encoder.n_features

    @property
    def batch_size(self) -> int:
        """Clips at a time."""
        return self.options.batch_size

    @property
    def every_frames(self) -> int:
        """Distance of the frames that have a clip."""
        return self.options.every_frames

    def settings(self) -> dict[str, Any]:
        """Return those of the network, and how clips are cut."""
        return {
            "code_version": self.code_version,
            **self.encoder.settings(),
            "length_frames": self.options.length_frames,
            "stride_frames": self.options.stride_frames,
            "place": self.options.place,
            "every_frames": self.options.every_frames,
        }

    def check(self) -> None:
        """Raise InputError if the network is not there, or wants clips of another length."""
        self.encoder.check()
        self.encoder.library.check_length(self.encoder.name, self.options.length_frames)

    def describe_batch(self, moments: Sequence[Moment]) -> NDArray[np.float32]:
        """Return (len(moments), D) float32."""
        return self.encoder(moments, self._clips)

    def _clips(self, moments: Sequence[Moment]) -> NDArray[np.uint8]:
        return np.stack([self._clip(moment) for moment in moments])  # (n, T, h, w, 3)

    def _clip(self, moment: Moment) -> NDArray[np.uint8]:
        steps = np.arange(self.options.length_frames) * self.options.stride_frames
        # `around` is short only where the video ends: clamping to it clamps to the video
        places = np.clip(steps - self.n_frames_before + moment.centre, 0, len(moment.around) - 1)
        return np.concatenate([moment.around[place] for place in places])  # (T, h, w, 3)

    @property
    def _span(self) -> int:
        """Frames from the clip's first to its last, without the last."""
        return (self.options.length_frames - 1) * self.options.stride_frames
