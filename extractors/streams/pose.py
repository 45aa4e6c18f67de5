"""The pose of persons: 17 key points, relative to the box.

By default the network sees each person's box, enlarged to a square of its own. On six frames of UCSD Ped2,
whose people are about 32 px tall, yolo11n-pose finds a pose for 61 of 63 persons that way; on whole frames
it finds 3 at 640 px, 60 at 1280 px and 63 at 1600 px, at three and five times the cost of the crops. What a
crop costs does not depend on how large the frame is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from mulde.data.errors import InputError
from mulde.extractors.base import Extractor, Moment, Objects, RgbFrame
from mulde.extractors.boxes.geometry import intersection_over_union
from mulde.extractors.boxes.torchvision import check_torchvision, load_torchvision, run_torchvision
from mulde.extractors.boxes.yolo import check_yolo, is_native, load_yolo, predict
from mulde.extractors.networks.machine import Machine
from mulde.extractors.networks.weights import Weights, find_weights
from mulde.extractors.settings import PoseSettings
from mulde.extractors.streams.site import Site

N_POINTS = 17
"""COCO's key points: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles; left before right."""
_CROP_GROWTH = 2.0  # side of a crop by the longer side of its box: with less around them fewer are found
_PADDING_GREY = 114  # what YOLO networks see beyond the border while they are trained
_KEYPOINT_RCNN = "keypointrcnn_resnet50_fpn"


@dataclass(frozen=True)
class Persons:
    """The persons that a network sees in one image."""

    box_xyxy: NDArray[np.float32]
    """(n, 4) float32 in pixels of the image."""
    points: NDArray[np.float32]
    """(n, 17, 3) float32: x and y in pixels of the image, and confidence in [0, 1]."""

    def __post_init__(self) -> None:
        n = len(self.box_xyxy)
        if self.box_xyxy.shape != (n, 4) or self.points.shape != (n, N_POINTS, 3):
            raise ValueError(f"boxes {self.box_xyxy.shape} and points {self.points.shape} do not match")


@dataclass(frozen=True)
class PoseNetwork(ABC):
    """A network that finds persons and their key points."""

    weights: Weights
    options: PoseSettings
    machine: Machine = field(default_factory=Machine, compare=False)

    @abstractmethod
    def check(self) -> None:
        """Raise InputError if the package or the weights are not there."""

    @abstractmethod
    def persons(self, images_rgb: Sequence[NDArray[np.uint8]], size_px: int) -> list[Persons]:
        """Return who is in each image, all of one size, scaled so that its longer side is `size_px`."""


@dataclass(frozen=True)
class YoloPose(PoseNetwork):
    """A pose network of ultralytics."""

    def check(self) -> None:
        """Raise InputError if ultralytics or the weights are not there, or take no other precision."""
        size = ("image_size_px", self.options.image_size_px)
        if self.options.run_on == "crops":
            size = ("crop_size_px", self.options.crop_size_px)
        check_yolo(self.weights, "pose", self.options.precision, "pose", size)

    def persons(self, images_rgb: Sequence[NDArray[np.uint8]], size_px: int) -> list[Persons]:
        """Return who is in each image."""
        results = predict(
            load_yolo(self.weights, self.machine, "pose"),
            self.weights.name,
            images_rgb,
            self.machine,
            self.options.batch_size if is_native(self.weights) else 1,
            self.options.precision,
            imgsz=size_px,
            conf=self.options.confidence,
        )
        return [
            Persons(
                result.boxes.xyxy.cpu().numpy().astype(np.float32).reshape(-1, 4),
                result.keypoints.data.cpu().numpy().astype(np.float32).reshape(-1, N_POINTS, 3),
            )
            for result in results
        ]


@dataclass(frozen=True)
class TorchvisionPose(PoseNetwork):
    """torchvision's key-point R-CNN, whose logits become confidences by the logistic function."""

    def check(self) -> None:
        """Raise InputError if torchvision or the weights are not there, or another precision is asked for."""
        check_torchvision(_KEYPOINT_RCNN, "detection", "pose.network")
        self.weights.require()
        if self.options.precision != "float32":
            raise InputError(f"`pose.precision`={self.options.precision} is for `pose.network`=yolo alone")

    def persons(self, images_rgb: Sequence[NDArray[np.uint8]], size_px: int) -> list[Persons]:
        """Return who is in each image."""
        height, width = images_rgb[0].shape[:2]
        shorter = round(size_px * min(height, width) / max(height, width))
        sizes = {"min_size": shorter, "max_size": size_px}
        network = load_torchvision(_KEYPOINT_RCNN, self.weights, self.machine, **sizes)
        results = run_torchvision(network, images_rgb, self.machine, self.options.batch_size)
        return [self._persons(result) for result in results]

    def _persons(self, result: dict[str, Any]) -> Persons:
        kept = (result["scores"] >= self.options.confidence).cpu().numpy()
        points = result["keypoints"].cpu().numpy().astype(np.float32)[kept]  # (n, 17, 3): x, y, visible
        logits = result["keypoints_scores"].cpu().numpy().astype(np.float32)[kept]  # (n, 17)
        points[..., 2] = 1 / (1 + np.exp(-logits))
        return Persons(result["boxes"].cpu().numpy().astype(np.float32)[kept], points)


@dataclass(frozen=True)
class Pose(Extractor):
    """Key points relative to the middle of the box, in heights of the box: x1, y1, x2, y2, …

    How sure the network is of each point is kept beside them; as features they made UCSD Ped2 4 points worse.
    Objects that are no persons, and persons in whom the network sees none, have a row of NaN.
    """

    name: ClassVar[str] = "pose"
    code_version: ClassVar[int] = 2
    has_one_unit: ClassVar[bool] = True
    n_whitened: ClassVar[int | None] = 16

    network: PoseNetwork

    @classmethod
    def build(cls, options: PoseSettings, site: Site) -> Pose:
        """Choose the network and look for its weights."""
        machine = site.machine
        if options.network == "torchvision":
            weights = find_weights(options.weights or _KEYPOINT_RCNN, machine.weights_folder)
            return cls(TorchvisionPose(weights, options, machine))
        weights = find_weights(options.weights or "yolo11s-pose", machine.weights_folder)
        return cls(YoloPose(weights, options, machine))

    @property
    def options(self) -> PoseSettings:
        """The settings."""
        return self.network.options

    @property
    def preparation(self) -> RgbFrame:
        """Frames as they are."""
        return RgbFrame()

    @property
    def batch_size(self) -> int:
        """Frames that fill a batch of crops, or whose pixels are as many."""
        return max(1, self.options.batch_size // (8 if self.options.run_on == "crops" else 4))

    @property
    def n_features(self) -> int:
        """x and y of 17 points, and their confidences if asked for."""
        return N_POINTS * (3 if self.options.with_confidence else 2)

    @property
    def n_extra(self) -> int:
        """The confidences of 17 points, unless they are features."""
        return 0 if self.options.with_confidence else N_POINTS

    def settings(self) -> dict[str, Any]:
        """Return the options that matter, and the content of the weights."""
        on_crops = self.options.run_on == "crops"
        return {
            "code_version": self.code_version,
            "network": self.options.network,
            "weights": self.network.weights.digest,
            "run_on": self.options.run_on,
            "size_px": self.options.crop_size_px if on_crops else self.options.image_size_px,
            "confidence": self.options.confidence,
            "precision": self.options.precision,
            "min_overlap": self.options.min_overlap,
            "with_confidence": self.options.with_confidence,
        }

    def check(self) -> None:
        """Ask the network."""
        self.network.check()

    def describe(
        self, around: Sequence[NDArray[np.uint8]], centre: int, objects: Objects
    ) -> NDArray[np.float32]:
        """Return the poses of one frame's objects and the points' confidences, (n_objects, 51) float32."""
        return self.describe_batch([Moment(0, around, centre)], [objects])[0]

    def describe_batch(
        self, moments: Sequence[Moment], objects: Sequence[Objects]
    ) -> list[NDArray[np.float32]]:
        """Return the poses and confidences of several frames' objects, (n_objects, 51) float32 each."""
        images = [moment.around[moment.centre] for moment in moments]
        boxes = [of_frame.box_xyxy[of_frame.may_be_person] for of_frame in objects]
        find = self._on_crops if self.options.run_on == "crops" else self._on_frames
        rows = []
        for of_frame, points in zip(objects, find(images, boxes), strict=True):
            features = np.full((len(of_frame), 3 * N_POINTS), np.nan, np.float32)
            features[of_frame.may_be_person] = self._normalise(
                points, of_frame.box_xyxy[of_frame.may_be_person]
            )
            rows.append(features)
        return rows

    def _on_crops(
        self, images: Sequence[NDArray[np.uint8]], boxes: Sequence[NDArray[np.float32]]
    ) -> list[NDArray[np.float32]]:
        """Return the key points of each box, (n, 17, 3) a frame in its pixels, seen in crops."""
        size = self.options.crop_size_px
        crops = [
            crop_square(image, box, size)
            for image, of_frame in zip(images, boxes, strict=True)
            for box in of_frame
        ]
        persons = iter(self.network.persons([crop.rgb for crop in crops], size) if crops else [])
        places = iter(crops)
        found = []
        for of_frame in boxes:
            points = np.full((len(of_frame), N_POINTS, 3), np.nan, np.float32)
            for row, box in enumerate(of_frame):
                points[row] = match(
                    next(places).in_frame(next(persons)), box[None], self.options.min_overlap
                )[0]
            found.append(points)
        return found

    def _on_frames(
        self, images: Sequence[NDArray[np.uint8]], boxes: Sequence[NDArray[np.float32]]
    ) -> list[NDArray[np.float32]]:
        """Return the key points of each box, (n, 17, 3) a frame in its pixels, seen in whole frames."""
        persons = self.network.persons(images, self.options.image_size_px)
        return [
            match(of_frame, box, self.options.min_overlap)
            for of_frame, box in zip(persons, boxes, strict=True)
        ]

    def _normalise(self, points: NDArray[np.float32], box_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn key points (n, 17, 3) in pixels into rows (n, 51): x1, y1, …, then the confidences."""
        middle = (box_xyxy[:, None, :2] + box_xyxy[:, None, 2:]) / 2  # (n, 1, 2)
        height = np.maximum(box_xyxy[:, 3] - box_xyxy[:, 1], np.float32(1))[:, None, None]
        relative = ((points[..., :2] - middle) / height).reshape(-1, 2 * N_POINTS)  # (n, 34)
        return np.hstack([relative, points[..., 2]])


@dataclass(frozen=True)
class Crop:
    """A square piece of a frame around a box, scaled."""

    rgb: NDArray[np.uint8]
    """(S, S, 3) uint8."""
    left_top_px: tuple[int, int]
    """Corners of the piece in the frame; it may lie beyond the border."""
    scale: float
    """Pixels of the crop for each pixel of the frame."""

    def in_frame(self, persons: Persons) -> Persons:
        """Return persons seen in the crop in pixels of the frame."""
        left_top = np.array(self.left_top_px, np.float32)
        box = persons.box_xyxy / np.float32(self.scale) + np.tile(left_top, 2)
        points = persons.points.copy()
        points[..., :2] = points[..., :2] / np.float32(self.scale) + left_top
        return Persons(box.astype(np.float32), points)


def crop_square(image: NDArray[np.uint8], box_xyxy: NDArray[np.float32], size_px: int) -> Crop:
    """Cut out the square around a box, grey beyond the border of the image, and scale it."""
    x1, y1, x2, y2 = box_xyxy.tolist()
    side = max(2, round(max(x2 - x1, y2 - y1) * _CROP_GROWTH))
    left, top = round((x1 + x2 - side) / 2), round((y1 + y2 - side) / 2)
    height, width = image.shape[:2]
    piece = np.full((side, side, 3), _PADDING_GREY, np.uint8)
    from_x, to_x = max(left, 0), min(left + side, width)
    from_y, to_y = max(top, 0), min(top + side, height)
    if from_x < to_x and from_y < to_y:
        piece[from_y - top : to_y - top, from_x - left : to_x - left] = image[from_y:to_y, from_x:to_x]
    method = cv2.INTER_AREA if side > size_px else cv2.INTER_LINEAR
    return Crop(cv2.resize(piece, (size_px, size_px), interpolation=method), (left, top), size_px / side)


def match(persons: Persons, box_xyxy: NDArray[np.float32], min_overlap: float) -> NDArray[np.float32]:
    """Give each box (n, 4) the key points of the person that overlaps it most: (n, 17, 3).

    NaN stands where no person overlaps by intersection over union of `min_overlap` or more. Each person goes
    to one box only, the best overlap first.
    """
    found = np.full((len(box_xyxy), N_POINTS, 3), np.nan, np.float32)
    overlap = intersection_over_union(box_xyxy, persons.box_xyxy)
    while overlap.size and overlap.max() >= min_overlap:
        box, person = np.unravel_index(overlap.argmax(), overlap.shape)
        found[box] = persons.points[person]
        overlap[box], overlap[:, person] = 0, 0
    return found
