"""HDF5 files with a checksum, written so that a full disk is an error and no crash."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

import h5py

from mulde.data.atomic import replacing
from mulde.data.ours import is_signature, own_key, signature
from mulde.data.sealed import BLANK, seal_stream

USER_BLOCK_BYTES = 512
"""In front of what HDF5 wrote; libraries of HDF5 skip it."""
_FIRST_LINE = f"mulde HDF5, {BLANK}\n"
_SIGNED = re.compile(rb"\Amulde HDF5, checksum: [0-9a-f]{32}\nsigned: ([0-9a-f]{64})\n")
_HEAD_BYTES = 2**14
"""Signed behind the user block: all that HDF5 keeps, in files of ours, of what it has no checksums for."""


@contextmanager
def new_hdf5(path: Path, **options: Any) -> Iterator[h5py.File]:
    """Give an HDF5 file to write to, which takes the place of `path` with its checksum; see `replacing`.

    Raises:
        WriteError: the disk is full, the folder is gone or may not be written.
    """
    with replacing(path) as temporary, open_to_write(temporary, "w", **options) as file:
        yield file


@contextmanager
def open_to_write(
    path: Path, mode: Literal["w", "r+"], *, libver: str = "latest", with_checksum: bool = True
) -> Iterator[h5py.File]:
    """Open an HDF5 file, to write it anew or to change it; its checksum is renewed at the end.

    Args:
        with_checksum: whether a new file gets one, and a user block to hold it.

    Raises:
        OSError: it could not be written.
    """
    with _Patient(path, "w+" if mode == "w" else "r+") as stream:
        block = {"userblock_size": USER_BLOCK_BYTES} if mode == "w" and with_checksum else {}
        try:
            with h5py.File(stream, mode, libver=libver, **block) as file:
                has_block = file.userblock_size >= USER_BLOCK_BYTES
                yield file
        finally:
            if stream.error is not None:
                raise stream.error
        if has_block:  # others have no place for one
            stream.seek(0)
            stream.write(_user_block(stream))
            seal_stream(stream)
        if stream.error is not None:
            raise stream.error


def is_ours(path: Path) -> bool:
    """Whether this user's mulde has written an HDF5 file, and its head is as it was.

    Others can be made so that libhdf5 never ends, or crashes. The rest of the file may be damaged: that is
    for its checksum to tell.

    Raises:
        OSError: it cannot be read.
    """
    key = own_key(make=False)
    if key is None:
        return False
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    found = _SIGNED.match(head)
    return found is not None and is_signature(found[1].decode(), key, head[USER_BLOCK_BYTES:])


def _user_block(stream: IO[bytes]) -> bytes:
    """Return the user block of a file: a place for the checksum, and the signature of its head."""
    key = own_key(make=True)
    stream.seek(USER_BLOCK_BYTES)
    head = stream.read(_HEAD_BYTES - USER_BLOCK_BYTES)
    stream.seek(0)
    signed = "" if key is None else f"signed: {signature(key, head)}\n"
    return f"{_FIRST_LINE}{signed}".encode().ljust(USER_BLOCK_BYTES, b"\0")


class _Patient(io.FileIO):
    """A file that seems to take everything, and has the error afterwards.

    libhdf5 keeps what it could not write, tries again when it is closed, and crashes then.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all, unless an earlier write has failed."""
        rest = memoryview(data).cast("B")
        n_bytes = len(rest)
        while len(rest) and self.error is None:
            try:
                rest = rest[super().write(rest) :]
            except OSError as error:
                self.error = error
        return n_bytes

    def truncate(self, size: int | None = None) -> int:
        """Cut or extend, unless an earlier write has failed."""
        if self.error is None:
            try:
                return super().truncate(size)
            except OSError as error:
                self.error = error
        return size or 0
