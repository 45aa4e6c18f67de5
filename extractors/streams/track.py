"""How an object travels and how its size changes, from boxes alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mulde.extractors.base import NO_TRACK, Follow, Followed, Objects, Shown, TrackExtractor
from mulde.extractors.boxes.linking import Linker
from mulde.extractors.settings import TrackSettings
from mulde.extractors.streams.site import Site


@dataclass(frozen=True)
class Track(TrackExtractor):
    """Speed in heights of the box a second, and growth of its size, as the logarithm per second.

    Both are slopes of lines through the object's boxes around the frame. Boxes that others have put into
    tracks stay in these; all others are linked here. A box alone on its track has no measurement.
    """

    name: ClassVar[str] = "track"
    code_version: ClassVar[int] = 1
    needs_fitting_boxes: ClassVar[bool] = True

    options: TrackSettings
    n_frames_around: int = field(compare=False)
    """How many frames `seconds_around` can be, before and after."""

    @classmethod
    def build(cls, options: TrackSettings, site: Site) -> Track:
        """Look as far around as there are frames that are looked at."""
        return cls(options, math.ceil(options.seconds_around * site.frames_per_second - 1e-6))

    @property
    def n_frames_before(self) -> int:
        """Frames whose boxes the lines go through."""
        return self.n_frames_around

    @property
    def n_frames_after(self) -> int:
        """Frames whose boxes the lines go through."""
        return self.n_frames_around

    @property
    def n_features(self) -> int:
        """Speed and growth."""
        return 2

    def start_following(self) -> Follow:
        """Return what links the boxes of a video that have no track."""
        linker = Linker(self.options.seconds_lost)

        def follow(shown: Shown, objects: Objects) -> NDArray[np.int64]:
            track, alone = objects.track, objects.track == NO_TRACK
            track[alone] = -2 - linker.link(shown.seconds, objects.box_xyxy[alone])  # no track of others
            return track

        return follow

    def describe(self, around: Sequence[Followed], centre: int, objects: Objects) -> NDArray[np.float32]:
        """Return (n_objects, 2) float32."""
        now = around[centre]
        seconds = np.array([each.shown.seconds - now.shown.seconds for each in around])  # (T,)
        is_near = np.abs(seconds) <= self.options.seconds_around + 1e-6
        is_near[max(centre - 1, 0) : centre + 2] = True  # however seldom frames are looked at
        boxes = np.stack([_boxes_of(now.track, each) for each in around])[is_near]  # (T, n_objects, 4)
        boxes[is_near[:centre].sum()] = objects.box_xyxy  # whatever number others gave twice
        is_there = np.isfinite(boxes[..., :1])  # (T, n_objects, 1)
        size = np.maximum(boxes[..., 2:] - boxes[..., :2], 1.0)  # what has no pixel has no logarithm
        centres = (boxes[..., 2:] + boxes[..., :2]) / 2
        values = np.concatenate([centres, np.log(size).mean(axis=-1, keepdims=True)], axis=-1)
        slopes = _slopes(seconds[is_near], np.where(is_there, values, 0), is_there)  # (n_objects, 3)
        height = np.where(is_there[..., 0], size[..., 1], 0).sum(axis=0) / is_there[..., 0].sum(axis=0)
        speed = np.hypot(slopes[:, 0], slopes[:, 1]) / height
        return np.stack([speed, slopes[:, 2]], axis=1).astype(np.float32)


def _boxes_of(track: NDArray[np.int64], followed: Followed) -> NDArray[np.float64]:
    """Return the boxes of tracks (n,) in a frame, (n, 4); NaN for those that are not there."""
    boxes = np.full((len(track), 4), np.nan)
    order = np.argsort(followed.track, kind="stable")
    place = np.searchsorted(followed.track, track, sorter=order)
    inside = np.flatnonzero(place < len(order))
    found = order[place[inside]]
    is_same = followed.track[found] == track[inside]
    boxes[inside[is_same]] = followed.objects.box_xyxy[found[is_same]]
    return boxes


def _slopes(
    seconds: NDArray[np.float64], values: NDArray[np.float64], is_there: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return slopes of lines by least squares, (n, M) a second; NaN where there are fewer than two points.

    Args:
        seconds: (T,)
        values: (T, n, M)
        is_there: (T, n, 1), which of them count.
    """
    n_there = is_there.sum(axis=0)  # (n, 1)
    middle = (is_there * seconds[:, None, None]).sum(axis=0) / n_there
    from_middle = is_there * (seconds[:, None, None] - middle)  # (T, n, 1)
    spread = (from_middle**2).sum(axis=0)
    return np.where(spread > 0, (from_middle * values).sum(axis=0) / np.maximum(spread, 1e-12), np.nan)
