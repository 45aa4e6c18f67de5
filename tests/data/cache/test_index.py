"""The index of a cache: it says what the files say, and is believed only while they are the same."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from mulde.data.cache import index
from mulde.data.cache.entries import Entry, read_entry
from mulde.data.cache.folders import FolderStorage
from mulde.data.cache.store import FeatureCache, StreamKey
from mulde.data.features import FeatureRows
from mulde.data.identity import identify
from mulde.data.video import DecodeReport, Video

KEYS = {stream: StreamKey(stream, {"bins": 8, "folder": "/videos"}) for stream in ("boxes", "velocity")}
REPORT = DecodeReport("pyav", 10, 12, 25.0, 64, 48, warnings=("2 frames are missing",))


def fill(
    cache: FeatureCache, videos: list[Video], n_rows: int = 2, keys: Mapping[str, StreamKey] = KEYS
) -> None:
    for video in videos:
        for key in keys.values():
            with cache.writer(key, video, 3, has_boxes=False) as writer:
                frame = np.arange(n_rows, dtype=np.int64)
                writer.append(FeatureRows(np.ones((n_rows, 3), np.float32), frame))
                writer.commit(identify(video, with_digest=True), REPORT, np.arange(10) / 25)


def look(
    folder: Path, videos: list[Video], keys: Mapping[str, StreamKey] = KEYS
) -> tuple[list[dict[str, Entry]], FeatureCache]:
    """Look up all videos as a command does that has just begun."""
    cache = FeatureCache(folder)
    return [cache.find_all(keys, video) for video in videos], cache


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return a list that gets every file that is opened for what it says."""
    paths: list[Path] = []

    def read(path: Path) -> Entry:
        paths.append(path)
        return read_entry(path)

    monkeypatch.setattr("mulde.data.cache.store.read_entry", read)
    return paths


@pytest.fixture
def videos(tmp_path: Path) -> list[Video]:
    found = []
    for name in ("a", "cam 1/b.c", "cam 1/ü"):
        path = tmp_path / "videos" / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
        found.append(Video(name, path, tmp_path / "videos"))
    return found


@pytest.fixture
def folder(tmp_path: Path, videos: list[Video], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a cache of three videos that has been looked through and is indexed."""
    monkeypatch.setattr(FolderStorage, "few", 2)
    fill(FeatureCache(tmp_path / "cache"), videos)
    look(tmp_path / "cache", videos)[1].index.save()
    return tmp_path / "cache"


def test_an_empty_cache_has_no_index(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "cache")
    cache.index.save()
    assert not cache.folder.exists()


def test_few_files_are_not_worth_an_index(tmp_path: Path, videos: list[Video]) -> None:
    fill(FeatureCache(tmp_path / "cache"), videos)
    look(tmp_path / "cache", videos)[1].index.save()
    assert not (tmp_path / "cache" / index.INDEX).exists()


def test_files_that_are_known_are_not_opened(folder: Path, videos: list[Video], opened: list[Path]) -> None:
    found, _ = look(folder, videos)
    assert opened == []
    for entries in found:
        assert entries.keys() == KEYS.keys()
        for entry in entries.values():
            # the name of the file is all that a file does not say itself, below a key
            said = read_entry(entry.path)
            assert (entry.identity, entry.report, entry.source) == (said.identity, said.report, said.source)
            assert (entry.video, entry.n_rows, entry.n_features) == (said.video, 2, 3)


def test_a_video_below_a_folder_that_is_no_unicode_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: list[Path]
) -> None:
    monkeypatch.setattr(FolderStorage, "few", 2)
    path = tmp_path / "caf\udce9" / "a.mp4"
    path.parent.mkdir()
    path.write_bytes(b"a")
    videos = [Video("a", path, path.parent)]
    fill(FeatureCache(tmp_path / "cache"), videos)
    look(tmp_path / "cache", videos)[1].index.save()
    opened.clear()
    ((boxes, velocity),) = (entries.values() for entries in look(tmp_path / "cache", videos)[0])
    assert (boxes.source, velocity.source) == (str(path), str(path))
    assert opened == []


def test_what_was_written_again_is_opened(folder: Path, videos: list[Video], opened: list[Path]) -> None:
    fill(FeatureCache(folder), videos[1:2], n_rows=5)
    found, cache = look(folder, videos)
    assert [entry.n_rows for entry in found[1].values()] == [5, 5]
    assert len(opened) == 2
    cache.index.save()
    opened.clear()
    assert [[entry.n_rows for entry in entries.values()] for entries in look(folder, videos)[0]] == [
        [2, 2], [5, 5], [2, 2],
    ]  # fmt: skip
    assert opened == []


OTHERS = {stream: StreamKey(stream, {"bins": 9, "folder": "/videos"}) for stream in KEYS}


def test_an_index_has_the_files_of_all_settings_that_are_in_the_cache(
    folder: Path, videos: list[Video], opened: list[Path]
) -> None:
    fill(FeatureCache(folder), videos, keys=OTHERS)
    look(folder, videos, keys=OTHERS)[1].index.save()
    opened.clear()
    for keys in (KEYS, OTHERS):
        found, _ = look(folder, videos, keys=keys)
        assert [{entry.home for entry in entries.values()} for entries in found] == [
            {str(folder / key.stream / key.key) for key in keys.values()}
        ] * 3
    assert opened == []
    (path,) = (folder / index.INDEX).iterdir()
    for key in KEYS.values():
        shutil.rmtree(folder / key.stream / key.key)
    fill(FeatureCache(folder), videos, n_rows=3, keys=OTHERS)
    look(folder, videos, keys=OTHERS)[1].index.save()
    with sqlite3.connect(path) as table:
        known = [json.loads(known) for (known,) in table.execute("SELECT known FROM videos")]
    assert [sorted(each["files"]) for each in known] == [
        sorted(f"{key.stream}/{key.key}" for key in OTHERS.values())
    ] * 3
    assert [len(each["said"]) for each in known] == [1, 1, 1]  # of one pass, and nothing of before


def test_an_index_is_named_after_the_place_whatever_streams_are_called(
    tmp_path: Path, videos: list[Video], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FolderStorage, "few", 2)
    keys = {name: StreamKey(name, {"folder": "/videos"}) for name in ("my-flow", "x-", "x-..", "plain")}
    fill(FeatureCache(tmp_path / "cache"), videos, keys=keys)
    look(tmp_path / "cache", videos, keys=keys)[1].index.save()
    (place,) = {key.key.partition("-")[2] for key in keys.values()}
    assert [path.name for path in tmp_path.rglob("*.sqlite")] == [f"{place}.sqlite"]


def test_what_another_version_says_of_other_settings_is_not_looked_at(
    folder: Path, videos: list[Video], opened: list[Path]
) -> None:
    fill(FeatureCache(folder), videos, keys=OTHERS)
    look(folder, videos, keys=OTHERS)[1].index.save()
    (path,) = (folder / index.INDEX).iterdir()
    others = {f"{key.stream}/{key.key}" for key in OTHERS.values()}
    with sqlite3.connect(path) as table:
        for name, known in table.execute("SELECT name, known FROM videos").fetchall():
            row = json.loads(known)
            row["said"].append([*row["said"][0][:4], {"a field of tomorrow": 1}])
            for file in others:
                row["files"][file][-1] = len(row["said"]) - 1
            values = json.dumps(row), index._seal(name, json.dumps(row)), name
            table.execute("UPDATE videos SET known = ?, seal = ? WHERE name = ?", values)
    opened.clear()
    assert [len(entries) for entries in look(folder, videos)[0]] == [2, 2, 2]
    assert opened == []
    assert [len(entries) for entries in look(folder, videos, keys=OTHERS)[0]] == [2, 2, 2]
    assert len(opened) == 6


def test_what_two_processes_learn_is_kept(folder: Path, videos: list[Video], opened: list[Path]) -> None:
    first, second = KEYS, OTHERS
    shutil.rmtree(folder / index.INDEX)
    fill(FeatureCache(folder), videos, keys=second)
    caches = [look(folder, videos, keys=keys)[1] for keys in (first, second)]
    for cache in caches:
        cache.index.save()
    opened.clear()
    for keys in (first, second):
        assert [len(entries) for entries in look(folder, videos, keys=keys)[0]] == [2, 2, 2]
    assert opened == []


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (("files", 2), "7"),
        (("files", 2), -1),
        (("files", 3), True),
        (("files", 3), None),
        (("files", 4), 5),
        (("files", 4), "a"),
        (("said", 0), 5),
        (("said", 1), ["/videos"]),
        (("said", 2), None),
        (("report", "n_frames"), "10"),
        (("report", "width"), 1.5),
        (("report", "fps"), float("nan")),
        (("report", "fps"), "25"),
        (("report", "fps"), -1.0),
    ],
)
def test_values_that_cannot_be_are_not_believed(
    folder: Path, videos: list[Video], opened: list[Path], at: tuple[str, int | str], value: object
) -> None:
    (path,) = (folder / index.INDEX).iterdir()
    with sqlite3.connect(path) as table:
        for name, known in table.execute("SELECT name, known FROM videos").fetchall():
            row = json.loads(known)
            part, place = at
            for each in row["files"].values() if part == "files" else row["said"]:
                (each[4] if part == "report" else each)[place] = value
            values = json.dumps(row), index._seal(name, json.dumps(row)), name
            table.execute("UPDATE videos SET known = ?, seal = ? WHERE name = ?", values)
    found, _ = look(folder, videos)
    assert [[entry.n_rows for entry in entries.values()] for entries in found] == [[2, 2]] * 3
    assert len(opened) == 6


def test_a_file_that_is_gone_is_not_there(folder: Path, videos: list[Video]) -> None:
    FeatureCache(folder).entry_path(KEYS["boxes"], "a").unlink()
    assert [entries.keys() for entries in look(folder, videos)[0]] == [{"velocity"}, {*KEYS}, {*KEYS}]


def test_a_video_that_has_changed_is_not_taken_for_that_of_before(folder: Path, videos: list[Video]) -> None:
    videos[0].path.write_bytes(b"another")
    assert look(folder, videos)[0][0] == {}


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def _replace(path: Path) -> None:
    path.write_bytes(b"no database")


def _lie(path: Path) -> None:
    with sqlite3.connect(path) as table:
        table.execute("UPDATE videos SET known = replace(known, '2, 3', '7, 3')")


def _change_columns(path: Path) -> None:
    with sqlite3.connect(path) as table:
        table.execute("ALTER TABLE videos DROP COLUMN known")


def _never_end(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as table:
        table.execute(
            "CREATE VIEW videos AS WITH RECURSIVE c(name) AS (SELECT 'a' UNION ALL SELECT 'a' FROM c) "
            "SELECT * FROM c WHERE name = 'b'"
        )


def _be_another_table(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as table:
        table.execute("CREATE TABLE videos (name TEXT)")
        table.execute("INSERT INTO videos VALUES ('a')")


def _be_no_text(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content.replace(b"CREATE TABLE videos (name", b"CREATE TABLE videos (n\xffme"))


@pytest.mark.parametrize(
    "damage", [_be_no_text, _cut, _replace, _lie, _change_columns, _never_end, _be_another_table, Path.unlink]
)
def test_a_damaged_index_is_not_believed(
    folder: Path, videos: list[Video], opened: list[Path], damage: Callable[[Path], None]
) -> None:
    for path in (folder / index.INDEX).iterdir():
        damage(path)
    found, _ = look(folder, videos)
    assert [[entry.n_rows for entry in entries.values()] for entries in found] == [[2, 2]] * 3
    assert len(opened) == 6


def test_an_index_of_before_is_written_anew(folder: Path, videos: list[Video], opened: list[Path]) -> None:
    for path in (folder / index.INDEX).iterdir():
        path.unlink()
        with sqlite3.connect(path) as table:
            table.execute("CREATE TABLE entries (name TEXT PRIMARY KEY, state TEXT) WITHOUT ROWID")
    look(folder, videos)[1].index.save()
    opened.clear()
    assert [len(entries) for entries in look(folder, videos)[0]] == [2, 2, 2]
    assert opened == []


@pytest.mark.parametrize("asked", [[], [0], [2, 0, 1]])
def test_what_is_found_of_many_is_what_is_found_of_each(
    folder: Path, videos: list[Video], opened: list[Path], asked: list[int]
) -> None:
    cache, some = FeatureCache(folder), [(videos[number], KEYS) for number in asked]
    assert cache.find_many(some) == [cache.find_all(KEYS, video) for video, _ in some]
    assert opened == []
    fill(cache, videos[:1], n_rows=5)
    videos[1].path.write_bytes(b"another")
    (folder / "velocity" / KEYS["velocity"].key / f"{videos[2].name}.h5").unlink()
    found = cache.find_many([(video, KEYS) for video in videos])
    assert found == [cache.find_all(KEYS, video) for video in videos]
    assert [[entry.n_rows for entry in entries.values()] for entries in found] == [[5, 5], [], [2]]


def test_an_index_that_cannot_be_written_stays_as_it_is(folder: Path, videos: list[Video]) -> None:
    before = {path: path.read_bytes() for path in (folder / index.INDEX).iterdir()}
    fill(FeatureCache(folder), videos, n_rows=5)
    _, cache = look(folder, videos)
    for path in before:
        path.rename(path.with_suffix(".before"))
        path.mkdir()  # nothing can take its place
    cache.index.save()
    assert not any(any(path.iterdir()) for path in before)
