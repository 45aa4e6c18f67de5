"""The feature cache: one HDF5 file per video and stream, complete or not there.

    CACHE/<stream>/<key>/stream.json     what the key stands for, in plain words
    CACHE/<stream>/<key>/<video>.h5      features and frame, box of objects, start and stop of clips

A key is a hash of everything that decides the features but the video's content; that is checked against the
identity kept in the file, and found again by it where videos have moved. A file is written under a temporary
name, fsynced and renamed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from mulde.data.atomic import make_folder, replacing, writing
from mulde.data.cache.entries import (
    COLUMNS,
    DESCRIPTION,
    SCHEMA_VERSION,
    Entry,
    StreamFolder,
    check_whole,
    fetch_description,
    list_streams,
    open_hdf5,
    read_entry,
    read_frame_seconds,
    read_rows,
    verify_entry,
)
from mulde.data.cache.index import EntryIndex
from mulde.data.cache.places import open_storage
from mulde.data.cache.storage import CacheFileError, Place
from mulde.data.errors import VideoError
from mulde.data.features import FeatureRows
from mulde.data.foreign.hdf5 import own_dataset, read_array
from mulde.data.foreign.text import parse_json
from mulde.data.hdf5 import new_hdf5, open_to_write
from mulde.data.identity import SourceIdentity, identify, is_unchanged
from mulde.data.sealed import write_json
from mulde.data.version import mulde_version
from mulde.data.video import IMAGES, DecodeReport, Video

__all__ = [
    "CacheFileError",
    "Entry",
    "FeatureCache",
    "RowWriter",
    "StreamFolder",
    "StreamKey",
    "digest_of",
    "digests_of",
    "list_streams",
    "open_hdf5",
    "read_entry",
    "read_frame_seconds",
    "read_rows",
    "verify_entry",
]

PLACE, BOXES_PLACE = "folder", "boxes_from"
"""The settings of a key that say where its videos are, and the boxes that others made."""
_KEY_CHARACTERS, _PLACE_CHARACTERS = 12, 6
_SPOOL_BYTES = 64 * 2**20  # rows beyond this wait on disk, so that memory stays bounded on a ten-hour video
_COPY_ROWS = 65_536
_MADE_FROM = "made_from"
_JSON = json.JSONEncoder(sort_keys=True)
_PLACE_OF_VALUE = "the value's place"

_log = logging.getLogger(__name__)


def digest_of(content: object) -> str:
    """Return a hash of what JSON can hold, the same on every machine."""
    return hashlib.sha256(_JSON.encode(content).encode()).hexdigest()


def digests_of(common: Mapping[str, object], name: str, values: Iterable[object]) -> list[str]:
    """Return `digest_of({**common, name: value})` of each value; what they have in common is encoded once."""
    parts = _JSON.encode({**common, name: _PLACE_OF_VALUE}).split(f'"{_PLACE_OF_VALUE}"')
    if len(parts) != 2:  # they hold the same text
        return [digest_of({**common, name: value}) for value in values]
    before, after = parts
    start = hashlib.sha256(before.encode())
    digests = []
    for value in values:
        one = start.copy()
        one.update(f"{_JSON.encode(value)}{after}".encode())
        digests.append(one.hexdigest())
    return digests


@dataclass(frozen=True)
class StreamKey:
    """One kind of features, with all that decides their values except the video's content."""

    stream: str
    """Such as "velocity"; a folder name."""
    settings: Mapping[str, Any] = field(hash=False)
    """Settings, code version, weights and inputs, as JSON holds them; shown to users."""
    beside: str = ""
    """A hash of what decides the rows of this one video beside its content, such as boxes that others made:
    no part of the key, but kept in the file and compared."""

    @cached_property
    def kind(self) -> str:
        """A short hash of all settings but the places of videos and boxes."""
        settings = {n: value for n, value in self.settings.items() if n not in (PLACE, BOXES_PLACE)}
        return digest_of({"schema": SCHEMA_VERSION, **settings})[:_KEY_CHARACTERS]

    @cached_property
    def key(self) -> str:
        """The name of the folder: the kind and, where the videos have a place, a hash of it.

        The place keeps apart what has one name, such as training/01 and testing/01. It is no part of the
        kind, so that features are found again when their videos have moved.
        """
        if PLACE not in self.settings:
            return self.kind
        place = self.settings[PLACE]
        if BOXES_PLACE in self.settings:
            place = [place, self.settings[BOXES_PLACE]]
        return f"{self.kind}-{digest_of(place)[:_PLACE_CHARACTERS]}"


class _Now:
    """What a video is like, looked at once, when that is first asked for."""

    __slots__ = ("_compared", "_identity", "_is_still", "video")

    def __init__(self, video: Video) -> None:
        self.video = video
        self._identity: SourceIdentity | None = None
        self._compared: SourceIdentity | None = None
        self._is_still = False

    @property
    def identity(self) -> SourceIdentity:
        if self._identity is None:  # with `cached_property`, a hundred thousand take their time
            self._identity = identify(self.video, with_digest=False)
        return self._identity

    def is_still(self, known: SourceIdentity) -> bool:
        """Whether it is what `known` describes; the streams of one pass say the same of it."""
        if known is not self._compared:
            self._compared, self._is_still = known, is_unchanged(self.video, known, self.identity)
        return self._is_still

    def is_folder_of(self, report: DecodeReport) -> bool:
        """Whether it is a folder of images, as what has this report was."""
        return report.backend == IMAGES and self.video.is_frame_folder


class FeatureCache:
    """Features on disk, shared by runs and by processes."""

    def __init__(self, place: Place) -> None:
        """Take the folder of a cache, or the address of one in an object store.

        Raises:
            InputError: it is an address, and what it needs is not installed.
        """
        self._storage = open_storage(place)
        self.folder = self._storage.folder
        """Where its files, or copies of them, are on this machine."""
        self.index = EntryIndex(self._storage)
        self._digests: dict[tuple[Path, SourceIdentity], str] = {}

    def require_writable(self) -> None:
        """Raise InputError, naming the place, if nothing can be written to it."""
        self._storage.require_writable()

    def look_anew(self) -> None:
        """Forget what was listed of an object store, for others may have written there since."""
        self._storage.look_anew()

    def entry_path(self, key: StreamKey, video: str) -> Path:
        """Return where the rows of a video are kept."""
        return self.folder / key.stream / key.key / f"{video}.h5"

    def has_file(self, key: StreamKey, video: str) -> bool:
        """Whether there is a file for the rows of a video, whatever they were made from."""
        return self._storage.state(f"{self._home(key)}{os.sep}{video}.h5") is not None

    def find(self, key: StreamKey, video: Video, frames_per_second: float | None = None) -> Entry | None:
        """Return the entry of a video if it is there, readable, and made from the file as it is now.

        Where there is none for its place, one is looked for that was made of a file with the same name and
        the same content at another place: the videos may have moved. `settle` brings it here.

        Args:
            frames_per_second: of folders of images, whose files do not say it; None for any.
        """
        return self.find_all({key.stream: key}, video, frames_per_second).get(key.stream)

    def find_all(
        self, keys: Mapping[str, StreamKey], video: Video, frames_per_second: float | None = None
    ) -> dict[str, Entry]:
        """Return what `find` finds of several streams of a video, which is looked at once."""
        streams = self._with_homes(keys)
        known = self._find_known([home for _, _, home in streams], [video.name])
        return self._find_streams(streams, video, frames_per_second, known.get(video.name, {}))

    def find_many(
        self, videos: Sequence[tuple[Video, Mapping[str, StreamKey]]], frames_per_second: float | None = None
    ) -> list[dict[str, Entry]]:
        """Return what `find_all` finds of each of some hundred videos.

        What the indexes know of them is read together, which takes a fraction of the time.
        """
        streams: dict[int, list[tuple[str, StreamKey, str]]] = {}  # videos of a place may share their keys
        homes: dict[int, tuple[str, ...]] = {}
        names: dict[tuple[str, ...], list[str]] = {}
        for video, keys in videos:
            if id(keys) not in streams:
                streams[id(keys)] = self._with_homes(keys)
                homes[id(keys)] = tuple(home for _, _, home in streams[id(keys)])
            names.setdefault(homes[id(keys)], []).append(video.name)
        for home in {home for some in names for home in some}:
            self._storage.look_ahead(home)
        known = {some: self._find_known(some, of_these) for some, of_these in names.items()}
        return [
            self._find_streams(
                streams[id(keys)], video, frames_per_second, known[homes[id(keys)]].get(video.name, {})
            )
            for video, keys in videos
        ]

    def _with_homes(self, keys: Mapping[str, StreamKey]) -> list[tuple[str, StreamKey, str]]:
        return [(name, key, self._home(key)) for name, key in keys.items()]

    def _find_known(self, homes: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, Entry]]:
        """Return by name and home what the index knows of files that are as they were."""
        return self.index.find_many(homes, names, self._storage.states)

    def _find_streams(
        self,
        streams: Iterable[tuple[str, StreamKey, str]],
        video: Video,
        frames_per_second: float | None,
        known: Mapping[str, Entry],
    ) -> dict[str, Entry]:
        """Return the entries of a video.

        Args:
            streams: name, key and home of each.
            known: by home, what is known of files that are as they were; others are read.
        """
        found, now, fits = {}, _Now(video), None
        for name, key, home in streams:
            entry = known.get(home)
            # what the index says of the files of one pass is one object
            if entry is None or entry.identity is not fits or entry.beside != key.beside:
                if entry is None or not self._fits(entry, key, now, frames_per_second, is_elsewhere=False):
                    entry = self._find_in_places(key, now, frames_per_second)
                fits = None if entry is None else entry.identity
            if entry is not None:
                found[name] = entry
        return found

    def _find_in_places(self, key: StreamKey, now: _Now, frames_per_second: float | None) -> Entry | None:
        """Return the entry of a video as it is now, where it belongs or where the video was before."""
        own = self._home(key)
        for home in (own, *self._other_homes(key)):
            entry = self._read_entry(home, now.video.name)
            if entry and self._fits(entry, key, now, frames_per_second, is_elsewhere=home != own):
                return entry
        return None

    def _fits(
        self, entry: Entry, key: StreamKey, now: _Now, frames_per_second: float | None, *, is_elsewhere: bool
    ) -> bool:
        """Whether an entry is of the video as it is now."""
        if entry.beside != key.beside:
            return False
        if frames_per_second not in (None, entry.report.fps) and now.is_folder_of(entry.report):
            return False
        return self._is_of(now, entry.identity, is_elsewhere=is_elsewhere)

    def is_settled(self, key: StreamKey, entry: Entry) -> bool:
        """Whether an entry that `find` has found is where the video's own is; see `settle`."""
        return entry.home == self._home(key)

    def settle(self, key: StreamKey, video: Video, entry: Entry) -> None:
        """Copy an entry that `find` has found at another place to where the video's own is."""
        if self.is_settled(key, entry):
            return
        path = self.entry_path(key, video.name)
        with open_hdf5(entry.path):  # an index may have told of it: it has not been opened yet
            pass
        self.describe(key)
        make_folder(path.parent)
        identity = identify(video, with_digest=False)._replace(digest=entry.identity.digest)
        with replacing(path) as temporary:
            shutil.copyfile(entry.path, temporary)
            with open_to_write(temporary, "r+") as file:
                file.attrs["source"] = json.dumps(identity.to_dict())
                _write_source_path(file, str(video.path.resolve()))
        self._storage.keep(path)

    @contextmanager
    def writer(
        self,
        key: StreamKey,
        video: Video,
        n_features: int,
        *,
        has_boxes: bool,
        has_spans: bool = False,
        n_extra: int = 0,
    ) -> Iterator[RowWriter]:
        """Collect rows in bounded memory; only `commit` puts the file in place.

        Args:
            has_boxes: whether the rows are about boxes.
            has_spans: whether they are about clips, with `start` and `stop`.
            n_extra: how many columns they have that no detector sees.
        """
        self.describe(key)
        path, source = self.entry_path(key, video.name), str(video.path.resolve())
        with write_rows(
            path,
            video.name,
            n_features,
            has_boxes=has_boxes,
            has_spans=has_spans,
            n_extra=n_extra,
            source=source,
            beside=key.beside,
            keep=self._storage.keep,
        ) as writer:
            yield writer

    @contextmanager
    def claim(
        self, video: Video, *, wait: bool, on_wait: Callable[[], None] = lambda: None
    ) -> Iterator[bool]:
        """Hold the right to extract a video; yields False if another process has it and `wait` is off.

        Args:
            on_wait: called every second while waiting.
        """
        with self.claim_name(
            str(video.split_folder.resolve()), video.name, wait=wait, on_wait=on_wait
        ) as is_ours:
            yield is_ours

    @contextmanager
    def claim_name(
        self, split_folder: str, name: str, *, wait: bool, on_wait: Callable[[], None] = lambda: None
    ) -> Iterator[bool]:
        """Do as `claim` for a video that may not be there any more: its split's whole path, and its name."""
        claim = digest_of([split_folder, name])[:32]
        with self._storage.claim(claim, wait=wait, on_wait=on_wait) as is_ours:
            yield is_ours

    def write_arrays(
        self,
        key: StreamKey,
        name: str,
        arrays: Mapping[str, NDArray[Any]],
        *,
        made_from: Sequence[Video] = (),
        left_out: Sequence[Video] = (),
    ) -> Path:
        """Keep a product that is learnt from several videos, such as a scene's background.

        Args:
            made_from: the videos.
            left_out: those that were there as well, but could not be used; they are not read now either.
        """
        sources = {}
        for videos, with_digest in ((made_from, True), (left_out, False)):
            for video in videos:
                with suppress(VideoError):
                    sources[video.name] = identify(video, with_digest=with_digest).to_dict()
        self.describe(key)
        path = self.entry_path(key, name)
        make_folder(path.parent)
        with new_hdf5(path) as file:
            file.attrs["schema_version"] = SCHEMA_VERSION
            file.attrs["provenance"] = json.dumps(_provenance())
            file.attrs[_MADE_FROM] = json.dumps(sources)
            for column, values in arrays.items():
                file.create_dataset(column, data=values)
        self._storage.keep(path)
        return path

    def read_arrays(
        self, key: StreamKey, name: str, *, made_from: Sequence[Video] = ()
    ) -> dict[str, NDArray[Any]] | None:
        """Return a product; None if it is not there, is damaged, or was made from other videos.

        Like `find`, it looks at other places, too.
        """
        return self._find_arrays(key, name, made_from)[1]

    def settle_arrays(self, key: StreamKey, name: str, *, made_from: Sequence[Video]) -> None:
        """Copy a product that `read_arrays` finds at another place to where that of these videos is."""
        (path, _), own = self._find_arrays(key, name, made_from), self.entry_path(key, name)
        if path is None or path == own:
            return
        self.describe(key)
        make_folder(own.parent)
        by_name = {video.name: video for video in made_from}
        with replacing(own) as temporary:
            shutil.copyfile(path, temporary)
            with open_to_write(temporary, "r+") as file:
                known = json.loads(file.attrs[_MADE_FROM])
                now = {
                    name: {**identify(by_name[name], with_digest=False).to_dict(), "digest": source["digest"]}
                    for name, source in known.items()
                }
                file.attrs[_MADE_FROM] = json.dumps(now)
        self._storage.keep(own)

    def _find_arrays(
        self, key: StreamKey, name: str, made_from: Sequence[Video]
    ) -> tuple[Path, dict[str, NDArray[Any]]] | tuple[None, None]:
        """Return where a product is, and what it holds."""
        own = self.entry_path(key, name)
        for path in (own, *self._elsewhere(key, name)):
            if self._storage.state(str(path)) is None:
                continue
            try:
                check_whole(self._storage.fetch(path))
                with open_hdf5(path) as file:
                    sources = parse_json(file.attrs.get(_MADE_FROM, "{}"))
                    arrays = {column: read_array(own_dataset(file, column)) for column in file}
            except CacheFileError as error:
                _log.warning("%s; it will be made again", error)
                continue
            if all(self._is_one_of(video, sources, is_elsewhere=path != own) for video in made_from):
                return path, arrays
        return None, None

    def _home(self, key: StreamKey) -> str:
        return f"{self.folder}{os.sep}{key.stream}{os.sep}{key.key}"

    def _other_homes(self, key: StreamKey) -> list[str]:
        """Return the folders that may hold the entry of a video where it was before it moved."""
        above, kind = f"{self.folder}{os.sep}{key.stream}{os.sep}", f"{key.kind}-"
        return [
            f"{above}{other}"
            for other in self._storage.keys(key.stream)
            if other.startswith(kind) and other != key.key
        ]

    def _elsewhere(self, key: StreamKey, name: str) -> list[Path]:
        """Return the files of the same name and kind for videos at other places."""
        return [Path(home, f"{name}.h5") for home in self._other_homes(key)]

    def _read_entry(self, home: str, name: str) -> Entry | None:
        path = f"{home}{os.sep}{name}.h5"
        state = self._storage.state(path)
        if state is None:
            return None
        known = self.index.find(home, name, state)
        if known is not None:
            return known
        try:
            said = read_entry(self._storage.fetch(Path(path)))
            entry = said._replace(home=home, name=name, storage=self._storage.fetches)
        except CacheFileError as error:
            _log.warning("%s; it will be made again", error)
            return None
        self.index.learn(home, name, state, entry)
        return entry

    def _is_one_of(self, video: Video, sources: Mapping[str, Any], *, is_elsewhere: bool) -> bool:
        if video.name in sources:
            known = SourceIdentity.from_dict(sources[video.name])
            return self._is_of(_Now(video), known, is_elsewhere=is_elsewhere)
        try:
            identify(video, with_digest=False)
        except VideoError:  # no part of it, then or now
            return True
        return False

    def _is_of(self, now: _Now, known: SourceIdentity, *, is_elsewhere: bool) -> bool:
        """Whether a video is the one that `known` describes; at another place only its content tells."""
        try:
            if not is_elsewhere:
                return now.is_still(known)
            if (known.size_bytes, known.n_files) != (now.identity.size_bytes, now.identity.n_files):
                return False
            if not known.digest:  # left out then: its content decided nothing
                return True
            place = now.video.path, now.identity
            if place not in self._digests:
                self._digests[place] = identify(now.video, with_digest=True).digest
            return self._digests[place] == known.digest
        except VideoError:  # the video is not there any more; whoever needs it will say so
            return False

    def describe(self, key: StreamKey) -> None:
        """Write down what a key stands for, where that is not there or cannot be read any more."""
        path = self.folder / key.stream / key.key / DESCRIPTION
        if not fetch_description(self._storage, path):
            write_description(path, key, {})
            self._storage.keep(path)


def write_description(path: Path, key: StreamKey, notes: Mapping[str, Any]) -> None:
    """Write a stream.json: what a key stands for, and notes that do not enter the key."""
    content = {
        "stream": key.stream,
        "key": key.key,
        "schema_version": SCHEMA_VERSION,
        **key.settings,
        **notes,
    }
    write_json(path, content)


@contextmanager
def write_rows(
    path: Path,
    video: str,
    n_features: int,
    *,
    has_boxes: bool,
    has_spans: bool,
    n_extra: int = 0,
    source: str,
    beside: str = "",
    keep: Callable[[Path], None] = lambda path: None,
) -> Iterator[RowWriter]:
    """Collect the rows of one file in bounded memory; only `commit` puts it in place.

    Args:
        source: where the video, or the file that is imported, lies.
        beside: see `StreamKey`.
        keep: is told of the file when it is in place.
    """
    make_folder(path.parent)
    writer = RowWriter(path, video, n_features, has_boxes, has_spans, n_extra, source, beside, keep)
    try:
        yield writer
    finally:
        writer.close()


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock of this file."""
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


class RowWriter:
    """Rows on their way into one file of the cache."""

    def __init__(
        self,
        path: Path,
        video: str,
        n_features: int,
        has_boxes: bool,
        has_spans: bool,
        n_extra: int,
        source: str,
        beside: str,
        keep: Callable[[Path], None],
    ) -> None:
        self._path, self._video, self._source, self._beside = path, video, source, beside
        self._keep = keep
        self._columns: dict[str, tuple[type, tuple[int, ...]]] = {
            "features": (np.float32, (n_features,)),
            "frame": (np.int64, ()),
        }
        if has_boxes:
            self._columns["box"] = (np.float32, (4,))
        if has_spans:
            self._columns |= {"start": (np.int64, ()), "stop": (np.int64, ())}
        if n_extra:
            self._columns["extra"] = (np.float32, (n_extra,))
        self._spools: dict[str, IO[bytes]] = {
            name: tempfile.SpooledTemporaryFile(_SPOOL_BYTES, dir=str(path.parent))  # noqa: SIM115  # close() ends it
            for name in self._columns
        }
        self._n_rows, self._last_frame = 0, -1
        self._n_features, self._n_extra = n_features, n_extra

    def append(self, rows: FeatureRows) -> None:
        """Add rows; their frames must not lie before those already added."""
        if rows.n_features != self._n_features:
            raise ValueError(f"rows have {rows.n_features} features, but this file holds {self._n_features}")
        n_extra = 0 if rows.extra is None else rows.extra.shape[1]
        if n_extra != self._n_extra:
            raise ValueError(f"rows have {n_extra} extra columns, but this file holds {self._n_extra}")
        if len(rows) and rows.frame[0] < self._last_frame:
            raise ValueError(f"rows of frame {rows.frame[0]} come after those of frame {self._last_frame}")
        self._last_frame = int(rows.frame[-1]) if len(rows) else self._last_frame
        for name, spool in self._spools.items():
            values = getattr(rows, COLUMNS[name])
            assert values is not None
            with writing(self._path.parent):
                spool.write(np.ascontiguousarray(values).tobytes())
        self._n_rows += len(rows)

    def commit(
        self, identity: SourceIdentity, report: DecodeReport, frame_seconds: NDArray[np.float64]
    ) -> None:
        """Put the file in place, whole and on disk.

        Args:
            frame_seconds: (n_frames,) when each decoded frame is shown, from the first on.
        """
        with new_hdf5(self._path) as file:
            file.attrs["schema_version"] = SCHEMA_VERSION
            file.attrs["video"] = self._video
            _write_source_path(file, self._source)
            file.attrs["source"] = json.dumps(identity.to_dict())
            if self._beside:
                file.attrs["beside"] = self._beside
            file.attrs["n_frames"] = report.n_frames
            file.attrs["fps"] = report.fps
            file.attrs["decode_report"] = json.dumps(asdict(report))
            file.attrs["provenance"] = json.dumps(_provenance())
            file.create_dataset("frame_seconds", data=frame_seconds)
            for name, (dtype, shape) in self._columns.items():
                # Contiguous and uncompressed: dense features do not compress, and this reads 50× as fast
                dataset = file.create_dataset(name, (self._n_rows, *shape), dtype)
                self._copy(name, dataset)
        self._keep(self._path)

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


def _write_source_path(file: h5py.File, path: str) -> None:
    # h5py refuses a str that is not Unicode, but gives back what was written as bytes
    file.attrs.create("source_path", os.fsencode(path), dtype=h5py.string_dtype())


def _provenance() -> dict[str, str]:
    return {"mulde": mulde_version(), "created": datetime.now(timezone.utc).isoformat(timespec="seconds")}
