from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mulde.data.errors import InputError
from mulde.data.foreign.arrays import PickleError, open_npz, read_npy


def header(shape: str, descr: str = "'<f4'") -> bytes:
    """Return the beginning of a .npy file, whatever follows."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def encrypted(content: bytes) -> bytes:
    """Return a zip file that claims to be encrypted."""
    data = bytearray(content)
    data[data.find(b"PK\x03\x04") + 6] |= 1
    data[data.find(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def packed(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


@pytest.mark.parametrize(
    "values", [np.zeros((0, 3)), np.arange(6).reshape(2, 3), np.array(1.5), np.array([True])]
)
@pytest.mark.parametrize("mapped", [False, True])
def test_arrays_come_back(tmp_path: Path, values: np.ndarray, mapped: bool) -> None:
    np.save(tmp_path / "a.npy", values)
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy", mapped=mapped), values)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b"PK\x03\x04junk", "cannot be read"),
        (b"\x93NUMPY", "cannot be read"),
        (
            header("(1099511627776, 4)"),
            r"claims an array of \(1099511627776, 4\), 17592186044416 bytes, but 0 are",
        ),
        (header("(-1, 4)"), r"claims an array of \(-1, 4\)"),
        (header("((((("), "cannot be read"),
        (header("(2,)") + b"1234567", "8 bytes, but 7 are there"),
        (header("(2,)", "'|O'"), "holds Python objects"),
    ],
)
def test_damaged_arrays(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.npy.*{message}"):
        read_npy(tmp_path / "a.npy")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("x.npy", content)
    with open_npz(tmp_path / "a.npz") as archive, pytest.raises(InputError, match=rf"a\.npz, x.*{message}"):
        archive.read("x")


def test_archive_comes_back(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(3), y=np.zeros((0, 2)))
    with open_npz(tmp_path / "a.npz") as archive:
        assert archive.names == ["x", "y"]
        np.testing.assert_array_equal(archive.read("x"), [0, 1, 2])


@pytest.mark.parametrize(
    "content", [b"", b"junk", packed(x=np.zeros(500))[:200], encrypted(packed(x=np.zeros(5)))]
)
def test_damaged_archives(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npz.* cannot be read"), open_npz(tmp_path / "a.npz") as archive:
        archive.read("x")


def test_archive_that_unpacks_to_too_much(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x.npy", header("(0,)") + bytes(10**6))
        file.getinfo("x.npy").file_size = 2**33 - 2**32  # what its directory claims
    with pytest.raises(InputError, match=r"would take 4\.29 GB of memory"), open_npz(tmp_path / "a.npz"):
        pass


def test_objects_are_told_from_damage(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(PickleError):
        read_npy(tmp_path / "a.npy")
