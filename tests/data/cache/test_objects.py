"""A cache in an object store: what is put is there whole, a claim has one holder, a copy is what is there."""

from __future__ import annotations

import json
import os
import pickle
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from object_stores import Server

from mulde.data.cache import objects
from mulde.data.cache.care import find_damage, find_orphans, remove
from mulde.data.cache.entries import list_streams
from mulde.data.cache.objects import ObjectStorage, StoreError
from mulde.data.cache.rows import CachedRows
from mulde.data.cache.storage import CacheFileError
from mulde.data.cache.store import FeatureCache, StreamKey
from mulde.data.errors import InputError, PackageMissingError
from mulde.data.features import FeatureRows
from mulde.data.identity import identify
from mulde.data.video import DecodeReport, Video

KEYS = {stream: StreamKey(stream, {"bins": 8, "folder": "/videos"}) for stream in ("boxes", "velocity")}
REPORT = DecodeReport("pyav", 10, 12, 25.0, 64, 48)


@pytest.fixture
def video(tmp_path: Path) -> Video:
    path = tmp_path / "videos" / "cam 1" / "ü.mp4"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not decoded here")
    return Video("cam 1/ü", path, tmp_path / "videos")


def write(cache: FeatureCache, video: Video, n_rows: int = 2) -> None:
    for key in KEYS.values():
        with cache.writer(key, video, 3, has_boxes=False) as writer:
            writer.append(FeatureRows(np.ones((n_rows, 3), np.float32), np.arange(n_rows, dtype=np.int64)))
            writer.commit(identify(video, with_digest=True), REPORT, np.arange(10) / 25)
        cache.describe(key)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no copies, as on another machine."""
    monkeypatch.setenv("MULDE_COPIES", str(tmp_path / "elsewhere"))


def test_nothing_is_there_at_first(address: str, video: Video) -> None:
    cache = FeatureCache(address)
    cache.require_writable()
    assert cache.find_all(KEYS, video) == {}
    assert list_streams(address) == []
    assert cache.read_arrays(StreamKey("scene", {}), "all") is None
    cache.index.save()
    assert find_damage(address).n_checked == 0


@pytest.mark.parametrize("are_copies_here", [True, False])
def test_what_was_put_is_found(
    address: str, video: Video, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, are_copies_here: bool
) -> None:
    write(FeatureCache(address), video)
    if not are_copies_here:
        monkeypatch.setenv("MULDE_COPIES", str(tmp_path / "elsewhere"))
    cache = FeatureCache(address)
    (found,) = cache.find_many([(video, KEYS)])
    assert found.keys() == KEYS.keys()
    rows = CachedRows([found["velocity"]])
    np.testing.assert_array_equal(rows.read(0, 9), np.ones((2, 3)))
    rows.close()
    assert [(s.stream, s.size[0], s.description["bins"]) for s in list_streams(address)] == [
        ("boxes", 1, 8),
        ("velocity", 1, 8),
    ]
    video.path.write_bytes(b"another one")
    assert FeatureCache(address).find_all(KEYS, video) == {}
    assert FeatureCache(address).has_file(KEYS["boxes"], video.name)


def test_a_video_that_has_moved_is_found(address: str, video: Video, tmp_path: Path) -> None:
    write(FeatureCache(address), video)
    moved = StreamKey("boxes", {"bins": 8, "folder": "/elsewhere"})
    cache = FeatureCache(address)
    entry = cache.find(moved, video)
    assert entry is not None and not cache.is_settled(moved, entry)
    cache.settle(moved, video, entry)
    there = FeatureCache(address)
    entry = there.find(moved, video)
    assert entry is not None and there.is_settled(moved, entry)


def test_products_of_several_videos_are_kept(address: str, video: Video, elsewhere: None) -> None:
    key = StreamKey("scene", {"folder": "/videos"})
    FeatureCache(address).write_arrays(key, "all", {"grey": np.arange(3)}, made_from=[video])
    found = FeatureCache(address).read_arrays(key, "all", made_from=[video])
    assert found is not None
    np.testing.assert_array_equal(found["grey"], [0, 1, 2])


def test_an_index_saves_downloads(
    address: str, video: Video, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ObjectStorage, "few", 2)
    write(FeatureCache(address), video)
    cache = FeatureCache(address)
    first = cache.find_all(KEYS, video)
    cache.index.save()
    monkeypatch.setenv("MULDE_COPIES", str(tmp_path / "elsewhere"))
    cache = FeatureCache(address)
    found = {name: entry._replace(storage=None) for name, entry in cache.find_all(KEYS, video).items()}
    assert found == {
        # the same file, in another folder for copies
        name: entry._replace(home=str(cache.entry_path(KEYS[name], "x").parent), storage=None)
        for name, entry in first.items()
    }
    assert not list((tmp_path / "elsewhere").rglob("*.h5"))


def test_an_index_has_keys_that_came_after_a_first_look(
    address: str, video: Video, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ObjectStorage, "few", 2)
    cache = FeatureCache(address)
    assert cache.find_all(KEYS, video) == {}
    write(FeatureCache(address), video)
    assert cache.find_all(KEYS, video).keys() == KEYS.keys()
    cache.index.save()
    monkeypatch.setenv("MULDE_COPIES", str(tmp_path / "elsewhere"))
    assert FeatureCache(address).find_all(KEYS, video).keys() == KEYS.keys()
    assert not list((tmp_path / "elsewhere").rglob("*.h5"))


def test_what_another_machine_writes_is_not_taken_for_the_copy(address: str, video: Video) -> None:
    write(FeatureCache(address), video)
    cache = FeatureCache(address)
    path = cache.entry_path(KEYS["boxes"], video.name)
    time.sleep(1.1)  # the times of objects are in seconds
    os.environ["MULDE_COPIES"] += "-elsewhere"
    write(FeatureCache(address), video, n_rows=5)
    os.environ["MULDE_COPIES"] = os.environ["MULDE_COPIES"].removesuffix("-elsewhere")
    assert path.exists()
    assert FeatureCache(address).find_all(KEYS, video)["boxes"].n_rows == 5


def test_what_is_damaged_is_found_deleted_and_made_again(
    address: str, video: Video, elsewhere: None, caplog: pytest.LogCaptureFixture
) -> None:
    write(FeatureCache(address), video)
    store = ObjectStorage(address)
    name = f"boxes/{KEYS['boxes'].key}/{video.name}.h5"
    content = store.read(name)
    assert content is not None
    time.sleep(1.1)
    store.put(name, content[:-1] + b"x")
    entry = FeatureCache(address).find_all(KEYS, video)
    assert entry.keys() == {"velocity"}
    assert f"{address}/{name} was changed after it was written" in caplog.text
    damage = find_damage(address)
    assert [item.size_bytes for item in damage.items] == [len(content)]
    assert remove(address, damage.items).n_files == 1
    assert (find_damage(address).items, find_damage(address).n_checked) == ((), 1)
    with pytest.raises(CacheFileError, match=r"ü.h5 is not there any more: run extract again"):
        store.fetch(store.folder / name)
    video.path.unlink()
    assert [item.reason.endswith("ü.mp4 is gone") for item in find_orphans(address)] == [True]


def test_copies_take_so_much_room(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULDE_COPIES_GB", "0.00001")  # 10 kB
    monkeypatch.setattr("mulde.data.cache.copies._IN_USE_SECONDS", -1.0)
    store = ObjectStorage(address)
    for number in range(5):
        store.put(f"s/k/{number}.h5", bytes(4000))
    for number in (0, 1, 2, 0, 3, 4):
        path = store.fetch(store.folder / "s" / "k" / f"{number}.h5")
        assert path.read_bytes() == bytes(4000)
    here = sorted(path.name for path in store.folder.rglob("*.h5"))
    assert here == ["3.h5", "4.h5"]
    assert len(list(store.files(store.folder / "s" / "k"))) == 5


def test_it_goes_to_other_processes_without_its_lists(address: str) -> None:
    store = ObjectStorage(address)
    for number in range(3):
        store.put(f"s/k/{number}.h5", bytes(10))
    n_bytes = len(pickle.dumps(store))
    store.look_ahead(str(store.folder / "s" / "k"))
    sent = pickle.dumps(store)
    assert len(sent) == n_bytes
    path = store.folder / "s" / "k" / "1.h5"
    assert pickle.loads(sent).state(str(path)) == store.state(str(path)) is not None
    assert pickle.loads(sent).fetch(path).read_bytes() == bytes(10)


class TestClaims:
    """A claim has one holder, as long as that one lives."""

    def test_one_has_it(self, address: str) -> None:
        one, other = ObjectStorage(address), ObjectStorage(address)
        waited = []
        with (
            one.claim("a", wait=False, on_wait=list) as is_first,
            other.claim("a", wait=False, on_wait=list) as is_second,
            other.claim("b", wait=False, on_wait=list) as is_b,
        ):
            assert (is_first, is_second, is_b) == (True, False, True)
        with other.claim("a", wait=True, on_wait=lambda: waited.append(1)) as is_next:
            assert (is_next, waited) == (True, [])
        assert one.read(".locks/a") is None

    def test_it_is_renewed(self, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(objects, "RENEW_SECONDS", 0.05)
        store = ObjectStorage(address)
        with store.claim("a", wait=False, on_wait=list):
            first = store.read(".locks/a")
            deadline = time.monotonic() + 20
            while store.read(".locks/a") == first:
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def test_of_a_process_of_this_machine_that_is_gone(self, address: str) -> None:
        store = ObjectStorage(address)
        gone = {"host": objects._host(), "pid": 2**22 + 1, "token": "x", "count": 0}
        store.put(".locks/a", json.dumps(gone).encode())
        with store.claim("a", wait=False, on_wait=list) as is_ours:
            assert is_ours

    @pytest.mark.parametrize("content", [b'{"host": "another", "pid": 1}', b"", b"[]"])
    def test_of_another_machine_that_says_nothing_any_more(
        self, address: str, monkeypatch: pytest.MonkeyPatch, content: bytes
    ) -> None:
        monkeypatch.setattr(objects, "GIVEN_UP_SECONDS", 0.5)
        monkeypatch.setattr(objects, "_POLL_SECONDS", 0.1)
        store, waited = ObjectStorage(address), []
        store.put(".locks/a", content)
        with store.claim("a", wait=False, on_wait=list) as is_ours:
            assert not is_ours
        began = time.monotonic()
        with store.claim("a", wait=True, on_wait=lambda: waited.append(1)) as is_ours:
            assert is_ours
        assert waited and time.monotonic() - began >= 0.5


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("s3://no-such-bucket/a", "there is no bucket no-such-bucket for s3://no-such-bucket/a: make it"),
        ("zz://bucket/a", "zz://bucket/a is no address that is known"),
    ],
)
def test_an_address_that_cannot_be_used_is_said(address: str, given: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        FeatureCache(given).require_writable()


def test_without_the_package_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    objects._connect.cache_clear()
    with pytest.raises(PackageMissingError, match=r"pip install 'mulde\[s3\]'"):
        FeatureCache("s3://bucket/a").require_writable()


def test_without_the_package_of_a_protocol_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fsspec.registry", reason="fsspec is not installed: pip install 'mulde[s3]'")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)  # type: ignore[attr-defined]
    objects._connect.cache_clear()
    with pytest.raises(InputError, match=r"s3://bucket/a needs a package: pip install 'mulde\[s3\]'"):
        FeatureCache("s3://bucket/a").require_writable()


def test_a_store_that_refuses_is_said(
    store_server: Server, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class _Refusing:
        def find(self, *arguments: object, **options: object) -> None:
            raise PermissionError("Access Denied")

    monkeypatch.setattr(objects, "_connect", lambda address: (_Refusing(), "bucket"))
    with pytest.raises(StoreError, match=r"cannot be used \(Access Denied\): check the credentials"):
        FeatureCache(address).find_many([(Video("a", Path("a"), Path()), KEYS)])


@pytest.mark.parametrize(
    "name", ["../../../../evil.h5", "a/../../../../../evil.h5", "./a.h5", "a//b.h5", "a\\..\\evil.h5"]
)
def test_a_name_that_leads_elsewhere_is_none(address: str, video: Video, name: str) -> None:
    write(FeatureCache(address), video)
    storage = ObjectStorage(address)
    (stream, _) = list_streams(address)
    storage.put(f"{stream.stream}/{stream.key}/{name}", b"whatever")
    home = storage.folder / stream.stream / stream.key
    assert [Path(path).name for path, _ in storage.files(home)] == ["ü.h5"]
