"""Room for copies of objects in a store: what was used longest ago goes, what is being written stays."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mulde.data.cache.copies import Copies

Put = Callable[..., Path]
MB = 1_000_000


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copies:
    """Room for 10 MB."""
    monkeypatch.setenv("MULDE_COPIES", str(tmp_path))
    monkeypatch.setenv("MULDE_COPIES_GB", "0.01")
    return Copies("s3://bucket/cache")


@pytest.fixture
def put(copies: Copies) -> Put:
    def put(name: str, *, used_seconds_ago: float, written_seconds_ago: float = 1e6) -> Path:
        path = copies.folder / "velocity" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(2 * MB))
        now = time.time()
        os.utime(path, (now - used_seconds_ago, now - written_seconds_ago))
        return path

    return put


def test_nothing_is_there_at_first(copies: Copies) -> None:
    copies.make_room(100 * MB)
    assert not copies.folder.exists()


def test_what_was_used_longest_ago_goes_until_a_tenth_is_free(copies: Copies, put: Put) -> None:
    files = [put(f"{hours}.h5", used_seconds_ago=3600 * hours) for hours in (3, 1, 5, 2, 4)]
    copies.make_room(2 * MB)  # 12 of 10 MB
    assert [file.stem for file in files if file.exists()] == ["3", "1", "2"]


KEPT = {
    "asked for a moment ago": ("a.h5", 5.0, 1e6),
    "written a moment ago": ("a.h5", 1e5, 5.0),
    "being written for long": (".a.h5.0123456789ab.tmp", 1e6, 1e6),
}


@pytest.mark.parametrize(("name", "used", "written"), KEPT.values(), ids=KEPT)
def test_what_is_in_use_stays(copies: Copies, put: Put, name: str, used: float, written: float) -> None:
    file = put(name, used_seconds_ago=used, written_seconds_ago=written)
    other = put("other.h5", used_seconds_ago=3600)
    copies.make_room(20 * MB)
    assert (file.exists(), other.exists()) == (True, False)


def test_what_others_have_taken_is_seen_after_a_tenth(copies: Copies, put: Put) -> None:
    copies.make_room(MB // 2)
    old = put("old.h5", used_seconds_ago=3600)
    for name in "abcd":  # of another process
        put(f"{name}.h5", used_seconds_ago=1)
    copies.make_room(MB // 4)
    assert old.exists()
    copies.make_room(MB)
    assert not old.exists()
