"""Read what the feature cache holds: entries, rows, and what is wrong with a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from mulde.data.cache.places import open_storage
from mulde.data.cache.storage import CacheFileError, Place, Storage
from mulde.data.errors import InputError
from mulde.data.features import FeatureRows, is_without_measurement, join_rows
from mulde.data.foreign.apart import read_apart
from mulde.data.foreign.hdf5 import own_dataset, read_array
from mulde.data.foreign.text import parse_json
from mulde.data.harmless import require_harmless
from mulde.data.identity import SourceIdentity
from mulde.data.sealed import ChangedError, check, read_json
from mulde.data.spelling import printable
from mulde.data.video import DecodeReport

SCHEMA_VERSION = 1
DESCRIPTION = "stream.json"
"""What a key stands for, in plain words; its place makes a folder a stream's."""
COLUMNS = {
    "features": "features",
    "frame": "frame",
    "box": "box_xyxy",
    "start": "start",
    "stop": "stop",
    "extra": "extra",
}
"""The datasets of a file, and the fields of `FeatureRows` that they hold."""
_SECONDS = "frame_seconds"
BOXES_STREAM = "boxes"
"""The stream of the boxes themselves: a measure of a box can be NaN alone, where nothing has measured it."""
IMPORTED = "imported"
"""Stands in the place of a decoder in the report of features that were made elsewhere."""


class Entry(NamedTuple):
    """What a cached file says about itself, without its rows; a tuple, for there may be half a million."""

    home: str
    """The folder of its key."""
    name: str
    """The file's name below, without suffix."""
    video: str
    n_rows: int
    n_features: int
    identity: SourceIdentity
    report: DecodeReport
    source: str | None = None
    """Where the video, or the file that was imported, was; None in files that do not say."""
    beside: str = ""
    """A hash of what was read beside the video, such as boxes that others made; "" for nothing."""
    storage: Storage | None = None
    """What has to have the file here before it is read; None where it is here."""

    @property
    def is_imported(self) -> bool:
        """Whether the features were made elsewhere: the cache can then not make them again."""
        return self.report.backend == IMPORTED

    @property
    def file(self) -> Path:
        """Where the file is, or its copy, which need not be here."""
        return Path(self.home, f"{self.name}.h5")

    @property
    def path(self) -> Path:
        """The file, to be read.

        Raises:
            CacheFileError: it is in an object store, and there not any more, or damaged.
        """
        return self.file if self.storage is None else self.storage.fetch(self.file)


def read_entry(path: Path) -> Entry:
    """Read what a cached file says about itself.

    Raises:
        CacheFileError: the file is damaged, incomplete or of another schema.
    """
    with open_hdf5(path) as file:
        n_rows, n_features = own_dataset(file, "features").shape
        report = parse_json(file.attrs["decode_report"])
        report["warnings"] = tuple(report["warnings"])
        if _SECONDS in file and own_dataset(file, _SECONDS).shape != (report["n_frames"],):
            raise CacheFileError(
                f"{path} is damaged (it is of {report['n_frames']} frames): run extract again"
            )
        return Entry(
            home=str(path.parent),
            name=path.stem,
            video=str(file.attrs["video"]),
            n_rows=n_rows,
            n_features=n_features,
            identity=SourceIdentity.from_dict(parse_json(file.attrs["source"])),
            report=DecodeReport(**report),
            source=str(file.attrs["source_path"]) if "source_path" in file.attrs else None,
            beside=str(file.attrs.get("beside", "")),
        )


def read_rows(path: Path) -> FeatureRows:
    """Read all rows of a cached file, whose checksum is looked at.

    Raises:
        CacheFileError: the file is damaged, incomplete or of another schema.
    """
    check_whole(path)
    return _read_rows(path)


def _read_rows(path: Path) -> FeatureRows:
    with open_hdf5(path) as file:
        return FeatureRows(**{field: _read(file, name) for name, field in COLUMNS.items() if name in file})


class RowsInOrder:
    """The rows of a cached file, asked for frame by frame from the first on; read, and held, in blocks.

    A file that is damaged raises CacheFileError, when it is opened or when a block is reached.
    """

    def __init__(self, path: Path, block_rows: int = 65_536) -> None:
        check_whole(path)
        self._path, self._block_rows = path, block_rows
        self._n_read = 0
        self._held, self._n_rows = self._read_block()

    def in_frame(self, index: int) -> FeatureRows:
        """Return the rows of a frame that is not before the one asked for last."""
        while self._n_read < self._n_rows and self._held.frame[-1] <= index:
            late = self._held.part(int(np.searchsorted(self._held.frame, index)), len(self._held))
            try:
                self._held = join_rows([late, self._read_block()[0]])
            except CacheFileError:
                raise
            except ValueError as error:  # a block begins before the last one ended
                raise CacheFileError(_damaged(self._path, error)) from None
        return self._held.in_frame(index)

    def _read_block(self) -> tuple[FeatureRows, int]:
        """Return the next rows, and how many there are in the file."""
        start, stop = self._n_read, self._n_read + self._block_rows
        with open_hdf5(self._path) as file:
            columns = {
                field: own_dataset(file, name)[start:stop] for name, field in COLUMNS.items() if name in file
            }
            n_rows = len(own_dataset(file, "frame"))
            rows = FeatureRows(**columns)
        self._n_read += len(rows)
        return rows, n_rows


def read_frame_seconds(path: Path) -> NDArray[np.float64]:
    """Read when each frame is shown, (n_frames,) seconds from the first on; the checksum is looked at.

    Raises:
        CacheFileError: the file is damaged, incomplete or of another schema.
    """
    check_whole(path)
    with open_hdf5(path) as file:
        seconds: NDArray[np.float64] = _read(file, _SECONDS).astype(np.float64)
        if seconds.ndim != 1:
            raise ValueError(f"frame_seconds has shape {seconds.shape}")
        return seconds


def _read(file: h5py.File, name: str) -> NDArray[Any]:
    return read_array(own_dataset(file, name))


_OF_DAMAGE = (
    OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, MemoryError, OverflowError,
)  # fmt: skip
"""What h5py and the values that are read raise; the last of an infinite number."""


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a cached file for reading; whatever is wrong inside becomes a CacheFileError that names it."""
    try:
        require_harmless(path)
        with h5py.File(path, "r") as file:
            version = int(file.attrs["schema_version"])
            if version != SCHEMA_VERSION:
                raise CacheFileError(
                    f"{path} has schema version {version}, this mulde reads {SCHEMA_VERSION}: delete it"
                )
            yield file
    except CacheFileError:
        raise
    except _OF_DAMAGE as error:
        if not path.exists():
            raise CacheFileError(f"{path} is not there any more: run extract again") from None
        raise CacheFileError(_damaged(path, error)) from None


def _damaged(path: Path, error: Exception) -> str:
    return f"{path} is damaged ({error}): run extract again"


def check_whole(path: Path) -> None:
    """Read a file in full, and compare its content with its checksum, if it has one.

    Raises:
        CacheFileError: they differ, or the file cannot be read.
    """
    try:
        check(path)
    except ChangedError as error:
        raise CacheFileError(f"{error}: run extract again with the same settings") from None
    except OSError as error:
        raise CacheFileError(
            f"{path} cannot be read ({error.strerror}): look at the disk and the rights"
        ) from None


@dataclass(frozen=True)
class StreamFolder:
    """One key of one stream, as `cache list` shows it."""

    stream: str
    key: str
    home: Path
    """The folder itself."""
    description: Mapping[str, Any]
    """What `stream.json` says; {} where it cannot be read."""
    storage: Storage

    @cached_property
    def entries(self) -> tuple[Path, ...]:
        """The files of videos; of products of several, theirs. `storage.fetch` has them here to be read."""
        return tuple(sorted(Path(path) for path, _ in self.storage.files(self.home)))

    @cached_property
    def size(self) -> tuple[int, int]:
        """How many entries there are, and how many bytes they have together."""
        sizes = [state.size_bytes for _, state in self.storage.files(self.home)]
        return len(sizes), sum(sizes)

    @property
    def problem(self) -> str | None:
        """What is wrong with `stream.json`, and the way out; None where nothing is."""
        if self.description:
            return None
        return (
            f"{self.home / DESCRIPTION} is missing or damaged, so that nobody knows what the "
            f"{self.size[0]} files beside it are: extracting their videos writes it again; what was "
            "imported is to be imported again"
        )


def list_streams(place: Place) -> list[StreamFolder]:
    """Return what a cache holds, by stream and key."""
    storage, found = open_storage(place), list[StreamFolder]()
    for stream in storage.streams():
        for key in storage.keys(stream):
            home = storage.folder / stream / key
            path = home / DESCRIPTION
            if storage.state(str(path)) is not None or any(storage.files(home)):
                found.append(StreamFolder(stream, key, home, fetch_description(storage, path), storage))
    return found


def fetch_description(storage: Storage, path: Path) -> dict[str, Any]:
    """Return what a stream.json in a storage says; see `read_description`."""
    try:
        return read_description(storage.fetch(path))
    except CacheFileError:
        return {}


def read_description(path: Path) -> dict[str, Any]:
    """Return what a stream.json says; {} where it is not there, was changed or cannot be read."""
    try:
        return read_json(path)
    except (OSError, ValueError):
        return {}


def can_be_read(path: Path) -> bool:
    """Whether all bytes of a file can be read; one that cannot, as of a failing disk, may still be whole."""
    try:
        check(path)
    except ChangedError:
        return True
    except OSError:
        return False
    return True


def holds_rows(path: Path) -> bool:
    """Whether a cached file is of one video; a product of several, such as a background, has no rows.

    Raises:
        CacheFileError: the file is damaged, incomplete or of another schema.
    """
    with open_hdf5(path) as file:
        return "video" in file.attrs


def verify_apart(path: Path) -> str | None:
    """Do as `verify_entry`, in a process that is ended where a file makes it hang or crash."""
    try:
        problem = read_apart(verify_entry, path)
    except InputError as error:
        return str(error)
    return None if problem is None else printable(str(problem))


def verify_entry(path: Path) -> str | None:
    """Read a cached file in full; return what is wrong with it, or None."""
    try:
        check_whole(path)
        if not holds_rows(path):
            with open_hdf5(path) as file:
                for name in file:
                    _ = _read(file, name)
            return None
        rows, entry = _read_rows(path), read_entry(path)
    except ValueError as error:
        return str(error)
    # CACHE/<stream>/<key>/a/b.h5: the video's name a/b says how far up the stream's folder is
    is_of_boxes = path.parents[entry.video.count("/") + 1].name == BOXES_STREAM
    measured = rows.features[~is_without_measurement(rows.features)]
    if np.isinf(measured).any() or (np.isnan(measured).any() and not is_of_boxes):
        return f"{path} holds features that are not finite"
    if len(rows) and (rows.frame[0] < 0 or rows.frame[-1] >= entry.report.n_frames):
        return f"{path} has rows of frames outside the {entry.report.n_frames} decoded ones"
    return None
