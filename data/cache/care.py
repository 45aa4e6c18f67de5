"""Find what in the feature cache is damaged or serves nobody any more, and delete it."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from mulde.data.cache.entries import (
    DESCRIPTION,
    StreamFolder,
    can_be_read,
    holds_rows,
    list_streams,
    read_entry,
    verify_apart,
)
from mulde.data.cache.keys import STAGING, import_claim
from mulde.data.cache.places import open_storage
from mulde.data.cache.storage import LOCKS, CacheFileError, FileState, Place, is_address
from mulde.data.cache.store import FeatureCache, is_locked
from mulde.data.errors import VideoError
from mulde.data.identity import is_unchanged
from mulde.data.sealed import is_sealed
from mulde.data.video import Video

_LEFT_OVER_SECONDS = 3600.0  # nothing is written for so long; what has a temporary name then was given up


@dataclass(frozen=True)
class Removal:
    """A file, or the folder of a broken-off import, that is to go."""

    path: Path
    reason: str
    """In words, for the user."""
    size_bytes: int
    claim: tuple[str, str] | None
    """What `FeatureCache.claim_name` takes to hold off other processes; None where none can be at work."""
    is_damaged: bool = True
    """Whether it is a damaged file, and not one that was given up half written."""


@dataclass(frozen=True)
class Damage:
    """What is wrong in a cache."""

    items: tuple[Removal, ...]
    left: tuple[str, ...]
    """What is wrong with files that cannot be made again here, and the way out."""
    n_checked: int
    n_unsealed: int = 0
    """Files without a checksum, of earlier versions."""


@dataclass(frozen=True)
class Removed:
    """What became of the items that were to go."""

    n_files: int
    n_bytes: int
    busy: tuple[Removal, ...]
    """Those that another process works on; they are still there."""


def find_damage(cache: Place) -> Damage:
    """Read every file in full; return what is damaged, and what killed processes have left."""
    items, n_checked, n_unsealed = list(_left_over(cache)), 0, 0
    left = [problem for stream in list_streams(cache) if (problem := stream.problem)]
    for stream, path in _files(cache):
        n_checked += 1
        problem, is_here = _verify(stream, path)
        if problem is None:
            n_unsealed += not is_sealed(path)
            continue
        if is_here and not can_be_read(path):
            left.append(problem)
        elif "imported_as" in stream.description:
            split = stream.description["imported_as"]
            left.append(f"{problem}; it was imported as {split}: import that again with `replace`")
        else:
            items.append(_removal(stream, path, problem))
    return Damage(tuple(items), tuple(left), n_checked, n_unsealed)


def _verify(stream: StreamFolder, path: Path) -> tuple[str | None, bool]:
    """Return what is wrong with a file, and whether it is here; from an object store none comes damaged."""
    try:
        stream.storage.fetch(path)
    except CacheFileError as error:
        return str(error), False
    return verify_apart(path), True


def discard_damaged(cache: Place, paths: Iterable[Path]) -> list[Path]:
    """Delete those of some cached files that are damaged and can be made again; return them.

    Imported features, what cannot be read at all, and what another process works on, stay.

    Raises:
        WriteError: the cache cannot be written.
    """
    wanted = set(paths)
    items = [
        _removal(stream, path, problem)
        for stream, path in _files(cache)
        if path in wanted and "imported_as" not in stream.description
        if (problem := _verify(stream, path)[0]) and (stream.storage.fetches or can_be_read(path))
    ]
    removed = remove(cache, items)
    return [item.path for item in items if item not in removed.busy]


def find_orphans(cache: Place) -> list[Removal]:
    """Return what was made from videos that are gone or have changed since; imported features never are."""
    found = []
    for stream, path in _files(cache):
        # A folder that does not say what it holds may hold what cannot be made again
        is_kept = "imported_as" in stream.description or not stream.description
        reason = None if is_kept else _why_orphan(stream, path)
        if reason:
            found.append(_removal(stream, path, reason))
    return found


def find_selected(
    cache: Place, *, stream: str | None = None, key: str | None = None, older_than_days: float | None = None
) -> list[Removal]:
    """Return what fits each condition that is given.

    Args:
        stream: the name of a stream.
        key: the beginning of a key.
        older_than_days: the least age of a file, by the time it was written.
    """
    newest = math.inf if older_than_days is None else time.time() - older_than_days * 86_400
    return [
        _removal(folder, path, f"made {time.strftime('%Y-%m-%d', time.localtime(seconds))}")
        for folder, path in _files(cache)
        if stream in (None, folder.stream) and folder.key.startswith(key or "")
        if (seconds := _state(folder, path).mtime_ns / 1e9) < newest
    ]


def remove(cache: Place, items: Sequence[Removal]) -> Removed:
    """Delete files that no other process works on, and the folders that are empty then."""
    store, storage, busy, done = FeatureCache(cache), open_storage(cache), [], []
    for item in items:
        with store.claim_name(*item.claim, wait=False) if item.claim else nullcontext(True) as is_ours:
            if not is_ours:
                busy.append(item)
                continue
            if item.path.is_dir():
                shutil.rmtree(item.path)
            else:
                storage.remove(item.path)
            done.append(item)
    if not is_address(cache):  # an object store has no folders
        _tidy(Path(cache), {item.path.parent for item in done})
    return Removed(len(done), sum(item.size_bytes for item in done), tuple(busy))


def _files(cache: Place) -> Iterator[tuple[StreamFolder, Path]]:
    """Yield the entries that lie in the cache itself: a link that leads out of it is nobody's to delete."""
    root = open_storage(cache).folder.resolve()
    for stream in list_streams(cache):
        stream.storage.look_ahead(str(stream.home))
        for path in stream.entries:
            if root in path.resolve().parents and not path.is_symlink():
                yield stream, path


def _removal(stream: StreamFolder, path: Path, reason: str) -> Removal:
    said = stream.description
    if "imported_as" in said:
        claim = import_claim(stream.stream, str(said["imported_as"]))
    else:
        name = path.relative_to(stream.home).as_posix().removesuffix(".h5")
        claim = (str(said.get("folder", "")), name)
    return Removal(path, reason, _state(stream, path).size_bytes, claim)


def _state(stream: StreamFolder, path: Path) -> FileState:
    return stream.storage.state(str(path)) or FileState(0, 0)


def _why_orphan(stream: StreamFolder, path: Path) -> str | None:
    folder = Path(str(stream.description.get("folder", "")))
    try:
        if not holds_rows(stream.storage.fetch(path)):
            gone = "folder" in stream.description and not folder.is_dir()
            return f"learnt from {folder}, which is gone" if gone else None
        entry = read_entry(path)
    except CacheFileError:
        return None  # that is for repair
    if entry.source is None:
        return None
    source = Path(entry.source)
    if not source.exists():
        return f"{source} is gone"
    try:
        is_same = is_unchanged(Video(entry.video, source, folder), entry.identity)
    except VideoError:
        return None  # it is there, but cannot be read now: nothing is known of it
    return None if is_same else f"{source} has changed since"


def _left_over(cache: Place) -> Iterator[Removal]:
    if is_address(cache):  # nothing is there half written
        return
    cache = Path(cache)
    oldest = time.time() - _LEFT_OVER_SECONDS
    for path in (*cache.glob("*/*/**/.*.tmp"), *cache.glob(f"{STAGING}*")):
        if not path.is_symlink() and path.stat().st_mtime < oldest:
            yield Removal(path, f"{path} was left by a process that was killed", _size(path), None, False)


def _size(path: Path) -> int:
    return sum(part.stat().st_size for part in (path, *path.rglob("*")) if part.is_file())


def _tidy(cache: Path, folders: Iterable[Path]) -> None:
    """Delete folders without entries, upwards; not while another process is at work, which may need them."""
    if any(map(is_locked, (cache / LOCKS).glob("*.lock"))):
        return
    for folder in folders:
        while cache in folder.parents:
            rest = [path for path in folder.iterdir() if path.name != DESCRIPTION] if folder.is_dir() else []
            if rest:
                break
            (folder / DESCRIPTION).unlink(missing_ok=True)
            if folder.is_dir():
                folder.rmdir()
            folder = folder.parent
