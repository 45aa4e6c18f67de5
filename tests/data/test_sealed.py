"""Checksums: no flipped bit goes unseen, and files of before, without one, are read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mulde.data.sealed import (
    BLANK,
    ChangedError,
    check,
    is_sealed,
    is_whole,
    read_bytes,
    read_json,
    seal,
    write_json,
)


@pytest.mark.parametrize("content", [{}, {"a": 1.5, "b": {"c": "é"}}])
def test_json_reads_back(content: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.json"
    write_json(path, content)
    assert read_json(path) == content
    assert list(json.loads(path.read_text())) == ["checksum", *content]
    assert check(path)
    assert is_sealed(path)


@pytest.mark.parametrize(
    "content",
    [
        b"# " + BLANK.encode() + b"\nbeta: 0.1\n",
        b"<!DOCTYPE html>\n<!-- " + BLANK.encode() + b" -->\n<p>page</p>\n",
        b'{\n  "checksum": "' + b"0" * 32 + b'",\n  "a": 1\n}\n',
        b"mulde HDF5, " + BLANK.encode() + b"\n" + bytes(5000),  # longer than what is looked at first
    ],
)
def test_no_flipped_bit_goes_unseen(content: bytes, tmp_path: Path) -> None:
    path, whole = tmp_path / "file", seal(content)
    assert len(whole) == len(content)
    path.write_bytes(whole)
    assert check(path)
    assert read_bytes(path) == whole
    for bit in [*range(8 * min(len(whole), 120)), 8 * len(whole) - 1]:
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(ChangedError, match="file was changed after it was written"):
            check(path)
        with pytest.raises(ChangedError):
            read_bytes(path)
        assert is_sealed(path)
        assert not is_whole(path)


def test_what_is_cut_or_longer_is_changed(tmp_path: Path) -> None:
    path, whole = tmp_path / "file", seal(b"# " + BLANK.encode() + b"\nbeta: 0.1\n")
    for content in (whole[:-1], whole + b"\n", whole[:45]):
        path.write_bytes(content)
        assert not is_whole(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"stream": "velocity", "key": "24ba6ac4bc61-adbf3e"}',
        b'{\n "evaluate": {\n  "": "' + b"0f" * 32 + b'"\n }\n}',  # a digest of another length
        b"\x89HDF\r\n\x1a\n" + bytes(600),
        b"preset: motion\n",
    ],
)
def test_files_of_before_have_none(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert not check(path)
    assert read_bytes(path) == content
    assert (is_sealed(path), is_whole(path)) == (False, True)


def test_what_is_not_there_is_not_whole(tmp_path: Path) -> None:
    assert not is_whole(tmp_path / "nothing")
