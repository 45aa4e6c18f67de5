"""HDF5 files with a checksum, written so that a full disk is an error and no crash."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import h5py

from mulde.data.atomic import replacing
from mulde.data.sealed import BLANK, seal_stream

USER_BLOCK_BYTES = 512
"""In front of what HDF5 wrote; libraries of HDF5 skip it."""
_USER_BLOCK = f"mulde HDF5, {BLANK}\n".encode().ljust(USER_BLOCK_BYTES, b"\0")


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
            stream.write(_USER_BLOCK)
            seal_stream(stream)
        if stream.error is not None:
            raise stream.error


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
