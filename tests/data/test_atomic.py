"""Writing: what cannot be written is said in one sentence, and what was there stays."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path

import pytest

from mulde.data.atomic import WriteError, make_folder, replacing, require_writable, write_bytes, writing
from mulde.data.errors import InputError


def test_what_was_there_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    for content in (b"", b"first", b"second"):
        write_bytes(path, content)
        assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    path = tmp_path / f"{'n' * 251}.csv"
    write_bytes(path, b"content")
    assert path.read_bytes() == b"content"


@pytest.mark.parametrize(
    ("number", "way_out"),
    [(errno.ENOSPC, "make room"), (errno.EDQUOT, "make room"), (errno.EROFS, "another folder"),
     (errno.EACCES, "its rights"), (errno.ENOENT, "deleted meanwhile")],
)  # fmt: skip
def test_errors_of_the_disk_name_the_folder(number: int, way_out: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("before")
    with pytest.raises(WriteError, match=way_out) as caught, replacing(path) as temporary:
        temporary.write_text("half")
        raise OSError(number, os.strerror(number))
    assert str(caught.value).startswith(f"{tmp_path} cannot be written ({os.strerror(number)}): ")
    assert (path.read_text(), list(tmp_path.iterdir())) == ("before", [path])
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # it comes from workers


@pytest.mark.parametrize(
    "error", [OSError(errno.EMFILE, "Too many open files"), OSError(errno.ENOENT, "No such file", "/else")]
)
def test_errors_of_something_else_stay_what_they_are(error: OSError, tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught, writing(tmp_path):
        raise error
    assert caught.value is error


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    with (
        pytest.raises(WriteError, match="gone cannot be written"),
        replacing(tmp_path / "gone" / "a") as file,
    ):
        file.write_text("a")


def test_a_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="cannot be written"):
        make_folder(tmp_path / "file" / "below")


def test_a_device_that_is_full() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with pytest.raises(WriteError, match="/dev cannot be written"), writing(Path("/dev")):
        Path("/dev/full").write_bytes(b"a")


def test_a_folder_is_made_and_tried(tmp_path: Path) -> None:
    require_writable(tmp_path / "a" / "b", "folder", "choose")
    assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "c").write_text("")
    with pytest.raises(InputError, match=r"folder .*c cannot be written .*: choose"):
        require_writable(tmp_path / "c", "folder", "choose")


def test_a_relative_folder_is_known_by_its_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WriteError, match=r"^run cannot be written"), writing(Path("run")):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(tmp_path / "run" / ".lock"))
