"""Repair and prune: what goes, what stays, and that nothing outside the cache is touched."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from mulde.data.cache.care import discard_damaged, find_damage, find_orphans, find_selected, remove
from mulde.data.cache.entries import list_streams
from mulde.data.cache.store import FeatureCache, StreamKey
from mulde.data.exchange.imports import ImportRequest, import_features, list_imported
from mulde.data.exchange.sources import ForeignSource
from mulde.data.features import FeatureRows
from mulde.data.hdf5 import USER_BLOCK_BYTES
from mulde.data.identity import identify
from mulde.data.video import DecodeReport, Video

NAMES = ("a", "cam/b", "c")


@pytest.fixture
def videos(tmp_path: Path) -> dict[str, Video]:
    folder, found = tmp_path / "videos", {}
    for name in NAMES:
        path = folder / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        found[name] = Video(name, path, folder)
    return found


@pytest.fixture
def key(tmp_path: Path) -> StreamKey:
    return StreamKey("velocity", {"folder": str(tmp_path / "videos")})


@pytest.fixture
def cache(tmp_path: Path, videos: dict[str, Video], key: StreamKey) -> FeatureCache:
    """A cache with three videos and an imported one."""
    cache = FeatureCache(tmp_path / "cache")
    for video in videos.values():
        with cache.writer(key, video, 2, has_boxes=False) as writer:
            writer.append(FeatureRows(np.zeros((3, 2), np.float32), np.arange(3)))
            report = DecodeReport("pyav", 3, 3, 25.0, 64, 48)
            writer.commit(identify(video, with_digest=True), report, np.arange(3) / 25)
    np.save(tmp_path / "made.npy", np.zeros((4, 3)))
    request = ImportRequest(ForeignSource(tmp_path / "made.npy"), "velocity", "ped2/testing")
    import_features(request, cache.folder)
    (tmp_path / "made.npy").unlink()  # imported features stand for themselves
    return cache


def test_nothing_to_do(cache: FeatureCache, tmp_path: Path) -> None:
    assert (find_damage(tmp_path / "empty").n_checked, find_orphans(tmp_path / "empty")) == (0, [])
    damage = find_damage(cache.folder)
    assert (damage.items, damage.left, damage.n_checked) == ((), (), 4)
    assert find_orphans(cache.folder) == []
    assert remove(cache.folder, []).n_files == 0


def test_repair_deletes_what_extract_can_make_again(
    cache: FeatureCache, videos: dict[str, Video], key: StreamKey
) -> None:
    path = cache.entry_path(key, "cam/b")
    path.write_bytes(path.read_bytes()[:700])
    (item,) = find_damage(cache.folder).items
    assert item.path == path
    removed = remove(cache.folder, [item])
    assert (removed.n_files, removed.n_bytes, removed.busy) == (1, 700, ())
    assert not path.exists()
    assert cache.find(key, videos["a"]) is not None
    assert find_damage(cache.folder).items == ()


def test_what_cannot_be_read_is_left(cache: FeatureCache, key: StreamKey) -> None:
    path = cache.entry_path(key, "a")
    path.unlink()
    path.mkdir()  # as a file on a failing disk: whether it is whole is not known
    damage = find_damage(cache.folder)
    assert damage.items == ()
    assert "is no file" in damage.left[0]
    assert discard_damaged(cache.folder, [path]) == []
    assert path.exists()


def test_damaged_features_are_discarded_where_they_are_needed(cache: FeatureCache, key: StreamKey) -> None:
    paths = [cache.entry_path(key, name) for name in NAMES]
    (imported,) = list_imported(cache.folder)[0].entries.values()
    for path in (paths[0], paths[1], imported):
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    assert discard_damaged(cache.folder, []) == []
    assert discard_damaged(cache.folder, [paths[0], paths[2], imported]) == [paths[0]]
    assert [path.exists() for path in (*paths, imported)] == [False, True, True, True]
    assert [item.path for item in find_damage(cache.folder).items] == [paths[1]]


def test_files_of_before_are_counted(cache: FeatureCache, key: StreamKey) -> None:
    path = cache.entry_path(key, "a")
    path.write_bytes(path.read_bytes()[USER_BLOCK_BYTES:])  # as versions without checksums wrote it
    damage = find_damage(cache.folder)
    assert (damage.items, damage.left, damage.n_unsealed) == ((), (), 1)


def test_repair_leaves_imported_features(cache: FeatureCache) -> None:
    (path,) = list_imported(cache.folder)[0].entries.values()
    path.write_bytes(b"damaged")
    damage = find_damage(cache.folder)
    assert damage.items == ()
    assert "ped2/testing: import that again with `replace`" in damage.left[0]


def test_repair_clears_what_killed_processes_left(cache: FeatureCache, key: StreamKey) -> None:
    home = cache.entry_path(key, "a").parent
    old, new, folder = home / ".a.h5.0123.tmp", home / ".c.h5.4567.tmp", cache.folder / ".import-0123"
    folder.mkdir()
    for path in (old, new, folder / "a.h5"):
        path.write_bytes(b"12345")
    for path in (old, folder):
        os.utime(path, (1, 1))
    items = find_damage(cache.folder).items
    assert {item.path for item in items} == {old, folder}
    assert remove(cache.folder, items).n_bytes == 10
    assert new.exists()
    assert not old.exists()
    assert not folder.exists()


def test_orphans_are_of_videos_that_are_gone_or_changed(
    cache: FeatureCache, videos: dict[str, Video], key: StreamKey
) -> None:
    videos["a"].path.unlink()
    videos["c"].path.write_text("another content")
    os.utime(videos["cam/b"].path, (1, 1))  # touched, but the same
    cache.entry_path(key, "cam/b").parent.joinpath("d.h5").write_bytes(b"damaged: for repair")
    found = {item.path: item.reason for item in find_orphans(cache.folder)}
    assert found.keys() == {cache.entry_path(key, "a"), cache.entry_path(key, "c")}
    assert found[cache.entry_path(key, "a")].endswith("a.mp4 is gone")
    assert found[cache.entry_path(key, "c")].endswith("c.mp4 has changed since")


def test_a_background_is_an_orphan_where_its_folder_is_gone(cache: FeatureCache, tmp_path: Path) -> None:
    there, gone = (StreamKey("scene", {"folder": str(tmp_path / name)}) for name in ("videos", "gone"))
    cache.write_arrays(there, "all", {"background": np.zeros(3)})
    path = cache.write_arrays(gone, "all", {"background": np.zeros(3)})
    assert [item.path for item in find_orphans(cache.folder)] == [path]


@pytest.mark.parametrize(
    ("conditions", "n"),
    [
        ({}, 4), ({"stream": "pose"}, 0), ({"stream": "velocity"}, 4), ({"key": "zz"}, 0),
        ({"older_than_days": 1}, 1), ({"older_than_days": 0}, 4),
        ({"stream": "velocity", "older_than_days": 3}, 0),
    ],
)  # fmt: skip
def test_selection(cache: FeatureCache, key: StreamKey, conditions: dict[str, float], n: int) -> None:
    two_days_ago = time.time() - 2 * 86_400
    os.utime(cache.entry_path(key, "c"), (two_days_ago, two_days_ago))
    assert len(find_selected(cache.folder, **conditions)) == n  # type: ignore[arg-type]


def test_a_whole_stream_goes_with_its_folder(cache: FeatureCache, key: StreamKey) -> None:
    items = find_selected(cache.folder, key=key.key)
    assert remove(cache.folder, items).n_files == 3
    assert not (cache.folder / "velocity" / key.key).exists()
    assert len(list_imported(cache.folder)) == 1
    remove(cache.folder, find_selected(cache.folder, stream="velocity"))
    assert [path.name for path in cache.folder.iterdir()] == [".locks"]


def test_what_another_process_works_on_stays(
    cache: FeatureCache, videos: dict[str, Video], key: StreamKey
) -> None:
    items = find_selected(cache.folder, key=key.key)
    with cache.claim(videos["a"], wait=False):
        removed = remove(cache.folder, items)
    assert [item.path for item in removed.busy] == [cache.entry_path(key, "a")]
    assert removed.n_files == 2
    assert cache.find(key, videos["a"]) is not None


def test_links_out_of_the_cache_are_left(cache: FeatureCache, key: StreamKey, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    cache.entry_path(key, "a").parent.rename(outside)
    cache.entry_path(key, "a").parent.symlink_to(outside)
    (outside / "a.h5").write_bytes(b"damaged")
    assert find_damage(cache.folder).items == ()
    assert len(find_selected(cache.folder)) == 1


def test_a_link_that_leads_nowhere_is_left(cache: FeatureCache, key: StreamKey, tmp_path: Path) -> None:
    cache.entry_path(key, "lost").symlink_to(tmp_path / "nowhere")
    assert find_damage(cache.folder).items == ()
    assert len(find_selected(cache.folder, key=key.key)) == 3
    (stream,) = (each for each in list_streams(cache.folder) if each.key == key.key)
    n_bytes = sum(path.stat().st_size for path in stream.home.rglob("*.h5") if path.exists())
    assert stream.size == (4, n_bytes)
