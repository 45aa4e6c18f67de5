"""Pack a stream of the cache into one HDF5 file that h5py, MATLAB and Julia read; see docs/features.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mulde.data.atomic import WriteError, replacing
from mulde.data.cache.entries import (
    BOXES_STREAM,
    COLUMNS,
    StreamFolder,
    holds_rows,
    list_streams,
    read_entry,
    read_frame_seconds,
    read_rows,
)
from mulde.data.cache.storage import Place, require_folder
from mulde.data.errors import InputError
from mulde.data.exchange.traits import UNKNOWN, FeatureTraits
from mulde.data.files import natural_key
from mulde.data.hdf5 import open_to_write
from mulde.data.spelling import printable
from mulde.data.version import mulde_version

LOOKED_AT = "looked_at_per_second"
"""Name of the attribute that says how many frames a second were looked for objects, about."""
EXPORT_FORMAT = "mulde features"
EXPORT_VERSION = 1
_UNITS = {
    "features": "one vector per row",
    "frame": "0-based frame number",
    "box": "x1, y1, x2, y2 in pixels of the frame; x2 and y2 exclusive",
    "start": "first frame of the clip, 0-based",
    "stop": "frame after the last of the clip, 0-based",
    "extra": "what was measured besides the features",
    "frame_seconds": "seconds from the first frame on",
}


def find_stream(cache: Place, stream: str, key: str | None = None) -> StreamFolder:
    """Return the one stream folder that a name and the beginning of a key stand for.

    Raises:
        InputError: there is none, or there are several; the text lists them.
    """
    folders = list_streams(require_folder(cache, "exporting needs"))
    known = [folder for folder in folders if folder.stream == stream and folder.size[0]]
    if not known:
        there = sorted({folder.stream for folder in folders if folder.size[0]})
        raise InputError(f"{cache} has no stream {stream!r}: it has {', '.join(there) or 'none'}")
    found = [folder for folder in known if folder.key.startswith(key or "")]
    if len(found) != 1:
        rows = "; ".join(f"`key` {folder.key}: {describe_origin(folder.description)}" for folder in known)
        raise InputError(f"{cache} has {len(known)} kinds of {stream}, which is meant? {rows}")
    return found[0]


def describe_origin(description: Any) -> str:
    """Return in words what the videos of a stream folder are."""
    if "imported_as" in description:
        return f"{description['imported_as']}, imported from {description.get('from', 'elsewhere')}"
    boxes = description.get("boxes_from", [])
    return f"{description.get('folder', '')}{', boxes from ' if boxes else ''}{', '.join(map(str, boxes))}"


def export_stream(folder: StreamFolder, out: Path, traits: FeatureTraits = UNKNOWN) -> int:
    """Write all videos of a stream into one file, whole or not at all; return how many.

    Args:
        traits: what the file is to say of the features.

    Raises:
        InputError: an entry is damaged, the file cannot be written, or there is one that is no export.
    """
    if out.exists() and not _is_export(out):
        raise InputError(f"{out} is there, and is no export of features: choose another name, or delete it")
    if not all(map(holds_rows, folder.entries)):
        raise InputError(f"{folder.stream} is no stream of features, but learnt from several videos")
    entries = sorted(
        ((read_entry(path), path) for path in folder.entries), key=lambda e: natural_key(e[0].video)
    )
    names = [entry.video for entry, _ in entries]
    _check_names(names)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # "earliest" keeps to what every HDF5 library since 1.8 reads, MATLAB's among them
        with (
            replacing(out) as temporary,
            open_to_write(temporary, "w", libver="earliest", with_checksum=False) as file,
        ):
            _write_head(file, folder, names)
            are_objects, rate = bool(folder.description.get("is_of_objects", False)), _look_rate(folder)
            for entry, path in entries:
                group = file.create_group(entry.video)
                _write_video(group, path, are_objects=are_objects)
                if rate is not None:
                    _set(group, LOOKED_AT, float(rate))
                for name, value in traits.told().items():
                    _set(group, name, value)
    except WriteError:
        raise
    except OSError as error:
        raise InputError(
            f"{out} cannot be written ({error.strerror or error}): choose another place"
        ) from None
    return len(entries)


def describe_boxes(folder: StreamFolder) -> Mapping[str, Any]:
    """Return what is said of the boxes that a stream is of, or of the stream itself where it names none."""
    boxes = folder.description.get("boxes")
    if boxes is None:
        return folder.description
    others = list_streams(folder.home.parent.parent)
    of_boxes = [each for each in others if each.stream == BOXES_STREAM and each.key.startswith(boxes)]
    return next((each.description for each in of_boxes), {})


def _look_rate(folder: StreamFolder) -> float | None:
    """Return about how many frames a second were looked for the objects of a stream; None for all frames, or
    where rows are of frames.
    """
    rate = describe_boxes(folder).get("rate")
    return None if rate is None else float(rate)


def _is_export(path: Path) -> bool:
    if not h5py.is_hdf5(path):
        return False
    with h5py.File(path, "r") as file:
        return bool(np.bytes_(file.attrs.get("format", b"")) == EXPORT_FORMAT.encode())


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        parts = name.split("/")
        above = {"/".join(parts[:depth]) for depth in range(1, len(parts))}
        if above & set(names) and parts[-1] in (*COLUMNS, "frame_seconds"):
            raise InputError(f"video {name} cannot be exported beside {'/'.join(parts[:-1])}: rename one")


def _write_head(file: h5py.File, folder: StreamFolder, names: Sequence[str]) -> None:
    _set(file, "format", EXPORT_FORMAT)
    _set(file, "schema_version", EXPORT_VERSION)
    _set(file, "stream", folder.stream)
    _set(file, "key", folder.key)
    _set(file, "description", json.dumps(dict(folder.description), ensure_ascii=False, sort_keys=True))
    _set(file, "n_videos", len(names))
    _set(file, "mulde_version", mulde_version())
    _set(file, "created", datetime.now(timezone.utc).isoformat(timespec="seconds"))
    encoded = [name.encode() for name in names]
    longest = max(map(len, encoded), default=1)
    file.create_dataset("video_names", data=encoded, dtype=h5py.string_dtype("utf-8", longest))


def _write_video(group: h5py.Group, path: Path, *, are_objects: bool) -> None:
    entry, rows = read_entry(path), read_rows(path)
    _set(group, "video", entry.video)
    _set(group, "n_frames", entry.report.n_frames)
    _set(group, "fps", float(entry.report.fps))
    _set(group, "n_rows", len(rows))
    _set(group, "n_features", rows.n_features)
    _set(group, "rows_are", "objects" if are_objects or rows.box_xyxy is not None else "frames")
    _set(group, "source_path", printable(entry.source or ""))
    _set(group, "source_bytes", entry.identity.size_bytes)
    _set(group, "source_digest", entry.identity.digest)
    for name, field in COLUMNS.items():
        values = getattr(rows, field)
        if values is not None:
            _set(group.create_dataset(name, data=values), "unit", _UNITS[name])
    seconds = group.create_dataset("frame_seconds", data=read_frame_seconds(path))
    _set(seconds, "unit", _UNITS["frame_seconds"])


def _set(place: h5py.HLObject, name: str, value: str | int | float) -> None:
    """Set an attribute: text of fixed length in UTF-8, int64 or float64."""
    if isinstance(value, str):
        encoded = value.encode()
        dtype = h5py.string_dtype("utf-8", max(1, len(encoded)))
        place.attrs.create(name, np.array(encoded, dtype), dtype=dtype)
    else:
        place.attrs[name] = np.int64(value) if isinstance(value, int) else np.float64(value)
