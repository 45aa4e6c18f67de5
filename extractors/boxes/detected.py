"""Boxes of a detection network or of a file, joined with motion boxes for what these do not know."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mulde.extractors.base import (
    DETECTOR_MEASURES,
    NO_CLASS,
    NO_TRACK,
    BoxFinder,
    Moment,
    Objects,
    Preparation,
    RgbFrame,
    Together,
)
from mulde.extractors.boxes.geometry import areas, common_areas
from mulde.extractors.boxes.motion import MotionFinder
from mulde.extractors.movement import Mask

_GROWN_PX = 2  # detected boxes are blanked out so much wider, for motion shows around an object as well


@dataclass(frozen=True)
class Detections:
    """What a network found in one frame."""

    box_xyxy: NDArray[np.float32]
    """(n, 4) float32, x1, y1, x2, y2 in pixels of the frame."""
    confidence: NDArray[np.float32]
    """(n,) float32 in [0, 1]."""
    class_id: NDArray[np.int64]
    """(n,) int64, among COCO's 80 classes, or among those that the network was trained on; 0 is a person."""
    track: NDArray[np.int64] | None = None
    """(n,) int64, `NO_TRACK` for a box of none; None where nobody follows objects."""

    def __post_init__(self) -> None:
        n = len(self.box_xyxy)
        columns = (self.confidence, self.class_id, self.class_id if self.track is None else self.track)
        if self.box_xyxy.shape != (n, 4) or any(column.shape != (n,) for column in columns):
            raise ValueError(f"boxes {self.box_xyxy.shape}, columns {[column.shape for column in columns]}")

    def __getitem__(self, kept: NDArray[Any] | slice) -> Detections:
        track = None if self.track is None else self.track[kept]
        return Detections(self.box_xyxy[kept], self.confidence[kept], self.class_id[kept], track)

    def within(self, width: int, height: int) -> Detections:
        """Return the same with what reaches beyond the picture cut off."""
        return replace(self, box_xyxy=self.box_xyxy.clip(0, np.array([width, height] * 2, np.float32)))


@dataclass(frozen=True)
class BoxDetector(ABC):
    """A detection network."""

    name: ClassVar[str]

    @property
    @abstractmethod
    def batch_size(self) -> int:
        """Frames that are given to the network at a time."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return all that decides what is found, with the digest of the weights, as JSON holds it."""

    @abstractmethod
    def check(self) -> None:
        """Raise InputError if the package or the weights are not there."""

    @abstractmethod
    def detect(self, images_rgb: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Return what is in each image, (H, W, 3) uint8 RGB, all of one size."""


@dataclass(frozen=True)
class JoinedBoxes(BoxFinder):
    """Boxes of anybody, of which motion says how much moves in them; and, if asked for, motion beside them.

    Source: AI-VAD (arXiv 2212.00789), §3.2.
    """

    motion: MotionFinder
    """Gives the mask that coverage is measured with, and the boxes if `joins_motion`."""
    joins_motion: bool
    whole_frame_if_empty: bool

    @property
    @abstractmethod
    def picture(self) -> Preparation:
        """What is looked at to detect something."""

    @abstractmethod
    def detect(self, pictures: Sequence[Any], indices: Sequence[int]) -> list[Detections]:
        """Return what is in each of several frames.

        Args:
            pictures: what `picture` prepared of each.
            indices: the number of each, 0-based.
        """

    @abstractmethod
    def sort_out(self, found: Detections) -> Detections:
        """Return the detections that count; none reaches beyond the picture."""

    @property
    def preparation(self) -> Preparation:
        """The picture, and what motion needs."""
        return Together((self.picture, self.motion.preparation))

    @property
    def n_frames_before(self) -> int:
        """What motion needs."""
        return self.motion.n_frames_before

    @property
    def n_frames_after(self) -> int:
        """What motion needs."""
        return self.motion.n_frames_after

    def settings(self) -> dict[str, Any]:
        """Return those of motion, and of how it is joined."""
        return {
            "code_version": self.code_version,
            "motion": {"finder": self.motion.name, **self.motion.settings()},
            "joins_motion": self.joins_motion,
            "whole_frame_if_empty": self.whole_frame_if_empty,
        }

    def find(self, around: Sequence[Any], centre: int) -> Objects:
        """Return the objects of one frame; only for what does not depend on its number."""
        return self.find_batch([Moment(0, around, centre)])[0]

    def find_batch(self, moments: Sequence[Moment]) -> list[Objects]:
        """Return the objects of several frames: the detections first, then those of motion."""
        pictures = [moment.around[moment.centre][0] for moment in moments]
        found = self.detect(pictures, [moment.index for moment in moments])
        return [self._join(*each) for each in zip(moments, found, strict=True)]

    def _join(self, moment: Moment, found: Detections) -> Objects:
        mask = self.motion.mask([prepared for _, prepared in moment.around], moment.centre)
        width, height = mask.frame_size
        detected = self._objects(self.sort_out(found.within(width, height)), mask)
        parts = [detected]
        if self.joins_motion:
            moving = self.motion.boxes_of(mask.without(detected.box_xyxy, _GROWN_PX))
            parts.append(replace(moving, measures=self._measures(moving.coverage)))
        if self.whole_frame_if_empty and not any(len(part) for part in parts):
            whole = np.array([[0, 0, width, height]], np.float32)
            parts.append(Objects(whole, self._measures(mask.coverage(whole))))
        return Objects(
            np.concatenate([part.box_xyxy for part in parts]),
            np.concatenate([part.measures for part in parts]),
            n_left_out=sum(part.n_left_out for part in parts),
        )

    def _objects(self, found: Detections, mask: Mask) -> Objects:
        return Objects(found.box_xyxy, self._measures(mask.coverage(found.box_xyxy), found))

    def _measures(
        self, coverage: NDArray[np.float32], found: Detections | None = None
    ) -> NDArray[np.float32]:
        """Return the columns of `measure_names`, (n, M); those of motion boxes say that nobody named them."""
        n = len(coverage)
        track = None if found is None else found.track
        columns = [
            coverage,
            np.full(n, np.nan) if found is None else found.confidence,
            np.full(n, NO_CLASS) if found is None else found.class_id,
            np.full(n, NO_TRACK) if track is None else track,
        ]
        return np.stack(columns[: len(self.measure_names)], axis=1).astype(np.float32)


@dataclass(frozen=True)
class DetectedBoxes(JoinedBoxes):
    """Boxes of a detector and, if asked for, of motion outside of them."""

    name: ClassVar[str] = "detected"
    code_version: ClassVar[int] = 2
    measure_names: ClassVar[tuple[str, ...]] = DETECTOR_MEASURES

    detector: BoxDetector
    min_area_px: float
    max_covered: float

    @property
    def picture(self) -> RgbFrame:
        """The frame in colour."""
        return RgbFrame()

    @property
    def batch_size(self) -> int:
        """As the detector likes."""
        return self.detector.batch_size

    def settings(self) -> dict[str, Any]:
        """Return those of both finders, and of how they are joined."""
        of_both = super().settings()
        return {  # in an order that files of the cache have
            "code_version": of_both["code_version"],
            "detector": {"network": self.detector.name, **self.detector.settings()},
            "motion": of_both["motion"],
            "joins_motion": self.joins_motion,
            "min_area_px": self.min_area_px,
            "max_covered": self.max_covered,
            "whole_frame_if_empty": self.whole_frame_if_empty,
        }

    def check(self) -> None:
        """Ask the detector."""
        self.detector.check()

    def detect(self, pictures: Sequence[NDArray[np.uint8]], indices: Sequence[int]) -> list[Detections]:
        """Ask the detector."""
        return self.detector.detect(pictures)

    def sort_out(self, found: Detections) -> Detections:
        """Leave out what is small, or covered by something larger."""
        found = found[areas(found.box_xyxy) >= max(self.min_area_px, 1.0)]
        return found[not_covered(found.box_xyxy, self.max_covered)]


@dataclass(frozen=True)
class MotionOrWholeFrame(MotionFinder):
    """Motion boxes, and the whole frame where there are none (AI-VAD)."""

    name: ClassVar[str] = "motion or frame"
    code_version: ClassVar[int] = 1

    motion: MotionFinder

    @property
    def preparation(self) -> Preparation:
        """Prepare frames as the motion finder wants it."""
        return self.motion.preparation

    @property
    def n_frames_before(self) -> int:
        """See as many frames back as the motion finder does."""
        return self.motion.n_frames_before

    def settings(self) -> dict[str, Any]:
        """Return those of the motion finder, and its name."""
        return {"code_version": self.code_version, "motion": self.motion.name, **self.motion.settings()}

    def mask(self, around: Sequence[Any], centre: int) -> Mask:
        """Return the motion finder's mask."""
        return self.motion.mask(around, centre)

    def boxes_of(self, mask: Mask) -> Objects:
        """Return the motion finder's boxes, or one around everything."""
        found = self.motion.boxes_of(mask)
        if len(found):
            return found
        whole = np.array([[0, 0, *mask.frame_size]], np.float32)
        return Objects(whole, mask.coverage(whole)[:, None])


def not_covered(box_xyxy: NDArray[np.float32], max_covered: float) -> NDArray[np.bool_]:
    """Return which of the boxes (n, 4) have no more than a share of their area inside a larger one, (n,).

    Of two boxes of one size, the first counts as the larger one.
    """
    area = areas(box_xyxy)
    common = common_areas(box_xyxy, box_xyxy)  # (n, n)
    place = np.arange(len(area))
    is_larger = (area[None, :] > area[:, None]) | (
        (area[None, :] == area[:, None]) & (place[None, :] < place[:, None])
    )
    covered = np.where(is_larger, common / np.maximum(area, 1e-6)[:, None], 0)
    return np.asarray((covered <= max_covered).all(axis=1))
