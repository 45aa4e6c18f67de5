"""HDF5 files that never end: those of others, and damaged ones, are first looked through elsewhere."""

from __future__ import annotations

import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from mulde.data import harmless
from mulde.data.cache.entries import (
    CacheFileError,
    RowsInOrder,
    holds_rows,
    read_entry,
    read_frame_seconds,
    read_rows,
    verify_apart,
)
from mulde.data.cache.rows import CachedRows
from mulde.data.cache.store import write_rows
from mulde.data.errors import InputError
from mulde.data.features import FeatureRows
from mulde.data.foreign import apart
from mulde.data.harmless import require_harmless
from mulde.data.hdf5 import _HEAD_BYTES, is_ours, new_hdf5, open_to_write
from mulde.data.identity import SourceIdentity
from mulde.data.sealed import seal
from mulde.data.video import DecodeReport

Change = Callable[[Path, pytest.MonkeyPatch], None]


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    """A file of the cache, as extraction writes it."""
    path = tmp_path / "velocity" / "0123" / "a.h5"
    with write_rows(path, "a", 2, has_boxes=False, has_spans=False, source="/a.mp4") as writer:
        writer.append(FeatureRows(np.ones((3, 2), np.float32), np.arange(3)))
        report = DecodeReport("pyav", 3, None, 10.0, 64, 48, warnings=("a sentence",) * 50)
        writer.commit(SourceIdentity(1, 2, 1), report, np.arange(3) / 10)
    return path


def sealed(content: bytes) -> bytes:
    """Return a file with the checksum that it has now, which anybody can make."""
    start = content.index(b"checksum: ") + len(b"checksum: ")
    return seal(content[:start] + b"0" * 32 + content[start + 32 :])


def endless(content: bytes) -> bytes:
    """Return an HDF5 file whose heap of texts has a gap of no length: libhdf5 looks for its end for ever."""
    at = content.index(b"GCOL") + 16
    while True:
        number, size = struct.unpack_from("<H6xQ", content, at)
        if number == 0:
            return sealed(content[: at + 8] + bytes(8) + content[at + 16 :])
        at += 16 + (size + 7) // 8 * 8


def make_endless(path: Path, patch: pytest.MonkeyPatch) -> None:
    path.write_bytes(endless(path.read_bytes()))


def damage_head(path: Path, patch: pytest.MonkeyPatch) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(b"GCOL") + 40] ^= 1
    path.write_bytes(content)


def have_another_key(path: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("MULDE_KEY", str(path.with_name("key")))
    path.with_name("key").write_bytes(b"another" * 8)


def have_no_key(path: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("MULDE_KEY", str(path.with_name("none")))


def take_signature_away(path: Path, patch: pytest.MonkeyPatch) -> None:
    content = path.read_bytes()
    start = content.index(b"signed: ")
    path.write_bytes(sealed(content[:start] + bytes(512 - start) + content[512:]))


def change_attribute(path: Path, patch: pytest.MonkeyPatch) -> None:
    with open_to_write(path, "r+") as file:
        file.attrs["source"] = "another text " * 9


def copy(path: Path, patch: pytest.MonkeyPatch) -> None:
    shutil.copyfile(path, path.with_name("b.h5"))
    path.with_name("b.h5").replace(path)


@pytest.mark.parametrize(
    ("change", "is_own"),
    [
        (lambda path, patch: None, True),
        (copy, True),
        (change_attribute, True),
        (have_another_key, False),
        (have_no_key, False),
        (take_signature_away, False),
        (damage_head, False),
        (make_endless, False),
    ],
)
def test_whose_it_is(change: Change, is_own: bool, entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change(entry, monkeypatch)
    assert is_ours(entry) is is_own


def test_nothing_is_ours(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert not is_ours(tmp_path / "empty")


@pytest.mark.parametrize("libver", ["latest", "earliest"])
def test_texts_are_kept_where_it_is_signed(libver: str, entry: Path, tmp_path: Path) -> None:
    with new_hdf5(tmp_path / "b.h5", libver=libver) as file:
        file.attrs["text"] = "a text"
        file["numbers"] = np.zeros(10_000)
    for path in (entry, tmp_path / "b.h5"):
        content = path.read_bytes()
        assert content.rindex(b"GCOL") + 4096 < _HEAD_BYTES


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files for which the other process was asked."""
    paths: list[Path] = []
    read = apart.read_apart

    def note(function: Callable[[Path], None], path: Path) -> None:
        paths.append(path)
        read(function, path)

    monkeypatch.setattr(harmless, "read_apart", note)
    harmless._look_through.cache_clear()
    return paths


def test_our_own_is_opened_at_once(entry: Path, asked: list[Path]) -> None:
    require_harmless(entry)
    assert read_entry(entry).n_rows == 3
    assert asked == []


@pytest.mark.parametrize("change", [have_another_key, take_signature_away])
def test_that_of_another_is_looked_through_once(
    change: Change, entry: Path, asked: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    change(entry, monkeypatch)
    assert len(read_rows(entry)) == read_entry(entry).n_rows == CachedRows([entry]).shape[0] == 3
    assert asked == [entry]


def test_what_never_ends_is_refused(entry: Path, asked: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    make_endless(entry, monkeypatch)
    monkeypatch.setattr(apart, "_LEAST_SECONDS", 2.0)
    for read in (read_entry, read_rows, read_frame_seconds, holds_rows, lambda path: CachedRows([path])):
        started = time.monotonic()
        with pytest.raises(CacheFileError, match=r"made to hang\): run extract again"):
            read(entry)
    assert time.monotonic() - started < 1.0
    assert asked == [entry]  # that it is is known from then on
    assert "made to hang" in str(verify_apart(entry))


def test_rows_of_any_length_are_refused(entry: Path) -> None:
    with open_to_write(entry, "r+") as file:
        del file["features"]
        file["features"] = ["a text"] * 3
    for read in (read_rows, RowsInOrder, lambda path: CachedRows([path])):
        with pytest.raises(CacheFileError, match="not plain numbers"):
            read(entry)


def test_links_are_refused(tmp_path: Path, asked: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"] = h5py.ExternalLink("/etc/passwd", "/")
    for _ in range(2):
        with pytest.raises(InputError, match="is a link"):
            require_harmless(tmp_path / "a.h5")
    assert asked == [tmp_path / "a.h5"]


def test_the_other_process_asks_nobody(entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    have_another_key(entry, monkeypatch)
    monkeypatch.setattr(harmless, "is_apart", lambda: True)
    monkeypatch.setattr(harmless, "read_apart", None)
    require_harmless(entry)
