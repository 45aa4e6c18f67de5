"""HDF5 with a checksum: h5py reads it, a change renews it, and a disk without room is an error, no crash."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

from mulde.data.atomic import WriteError
from mulde.data.hdf5 import new_hdf5, open_to_write
from mulde.data.sealed import ChangedError, check

resource = pytest.importorskip("resource", reason="limits of a process are of Unix")


@pytest.mark.parametrize("n", [0, 1, 100_000])
@pytest.mark.parametrize("libver", ["latest", "earliest"])
def test_what_was_written_is_read(n: int, libver: str, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with new_hdf5(path, libver=libver) as file:
        file["values"] = np.arange(n)
        file.attrs["text"] = "é"
    assert check(path)
    with h5py.File(path, "r") as file:
        np.testing.assert_array_equal(file["values"][()], np.arange(n))
        assert file.attrs["text"] == "é"
    with open_to_write(path, "r+") as file:
        file.attrs["text"] = "longer than before"
    assert check(path)


def test_every_part_is_covered(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with new_hdf5(path) as file:
        file["values"] = np.arange(10.0)
        file.attrs["text"] = "kept in a heap that HDF5 itself does not check"
    whole = path.read_bytes()
    for position in range(0, len(whole), 41):
        changed = bytearray(whole)
        changed[position] ^= 1
        path.write_bytes(changed)
        with pytest.raises(ChangedError):
            check(path)


def test_a_file_of_before_can_be_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["values"] = np.arange(10.0)
    with open_to_write(path, "r+") as file:
        file.attrs["text"] = "more"
    assert not check(path)
    with h5py.File(path, "r") as file:
        assert file.attrs["text"] == "more"


@contextmanager
def room_for(n_bytes: int) -> Iterator[None]:
    """Let no file of this process be longer."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("n_bytes", [0, 511, 600, 2000, 9000, 80_000])
def test_without_room_it_is_one_error_and_no_crash(n_bytes: int, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(b"before")
    with (
        room_for(n_bytes),
        pytest.raises(WriteError, match=r"cannot be written \(File too large\)"),
        new_hdf5(path) as file,
    ):
        file["values"] = np.arange(100_000)
        file.attrs["text"] = "a"
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"before"
