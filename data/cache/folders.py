"""A cache in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mulde.data.atomic import require_writable, writing
from mulde.data.cache.storage import LOCKS, FileState, is_entry
from mulde.data.files import sizes_and_times


class FolderStorage:
    """A cache in a folder of this machine, or one that is shared by several."""

    few = 1000
    fetches = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._keys: dict[str, tuple[int, list[str]]] = {}

    def __str__(self) -> str:
        return str(self.folder)

    def require_writable(self) -> None:
        """Raise InputError, naming the folder, if nothing can be written to it."""
        require_writable(self.folder, "cache folder", "choose another `cache`")

    def state(self, path: str) -> FileState | None:
        """Return what a file is like now; None where it is not there."""
        try:
            stat = os.stat(path)  # noqa: PTH116  # of a hundred thousand videos, it counts
        except OSError:
            return None
        return FileState(stat.st_size, stat.st_mtime_ns)

    def states(self, home: str, names: Sequence[str]) -> list[tuple[int, int] | None]:
        """Return the `state` of many entries of a key, by their names without suffix."""
        return sizes_and_times(home, names, ".h5")

    def look_ahead(self, home: str) -> None:
        """Do nothing: a file that is looked at is as quick as a list of all."""

    def look_anew(self) -> None:
        """Do nothing: each file is looked at when it is asked for."""

    def fetch(self, path: Path) -> Path:
        """Return the path: what reads it says what is wrong."""
        return path

    def keep(self, path: Path) -> None:
        """Do nothing: it was written where it belongs."""

    def remove(self, path: Path) -> None:
        """Delete a file, if it is there."""
        path.unlink(missing_ok=True)

    def streams(self) -> list[str]:
        """Return the names of all streams, in order."""
        return _folders_in(str(self.folder))

    def keys(self, stream: str) -> list[str]:
        """Return the keys of a stream, in order; they are listed again where some have come or gone."""
        above = f"{self.folder}{os.sep}{stream}"
        changed = self.state(above)
        if changed is None:
            return []
        known = self._keys.get(stream)
        if known is None or known[0] != changed.mtime_ns:
            known = self._keys[stream] = (changed.mtime_ns, _folders_in(above))
        return known[1]

    def files(self, home: Path) -> Iterator[tuple[str, FileState]]:
        """Yield the path and state of each entry of a key, in any order."""
        for entry in _walk(str(home)):
            # a link may lead nowhere, and another process may have deleted it
            yield entry.path, self.state(entry.path) or FileState(0, 0)

    @contextmanager
    def claim(self, name: str, *, wait: bool, on_wait: Callable[[], None]) -> Iterator[bool]:
        """Hold a name against other processes, by a lock that goes with its process."""
        locks = self.folder / LOCKS
        lock = FileLock(locks / f"{name}.lock", timeout=1 if wait else 0)
        while not lock.is_locked:
            try:
                with writing(self.folder):
                    locks.mkdir(parents=True, exist_ok=True)
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


def _folders_in(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
    except OSError:
        return []


def _walk(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:
        return
    with entries:
        for entry in entries:
            if is_entry(entry.name):
                yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path)
