"""Find out whether an HDF5 file of the cache or of a run can be opened: libhdf5 never ends on some."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from mulde.data.errors import InputError
from mulde.data.foreign.apart import is_apart, read_apart
from mulde.data.foreign.hdf5 import open_plain
from mulde.data.foreign.rehearse import read_attributes
from mulde.data.hdf5 import is_ours


def require_harmless(path: Path) -> None:
    """Check that a file of the cache or of a run can be opened and looked through, which may never end.

    What this user's mulde has written, and is as it was, can. All else is first opened in a process of its
    own: what somebody else has made, what is damaged, and what earlier versions have written.

    Raises:
        InputError: it cannot, or looking through it does not end, or it is not plain, see `open_plain`.
        OSError: it cannot be read.
    """
    if is_apart() or is_ours(path):
        return
    stat = path.stat()
    refusal = _look_through(path, stat.st_ino, stat.st_size, stat.st_mtime_ns)
    if refusal:
        raise InputError(refusal)


@lru_cache(maxsize=2**16)  # some bytes a file, which is opened again and again
def _look_through(path: Path, inode: int, size_bytes: int, mtime_ns: int) -> str:
    try:
        read_apart(look_through, path)
    except InputError as error:
        return str(error)
    return ""


def look_through(path: Path) -> None:
    """Read what a file says of itself, with all attributes; its datasets lie there in one piece."""
    with open_plain(path) as file:
        read_attributes(file)
        file.visititems(lambda _, item: read_attributes(item))
