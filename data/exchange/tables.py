"""Read files of features into tables: whatever form they have, nothing but their shape is checked yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mulde.data.cache.entries import COLUMNS
from mulde.data.errors import InputError
from mulde.data.exchange.exports import EXPORT_FORMAT, LOOKED_AT
from mulde.data.exchange.traits import TRAITS, UNKNOWN, FeatureTraits, read_traits
from mulde.data.files import natural_key
from mulde.data.foreign.arrays import PickleError, open_npz, read_npy, reading
from mulde.data.foreign.hdf5 import open_plain, read_array
from mulde.data.foreign.rehearse import rehearse

SUFFIXES = (".npy", ".npz", ".h5", ".hdf5")
_SCALARS = ("n_frames", "fps", "rows_are", LOOKED_AT, *TRAITS)


@dataclass(frozen=True)
class ForeignTable:
    """What one file, or one group of a file, holds; nothing is checked yet."""

    where: str
    columns: Mapping[str, Any]
    """Arrays by the names of the cache: features, frame, box, start, stop, frame_seconds."""
    n_frames: int | None = None
    fps: float | None = None
    looked_at_per_second: float | None = None
    """About how many frames a second were looked for objects; None for all."""
    is_of_objects: bool = False
    """Whether rows are known to be about objects, even if no frame has two."""
    traits: FeatureTraits = UNKNOWN
    """As far as the file says."""
    first_row: int = 0
    """Rows of the file that lie before these, for messages."""
    first_frame: int = 0
    """Frames of the file that lie before these, for messages."""


def read_table(path: Path, allow_pickle: bool) -> ForeignTable:
    """Read one file, which stands for one video or for a whole split.

    Raises:
        InputError: it cannot be read, or needs `allow_pickle`.
    """
    readers: dict[str, Callable[[Path, bool], ForeignTable]] = {
        ".npy": _read_npy, ".npz": _read_npz, ".h5": _read_hdf5, ".hdf5": _read_hdf5,
    }  # fmt: skip
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path} is no file of features: known are {', '.join(SUFFIXES)}")
    with reading(path):
        table = reader(path, allow_pickle)
        check_same_length(table)
        return table


def check_same_length(table: ForeignTable) -> None:
    """Raise InputError unless all columns have as many rows as the features; before rows are taken apart."""
    if np.ndim(table.columns["features"]) == 0:
        raise InputError(f"{table.where} holds one number: expected features, (rows, D) numbers")
    n_rows = len(table.columns["features"])
    for name in COLUMNS:
        if name in table.columns and len(np.atleast_1d(table.columns[name])) != n_rows:
            n_found = len(np.atleast_1d(table.columns[name]))
            raise InputError(f"{table.where} has {n_rows} rows of features, but {n_found} of {name}")


def _read_npy(path: Path, allow_pickle: bool) -> ForeignTable:
    try:
        return ForeignTable(str(path), {"features": read_npy(path, mapped=True)})
    except PickleError as error:
        if allow_pickle:
            return _of_objects(str(path), np.load(path, allow_pickle=True))
        raise InputError(f"{error}: if you made the file or trust who did, add `allow_pickle`") from None


def _of_objects(where: str, frames: Any) -> ForeignTable:
    """Lay out one array of objects per frame, (n_objects, D) each, as rows with their frame."""
    parts, counts, width = [], [], 0
    if np.ndim(frames) == 0:
        raise InputError(f"{where} holds one {type(frames.item()).__name__}, expected an array per frame")
    for index, values in enumerate(frames):
        try:
            part = np.asarray(values, dtype=np.float64) if np.size(values) else np.empty((0, width))
        except (ValueError, TypeError):
            raise InputError(f"{where}: frame {index} holds {type(values).__name__}, not numbers") from None
        if part.ndim != 2 or (len(part) and width and part.shape[1] != width):
            expected = width or "D"
            raise InputError(
                f"{where}: frame {index} holds an array of shape {part.shape}, not (n_objects, {expected})"
            )
        width = part.shape[1] if len(part) else width
        counts.append(len(part))
        parts.append(part)
    if not width:
        raise InputError(f"{where} holds no object in any of its {len(counts)} frames")
    columns = {
        "features": np.concatenate([part for part in parts if len(part)]),
        "frame": np.repeat(np.arange(len(counts)), counts),
    }
    return ForeignTable(where, columns, len(counts), is_of_objects=True)


def _read_npz(path: Path, allow_pickle: bool) -> ForeignTable:
    with open_npz(path) as file:
        if "features" not in file.names and len(file.names) == 1:
            return ForeignTable(str(path), {"features": file.read(file.names[0])})
        return _named(str(path), {name: file.read(name) for name in _known(str(path), file.names)}, {})


def _read_hdf5(path: Path, allow_pickle: bool) -> ForeignTable:
    rehearse(path)
    with open_plain(path) as file:
        names = [name for name in file if isinstance(file[name], h5py.Dataset)]
        if "features" not in names and len(names) == 1:
            return _named(str(path), {"features": read_array(file[names[0]])}, dict(file.attrs))
        values = {name: read_array(file[name]) for name in _known(str(path), names)}
        return _named(str(path), values, dict(file.attrs))


def _known(where: str, names: Sequence[str]) -> list[str]:
    if "features" not in names:
        raise InputError(
            f"{where} holds {', '.join(names) or 'no array'}: expected `features`, and perhaps frame, box, "
            "start, stop, n_frames, fps"
        )
    return [name for name in names if name in (*COLUMNS, *_SCALARS, "frame_seconds")]


def _named(where: str, values: Mapping[str, Any], attributes: Mapping[str, Any]) -> ForeignTable:
    told = {**attributes, **values}
    return ForeignTable(
        where,
        {name: array for name, array in values.items() if name not in _SCALARS},
        int(np.asarray(told["n_frames"]).item()) if "n_frames" in told else None,
        float(np.asarray(told["fps"]).item()) if "fps" in told else None,
        float(np.asarray(told[LOOKED_AT]).item()) if LOOKED_AT in told else None,
        _to_text(np.asarray(told.get("rows_are", "")).item()) == "objects",
        read_traits(told, where),
    )


def holds_videos(path: Path) -> bool:
    """Whether a file has an array or a group for each of several videos, and not the rows of one.

    Raises:
        InputError: it cannot be read.
    """
    if path.suffix.lower() == ".npz":
        with open_npz(path) as file:
            return "features" not in file.names and len(file.names) > 1
    if path.suffix.lower() in (".h5", ".hdf5"):
        rehearse(path)
        with open_plain(path) as file:
            arrays = [name for name in file if isinstance(file[name], h5py.Dataset)]
            return "features" not in arrays and (len(arrays) > 1 or len(file) > len(arrays))
    return False


def _to_text(value: Any) -> str:
    """Return an attribute of HDF5 as text, whether it was kept with a fixed length or not."""
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def read_videos(path: Path) -> Iterator[tuple[str, ForeignTable]]:
    """Yield the tables of a file that `holds_videos`, with the videos' names, in natural order.

    Raises:
        InputError: it cannot be read.
    """
    with reading(path):
        for name, table in (_arrays_of_npz if path.suffix.lower() == ".npz" else _groups_of_hdf5)(path):
            check_same_length(table)
            yield name, table


def _arrays_of_npz(path: Path) -> Iterator[tuple[str, ForeignTable]]:
    with open_npz(path) as file:
        for name in sorted(file.names, key=natural_key):
            yield name, ForeignTable(f"{path}, {name}", {"features": file.read(name)})


def _groups_of_hdf5(path: Path) -> Iterator[tuple[str, ForeignTable]]:
    """Yield groups with `features`, at any depth, and arrays that are in no such group."""
    with open_plain(path) as file:
        names: set[str] = set()
        file.visit(lambda name: names.add(name))
        if _to_text(file.attrs.get("format", "")) == EXPORT_FORMAT:
            names.discard("video_names")
        for name in sorted(names, key=natural_key):
            item, where = file[name], f"{path}, {name}"
            if isinstance(item, h5py.Group) and isinstance(item.get("features"), h5py.Dataset):
                known = _known(where, [key for key in item if isinstance(item[key], h5py.Dataset)])
                yield name, _named(where, {key: read_array(item[key]) for key in known}, dict(item.attrs))
            elif isinstance(item, h5py.Dataset) and "features" not in item.parent:
                yield name, ForeignTable(where, {"features": read_array(item)})
