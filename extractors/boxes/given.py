"""Boxes that others found, of one video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from mulde.data.boxes import VideoBoxes
from mulde.extractors.base import NO_TRACK, PERSON, TRACK_MEASURES, UNKNOWN_CLASS, FrameFacts
from mulde.extractors.boxes.detected import Detections, JoinedBoxes
from mulde.extractors.boxes.geometry import areas

_PERSONS = ("person", "pedestrian", "people")
_SOMETHING_ELSE = 1


@dataclass(frozen=True)
class FileBoxes(JoinedBoxes):
    """The boxes of a file, as they are: clipped to the picture, without those that are empty then.

    A frame that the file does not name has none. What the boxes are is no setting: it differs from video to
    video, and the cache compares their digest beside the key.
    """

    name: ClassVar[str] = "file"
    code_version: ClassVar[int] = 1
    measure_names: ClassVar[tuple[str, ...]] = TRACK_MEASURES

    boxes: VideoBoxes = field(compare=False)

    @property
    def picture(self) -> FrameFacts:
        """No pixel is looked at."""
        return FrameFacts()

    def detect(self, pictures: Sequence[Any], indices: Sequence[int]) -> list[Detections]:
        """Return the boxes of the frames of these numbers."""
        starts = np.searchsorted(self.boxes.frame, indices, side="left")
        stops = np.searchsorted(self.boxes.frame, indices, side="right")
        return [self._detections[start:stop] for start, stop in zip(starts, stops, strict=True)]

    def sort_out(self, found: Detections) -> Detections:
        """Leave out what is empty."""
        return found[areas(found.box_xyxy) > 0]

    @cached_property
    def _detections(self) -> Detections:
        names, which = np.unique(self.boxes.class_name, return_inverse=True)
        class_ids = np.array([class_id_of(str(name)) for name in names], np.int64)
        numbers = np.unique(self.boxes.track, return_inverse=True)[1]  # small ones, which float32 holds
        track = np.where(self.boxes.track == NO_TRACK, NO_TRACK, numbers)
        return Detections(self.boxes.box_xyxy, self.boxes.score, class_ids[which], track)


def class_id_of(name: str) -> int:
    """Return the number of a class among COCO's 80, as far as anybody asks: whether it is a person.

    Args:
        name: as a file has it; a whole number counts as COCO's own.
    """
    if not name:
        return UNKNOWN_CLASS
    if name.isascii() and name.isdigit():
        return PERSON if int(name[:9]) == PERSON else _SOMETHING_ELSE
    return PERSON if name.lower() in _PERSONS else _SOMETHING_ELSE
