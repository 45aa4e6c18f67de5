"""Pretrained weights: what is known of each, where its file is, how it is fetched; light to import."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shlex
import shutil
import socket
import tempfile
import threading
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

from mulde.data.atomic import write_text
from mulde.data.errors import InputError, require_package
from mulde.data.identity import BLOCK_BYTES

Task = Literal["boxes", "pose", "appearance", "frame", "clip"]
DIGEST_CHARACTERS = 16
WEIGHTS_FOLDER = "weights"
"""Where in the cache weights are kept, unless the user has another folder."""
_DIGESTS = "digests.json"
_REACH_SECONDS = 1.0
_OFFLINE_VARIABLES = ("MULDE_OFFLINE", "HF_HUB_OFFLINE")

AGPL = "AGPL-3.0"
BSD = "BSD-3-Clause"
_ULTRALYTICS = "https://github.com/ultralytics/assets/releases/download/"
_TORCHVISION = "https://download.pytorch.org/models/"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WeightsRecord:
    """One set of pretrained weights that can be fetched by name."""

    name: str
    """What the configuration calls it."""
    task: Task
    n_features: int | None
    """D of what it gives; None for boxes."""
    licence: str
    """Of the weights; "AGPL-3.0" and "CC BY-NC 4.0" oblige whoever uses them."""
    source: str
    """An https:// address, or hf://ORGANISATION/REPOSITORY/FILE."""
    sha256: str | None = None
    """Of the file in hexadecimal, or how it begins; None where it is not published."""
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
_LIBRARIES = ("open_clip/", "torchvision/")  # which know where their own weights are


@cache
def record_of(name: str) -> WeightsRecord | None:
    """Return what is known of weights: from the catalogue, or else from the library that names begin with."""
    record = CATALOGUE.get(_plain(name))
    if record is None and name.startswith(_LIBRARIES):
        from mulde.extractors.networks.libraries import published  # which imports this module

        return published(name)
    return record


@dataclass(frozen=True)
class Weights:
    """The weights that an operator runs on: a name of the catalogue, or a file of the user's."""

    name: str
    """As the configuration has it."""
    path: Path | None = field(compare=False)
    """Where the file is; None if it is not there."""
    folder: Path = field(compare=False)
    """Where fetched weights are kept."""

    @property
    def digest(self) -> str:
        """The first digits of the file's SHA-256: two files with one content are the same weights.

        Raises:
            InputError: the file is not there.
        """
        return digest_of_file(self.require(), self.folder)[:DIGEST_CHARACTERS]

    @property
    def is_published(self) -> bool:
        """Whether the name is one of the catalogue or of a library, and not that of a file of the user's."""
        return record_of(self.name) is not None or self.name.startswith(_LIBRARIES)

    @property
    def licence(self) -> str:
        """Of the weights, for users; a file's own licence is not known."""
        record = record_of(self.name)
        return record.licence if record else "not known: a file of your own"

    def require(self) -> Path:
        """Return the file.

        Raises:
            InputError: it is not there; the text has the command that gets it.
        """
        if self.path is not None:
            return self.path
        raise InputError(_missing([self.name], self.folder))


def find_weights(name: str, folder: Path) -> Weights:
    """Look for weights by name or path; nothing is fetched.

    Args:
        name: a name of the catalogue, with or without ".pt", or the path of a file.
        folder: where fetched weights are kept.
    """
    as_path = Path(name).expanduser()
    if as_path.is_file():
        return Weights(name, as_path.resolve(), folder)
    record = record_of(name)
    if record is None:
        return Weights(name, None, folder)
    places = (folder / record.file, torch_hub_folder() / "checkpoints" / record.file)
    found = next((place for place in places if place.is_file()), None)
    return Weights(record.name, found, folder)


def torch_hub_folder() -> Path:
    """Return where torch keeps what it has downloaded, without importing it."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", f"{cache}/torch")
    return Path(home).expanduser() / "hub"


def is_offline(asked: bool = False) -> bool:
    """Whether nothing may be fetched: the user says so by option or by environment variable."""
    return asked or any(
        os.environ.get(name, "").lower() in ("1", "true", "yes", "on") for name in _OFFLINE_VARIABLES
    )


def fetch(names: Sequence[str], folder: Path, *, offline: bool = False) -> list[Path]:
    """Download weights of the catalogue into `folder`, where they are not there, and check their digests.

    Raises:
        InputError: a name is unknown, there is no network or it must not be used, or what came is not
            what was expected.
    """
    missing = [name for name in names if find_weights(name, folder).path is None]
    records = [record for name in missing if (record := record_of(name))]
    if len(records) < len(missing) or (missing and is_offline(offline)):
        raise InputError(_missing(missing, folder))
    for record in records:
        host = _unreachable(record.source)
        if host:
            raise InputError(f"{_missing(missing, folder)} ({host} cannot be reached now)")
        # not only for information: users asked for quiet have to see what they agree to
        _log.warning(
            "fetching %s from %s; licence of the weights: %s", record.name, record.source, record.terms
        )
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _download(record, folder / record.file)
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(
                f"{record.name} cannot be fetched from {record.source} ({error}): try again later"
            ) from None
    return [find_weights(name, folder).require() for name in names]


def digest_of_file(path: Path, folder: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal; kept in `folder`, so that it is read once.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        stat = path.stat()
        return _digest(str(path.resolve()), stat.st_size, stat.st_mtime_ns, folder)
    except OSError as error:
        raise InputError(f"weights {path} cannot be read ({error.strerror}): check the path") from None


@cache
def _digest(path: str, size_bytes: int, mtime_ns: int, folder: Path) -> str:
    known = _read_digests(folder)
    entry = f"{path} {size_bytes} {mtime_ns}"
    if entry not in known:
        hasher = hashlib.sha256()
        with Path(path).open("rb") as stream:
            while block := stream.read(BLOCK_BYTES):
                hasher.update(block)
        if size_bytes < 64 * BLOCK_BYTES:
            return hasher.hexdigest()  # quicker read again than kept
        known[entry] = hasher.hexdigest()
        try:
            write_text(folder / _DIGESTS, json.dumps(known, indent=1))
        except (OSError, InputError) as error:  # a cache that can only be read serves as well
            _log.debug("digests are not kept: %s", error)
    return known[entry]


def _read_digests(folder: Path) -> dict[str, str]:
    try:
        return dict(json.loads((folder / _DIGESTS).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _plain(name: str) -> str:
    """Return a name as the catalogue has it; ultralytics' users write the suffix."""
    return name.removesuffix(".pt")


def _missing(names: Sequence[str], folder: Path) -> str:
    """Return what to say of weights that are not there: why, and the way out."""
    records = []
    for name in names:
        record = record_of(name)
        if record is not None:
            records.append(record)
        elif (len(Path(name).parts) > 1 or Path(name).suffix) and not name.startswith(_LIBRARIES):
            return f"there is no file of weights at {name}: check the path"
        else:
            return f"unknown weights {name}: `mulde weights list` shows the known ones; or give a file's path"
    plain = " ".join(record.name for record in records)
    terms = ", ".join(f"{record.name}: {record.terms}" for record in records)
    return (
        f"weights are missing: with a network, `mulde weights fetch {plain} {_where(folder)}` "
        f"gets them ({terms}); or give the path of a file in place of a name"
    )


def _where(folder: Path) -> str:
    """Return the option of `mulde weights fetch` that has it keep weights in a folder."""
    if folder.name == WEIGHTS_FOLDER:
        return shlex.join(["--cache", str(folder.parent)])
    return shlex.join(["--folder", str(folder)])


def _unreachable(source: str) -> str | None:
    """Return the host that cannot be reached, where a download would wait for minutes."""
    parts = urllib.parse.urlsplit(source)
    if parts.scheme == "hf":
        parts = urllib.parse.urlsplit("https://huggingface.co")
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        parts = urllib.parse.urlsplit(proxy)
    host = parts.hostname or ""
    reached = threading.Event()

    def reach() -> None:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            socket.create_connection((host, port), timeout=_REACH_SECONDS).close()
        except OSError:
            return
        reached.set()

    # In a thread, for looking up a name has no time limit of its own
    thread = threading.Thread(target=reach, daemon=True)
    thread.start()
    thread.join(_REACH_SECONDS)
    return None if reached.is_set() else host


def _download(record: WeightsRecord, target: Path) -> None:
    if record.source.startswith("hf://"):
        hub = require_package("huggingface_hub", "encoders")
        organisation, repository, *rest = record.source.removeprefix("hf://").split("/")
        with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
            got = hub.hf_hub_download(f"{organisation}/{repository}", "/".join(rest), local_dir=temporary)
            _check_digest(Path(got), record)
            shutil.move(got, target)
        return
    import torch

    torch.hub.download_url_to_file(record.source, str(target), hash_prefix=record.sha256, progress=False)


def _check_digest(path: Path, record: WeightsRecord) -> None:
    if record.sha256 and not _digest(str(path), 0, 0, path.parent).startswith(record.sha256):
        raise ValueError(f"its SHA-256 does not begin with {record.sha256}")
