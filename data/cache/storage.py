"""Where the files of a cache are kept: a folder, or an object store of which this machine has copies.

Whoever reads or writes a file of the cache has a path on this machine. Before it is read, `fetch` has it here
as it is in the cache; after it was written, `keep` has it in the cache. In a folder, both have nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias

from mulde.data.errors import InputError

Place: TypeAlias = Path | str
"""A folder, or the address of an object store, such as s3://bucket/prefix."""
DEFAULT_PLACE = Path(".cache/mulde")
"""Where the cache is unless the user says."""
LOCKS = ".locks"
"""Folder of the cache for the claims of videos that are being extracted."""


class CacheFileError(InputError):
    """A cached file is damaged or is not one of ours."""


class FileState(NamedTuple):
    """What tells a file of the cache from what it was before."""

    size_bytes: int
    mtime_ns: int


class Storage(Protocol):
    """Where the files of a cache are kept."""

    @property
    def folder(self) -> Path:
        """Where the files, or the copies of them, are on this machine."""

    @property
    def fetches(self) -> Storage | None:
        """Itself, if files have to be fetched before they are read."""

    @property
    def few(self) -> int:
        """So many files are read as quickly as an index of them is written."""

    def __str__(self) -> str:
        """Return the place as the user gave it."""

    def require_writable(self) -> None:
        """Raise InputError, naming the place, if nothing can be written to it."""

    def state(self, path: str) -> FileState | None:
        """Return what a file is like now; None where it is not there."""

    def states(self, home: str, names: Sequence[str]) -> list[tuple[int, int] | None]:
        """Return the `state` of many entries of a key, by their names without suffix."""

    def look_ahead(self, home: str) -> None:
        """Learn of all files of a key at once, as many are asked for next; believed until `look_anew`."""

    def look_anew(self) -> None:
        """Forget what `look_ahead` has learnt."""

    def fetch(self, path: Path) -> Path:
        """Have a file here as it is in the cache, and return its path.

        Raises:
            CacheFileError: it is not there, or is damaged.
        """

    def keep(self, path: Path) -> None:
        """Have a file in the cache as it is here, whole or not at all."""

    def remove(self, path: Path) -> None:
        """Delete a file, if it is there."""

    def streams(self) -> list[str]:
        """Return the names of all streams, in order."""

    def keys(self, stream: str) -> list[str]:
        """Return the keys of a stream, in order."""

    def files(self, home: Path) -> Iterator[tuple[str, FileState]]:
        """Yield the path and state of each entry of a key, in any order."""

    def claim(self, name: str, *, wait: bool, on_wait: Callable[[], None]) -> AbstractContextManager[bool]:
        """Hold a name against other processes; gives False where another has it and `wait` is off."""


def is_address(place: object) -> bool:
    """Whether a place is an object store, and no folder."""
    return isinstance(place, str) and "://" in place


def require_folder(place: Place, what: str) -> Path:
    """Return the folder of a cache that has to be in one.

    Args:
        what: needs one, such as "importing needs".

    Raises:
        InputError: it is an address.
    """
    if is_address(place):
        raise InputError(
            f"{place} is no folder, and {what} a cache in a folder of this machine: give another `cache`"
        )
    return Path(place)


def is_entry(name: str) -> bool:
    """Whether a file of this name, without folders, is one of features."""
    return name.endswith(".h5") and not name.startswith(".")
