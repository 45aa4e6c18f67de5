"""What a run has learnt: one detector and one calibration a stream, and the scenes; and its form on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from mulde.data.atomic import replacing, write_text
from mulde.data.errors import InputError
from mulde.detector import Calibration, fuse
from mulde.extractors.scene import SceneModel
from mulde.pipeline.config import ExtractConfig
from mulde.pipeline.recipe import stream_digest
from mulde.pipeline.scenes import Scenes

if TYPE_CHECKING:
    from mulde.detector import MULDE

FORMAT_VERSION = 1


@dataclass(frozen=True)
class StreamModel:
    """The density of one stream and the scale of its scores."""

    detector: MULDE
    calibration: Calibration

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return calibrated anomaly scores (n,) of rows (n, D); higher = more anomalous, 0 = least seen."""
        if not len(features):
            return np.zeros(0)
        return self.calibration(self.detector.anomaly_score(features))


@dataclass(frozen=True)
class RunModel:
    """All that scoring needs besides the features."""

    streams: Mapping[str, StreamModel]
    scenes: Scenes

    def score(self, features: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float64]]:
        """Return the calibrated scores (n_objects,) of each stream, and their sum as "total"."""
        scores = {name: stream.score(features[name]) for name, stream in self.streams.items()}
        return {**scores, "total": fuse(list(scores.values()))}

    def save(self, folder: Path, config: ExtractConfig, provenance: Mapping[str, Any]) -> None:
        """Write safetensors and JSON into a folder; the manifest goes first and comes last."""
        (folder / "manifest.json").unlink(missing_ok=True)
        for name, stream in self.streams.items():
            stream.detector.save(
                folder / name,
                description={"stream": name, "settings": stream_digest(config, name)},
                provenance=provenance,
            )
        for index, scene in enumerate(self.scenes.models.values()):
            with replacing(folder / f"scene-{index}.safetensors") as temporary:
                save_file(scene.to_arrays(), temporary)
        manifest = {
            "format_version": FORMAT_VERSION,
            "streams": {name: asdict(stream.calibration) for name, stream in self.streams.items()},
            "scenes": list(self.scenes.models),
        }
        write_text(folder / "manifest.json", json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


def load_model(folder: Path, config: ExtractConfig, device: str) -> RunModel:
    """Read what `RunModel.save` wrote, and check that it is for the streams of a configuration.

    Raises:
        InputError: it is missing, damaged, from a later version, or was made from other streams or settings.
    """
    from mulde.detector import MULDE  # only here, for it imports torch

    manifest = read_manifest(folder)
    if set(manifest["streams"]) != set(config.streams):
        raise InputError(
            f"the model in {folder} was made from the streams {', '.join(manifest['streams'])}, but "
            f"{', '.join(config.streams)} are asked for: train again, or set "
            f"extract.streams=[{','.join(manifest['streams'])}]"
        )
    try:
        streams: dict[str, StreamModel] = {
            name: StreamModel(
                MULDE.load(
                    folder / name,
                    expect={"stream": name, "settings": stream_digest(config, name)},
                    device=device,
                ),
                Calibration(**manifest["streams"][name]),
            )
            for name in config.streams
        }
    except ValueError as error:
        raise InputError(str(error)) from None
    return RunModel(streams, read_scenes(folder))


def read_scenes(folder: Path) -> Scenes:
    """Read the scenes of a saved model.

    Raises:
        InputError: they are missing or damaged.
    """
    names = read_manifest(folder)["scenes"]
    try:
        return Scenes(
            {
                name: SceneModel.from_arrays(load_file(folder / f"scene-{index}.safetensors"))
                for index, name in enumerate(names)
            }
        )
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"a scene in {folder} is missing or damaged ({error}): train again") from None


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read a model's manifest.

    Raises:
        InputError: there is none, or it is damaged or from a later version.
    """
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        version = manifest["format_version"]
    except FileNotFoundError:
        raise InputError(f"there is no trained model in {folder}: run `mulde train` first") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error}): train again") from None
    if version != FORMAT_VERSION:
        raise InputError(f"{path} has format version {version}, this mulde reads {FORMAT_VERSION}: upgrade")
    return dict(manifest)
