"""Copies of files of an object store on this machine: where they are, and how much room they take at most."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path

from mulde.data.atomic import TEMPORARY
from mulde.data.foreign.limits import positive_number

FOLDER_VARIABLE, ROOM_VARIABLE = "MULDE_COPIES", "MULDE_COPIES_GB"
"""Where copies are, and how much room they take at most, if not as below."""
_MOST_GB = 20.0
_IN_USE_SECONDS = 60.0
"""What was asked for so short a time ago may be about to be read."""
_FILLED = 0.9
"""So far is made room, and for so much of the rest nobody looks again, for that takes time: of several
processes each may go beyond the limit by a tenth."""
_ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")


class Copies:
    """The copies of one address."""

    def __init__(self, address: str) -> None:
        self.folder = _folder_of(address)
        """Where they are: in ~/.cache/mulde/copies, or MULDE_COPIES."""
        self._room_bytes = 0.0

    def make_room(self, n_bytes: int) -> None:
        """Delete the copies that were used longest ago, where another of this size has no room.

        What was asked for or written within the last minute stays in any case, as does what is being written.
        """
        self._room_bytes -= n_bytes
        if self._room_bytes >= 0:
            return
        most = positive_number(ROOM_VARIABLE, _MOST_GB) * 1e9
        stats = sorted(_stats_below(self.folder), key=lambda each: _last_used(each[0]))
        total = n_bytes + sum(stat.st_size for stat, _ in stats)
        oldest_in_use = time.time() - _IN_USE_SECONDS
        for stat, path in stats if total > most else ():
            if total <= _FILLED * most or _last_used(stat) > oldest_in_use:
                break
            path.unlink(missing_ok=True)
            total -= stat.st_size
        self._room_bytes = max(0.0, min(most - total, (1 - _FILLED) * most))


def _folder_of(address: str) -> Path:
    given = os.environ.get(FOLDER_VARIABLE)
    above = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(given) if given else Path(above, "mulde", "copies")
    servers = [os.environ.get(name, "") for name in _ENDPOINTS]  # the same address on another server
    digest = hashlib.sha256("\0".join([address, *servers]).encode()).hexdigest()[:8]
    return folder.absolute() / f"{re.sub(r'[^A-Za-z0-9.]+', '-', address)[:60]}-{digest}"


def _last_used(stat: os.stat_result) -> float:
    return max(stat.st_atime, stat.st_mtime)


def _stats_below(folder: Path) -> Iterator[tuple[os.stat_result, Path]]:
    """Yield the copies that are whole, with what they are like."""
    for above, _, names in os.walk(folder):
        for name in names:
            if fnmatch(name, TEMPORARY):  # it counts once it is whole, and who writes it needs it
                continue
            with suppress(OSError):  # another process has made room
                yield Path(above, name).stat(), Path(above, name)
