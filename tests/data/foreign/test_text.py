from __future__ import annotations

from pathlib import Path

import pytest

from mulde.data.errors import InputError
from mulde.data.foreign.text import parse_json, read_text


@pytest.mark.parametrize("content", [b"", "café".encode(), b"\xef\xbb\xbf" + "café".encode()])
def test_text_comes_back_without_its_mark(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    assert read_text(tmp_path / "a.txt") in ("", "café")


def test_other_encodings_are_named_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("one\ntwo\ncafé".encode("latin-1"))
    with pytest.raises(InputError, match=r"a\.txt:3: this is no UTF-8 text"):
        read_text(tmp_path / "a.txt")
    assert read_text(tmp_path / "a.txt", encoding="latin-1").endswith("café")


@pytest.mark.parametrize("text", ["", "[", "[" * 100_000, b"\xff"])
def test_what_is_no_json(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(text)
    assert parse_json(b'{"a": [1]}') == {"a": [1]}
