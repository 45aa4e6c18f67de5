"""What a run has learnt: a detector and a calibration a stream, and the scenes; and its form on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import MinLen
from numpy.typing import NDArray
from pydantic import BaseModel, Field, TypeAdapter, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.numpy import load, save

from mulde.data.atomic import write_bytes, write_text
from mulde.data.cache.store import digest_of
from mulde.data.errors import InputError
from mulde.data.features import is_without_measurement
from mulde.data.foreign.text import parse_json
from mulde.data.video import Video
from mulde.detector import Calibration
from mulde.extractors.scene import SceneModel
from mulde.pipeline.config.sections import ExtractConfig
from mulde.pipeline.features.recipe import stream_digests
from mulde.pipeline.features.scenes import Scenes

if TYPE_CHECKING:
    from mulde.detector import Detector

FORMAT_VERSION = 3
EVERY_SCENE = ""
MANIFEST = "manifest.json"
_DIGEST = "manifest_sha256"


@dataclass(frozen=True)
class StreamModel:
    """The density of one stream and the scale of its scores."""

    detector: Detector
    calibration: Calibration

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return calibrated anomaly scores (n,) of rows (n, D); higher = more anomalous, 0 = least seen.

        Rows without a measurement of this kind (all NaN) have the mean of training.
        """
        scores = np.full(len(features), self.calibration.unmeasured)
        measured = ~is_without_measurement(features)
        if measured.any():
            scores[measured] = self.calibration(self.detector.anomaly_score(features[measured]))
        return scores


@dataclass(frozen=True)
class RunModel:
    """All that scoring needs besides the features."""

    parts: Mapping[str, Mapping[str, StreamModel]]
    """The streams' models by scene; "" stands for all scenes where there is one model for all."""
    scenes: Scenes

    def of(self, video: Video) -> Mapping[str, StreamModel]:
        """Return the models of the streams for a video.

        Raises:
            InputError: each scene has its own, and that of the video is none of them.
        """
        if EVERY_SCENE in self.parts:
            return self.parts[EVERY_SCENE]
        check_scene(video, self.parts)
        return self.parts[video.scene]

    def save(self, folder: Path, provenance: Mapping[str, Any]) -> None:
        """Write all but the detectors, which `save_stream` wrote; the manifest comes last."""
        for index, scene in enumerate(self.scenes.models.values()):
            write_bytes(_scene_file(folder, index), save(scene.to_arrays()))
        manifest = {
            "format_version": FORMAT_VERSION,
            "parts": {
                part: {name: asdict(stream.calibration) for name, stream in streams.items()}
                for part, streams in self.parts.items()
            },
            "scenes": list(self.scenes.models),
            "scenes_sha256": [_sha256(_scene_file(folder, k)) for k in range(len(self.scenes.models))],
            "provenance": dict(provenance),
        }
        manifest[_DIGEST] = digest_of(manifest)
        write_text(folder / MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


def check_scene(video: Video, scenes: Collection[str]) -> None:
    """Raise InputError if a video is of none of the scenes that have detectors."""
    if video.scene not in scenes:
        raise InputError(
            f"{video.name} is of the scene {video.scene!r}, but there are detectors for "
            f"{', '.join(sorted(scenes))} only: add normal videos of it, or set train.by=all"
        )


def stream_folder(model: Path, part: str, stream: str) -> Path:
    """Return where the detector of a stream is: model/<stream>, or model/<scene>/<stream>."""
    return model / part / stream if part else model / stream


def save_stream(
    folder: Path, name: str, stream: StreamModel, config: ExtractConfig, provenance: Mapping[str, Any]
) -> None:
    """Write the detector of a stream."""
    stream.detector.save(
        folder,
        description={"stream": name, "settings": stream_digests(config)[name]},
        provenance={**provenance, "calibration": asdict(stream.calibration)},
    )


def load_stream(
    folder: Path, name: str, config: ExtractConfig, device: str, source: str
) -> StreamModel | None:
    """Read a detector that a training, which was cut off later, has finished with; None if there is none.

    Args:
        source: the entry "source" of its provenance: what it has to have been made from.
    """
    from mulde.detector import load_detector  # only here, for it imports torch
    from mulde.detector.store import read_model

    try:
        provenance = read_model(folder).provenance
        if provenance.get("source") != source:
            return None
        expect = {"stream": name, "settings": stream_digests(config)[name]}
        return StreamModel(
            load_detector(folder, expect=expect, device=device), Calibration(**provenance["calibration"])
        )
    except ValueError:
        return None


def load_model(folder: Path, config: ExtractConfig, device: str) -> RunModel:
    """Read what `RunModel.save` wrote, and check that it is for the streams of a configuration.

    Raises:
        InputError: it is missing, damaged, from a later version, or was made from other streams or settings.
    """
    from mulde.detector import load_detector  # only here, for it imports torch

    manifest = read_manifest(folder)
    there = list(next(iter(manifest["parts"].values())))
    if set(there) != set(config.streams):
        raise InputError(
            f"the model in {folder} was made from the streams {', '.join(there)}, but "
            f"{', '.join(config.streams)} are asked for: train again, or set "
            f"extract.streams=[{','.join(there)}]"
        )
    digests = stream_digests(config)
    try:
        parts = {
            part: {
                name: StreamModel(
                    load_detector(
                        stream_folder(folder, part, name),
                        expect={"stream": name, "settings": digests[name]},
                        device=device,
                    ),
                    Calibration(**calibrations[name]),
                )
                for name in config.streams
            }
            for part, calibrations in manifest["parts"].items()
        }
    except ValueError as error:
        raise InputError(str(error)) from None
    return RunModel(parts, read_scenes(folder))


def is_whole(folder: Path) -> bool:
    """Whether a saved model is there and every part of it can be read, whatever it was made from."""
    from mulde.detector.store import read_model

    try:
        for part, streams in read_manifest(folder)["parts"].items():
            for name in streams:
                read_model(stream_folder(folder, part, name))
        read_scenes(folder)
    except (ValueError, KeyError, AttributeError):
        return False
    return True


def read_scenes(folder: Path) -> Scenes:
    """Read the scenes of a saved model.

    Raises:
        InputError: they are missing or damaged.
    """
    manifest = read_manifest(folder)
    names = manifest["scenes"]
    try:
        for index, digest in enumerate(manifest.get("scenes_sha256", ())):  # older models have none
            if _sha256(_scene_file(folder, index)) != digest:
                raise ValueError(f"{_scene_file(folder, index).name} was changed")
        return Scenes(
            {
                name: SceneModel.from_arrays(load(_scene_file(folder, index).read_bytes()))
                for index, name in enumerate(names)
            }
        )
    except (OSError, SafetensorError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"a scene in {folder} is missing or damaged ({error}): train again") from None


def model_digest(folder: Path) -> str | None:
    """Return a hash that tells a saved model from others; None where there is none that can be read."""
    try:
        return digest_of(read_manifest(folder))
    except InputError:
        return None


def _scene_file(folder: Path, index: int) -> Path:
    return folder / f"scene-{index}.safetensors"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read a model's manifest.

    Raises:
        InputError: there is none, or it is damaged or from a later version.
    """
    path = folder / MANIFEST
    try:
        manifest = parse_json(path.read_bytes())
        version = int(manifest["format_version"])
    except FileNotFoundError:
        raise InputError(f"there is no trained model in {folder}: run `mulde train` first") from None
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:  # of an infinite version
        raise InputError(f"{path} is damaged ({error}): train again") from None
    if version != FORMAT_VERSION:
        way_out = "upgrade" if version > FORMAT_VERSION else "train again"
        raise InputError(f"{path} has format version {version}, this mulde reads {FORMAT_VERSION}: {way_out}")
    digest = manifest.pop(_DIGEST, None)  # older models have none
    if digest is not None and digest != digest_of(manifest):
        raise InputError(f"{path} was changed after it was written: restore it, or train again")
    try:
        _CONTENT.validate_python(manifest)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{path} is damaged ({where}: {first['msg']}): train again") from None
    return dict(manifest)


class _Content(BaseModel):
    """What a manifest has to hold."""

    parts: Annotated[dict[str, Annotated[dict[str, Calibration], MinLen(1)]], MinLen(1)]
    scenes: list[str]
    scenes_sha256: list[str] = Field(default_factory=list)
    provenance: dict[str, Any]

    @model_validator(mode="after")
    def _stay_below(self) -> _Content:
        streams = [stream for streams in self.parts.values() for stream in streams]
        for name in (*self.parts, *streams, *self.scenes):
            if Path(name).is_absolute() or ".." in Path(name).parts:
                raise ValueError(f"{name!r} leads out of the model's folder")
        return self


_CONTENT = TypeAdapter(_Content)
