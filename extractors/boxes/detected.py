"""Boxes from a detection network, joined with motion boxes for what the network does not know."""

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

    def __post_init__(self) -> None:
        n = len(self.box_xyxy)
        if self.box_xyxy.shape != (n, 4) or self.confidence.shape != (n,) or self.class_id.shape != (n,):
            raise ValueError(f"{self.box_xyxy.shape}, {self.confidence.shape}, {self.class_id.shape}")

    def __getitem__(self, kept: NDArray[Any]) -> Detections:
        return Detections(self.box_xyxy[kept], self.confidence[kept], self.class_id[kept])


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
class DetectedBoxes(BoxFinder):
    """Boxes of a detector and, if asked for, of motion outside of them.

    Source: AI-VAD (arXiv 2212.00789), §3.2.
    """

    name: ClassVar[str] = "detected"
    code_version: ClassVar[int] = 2
    measure_names: ClassVar[tuple[str, ...]] = DETECTOR_MEASURES

    detector: BoxDetector
    motion: MotionFinder
    """Gives the mask that coverage is measured with, and the boxes if `joins_motion`."""
    joins_motion: bool
    min_area_px: float
    max_covered: float
    whole_frame_if_empty: bool

    @property
    def preparation(self) -> Preparation:
        """The picture, and what motion needs."""
        return Together(RgbFrame(), self.motion.preparation)

    @property
    def n_frames_before(self) -> int:
        """What motion needs."""
        return self.motion.n_frames_before

    @property
    def n_frames_after(self) -> int:
        """What motion needs."""
        return self.motion.n_frames_after

    @property
    def batch_size(self) -> int:
        """As the detector likes."""
        return self.detector.batch_size

    def settings(self) -> dict[str, Any]:
        """Return those of both finders, and of how they are joined."""
        return {
            "code_version": self.code_version,
            "detector": {"network": self.detector.name, **self.detector.settings()},
            "motion": {"finder": self.motion.name, **self.motion.settings()},
            "joins_motion": self.joins_motion,
            "min_area_px": self.min_area_px,
            "max_covered": self.max_covered,
            "whole_frame_if_empty": self.whole_frame_if_empty,
        }

    def check(self) -> None:
        """Ask the detector."""
        self.detector.check()

    def find(self, around: Sequence[Any], centre: int) -> Objects:
        """Return the objects of one frame."""
        return self.find_batch([Moment(0, around, centre)])[0]

    def find_batch(self, moments: Sequence[Moment]) -> list[Objects]:
        """Return the objects of several frames: the detector's first, then those of motion."""
        images = [moment.around[moment.centre][0] for moment in moments]
        return [
            self._join(moment, found)
            for moment, found in zip(moments, self.detector.detect(images), strict=True)
        ]

    def _join(self, moment: Moment, found: Detections) -> Objects:
        mask = self.motion.mask([prepared for _, prepared in moment.around], moment.centre)
        width, height = mask.frame_size
        detected = self._objects(self._sort_out(found, width, height), mask)
        parts = [detected]
        if self.joins_motion:
            moving = self.motion.boxes_of(mask.without(detected.box_xyxy, _GROWN_PX))
            parts.append(replace(moving, measures=_measures(moving.coverage)))
        if self.whole_frame_if_empty and not any(len(part) for part in parts):
            whole = np.array([[0, 0, width, height]], np.float32)
            parts.append(Objects(whole, _measures(mask.coverage(whole))))
        return Objects(
            np.concatenate([part.box_xyxy for part in parts]),
            np.concatenate([part.measures for part in parts]),
            n_left_out=sum(part.n_left_out for part in parts),
        )

    def _sort_out(self, found: Detections, width: int, height: int) -> Detections:
        box = found.box_xyxy.clip(0, np.array([width, height, width, height], np.float32))
        found = Detections(box, found.confidence, found.class_id)
        found = found[areas(box) >= max(self.min_area_px, 1.0)]
        return found[not_covered(found.box_xyxy, self.max_covered)]

    def _objects(self, found: Detections, mask: Mask) -> Objects:
        coverage = mask.coverage(found.box_xyxy)
        return Objects(found.box_xyxy, _measures(coverage, found.confidence, found.class_id))


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


def _measures(
    coverage: NDArray[np.float32],
    confidence: NDArray[np.float32] | None = None,
    class_id: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """Return the columns of `DETECTOR_MEASURES`, (n, 3)."""
    n = len(coverage)
    columns = [
        coverage,
        np.full(n, np.nan) if confidence is None else confidence,
        np.full(n, NO_CLASS) if class_id is None else class_id,
    ]
    return np.stack(columns, axis=1).astype(np.float32)
