"""Write files so that they are there complete or not at all, whenever the process is killed."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from mulde.data.errors import InputError

TEMPORARY = ".*.tmp"
"""What the names look like under which files are written at first; a process that is killed may leave one."""
_GOES_ON = "the same command goes on with what is not finished"
_WAYS_OUT = {
    errno.ENOSPC: f"make room there, or choose another folder; {_GOES_ON}",
    errno.EFBIG: "files of this length are not allowed there: choose another folder",
    errno.EDQUOT: f"make room there, or choose another folder; {_GOES_ON}",
    errno.ENOENT: f"was a folder deleted meanwhile? If so, {_GOES_ON}",
    errno.ENOTDIR: "it must be a folder: choose another",
    errno.ELOOP: "a file in it is a link: put a file in its place",
    errno.EROFS: "choose another folder",
    errno.EACCES: "choose another folder, or check its rights",
    errno.EPERM: "choose another folder, or check its rights",
    errno.EIO: f"is the disk, or the network, in order? {_GOES_ON.capitalize()}",
    errno.ESTALE: f"is the disk, or the network, in order? {_GOES_ON.capitalize()}",
}
_TRIAL_BYTES = 4096


class WriteError(InputError, OSError):
    """A file could not be written, and whatever comes next in its folder could not either."""


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn an error that says that nothing can be written into one sentence that names the folder.

    Raises:
        WriteError: the disk is full, the folder is gone or may not be written.
    """
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        way_out = _WAYS_OUT.get(error.errno or 0)
        named = getattr(error, "filename", None)
        if way_out is None or (
            named is not None and not Path(named).absolute().is_relative_to(folder.absolute())
        ):
            raise
        raise WriteError(f"{folder} cannot be written ({os.strerror(error.errno or 0)}): {way_out}") from None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; on success the file is synced and takes the place of `path`.

    The folder must be there. An exception leaves what was at `path` as it was.

    Raises:
        WriteError: the disk is full, the folder is gone or may not be written.
    """
    temporary = path.with_name(f".{uuid4().hex[:12]}.tmp")  # short: names may have 255 bytes
    try:
        with writing(path.parent):
            yield temporary
            _sync(temporary)
            temporary.replace(path)
            _sync(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file as a whole, with its folder.

    Raises:
        WriteError: the disk is full, the folder is gone or may not be written.
    """
    make_folder(path.parent)
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file as a whole, with its folder; see `encode` and `write_bytes`."""
    write_bytes(path, encode(text))


def append_line(path: Path, line: bytes) -> None:
    """Add a line to a file, and see it on disk; a kill may leave a part of it, which the next one ends.

    Raises:
        WriteError: the disk is full, the folder is gone or may not be written, or the file is a link.
    """
    with writing(path.parent), open(path, "ab+", opener=_open_no_link) as file:
        if file.seek(0, os.SEEK_END) and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
            line = b"\n" + line
        file.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())


def encode(text: str) -> bytes:
    """Return text in UTF-8.

    What is not Unicode, in a path of the user's, becomes an escape such as \\udcff, which JSON gives back.
    """
    return text.encode("utf-8", "backslashreplace")


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, unless it is there.

    Raises:
        WriteError: it cannot be made.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


def require_writable(folder: Path, what: str, remedy: str) -> None:
    """Make a folder if need be and check that files can be written to it.

    Args:
        what: what the folder is to the user, such as "cache folder".
        remedy: the way out, such as "choose another with --out DIR".

    Raises:
        InputError: nothing can be written; the text names the folder, the reason and the way out.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_TRIAL_BYTES))  # an empty file has room on a disk that is full
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{what} {folder} cannot be written ({reason}): {remedy}") from None


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
