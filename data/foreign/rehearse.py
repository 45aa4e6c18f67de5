"""Read an HDF5 file to its end before it is read in earnest: the library never ends on some files."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py

from mulde.data.foreign.apart import read_apart
from mulde.data.foreign.hdf5 import open_plain

_BYTES_A_READ = 2**25


def rehearse(path: Path) -> None:
    """Check, in a process of its own, that all of an HDF5 file can be read.

    Raises:
        InputError: it cannot, reading it does not end, or it is not plain, see `open_plain`.
    """
    stat = path.stat()
    _rehearse(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=16)  # a source is looked at before it is read
def _rehearse(path: Path, size_bytes: int, mtime_ns: int) -> None:
    read_apart(read_all, path)


def read_all(path: Path) -> None:
    """Read all attributes and datasets of a file, and let go of them."""
    with open_plain(path) as file:
        read_attributes(file)
        file.visititems(_read_item)


def _read_item(name: str, item: Any) -> None:
    read_attributes(item)
    if isinstance(item, h5py.Dataset) and item.shape:
        n_rows = max(1, _BYTES_A_READ * item.shape[0] // max(item.nbytes, 1))
        for start in range(0, item.shape[0], n_rows):
            item[start : start + n_rows]


def read_attributes(item: h5py.HLObject) -> None:
    """Read all attributes of a file, group or dataset."""
    for name in item.attrs:
        item.attrs[name]
