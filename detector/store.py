"""Keep a fitted detector on disk: safetensors and a JSON manifest, no pickle.

The manifest is written last and names its tensor file by content, so a folder holds the old model or the new
one, never half of each, whenever a process is killed.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as parse_tensors
from safetensors.numpy import save as format_tensors

from mulde.data.atomic import replacing, write_text
from mulde.data.foreign.text import parse_json
from mulde.data.version import mulde_version

FORMAT_VERSION = 1
MANIFEST_NAME = "manifest.json"
_MANIFEST_FIELDS = ("kind", "params", "n_features", "description", "provenance")

Tensors = dict[str, NDArray[Any]]
Description = Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True, kw_only=True)
class StoredModel:
    """All that is kept of a fitted detector."""

    kind: str
    """Class of the detector, such as 'MULDE'."""
    params: dict[str, Any]
    """Constructor arguments that JSON can hold."""
    n_features: int
    description: dict[str, Any]
    """What the features are, in the caller's words, such as {'stream': 'velocity', 'key': '3f2a…'}."""
    provenance: dict[str, Any]
    """How it was trained: rows, steps, versions."""
    tensors: Tensors
    """Learnt arrays by name."""


def write_model(folder: str | os.PathLike[str], model: StoredModel) -> None:
    """Write a model into a folder, which is made if need be; a model that is there is replaced.

    Raises:
        OSError: the folder cannot be written.
        TypeError: the description or a parameter cannot be put into JSON.
    """
    target = Path(folder)
    payload = format_tensors({name: np.asarray(array, order="C") for name, array in model.tensors.items()})
    sha256 = hashlib.sha256(payload).hexdigest()
    content = {name: getattr(model, name) for name in _MANIFEST_FIELDS}
    content |= {"format_version": FORMAT_VERSION, "mulde_version": mulde_version(), "tensors_sha256": sha256}
    manifest = json.dumps(content | {"manifest_sha256": _digest(content)}, indent=2, ensure_ascii=False)
    target.mkdir(parents=True, exist_ok=True)
    tensor_path = target / _tensor_name(sha256)
    with replacing(tensor_path) as temporary:
        temporary.write_bytes(payload)
    write_text(target / MANIFEST_NAME, manifest)
    for stale in set(target.glob("tensors-*.safetensors")) - {tensor_path}:
        stale.unlink()


def read_model(folder: str | os.PathLike[str], expect: Description | None = None) -> StoredModel:
    """Read a model and check that it is whole.

    Args:
        folder: where `write_model` put it.
        expect: description of the features that will be scored; each entry must be that of the training ones.

    Raises:
        ValueError: the model is missing, truncated, changed, from a later version of mulde, or was fitted on
            other features than expected.
    """
    manifest_path = Path(folder) / MANIFEST_NAME
    manifest = _read_manifest(manifest_path)
    tensors = _read_tensors(Path(folder), manifest["tensors_sha256"])
    model = StoredModel(**{name: manifest[name] for name in _MANIFEST_FIELDS}, tensors=tensors)
    _check_description(model.description, expect or {})
    return model


def _read_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest, checked for version and integrity."""
    try:
        manifest = parse_json(path.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"no detector is stored at {path.parent}: {path} is missing; train again") from None
    except ValueError as error:  # not JSON, not UTF-8
        raise ValueError(f"{path} is damaged ({error}): train again") from None
    version = manifest.get("format_version") if isinstance(manifest, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise ValueError(
            f"{path} has format version {version}, written by mulde {manifest.get('mulde_version')}, but "
            f"this mulde ({mulde_version()}) reads up to {FORMAT_VERSION}: upgrade mulde"
        )
    if version != FORMAT_VERSION or manifest.pop("manifest_sha256", None) != _digest(manifest):
        raise ValueError(f"{path} was changed after it was written: restore it or train again")
    kinds = {"kind": str, "params": dict, "n_features": int, "description": dict, "provenance": dict}
    for name, kind in {**kinds, "tensors_sha256": str}.items():
        if not isinstance(manifest.get(name), kind):
            raise ValueError(f"{path} is damaged ({name} is missing, or no {kind.__name__}): train again")
    return dict(manifest)


def _read_tensors(folder: Path, sha256: str) -> Tensors:
    path = folder / _tensor_name(sha256)
    try:
        payload = path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{path}, named by {MANIFEST_NAME}, is missing: restore it or train again") from None
    if hashlib.sha256(payload).hexdigest() != sha256:
        raise ValueError(
            f"{path} is truncated or was changed after it was written: restore it or train again"
        )
    try:
        return dict(parse_tensors(payload))
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file: {error}") from None


def _check_description(fitted: Mapping[str, Any], expect: Description) -> None:
    if any(fitted.get(name) != value for name, value in expect.items()):
        before = {name: fitted.get(name) for name in expect}
        raise ValueError(
            f"this detector was fitted on {_in_words(before)}, but was given {_in_words(expect)}: "
            "extract the features it was fitted on, or train again"
        )


def _in_words(description: Mapping[str, Any]) -> str:
    # {'stream': 'velocity', 'key': '3f2a'} -> "stream 'velocity', key '3f2a'"
    return ", ".join(f"{name} {value!r}" for name, value in description.items())


def _tensor_name(sha256: str) -> str:
    return f"tensors-{sha256[:16]}.safetensors"


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
