"""The feature cache: one HDF5 file a video and stream, complete or not there.

    CACHE/<stream>/<key>/stream.json     what the key stands for, in plain words
    CACHE/<stream>/<key>/<video>.h5      features, frame and box, with their provenance

A key is a hash of everything that decides the features but the video's content; that is checked against the
identity kept in the file. A file is written under a temporary name, fsynced and renamed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from mulde.data.atomic import replacing, require_writable, write_text
from mulde.data.errors import InputError, VideoError
from mulde.data.features import FeatureRows
from mulde.data.identity import SourceIdentity, is_unchanged
from mulde.data.version import mulde_version
from mulde.data.video import DecodeReport, Video

SCHEMA_VERSION = 1
_KEY_CHARACTERS = 12
_SPOOL_BYTES = 64 * 2**20  # rows beyond this wait on disk, so that memory stays bounded on a ten-hour video
_COPY_ROWS = 65_536
_LOCKS = ".locks"

_log = logging.getLogger(__name__)


def digest_of(content: object) -> str:
    """Return a hash of what JSON can hold, the same on every machine."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class StreamKey:
    """One kind of features, with all that decides their values except the video's content."""

    stream: str
    """Such as "velocity"; a folder name."""
    settings: Mapping[str, Any] = field(hash=False)
    """Settings, code version, weights and inputs, as JSON holds them; shown to users."""

    @property
    def key(self) -> str:
        """The short hash that names the folder."""
        return digest_of({"schema": SCHEMA_VERSION, **self.settings})[:_KEY_CHARACTERS]


@dataclass(frozen=True)
class Entry:
    """What a cached file says about itself, without its rows."""

    path: Path
    video: str
    n_rows: int
    n_features: int
    identity: SourceIdentity
    report: DecodeReport

    @property
    def size_bytes(self) -> int:
        """Bytes on disk."""
        return self.path.stat().st_size


class CacheFileError(InputError):
    """A cached file is damaged or is not one of ours."""


class FeatureCache:
    """Features on disk, shared by runs and by processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def require_writable(self) -> None:
        """Raise InputError, naming the folder, if nothing can be written to it."""
        require_writable(self.folder, "cache folder", "choose another with --cache DIR")

    def entry_path(self, key: StreamKey, video: str) -> Path:
        """Return where the rows of a video are kept."""
        return self.folder / key.stream / key.key / f"{video}.h5"

    def find(self, key: StreamKey, video: Video) -> Entry | None:
        """Return the entry of a video if it is there, readable, and made from the file as it is now."""
        path = self.entry_path(key, video.name)
        if not path.exists():
            return None
        try:
            entry = read_entry(path)
        except CacheFileError as error:
            _log.warning("%s; it will be made again", error)
            return None
        try:
            return entry if is_unchanged(video, entry.identity) else None
        except VideoError:  # the video is not there any more; whoever needs it will say so
            return None

    def read(self, key: StreamKey, video: str) -> FeatureRows:
        """Return all rows of a video."""
        return read_rows(self.entry_path(key, video))

    @contextmanager
    def writer(
        self, key: StreamKey, video: Video, n_features: int, *, has_boxes: bool
    ) -> Iterator[RowWriter]:
        """Collect rows in bounded memory; only `commit` puts the file in place."""
        self._describe(key)
        path = self.entry_path(key, video.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = RowWriter(path, video.name, n_features, has_boxes)
        try:
            yield writer
        finally:
            writer.close()

    @contextmanager
    def claim(
        self, video: Video, *, wait: bool, on_wait: Callable[[], None] = lambda: None
    ) -> Iterator[bool]:
        """Hold the right to extract a video; yields False if another process has it and `wait` is off.

        Args:
            on_wait: called every second while waiting.
        """
        locks = self.folder / _LOCKS
        locks.mkdir(parents=True, exist_ok=True)
        name = digest_of([str(video.split_folder.resolve()), video.name])[:32]
        lock = FileLock(locks / f"{name}.lock", timeout=1 if wait else 0)
        while not lock.is_locked:
            try:
                lock.acquire()
            except Timeout:
                if not wait:
                    yield False
                    return
                on_wait()
        try:
            yield True
        finally:
            lock.release()

    def write_arrays(self, key: StreamKey, name: str, arrays: Mapping[str, NDArray[Any]]) -> Path:
        """Keep a product that is learnt from several videos, such as a scene's background."""
        self._describe(key)
        path = self.entry_path(key, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with _whole_file(path) as file:
            file.attrs["schema_version"] = SCHEMA_VERSION
            file.attrs["provenance"] = json.dumps(_provenance())
            for column, values in arrays.items():
                file.create_dataset(column, data=values)
        return path

    def read_arrays(self, key: StreamKey, name: str) -> dict[str, NDArray[Any]] | None:
        """Return a product, or None if it is not there or is damaged."""
        path = self.entry_path(key, name)
        if not path.exists():
            return None
        try:
            with open_hdf5(path) as file:
                return {column: file[column][()] for column in file}
        except CacheFileError as error:
            _log.warning("%s; it will be made again", error)
            return None

    def _describe(self, key: StreamKey) -> None:
        path = self.folder / key.stream / key.key / "stream.json"
        if path.exists():
            return
        content = {"stream": key.stream, "key": key.key, "schema_version": SCHEMA_VERSION, **key.settings}
        write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


class RowWriter:
    """Rows on their way into one file of the cache."""

    def __init__(self, path: Path, video: str, n_features: int, has_boxes: bool) -> None:
        self._path, self._video = path, video
        self._columns: dict[str, tuple[type, tuple[int, ...]]] = {
            "features": (np.float32, (n_features,)),
            "frame": (np.int64, ()),
        }
        if has_boxes:
            self._columns["box"] = (np.float32, (4,))
        self._spools: dict[str, IO[bytes]] = {
            name: tempfile.SpooledTemporaryFile(_SPOOL_BYTES, dir=str(path.parent))  # noqa: SIM115  # close() ends it
            for name in self._columns
        }
        self._n_rows, self._last_frame = 0, -1
        self._n_features = n_features

    def append(self, rows: FeatureRows) -> None:
        """Add rows; their frames must not lie before those already added."""
        if rows.n_features != self._n_features:
            raise ValueError(f"rows have {rows.n_features} features, but this file holds {self._n_features}")
        if len(rows) and rows.frame[0] < self._last_frame:
            raise ValueError(f"rows of frame {rows.frame[0]} come after those of frame {self._last_frame}")
        self._last_frame = int(rows.frame[-1]) if len(rows) else self._last_frame
        columns = {"features": rows.features, "frame": rows.frame, "box": rows.box_xyxy}
        for name, spool in self._spools.items():
            values = columns[name]
            assert values is not None
            spool.write(np.ascontiguousarray(values).tobytes())
        self._n_rows += len(rows)

    def commit(
        self, identity: SourceIdentity, report: DecodeReport, frame_seconds: NDArray[np.float64]
    ) -> None:
        """Put the file in place, whole and on disk.

        Args:
            frame_seconds: (n_frames,) when each decoded frame is shown, from the first on.
        """
        with _whole_file(self._path) as file:
            file.attrs["schema_version"] = SCHEMA_VERSION
            file.attrs["video"] = self._video
            file.attrs["source"] = json.dumps(identity.to_dict())
            file.attrs["n_frames"] = report.n_frames
            file.attrs["fps"] = report.fps
            file.attrs["decode_report"] = json.dumps(asdict(report))
            file.attrs["provenance"] = json.dumps(_provenance())
            file.create_dataset("frame_seconds", data=frame_seconds)
            for name, (dtype, shape) in self._columns.items():
                # Contiguous and uncompressed: dense features do not compress, and this reads 50× as fast
                dataset = file.create_dataset(name, (self._n_rows, *shape), dtype)
                self._copy(name, dataset)

    def _copy(self, name: str, dataset: h5py.Dataset) -> None:
        spool = self._spools[name]
        spool.seek(0)
        row_bytes = dataset.dtype.itemsize * int(np.prod(dataset.shape[1:]))
        for start in range(0, self._n_rows, _COPY_ROWS):
            stop = min(start + _COPY_ROWS, self._n_rows)
            block = np.frombuffer(spool.read((stop - start) * row_bytes), dataset.dtype)
            dataset[start:stop] = block.reshape(stop - start, *dataset.shape[1:])

    def close(self) -> None:
        """Let go of what was collected."""
        for spool in self._spools.values():
            spool.close()


def read_entry(path: Path) -> Entry:
    """Read what a cached file says about itself.

    Raises:
        CacheFileError: the file is damaged, incomplete or of another schema.
    """
    with open_hdf5(path) as file:
        n_rows, n_features = file["features"].shape
        report = json.loads(file.attrs["decode_report"])
        report["warnings"] = tuple(report["warnings"])
        return Entry(
            path=path,
            video=str(file.attrs["video"]),
            n_rows=n_rows,
            n_features=n_features,
            identity=SourceIdentity.from_dict(json.loads(file.attrs["source"])),
            report=DecodeReport(**report),
        )


def read_rows(path: Path) -> FeatureRows:
    """Read all rows of a cached file.

    Raises:
        CacheFileError: the file is damaged, incomplete or of another schema.
    """
    with open_hdf5(path) as file:
        box = file["box"][()] if "box" in file else None
        return FeatureRows(file["features"][()], file["frame"][()], box)


def read_frame_seconds(path: Path) -> NDArray[np.float64]:
    """Read when each frame is shown, (n_frames,) seconds from the first on.

    Raises:
        CacheFileError: the file is damaged, incomplete or of another schema.
    """
    with open_hdf5(path) as file:
        seconds: NDArray[np.float64] = file["frame_seconds"][()]
        return seconds


def read_features(paths: Sequence[Path]) -> NDArray[np.float32]:
    """Read the feature matrices of many videos into one array (N, D), without a second copy.

    Raises:
        CacheFileError: a file is damaged, or the files differ in D.
    """
    shapes = []
    for path in paths:
        with open_hdf5(path) as file:
            shapes.append(file["features"].shape)
    widths = {shape[1] for shape in shapes}
    if len(widths) > 1:
        raise CacheFileError(f"cached features differ in length ({sorted(widths)}) below {paths[0].parent}")
    matrix = np.empty((sum(shape[0] for shape in shapes), widths.pop() if widths else 0), np.float32)
    start = 0
    for path, (n_rows, _) in zip(paths, shapes, strict=True):
        with open_hdf5(path) as file:
            if n_rows:
                file["features"].read_direct(matrix, dest_sel=np.s_[start : start + n_rows])
        start += n_rows
    return matrix


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a cached file for reading; whatever is wrong inside becomes a CacheFileError that names it."""
    try:
        with h5py.File(path, "r") as file:
            version = int(file.attrs["schema_version"])
            if version != SCHEMA_VERSION:
                raise CacheFileError(
                    f"{path} has schema version {version}, this mulde reads {SCHEMA_VERSION}: delete it"
                )
            yield file
    except CacheFileError:
        raise
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise CacheFileError(f"{path} is damaged ({error}): delete it and run extract again") from None


@dataclass(frozen=True)
class StreamFolder:
    """One key of one stream, as `cache list` shows it."""

    stream: str
    key: str
    description: Mapping[str, Any]
    entries: tuple[Path, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of all entries."""
        return sum(path.stat().st_size for path in self.entries)


def list_streams(folder: Path) -> list[StreamFolder]:
    """Return what a cache holds, by stream and key."""
    found = []
    for description_path in sorted(folder.glob("*/*/stream.json")):
        try:
            description = json.loads(description_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            description = {}
        home = description_path.parent
        entries = tuple(sorted(path for path in home.rglob("*.h5") if not path.name.startswith(".")))
        found.append(StreamFolder(home.parent.name, home.name, description, entries))
    return found


def verify_entry(path: Path) -> str | None:
    """Read a cached file in full; return what is wrong with it, or None."""
    try:
        with open_hdf5(path) as file:
            if "video" not in file.attrs:  # a product of several videos
                for name in file:
                    _ = file[name][()]
                return None
        rows, entry = read_rows(path), read_entry(path)
    except ValueError as error:
        return str(error)
    if not np.isfinite(rows.features).all():
        return f"{path} holds features that are not finite"
    if len(rows) and (rows.frame[0] < 0 or rows.frame[-1] >= entry.report.n_frames):
        return f"{path} has rows of frames outside the {entry.report.n_frames} decoded ones"
    return None


@contextmanager
def _whole_file(path: Path) -> Iterator[h5py.File]:
    with replacing(path) as temporary, h5py.File(temporary, "w", libver="latest") as file:
        yield file


def _provenance() -> dict[str, str]:
    return {"mulde": mulde_version(), "created": datetime.now(timezone.utc).isoformat(timespec="seconds")}
