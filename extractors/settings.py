"""The settings of all extraction, with their defaults and ranges; light to import.

Ranges are annotations: the configuration checks them when it reads values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt, MultipleOf

InferencePrecision = Literal["float32", "bfloat16", "float16"]
"""Precision of a network's products; sums and what is kept are float32 throughout."""


@dataclass(frozen=True)
class SceneSettings:
    """How a scene's background and object sizes are learnt from its normal videos, and its working size."""

    n_samples: Annotated[int, Ge(3)] = 96
    """Frames taken from all normal videos of the scene together."""
    threshold: Annotated[int, Ge(1), Le(255)] = 15
    """Grey levels by which a blurred pixel must differ from the background, other than by its light, to be
    foreground."""
    height_quantile: Annotated[float, Gt(0), Lt(1)] = 0.25
    """Quantile of the heights of narrow blobs, weighed by area, that is taken for an object's height; below
    0.5, since blobs merge."""
    min_blobs: Annotated[int, Ge(1)] = 30
    """With fewer blobs than this, `fallback_height_share` gives the object height."""
    fallback_height_share: Annotated[float, Gt(0), Le(1)] = 0.125
    """Object height as a share of the frame's height where nothing could be learnt."""
    object_height_px: Annotated[float, Ge(8)] = 32.0
    """Motion is seen in a picture in which objects are about so tall, but in none larger than the frame."""
    most_pixels: Annotated[int, Ge(4096)] = 300_000
    """Most pixels of that picture, where objects are small in a large frame."""
    with_looks: bool = False
    """Whether it is learnt how each place looks; follows from whether the stream `texture` or windows of what
    was never seen are asked for, whatever is given here."""


@dataclass(frozen=True)
class WindowSettings:
    """Windows of an object's size on a lattice, kept where enough of them moves, came to stay or was never
    seen there.
    """

    scales: tuple[Annotated[float, Gt(0)], ...] = (0.9, 1.5)
    """Window heights as multiples of an object's height where the window stands."""
    overlap: Annotated[float, Ge(0), Le(0.95)] = 0.5
    """Share of its size that a window has in common with its neighbour."""
    seconds_back: Annotated[float, Gt(0), Le(10)] = 0.2
    """What differs from so long ago moves."""
    threshold: Annotated[int, Ge(1), Le(255)] = 10
    """Grey levels by which a blurred pixel must differ, or six times the median change if that is more."""
    min_coverage: Annotated[float, Gt(0), Le(1)] = 0.1
    """Share of a window in which something must move, or have come to stay, or never have been seen there."""
    with_arrivals: bool = True
    """Whether windows count in which something came to stay, as well as those in which something moves."""
    least_novelty: Annotated[float, Ge(0)] | None = None
    """Windows count as well in which it looks unlike anything that normal footage showed there, by so many
    standard deviations or more, and has not for some ten minutes of the video; none of these if not given.
    See the stream `texture`."""
    max_windows: Annotated[int, Ge(1)] = 1000
    """Most windows of a frame; the fullest stay. Warnings say in how many frames some were left out."""


@dataclass(frozen=True)
class ArrivalSettings:
    """Something that appeared and does not change any more."""

    threshold: Annotated[int, Ge(1), Le(255)] = 15
    """Grey levels by which a blurred pixel must differ from the background, other than by its light."""
    seconds_unchanged: Annotated[float, Gt(0), Le(3600)] = 1.0
    """How long a pixel must look the same."""
    tolerance: Annotated[int, Ge(1), Le(255)] = 10
    """Grey levels by which it may differ meanwhile."""
    seconds_remembered: Annotated[float, Gt(0)] = 1800.0
    """How long what stays is told from the scene. Then it is a part of it, such as a chair that was moved,
    and nothing arrives in its place until it is gone."""


@dataclass(frozen=True)
class GradientSettings:
    """Regions that change from one frame to the next (AI-VAD, arXiv 2212.00789, §3.2)."""

    threshold: Annotated[int, Ge(1), Le(255)] = 18
    """Grey levels by which a blurred pixel must change."""
    min_area_px: Annotated[float, Ge(0)] = 100.0
    """Contours that enclose less are left out; 10² on Ped2, 40² on larger frames."""
    max_aspect: Annotated[float, Ge(1)] = 10.0
    """Boxes longer than this many times their width, or the other way round, are left out."""
    grow_px: Annotated[int, Ge(0)] = 2
    """Pixels added on each side."""


@dataclass(frozen=True)
class YoloSettings:
    """A detection network of ultralytics (AGPL-3.0)."""

    weights: str = "yolo11s"
    """A name of `mulde weights list`, or a file: .pt, or an exported format such as .onnx or .tflite."""
    image_size_px: Annotated[int, Ge(32)] = 640
    """Frames are scaled so that their longer side has so many pixels; more finds smaller objects."""
    confidence: Annotated[float, Gt(0), Lt(1)] = 0.25
    """Boxes of which the network is less sure are left out. Small people are seldom sure: what is missed has
    no score, while a box too many has that of what is there."""
    nms_iou: Annotated[float, Gt(0), Lt(1)] = 0.7
    """Where two boxes of a class overlap by more than this, the surer one stays."""
    classes: tuple[str, ...] = ()
    """Names of the network's classes that count, such as person; all if empty."""
    precision: InferencePrecision = "float32"
    """Other than float32: mixed precision, about twice as fast, with slightly other boxes: float16 on a GPU,
    bfloat16 on recent CPUs. Of .pt files; exported ones have their own."""
    batch_size: Annotated[int, Ge(1)] = 8
    """Frames at a time; exported formats take one."""


@dataclass(frozen=True)
class TorchvisionBoxSettings:
    """A detection network of torchvision (BSD-3-Clause)."""

    network: str = "fasterrcnn_resnet50_fpn_v2"
    """Any detection model of torchvision."""
    weights: str = ""
    """A file with a state dict; the published COCO weights of `network` if empty."""
    confidence: Annotated[float, Gt(0), Lt(1)] = 0.5
    """Boxes of which the network is less sure are left out."""
    classes: tuple[str, ...] = ()
    """Names of COCO classes that count, such as person; all if empty."""
    batch_size: Annotated[int, Ge(1)] = 4
    """Frames at a time."""


@dataclass(frozen=True)
class BoxSettings:
    """Which finder looks for objects, and how."""

    finder: Literal["windows", "gradient", "yolo", "torchvision", "file"] = "windows"
    """Who finds objects: windows where something is not background, regions that change from one frame to the
    next, a detection network, or somebody else, whose boxes are in a file."""
    join: Literal["none", "gradient", "windows"] = "none"
    """Motion boxes in addition to those of a detector or a file, for what it does not know."""
    file: str | tuple[str, ...] = ""
    """Boxes that others made, and perhaps tracks, of finder=file: CSV, COCO's JSON, MOT text, a folder of the
    latter, or a list of these."""
    first_frame: Literal["usual", 0, 1] = "usual"
    """The number that `file` gives a video's first frame; usually 0 in CSV and JSON, and 1 in MOT text."""
    windows: WindowSettings = WindowSettings()
    arrivals: ArrivalSettings = ArrivalSettings()
    gradient: GradientSettings = GradientSettings()
    yolo: YoloSettings = YoloSettings()
    torchvision: TorchvisionBoxSettings = TorchvisionBoxSettings()
    min_area_px: Annotated[float, Ge(0)] = 100.0
    """A network's boxes of a smaller area are left out; AI-VAD: 10² on Ped2, 20² on Avenue, 8² elsewhere."""
    max_covered: Annotated[float, Gt(0), Le(1)] = 0.65
    """A box of a network of which a larger one covers more than this share is left out."""
    whole_frame_if_empty: bool = False
    """Whether a frame without any box counts as one object, the whole frame (AI-VAD)."""

    def __post_init__(self) -> None:
        if self.join != "none" and self.finder not in ("yolo", "torchvision", "file"):
            raise ValueError(
                f"join={self.join} adds motion boxes to those of a detector or a file, but finder is "
                f"{self.finder}"
            )
        if bool(self.file) != (self.finder == "file"):
            raise ValueError(
                f"finder is {self.finder}, and file is {self.file or 'not given'}: boxes of others take "
                "finder=file and file=PATH"
            )
        if self.windows.least_novelty is not None and "windows" not in (self.finder, self.join):
            raise ValueError(
                f"windows.least_novelty adds windows, but finder is {self.finder} and join {self.join}: set "
                "windows.least_novelty=null"
            )

    @property
    def files(self) -> tuple[str, ...]:
        """All paths of `file`."""
        return (self.file,) if isinstance(self.file, str) else self.file


@dataclass(frozen=True)
class FlowSettings:
    """Dense optical flow, at half the scene's working size."""

    preset: Literal["ultrafast", "fast", "medium"] = "ultrafast"
    """How thorough the search of OpenCV's DIS is."""
    seconds_around: Annotated[float, Ge(0), Le(10)] = 0.2
    """How long before and after a frame flow is averaged: limbs swing, bodies travel."""


@dataclass(frozen=True)
class VelocitySettings:
    """Speed, by direction if asked for."""

    over: Literal["moving", "box"] = "moving"
    """What the lengths of the flow are averaged over: what moves in the box, so that it does not matter how
    well the box fits, or all of it (AI-VAD)."""
    n_bins: Annotated[int, Ge(1), Le(64)] = 1
    """Sectors of direction, by which lengths are sorted pixel by pixel."""
    with_coverage: bool = False
    """Whether the share of the box in which something moves is a feature as well."""
    per_height: Literal["no", "persons", "all"] = "all"
    """Boxes whose speed is divided by the height of an object where they stand: near people seem faster than
    far ones. "persons" takes those that the detector calls so, or all boxes where there is none (AI-VAD on
    ShanghaiTech). What is not divided by it is divided by that of the nearest objects."""


@dataclass(frozen=True)
class PlaceSettings:
    """Where something moves, and how."""

    weight: Annotated[float, Ge(0)] = 0.15
    """How much the height of an object, as a distance, counts beside as much a second of speed."""


@dataclass(frozen=True)
class TrackSettings:
    """How boxes change over time."""

    seconds_around: Annotated[float, Gt(0), Le(10)] = 0.5
    """How long before and after a frame an object's boxes count: a second is about a stride of two steps."""
    seconds_lost: Annotated[float, Ge(0), Le(10)] = 0.5
    """How long an object that has no box is looked for, where others gave no tracks."""


@dataclass(frozen=True)
class HogSettings:
    """Appearance by gradients."""

    patch_height_px: Annotated[int, Ge(8)] = 64
    """Height that a box's picture is scaled to."""
    patch_width_px: Annotated[int, Ge(8)] = 32
    """Width that a box's picture is scaled to."""
    cell_px: Annotated[int, Ge(2)] = 8
    """Side of the square cells whose gradients are counted together."""
    n_bins: Annotated[int, Ge(2)] = 9
    """Directions of gradients that are told apart."""

    def __post_init__(self) -> None:
        if self.patch_height_px % self.cell_px or self.patch_width_px % self.cell_px:
            size = f"{self.patch_height_px}x{self.patch_width_px}"
            raise ValueError(f"a patch of {size} px does not divide into cells of {self.cell_px} px")


@dataclass(frozen=True)
class PoseSettings:
    """Key points of persons."""

    network: Literal["yolo", "torchvision"] = "yolo"
    """A pose network of ultralytics (AGPL-3.0), or torchvision's key-point R-CNN (BSD-3-Clause)."""
    weights: str = ""
    """A name of `mulde weights list`, or a file; yolo11s-pose or keypointrcnn_resnet50_fpn if empty."""
    run_on: Literal["crops", "frames"] = "crops"
    """Whether the network sees each box enlarged, or whole frames, whose poses are matched to the boxes."""
    crop_size_px: Annotated[int, Ge(64), MultipleOf(32)] = 192
    """Side of the square that a crop is scaled to."""
    image_size_px: Annotated[int, Ge(32)] = 1280
    """On whole frames: they are scaled so that the longer side has so many pixels."""
    confidence: Annotated[float, Gt(0), Lt(1)] = 0.25
    """Persons of which the network is less sure have no pose."""
    precision: InferencePrecision = "float32"
    """Precision as for boxes; only YOLO networks have it."""
    min_overlap: Annotated[float, Gt(0), Le(1)] = 0.3
    """Intersection over union that the network's person must have with the box."""
    with_confidence: bool = False
    """Whether the network's confidence in each of the 17 points is a feature; the cache keeps it anyhow."""
    batch_size: Annotated[int, Ge(1)] = 32
    """Crops at a time; of whole frames a quarter."""


@dataclass(frozen=True)
class EncoderSettings:
    """A network that turns a picture or a clip into a vector."""

    encoder: str = "open_clip/ViT-B-16-quickgelu"
    """LIBRARY/NAME: open_clip/… or torchvision/… for pictures, torchvision/… or hiera/… for clips."""
    weights: str = "default"
    """A tag under which weights were published, such as openai or IMAGENET1K_V1, or a file (.pt, .pth,
    .safetensors); "default" for the best known, "random" for none."""
    fit: Literal["squash", "pad", "crop"] = "squash"
    """How a picture gets the network's size: "squash" shows all and gives up the aspect, "pad" shows all and
    fills up, "crop" cuts the centre out, which takes head and feet off a standing person."""
    precision: InferencePrecision = "float32"
    """Other than float32: mixed precision, faster on a GPU and, as bfloat16, on recent CPUs."""
    batch_size: Annotated[int, Ge(1)] = 32
    """Pictures or clips at a time on a GPU; a processor is faster with few."""
    seed: int = 0
    """Seed of random weights."""


@dataclass(frozen=True)
class AppearanceSettings(EncoderSettings):
    """What an object looks like: the embedding of its crop."""


@dataclass(frozen=True)
class FrameSettings(EncoderSettings):
    """What a whole frame looks like."""

    batch_size: Annotated[int, Ge(1)] = 16
    """Pictures at a time; each tile is one."""
    rows: Annotated[int, Ge(1), Le(32)] = 1
    """Tiles from top to bottom, each given to the network by itself: small objects stay visible."""
    columns: Annotated[int, Ge(1), Le(32)] = 1
    """Tiles from left to right."""
    join: Literal["concatenate", "mean", "max"] = "concatenate"
    """How the vectors of the tiles become one: put one after the other, which keeps where something is, or
    reduced feature by feature."""
    every_frames: Annotated[int, Ge(1)] = 1
    """Distance of the frames that are looked at; scores are interpolated in between."""


@dataclass(frozen=True)
class ClipSettings(EncoderSettings):
    """What happens in a clip of whole frames."""

    encoder: str = "hiera/hiera_large_16x224"
    """LIBRARY/NAME: hiera/… or torchvision/…"""
    batch_size: Annotated[int, Ge(1)] = 4
    """Clips at a time."""
    length_frames: Annotated[int, Ge(1), Le(512)] = 16
    """Frames that the network sees of a clip."""
    stride_frames: Annotated[int, Ge(1), Le(128)] = 1
    """Distance of these frames: consecutive, as MULDE's authors have them. Hiera's own, with which it was
    trained, is 4: 16 frames then span 61."""
    place: Literal["first", "centre", "last"] = "centre"
    """Where in its clip the frame stands that the row is about; "last" looks at the past alone."""
    every_frames: Annotated[int, Ge(1)] = 1
    """Distance of the frames that have a clip; scores are interpolated in between."""
