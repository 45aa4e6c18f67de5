"""Read NumPy's files, .npy and .npz: no pickle is read unless asked for, and no size is believed."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from mulde.data.errors import InputError
from mulde.data.files import require_file
from mulde.data.foreign.limits import check_unpacked

_SUFFIX = ".npy"


class PickleError(InputError):
    """A file holds Python objects, and reading those can run any program."""


def read_npy(path: Path, *, mapped: bool = False) -> NDArray[Any]:
    """Read an array of plain values.

    Args:
        mapped: whether it stays on disk, and is read where it is looked at.

    Raises:
        PickleError: it is of Python objects.
        InputError: it is no .npy file, or is cut short.
    """
    with reading(path):
        require_file(path)
        with path.open("rb") as stream:
            n_bytes = _check_header(str(path), stream, path.stat().st_size)
        # nothing is no mapping
        values = np.load(path, mmap_mode="r" if mapped and n_bytes else None, allow_pickle=False)
        return values if mapped else np.asarray(values)


class Archive:
    """The arrays of an open .npz file, by name."""

    def __init__(self, path: Path, file: zipfile.ZipFile) -> None:
        self._path, self._file = path, file
        self._members = {member.filename.removesuffix(_SUFFIX): member for member in file.infolist()}
        unpacked = sum(member.file_size for member in self._members.values())
        check_unpacked(str(path), unpacked, path.stat().st_size)

    @property
    def names(self) -> list[str]:
        """Names of the arrays, as in the file."""
        return list(self._members)

    def read(self, name: str) -> NDArray[Any]:
        """Read one array.

        Raises:
            PickleError: it is of Python objects.
            InputError: it is damaged, or no array.
        """
        member, where = self._members[name], f"{self._path}, {name}"
        with reading(where):
            if not member.filename.endswith(_SUFFIX):
                raise InputError(f"{where} is no array of NumPy's")
            with self._file.open(member) as stream:
                _check_header(where, stream, member.file_size)
            with self._file.open(member) as stream:
                return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))


@contextmanager
def open_npz(path: Path) -> Iterator[Archive]:
    """Open a .npz file; what goes wrong while it is open becomes an InputError that names it.

    Raises:
        InputError: it is none, or its arrays would take more memory than is allowed.
    """
    with reading(path):
        require_file(path)
        with zipfile.ZipFile(path) as file:
            yield Archive(path, file)


@contextmanager
def reading(where: object) -> Iterator[None]:
    """Make an InputError that names the file of whatever a library raises for a damaged one."""
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{where} cannot be read ({error.strerror or error}): check the file") from None
    except Exception as error:  # NumPy, zipfile, zlib, HDF5 and SciPy let nearly anything through
        told = " ".join(str(error).split())[:200]
        raise InputError(
            f"{where} cannot be read ({type(error).__name__}: {told}): it is damaged, or something else"
        ) from None


def _check_header(where: str, stream: IO[bytes], n_bytes: int) -> int:
    """Return how many bytes the header of an array claims; its file must have as many after it."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype.hasobject:
        raise PickleError(
            f"{where} holds Python objects (pickle), and reading those can run any program with your rights"
        )
    claimed, there = math.prod(shape) * dtype.itemsize, n_bytes - stream.tell()
    if any(length < 0 for length in shape) or claimed > there:
        raise InputError(f"{where} claims an array of {shape}, {claimed} bytes, but {there} are there")
    return claimed
