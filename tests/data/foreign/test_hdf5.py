from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from mulde.data.errors import InputError
from mulde.data.foreign.hdf5 import open_plain, own_dataset, own_group, plain_dataset, read_array
from mulde.data.foreign.rehearse import rehearse

Fill = Callable[[h5py.File], object]


def _contains_itself(file: h5py.File) -> None:
    group = file.create_group("x")
    group["again"] = group


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((2,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (2,))
    file.create_virtual_dataset("x", layout)


def _deep(file: h5py.File) -> None:
    file.create_group("/".join("x" * 60))


@pytest.mark.parametrize("fill", [lambda file: None, lambda file: file.update({"x": np.arange(3)})])
def test_plain_files_are_open(tmp_path: Path, fill: Fill) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        fill(file)
    rehearse(tmp_path / "a.h5")
    with open_plain(tmp_path / "a.h5") as file:
        assert [read_array(plain_dataset(file, name)).tolist() for name in file] in ([], [[0, 1, 2]])


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (lambda file: file.update({"x": h5py.SoftLink("/nowhere")}), "/x is a link"),
        (lambda file: file.update({"x": h5py.SoftLink("/x")}), "/x is a link"),
        (lambda file: file.update({"x": h5py.ExternalLink("other.h5", "/")}), "/x is a link"),
        (
            lambda file: file.create_dataset("x", (4,), "u1", external=[("/etc/hostname", 0, 4)]),
            "in other files",
        ),
        (_virtual, "in other files"),
        (_contains_itself, "/x/again is a second name"),
        (_deep, "nested more than 50 deep"),
        (lambda file: file.create_dataset("x", (2**40,), "u1", chunks=(1024,)), "would take 1.1e.03 GB"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, fill: Fill, message: str) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        fill(file)
    with pytest.raises(InputError, match=message), open_plain(path):
        pass
    with pytest.raises(InputError, match=message):
        rehearse(path)
    with h5py.File(path, "r") as file, pytest.raises(InputError):
        plain_dataset(file, "x")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, None),
        ({"shape": (0, 3), "dtype": "f4", "data": None}, None),
        ({"chunks": (8,)}, "packed or in chunks"),
        ({"chunks": (8,), "compression": "gzip"}, "packed or in chunks"),
        ({"chunks": (8,), "shuffle": True, "fletcher32": True}, "packed or in chunks"),
        ({"maxshape": (None,)}, "packed or in chunks"),
        ({"shape": (2**20,), "data": None}, "claims 8388608 bytes, and holds 0"),
    ],
)
def test_own_datasets_are_in_one_piece(
    tmp_path: Path, options: dict[str, object], message: str | None
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", **{"data": np.arange(8.0), "dtype": "f8", **options})
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert plain_dataset(file, "x").name == "/x"
        if message is None:
            assert own_dataset(file, "x").name == "/x"
            return
        with pytest.raises(InputError, match=message):
            own_dataset(file, "x")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (h5py.Empty("f4"), "is empty"),
        (["a", "bc"], "not plain numbers"),
        (np.zeros(2, [("a", "f4")]), "not plain"),
    ],
)
def test_values_that_are_no_plain_numbers(tmp_path: Path, value: object, message: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = value
    with open_plain(tmp_path / "a.h5") as file, pytest.raises(InputError, match=message):
        read_array(file["x"])


@pytest.mark.parametrize("content", [b"", b"junk", b"\x89HDF\r\n\x1a\n" + b"\0" * 600])
def test_files_that_are_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.h5").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.h5 cannot be read"), open_plain(tmp_path / "a.h5"):
        pass


@pytest.mark.parametrize("look", [plain_dataset, own_dataset, own_group])
@pytest.mark.parametrize("name", ["x", "x/y", b"\xff".decode("utf-8", "surrogateescape")])
def test_what_is_not_there_is_named(
    tmp_path: Path, look: Callable[[h5py.Group, str], object], name: str
) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file, pytest.raises(InputError, match=r"a\.h5, /.* is not in the file"):
        look(file, name)
