"""Open somebody's HDF5 files: what they hold must be in them, and as large as they say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mulde.data.errors import InputError
from mulde.data.files import require_file
from mulde.data.foreign.arrays import reading
from mulde.data.foreign.limits import check_unpacked

_MOST_NESTED = 50
_PLAIN = "iufbS"
_IN_ONE_PIECE = (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT)


@contextmanager
def open_plain(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading; what goes wrong while it is open becomes an InputError that names it.

    Raises:
        InputError: it is no HDF5 file, links to other places or files, or claims more than is there.
    """
    with reading(path):
        require_file(path)
        with h5py.File(path, "r") as file:
            require_plain(file)
            yield file


def require_plain(file: h5py.File) -> None:
    """Raise InputError where an open file links to other places or files, or claims more than is there."""
    n_bytes = _measure(file, {_address(file)}, 0)
    check_unpacked(file.filename, n_bytes, file.id.get_filesize())


def read_array(dataset: h5py.Dataset) -> NDArray[Any]:
    """Read a dataset of numbers, of text of fixed length, or of references.

    Raises:
        InputError: it holds something else, such as rows of any length, which may take any memory.
    """
    dtype = dataset.dtype
    if dtype.kind not in _PLAIN and h5py.check_ref_dtype(dtype) is None:
        raise InputError(f"{_where(dataset)} holds {dtype}, not plain numbers")
    if dataset.shape is None:
        raise InputError(f"{_where(dataset)} is empty")
    return np.asarray(dataset[()])


def plain_dataset(group: h5py.Group, name: str) -> h5py.Dataset:
    """Return a dataset that is in the file itself, and as large as it says.

    Raises:
        InputError: it is not there, a link, kept in other files, claims more than is there, or is no dataset.
    """
    item = _plain(group, name)
    if not isinstance(item, h5py.Dataset):
        raise InputError(f"{_where(item)} is no dataset")
    n_bytes, n_kept = item.nbytes, item.id.get_storage_size()
    if n_bytes > n_kept:
        check_unpacked(_where(item), n_bytes, n_kept)
    return item


def own_dataset(group: h5py.Group, name: str) -> h5py.Dataset:
    """Return a dataset of a file that mulde has written: plain, and in one piece as it is in memory.

    What is packed or in chunks can be far larger than its file, and has HDF5 load filters, which are code.

    Raises:
        InputError: it is not there, not plain, or kept in another way.
    """
    dataset = plain_dataset(group, name)
    kept = dataset.id.get_create_plist()
    if kept.get_layout() not in _IN_ONE_PIECE or kept.get_nfilters():
        raise InputError(f"{_where(dataset)} is packed or in chunks, as mulde writes none")
    if dataset.dtype.kind not in _PLAIN:  # rows of any length lie in a heap, which may have no end
        raise InputError(f"{_where(dataset)} holds {dataset.dtype}, not plain numbers")
    n_bytes, n_kept = dataset.nbytes, dataset.id.get_storage_size()
    if n_bytes > n_kept:
        raise InputError(f"{_where(dataset)} claims {n_bytes} bytes, and holds {n_kept}")
    return dataset


def own_group(group: h5py.Group, name: str) -> h5py.Group:
    """Return a group of a file that mulde has written.

    What is a dataset in its place can claim rows without end, which whoever goes through its names would see.

    Raises:
        InputError: it is not there, a link, or no group.
    """
    item = _plain(group, name)
    if not isinstance(item, h5py.Group):
        raise InputError(f"{_where(item)} is no group")
    return item


def _plain(group: h5py.Group, name: str) -> h5py.HLObject:
    if _link_type(group, name) != h5py.h5l.TYPE_HARD:
        where = f"{_where(group).rstrip('/')}/{name}"
        raise InputError(f"{where} is a link: only what is in the file itself is read; copy it there")
    item = group[name]
    if isinstance(item, h5py.Dataset):
        kept = item.id.get_create_plist()
        if kept.get_layout() == h5py.h5d.VIRTUAL or kept.get_external_count():
            where = _where(item)
            raise InputError(f"{where} is kept in other files, which are not read: copy it into this one")
    return item


def _link_type(group: h5py.Group, name: str | bytes) -> int:
    """Return how a group holds something: `group.get(name, getlink=True)` takes ten times as long."""
    encoded = name if isinstance(name, bytes) else name.encode("utf-8", "surrogateescape")  # h5py's own way
    try:
        return int(group.id.links.get_info(encoded).type)
    except (RuntimeError, KeyError):  # as h5py's versions have it
        raise InputError(f"{_where(group).rstrip('/')}/{name!s} is not in the file") from None


def _measure(group: h5py.Group, seen: set[tuple[int, int]], depth: int) -> int:
    """Return how many bytes the datasets of a group would take in memory, and check that it is plain."""
    if depth > _MOST_NESTED:
        raise InputError(f"{_where(group)} is nested more than {_MOST_NESTED} deep")
    n_bytes = 0
    for name in group:
        item = _plain(group, name)
        if _address(item) in seen:  # a group can even hold itself
            raise InputError(f"{_where(item)} is a second name of something else in the file: copy it there")
        seen.add(_address(item))
        if isinstance(item, h5py.Group):
            n_bytes += _measure(item, seen, depth + 1)
        elif isinstance(item, h5py.Dataset):
            n_bytes += item.nbytes
    return n_bytes


def _where(item: h5py.HLObject) -> str:
    """Return the file and the name in it, for messages: to ask for them takes as long as to read."""
    return f"{item.file.filename}, {item.name}"


def _address(item: h5py.HLObject) -> tuple[int, int]:
    """Return what tells an object of a file from all others."""
    info = h5py.h5o.get_info(item.id)
    return int(info.fileno), int(info.addr)
