"""The published weights that have a name here: where they are, their size and their licence."""

from __future__ import annotations

import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Task = Literal["boxes", "pose", "appearance", "frame", "clip"]

AGPL = "AGPL-3.0"
BSD = "BSD-3-Clause"
_ULTRALYTICS = "https://github.com/ultralytics/assets/releases/download/"
_TORCHVISION = "https://download.pytorch.org/models/"


@dataclass(frozen=True)
class WeightsRecord:
    """One set of pretrained weights that can be fetched by name."""

    name: str
    """What the configuration calls it."""
    task: Task
    n_features: int | None
    """D of what it gives; None for boxes."""
    licence: str
    """Licence of the weights; "AGPL-3.0" and "CC BY-NC 4.0" oblige whoever uses them."""
    source: str
    """An https:// address, or hf://ORGANISATION/REPOSITORY/FILE."""
    sha256: str | None = None
    """Hash of the file in hexadecimal, or how it begins; None where it is not published."""
    size_mb: float | None = None
    trained_on: str = ""

    @property
    def file(self) -> str:
        """Name of the file in the weights folder."""
        suffix = Path(urllib.parse.urlsplit(self.source).path).name
        return suffix if self.source.startswith("https://") else f"{self.name.replace('/', '_')}_{suffix}"

    @property
    def terms(self) -> str:
        """Licence and size, for users."""
        size = f", {self.size_mb:.0f} MB" if self.size_mb else ""
        return f"{self.licence}{size}"


def _yolo(stem: str, task: Task, size_mb: float | None = None) -> WeightsRecord:
    trained_on = "COCO, 80 classes" if task == "boxes" else "COCO key points"
    n_features = 34 if task == "pose" else None
    release = "v8.4.0" if stem.startswith("yolo26") else "v8.3.0"
    source = f"{_ULTRALYTICS}{release}/{stem}.pt"
    return WeightsRecord(stem, task, n_features, AGPL, source, None, size_mb, trained_on)


def _torchvision(name: str, task: Task, file: str, size_mb: float) -> WeightsRecord:
    # torchvision puts the first digits of the SHA-256 into the file's name
    sha256 = file.rpartition("-")[2].removesuffix(".pth")
    trained_on = "COCO, 80 classes" if task == "boxes" else "COCO key points"
    n_features = 34 if task == "pose" else None
    return WeightsRecord(name, task, n_features, BSD, _TORCHVISION + file, sha256, size_mb, trained_on)


def _clip(name: str, n_features: int, repository: str, size_mb: float) -> WeightsRecord:
    source = f"hf://{repository}/open_clip_model.safetensors"
    return WeightsRecord(
        f"open_clip/{name}", "appearance", n_features, "MIT", source, None, size_mb, "pictures with texts"
    )


def _encoder(name: str, task: Task, n_features: int, file: str, size_mb: float) -> WeightsRecord:
    sha256 = file.rpartition("-")[2].removesuffix(".pth")
    trained_on = _KINETICS if task == "clip" else "ImageNet-1k"
    return WeightsRecord(
        f"torchvision/{name}", task, n_features, BSD, _TORCHVISION + file, sha256, size_mb, trained_on
    )


_KINETICS = "Kinetics-400"
_RECORDS: tuple[WeightsRecord, ...] = (
    *(
        _yolo(f"yolo11{size}", "boxes", mb)
        for size, mb in (("n", 5.4), ("s", 18.4), ("m", 38.8), ("l", 49.0), ("x", 109.3))
    ),
    *(
        _yolo(f"yolo11{size}-pose", "pose", mb)
        for size, mb in (("n", 6.0), ("s", 19.4), ("m", 40.5), ("l", 50.9), ("x", 113.3))
    ),
    *(
        _yolo(f"{family}{size}", "boxes")
        for family, sizes in (
            ("yolov8", "nsmlx"),
            ("yolov9", "tsmce"),
            ("yolov10", "nsmblx"),
            ("yolo12", "nsmlx"),
            ("yolo26", "nsmlx"),
        )
        for size in sizes
    ),
    *(_yolo(f"{family}{size}-pose", "pose") for family in ("yolov8", "yolo26") for size in "nsmlx"),
    _torchvision(
        "fasterrcnn_resnet50_fpn_v2", "boxes", "fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth", 167.1
    ),
    _torchvision(
        "fasterrcnn_mobilenet_v3_large_fpn", "boxes",
        "fasterrcnn_mobilenet_v3_large_fpn-fb6a3cc7.pth", 74.2,
    ),
    _torchvision("retinanet_resnet50_fpn_v2", "boxes", "retinanet_resnet50_fpn_v2_coco-5905b1c5.pth", 146.0),
    _torchvision("fcos_resnet50_fpn", "boxes", "fcos_resnet50_fpn_coco-99b0c9b7.pth", 123.6),
    _torchvision(
        "ssdlite320_mobilenet_v3_large", "boxes", "ssdlite320_mobilenet_v3_large_coco-a79551df.pth", 13.4
    ),
    _torchvision("keypointrcnn_resnet50_fpn", "pose", "keypointrcnn_resnet50_fpn_coco-fc266e95.pth", 226.1),
    _clip("ViT-B-16-quickgelu/openai", 512, "timm/vit_base_patch16_clip_224.openai", 599),
    _clip("ViT-B-32-quickgelu/openai", 512, "timm/vit_base_patch32_clip_224.openai", 605),
    _clip("ViT-L-14-quickgelu/openai", 768, "timm/vit_large_patch14_clip_224.openai", 1711),
    _encoder("mobilenet_v2", "appearance", 1280, "mobilenet_v2-7ebf99e0.pth", 13.6),
    _encoder("mobilenet_v3_small", "appearance", 1024, "mobilenet_v3_small-047dcff4.pth", 9.8),
    _encoder("efficientnet_b0", "appearance", 1280, "efficientnet_b0_rwightman-7f5810bc.pth", 20.5),
    _encoder("resnet50", "appearance", 2048, "resnet50-11ad3fa6.pth", 97.8),
    _encoder("convnext_tiny", "appearance", 768, "convnext_tiny-983f1562.pth", 109.1),
    _encoder("s3d", "clip", 1024, "s3d-d76dad2f.pth", 32.0),
    _encoder("r3d_18", "clip", 512, "r3d_18-b3b3357e.pth", 127.4),
    _encoder("r2plus1d_18", "clip", 512, "r2plus1d_18-91a641e6.pth", 120.3),
    _encoder("mvit_v2_s", "clip", 768, "mvit_v2_s-ae3be167.pth", 131.9),
    _encoder("swin3d_t", "clip", 768, "swin3d_t-7615ae03.pth", 121.5),
    WeightsRecord(
        "hiera/hiera_large_16x224", "clip", 1152, "CC BY-NC 4.0",
        "https://dl.fbaipublicfiles.com/hiera/hiera_large_16x224.pth", None, None, _KINETICS,
    ),
    WeightsRecord(
        "hiera/hiera_base_16x224", "clip", 768, "CC BY-NC 4.0",
        "https://dl.fbaipublicfiles.com/hiera/hiera_base_16x224.pth", None, None, _KINETICS,
    ),
)  # fmt: skip


CATALOGUE: dict[str, WeightsRecord] = {record.name: record for record in _RECORDS}
"""All that `mulde weights list` shows; a new line here is enough."""
