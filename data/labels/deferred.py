"""Values that are read from files when they are first asked for, such as pixel masks, which are large."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Deferred(Generic[T]):
    """A value, the files that it comes from, and how to read it."""

    files: tuple[Path, ...]
    """All files that `read` looks at."""
    read: Callable[[], T]

    @cached_property
    def value(self) -> T:
        """The value; what `read` raises comes out here."""
        return self.read()

    @cached_property
    def digest(self) -> str:
        """Short hash of the files' names, sizes and times: it changes when they do; none is read."""
        total = hashlib.blake2b(digest_size=8)
        for file in self.files:
            stat = file.stat() if file.exists() else None
            known = None if stat is None else (stat.st_size, stat.st_mtime_ns)
            total.update(f"{file.name} {known}\0".encode("utf-8", "surrogateescape"))
        return total.hexdigest()
