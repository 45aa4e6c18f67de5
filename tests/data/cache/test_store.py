"""The cache: files are complete or not there, and belong to the source as it is now."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mulde.data.cache.entries import RowsInOrder
from mulde.data.cache.rows import CachedRows
from mulde.data.cache.store import (
    CacheFileError,
    FeatureCache,
    StreamKey,
    digest_of,
    digests_of,
    list_streams,
    read_entry,
    read_frame_seconds,
    read_rows,
    verify_entry,
)
from mulde.data.errors import InputError
from mulde.data.features import FeatureRows, join_rows
from mulde.data.hdf5 import open_to_write
from mulde.data.identity import identify
from mulde.data.video import DecodeReport, Video

KEY = StreamKey("velocity", {"n_bins": 8, "folder": "/videos"})
REPORT = DecodeReport("pyav", 10, 12, 25.0, 64, 48, warnings=("2 frames are missing",))
SECONDS = np.arange(10) / 25


def make_rows(n: int, n_features: int = 3, first_frame: int = 0) -> FeatureRows:
    rng = np.random.default_rng(n)
    return FeatureRows(
        rng.normal(size=(n, n_features)).astype(np.float32),
        (first_frame + np.sort(rng.integers(0, 10, n))).astype(np.int64),
        rng.uniform(0, 40, (n, 4)).astype(np.float32),
    )


def read_features(paths: list[Path]) -> np.ndarray:  # type: ignore[type-arg]
    """Read all that a detector learns from."""
    rows = CachedRows(paths)
    try:
        return rows.read(0, rows.shape[0])
    finally:
        rows.close()


@pytest.fixture
def video(tmp_path: Path) -> Video:
    path = tmp_path / "videos" / "a.mp4"
    path.parent.mkdir()
    path.write_bytes(b"not decoded here")
    return Video("a", path, path.parent)


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    return FeatureCache(tmp_path / "cache")


def write(
    cache: FeatureCache,
    video: Video,
    *parts: FeatureRows,
    key: StreamKey = KEY,
    report: DecodeReport = REPORT,
) -> Path:
    with cache.writer(key, video, parts[0].n_features, has_boxes=True) as writer:
        for part in parts:
            writer.append(part)
        writer.commit(identify(video, with_digest=True), report, SECONDS)
    return cache.entry_path(key, video.name)


@pytest.mark.parametrize("counts", [[0], [1], [0, 5, 0], [4, 4, 2]])
def test_what_was_written_is_read(cache: FeatureCache, video: Video, counts: list[int]) -> None:
    parts = [make_rows(n, first_frame=10 * i) for i, n in enumerate(counts)]
    path = write(cache, video, *parts)
    expected, found = join_rows(parts), read_rows(path)
    np.testing.assert_array_equal(found.features, expected.features)
    np.testing.assert_array_equal(found.frame, expected.frame)
    np.testing.assert_array_equal(found.box_xyxy, expected.box_xyxy)
    np.testing.assert_array_equal(read_frame_seconds(path), SECONDS)
    entry = read_entry(path)
    assert (entry.n_rows, entry.n_features, entry.report) == (sum(counts), 3, REPORT)


def test_rows_beyond_memory_wait_on_disk(
    cache: FeatureCache, video: Video, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mulde.data.cache.store._SPOOL_BYTES", 64)
    monkeypatch.setattr("mulde.data.cache.store._COPY_ROWS", 7)
    parts = [make_rows(20, first_frame=10 * i) for i in range(4)]
    np.testing.assert_array_equal(read_rows(write(cache, video, *parts)).features, join_rows(parts).features)


def test_rows_out_of_order_are_refused(cache: FeatureCache, video: Video) -> None:
    with pytest.raises(ValueError, match="come after those of frame"):
        write(cache, video, make_rows(5, first_frame=20), make_rows(5))
    assert cache.find(KEY, video) is None


def test_found_only_while_the_source_is_the_same(cache: FeatureCache, video: Video) -> None:
    assert cache.find(KEY, video) is None
    write(cache, video, make_rows(3))
    assert cache.find(KEY, video) is not None
    os.utime(video.path, (1, 1))
    assert cache.find(KEY, video) is not None  # touched, but the same content
    video.path.write_bytes(b"another, longer content")
    assert cache.find(KEY, video) is None


@pytest.mark.parametrize("block_rows", [1, 7, 1000])
@pytest.mark.parametrize("n_rows", [0, 1, 50])
def test_rows_in_order_are_those_of_each_frame(
    cache: FeatureCache, video: Video, n_rows: int, block_rows: int
) -> None:
    rows = make_rows(n_rows)
    write(cache, video, rows)
    in_order = RowsInOrder(cache.entry_path(KEY, "a"), block_rows)
    for index in (0, 1, 1, 4, 5, 6, 7, 8, 9, 10):  # frames may be left out
        expected, found = rows.in_frame(index), in_order.in_frame(index)
        np.testing.assert_array_equal(found.features, expected.features)
        np.testing.assert_array_equal(found.frame, expected.frame)
        np.testing.assert_array_equal(found.box_xyxy, expected.box_xyxy)


def test_damaged_rows_in_order_are_named(cache: FeatureCache, video: Video) -> None:
    write(cache, video, make_rows(5))
    path = cache.entry_path(KEY, "a")
    in_order = RowsInOrder(path, 2)
    path.write_bytes(b"cut short")
    with pytest.raises(CacheFileError, match=r"a\.h5 is damaged"):
        in_order.in_frame(9)


def test_images_are_made_again_for_another_frame_rate(cache: FeatureCache, tmp_path: Path) -> None:
    folder = tmp_path / "frames" / "a"
    folder.mkdir(parents=True)
    (folder / "1.jpg").write_bytes(b"not decoded here")
    video = Video("a", folder, folder.parent)
    write(cache, video, make_rows(3), report=replace(REPORT, backend="images"))
    assert cache.find(KEY, video) is not None
    assert cache.find(KEY, video, REPORT.fps) is not None
    assert cache.find(KEY, video, REPORT.fps + 1) is None


def test_other_settings_are_another_place(cache: FeatureCache, video: Video) -> None:
    other = StreamKey("velocity", {"n_bins": 1, "folder": "/videos"})
    write(cache, video, make_rows(3))
    assert cache.find(other, video) is None
    write(cache, video, make_rows(5), key=other)
    assert len(read_rows(cache.entry_path(KEY, "a"))) == 3
    description = json.loads((cache.folder / "velocity" / KEY.key / "stream.json").read_text())
    assert description["n_bins"] == 8
    assert {(stream.key, len(stream.entries)) for stream in list_streams(cache.folder)} == {
        (KEY.key, 1),
        (other.key, 1),
    }


def test_nothing_is_left_without_commit(cache: FeatureCache, video: Video) -> None:
    with pytest.raises(KeyboardInterrupt), cache.writer(KEY, video, 3, has_boxes=True) as writer:
        writer.append(make_rows(3))
        raise KeyboardInterrupt
    assert cache.find(KEY, video) is None
    assert list(cache.folder.rglob("*.h5*")) == []


def test_killed_writer_leaves_the_old_file(cache: FeatureCache, video: Video) -> None:
    path = write(cache, video, make_rows(3))
    script = (
        "import os, pathlib, sys\n"
        "from mulde.data.hdf5 import new_hdf5\n"
        "with new_hdf5(pathlib.Path(sys.argv[1])) as file:\n"
        "    file['features'] = range(1000)\n"
        "    file.flush()\n"
        "    os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)], check=False).returncode == 9
    assert len(read_rows(path)) == 3
    assert [entry for stream in list_streams(cache.folder) for entry in stream.entries] == [path]


@pytest.mark.parametrize("damage", ["cut", "zeros", "text", "no rows", "future"])
def test_damaged_files_are_named_and_made_again(cache: FeatureCache, video: Video, damage: str) -> None:
    path = write(cache, video, make_rows(300))
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:500])
    elif damage == "zeros":
        path.write_bytes(bytes(path.stat().st_size))
    elif damage == "text":
        path.write_text("hello")
    else:
        with h5py.File(path, "r+") as file:
            if damage == "no rows":
                del file["features"]
            else:
                file.attrs["schema_version"] = 99
    assert cache.find(KEY, video) is None
    assert str(path) in str(verify_entry(path))
    with pytest.raises(CacheFileError, match=r"a\.h5"):
        read_features([path])


@pytest.mark.parametrize(
    ("values", "frame", "is_fine"),
    [
        ((1.0, np.nan), 0, False),
        ((np.nan, 1.0), 0, False),
        ((np.inf, np.inf), 0, False),
        ((0.0, 0.0), 10, False),
        ((0.0, 0.0), -1, False),
        ((np.nan, np.nan), 0, True),  # an object without a measurement of this kind
    ],
)
def test_verify_looks_at_the_values(
    cache: FeatureCache, video: Video, values: tuple[float, float], frame: int, is_fine: bool
) -> None:
    rows = FeatureRows(np.array([values], np.float32), np.array([frame]), np.zeros((1, 4), np.float32))
    assert (verify_entry(write(cache, video, rows)) is None) == is_fine


def test_measures_of_boxes_can_be_missing_one_by_one(cache: FeatureCache, video: Video) -> None:
    rows = FeatureRows(np.array([[1, np.nan]], np.float32), np.array([0]), np.zeros((1, 4), np.float32))
    assert verify_entry(write(cache, video, rows, key=StreamKey("boxes", {}))) is None


@pytest.mark.parametrize("missing", [[], [0], [3, 4], [0, 1, 2, 3, 4]])
def test_rows_without_a_measurement_are_not_learnt_from(
    cache: FeatureCache, video: Video, missing: list[int]
) -> None:
    rows = make_rows(5)
    rows.features[missing] = np.nan
    path = write(cache, video, rows)
    found = read_features([path, path])
    there = np.delete(rows.features, missing, axis=0)
    np.testing.assert_array_equal(found, np.concatenate([there, there]))


def test_clips_keep_the_frames_that_they_cover(cache: FeatureCache, video: Video) -> None:
    frame = np.arange(4)
    rows = FeatureRows(np.zeros((4, 2), np.float32), frame, start=frame - 8, stop=frame + 8)
    with cache.writer(KEY, video, 2, has_boxes=False, has_spans=True) as writer:
        writer.append(join_rows([rows.in_frame(0), rows.in_frame(1)]))
        writer.append(rows.in_frame(3))
        writer.commit(identify(video, with_digest=True), REPORT, SECONDS)
    found = read_rows(cache.entry_path(KEY, video.name))
    assert found.box_xyxy is None
    assert found.start is not None
    assert found.stop is not None
    assert (found.frame.tolist(), found.start.tolist(), found.stop.tolist()) == (
        [0, 1, 3], [-8, -7, -5], [8, 9, 11],
    )  # fmt: skip


@pytest.mark.parametrize("counts", [[0], [0, 5], [4, 3]])
def test_extra_columns_are_kept_beside_the_features(
    cache: FeatureCache, video: Video, counts: list[int]
) -> None:
    parts = [
        replace(
            make_rows(n),
            frame=np.full(n, k, np.int64),
            extra=np.arange(n * 2, dtype=np.float32).reshape(n, 2),
        )
        for k, n in enumerate(counts)
    ]
    with cache.writer(KEY, video, parts[0].n_features, has_boxes=True, n_extra=2) as writer:
        for part in parts:
            writer.append(part)
        writer.commit(identify(video, with_digest=True), REPORT, SECONDS)
    found = read_rows(cache.entry_path(KEY, video.name))
    expected = join_rows(parts)
    assert found.n_features == expected.n_features
    assert found.extra is not None and expected.extra is not None
    np.testing.assert_array_equal(found.extra, expected.extra)
    np.testing.assert_array_equal(found.part(1, 3).extra, expected.extra[1:3])  # type: ignore[arg-type]
    assert verify_entry(cache.entry_path(KEY, video.name)) is None


@pytest.mark.parametrize("extra", [np.zeros((2, 1), np.float32), np.zeros((3, 1)), np.zeros(3, np.float32)])
def test_extra_columns_that_do_not_fit(extra: np.ndarray) -> None:
    with pytest.raises(ValueError, match="extra"):
        replace(make_rows(3), extra=extra)


def test_verify_finds_nothing_wrong(cache: FeatureCache, video: Video) -> None:
    assert verify_entry(write(cache, video, make_rows(3))) is None
    assert (
        verify_entry(cache.write_arrays(StreamKey("scene", {}), "all", {"background": np.zeros((3, 4))}))
        is None
    )


@settings(deadline=None, max_examples=20)
@given(counts=st.lists(st.integers(0, 40), min_size=1, max_size=5))
def test_features_of_many_videos_are_one_matrix(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("split")
    cache, parts, paths = FeatureCache(folder / "cache"), [], []
    for index, n in enumerate(counts):
        source = folder / f"{index}.mp4"
        source.write_bytes(b"x")
        parts.append(make_rows(n))
        paths.append(write(cache, Video(str(index), source, folder), parts[-1]))
    np.testing.assert_array_equal(read_features(paths), np.concatenate([part.features for part in parts]))


def test_features_of_no_video() -> None:
    assert read_features([]).shape == (0, 0)


def test_arrays_come_back(cache: FeatureCache) -> None:
    key = StreamKey("scene", {"a": 1})
    assert cache.read_arrays(key, "all") is None
    cache.write_arrays(key, "all", {"background": np.arange(6).reshape(2, 3), "aspect": np.float64(0.5)})
    found = cache.read_arrays(key, "all")
    assert found is not None
    np.testing.assert_array_equal(found["background"], [[0, 1, 2], [3, 4, 5]])
    assert found["aspect"] == 0.5


def test_a_video_is_claimed_by_one(cache: FeatureCache, video: Video) -> None:
    script = (
        "import sys, time, pathlib\n"
        "from mulde.data.cache.store import FeatureCache\n"
        "from mulde.data.video import Video\n"
        "path = pathlib.Path(sys.argv[2])\n"
        "with FeatureCache(pathlib.Path(sys.argv[1])).claim(Video('a', path, path.parent), wait=True):\n"
        "    print('mine', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    arguments = [sys.executable, "-c", script, str(cache.folder), str(video.path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == b"mine\n"
        with cache.claim(video, wait=False) as is_ours:
            assert not is_ours
        other.kill()  # a lock does not outlive its process
    started = time.monotonic()
    with cache.claim(video, wait=True) as is_ours:
        assert is_ours
    assert time.monotonic() - started < 5


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(InputError, match=r"cannot be written.*another `cache`"):
        FeatureCache(blocked / "cache").require_writable()


@pytest.mark.parametrize(
    ("features", "frame", "box"),
    [
        (np.zeros((2, 3)), np.zeros(2, np.int64), None),
        (np.zeros((2, 3), np.float32), np.zeros(3, np.int64), None),
        (np.zeros((2, 3), np.float32), np.array([1, 0]), None),
        (np.zeros((2, 3), np.float32), np.zeros(2, np.int64), np.zeros((2, 3), np.float32)),
    ],
)
def test_rows_check_themselves(features: np.ndarray, frame: np.ndarray, box: np.ndarray | None) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError):
        FeatureRows(features, frame, box)


def test_rows_of_a_frame() -> None:
    rows = FeatureRows(np.arange(4, dtype=np.float32)[:, None], np.array([0, 2, 2, 5]))
    assert rows.in_frame(2).features.ravel().tolist() == [1, 2]
    assert len(rows.in_frame(1)) == 0


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        (np.zeros(2, np.int64), None),
        (np.zeros(3, np.int64), np.ones(3, np.int64)),
        (np.zeros(2), np.ones(2)),
        (np.zeros(2, np.int64), np.zeros(2, np.int64)),
    ],
)
def test_clips_check_themselves(start: np.ndarray, stop: np.ndarray | None) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError):
        FeatureRows(np.zeros((2, 3), np.float32), np.zeros(2, np.int64), start=start, stop=stop)


def test_rows_with_and_without_boxes_are_not_joined() -> None:
    rows = make_rows(2)
    with pytest.raises(ValueError, match="boxes"):
        join_rows([rows, FeatureRows(rows.features, rows.frame)])


def _out_of_order(file: h5py.File) -> None:
    file["frame"][:] = file["frame"][()][::-1]


def _elsewhere(file: h5py.File) -> None:
    shape = file["features"].shape
    del file["features"]
    file.create_dataset("features", shape, "f4", external=[("/etc/hostname", 0, 4 * shape[0] * shape[1])])


def _linked(file: h5py.File) -> None:
    del file["features"]
    file["features"] = h5py.SoftLink("/features")


def _claimed(file: h5py.File) -> None:
    del file["features"]
    file.create_dataset("features", (2**40, 3), "f4", chunks=(1024, 3))


def _packed(file: h5py.File) -> None:
    features = file["features"][()]
    del file["features"]
    file.create_dataset("features", data=features, chunks=features.shape, compression="gzip")


def _external_boxes(file: h5py.File) -> None:
    shape = file["box"].shape
    del file["box"]
    file.create_dataset("box", shape, "f4", external=[("/etc/hostname", 0, 16 * shape[0])])


def _virtual(file: h5py.File) -> None:
    shape = file["features"].shape
    layout = h5py.VirtualLayout(shape, "f4")
    layout[:] = h5py.VirtualSource("other.h5", "features", shape)
    del file["features"]
    file.create_virtual_dataset("features", layout)


def _unwritten(file: h5py.File) -> None:
    del file["features"]
    file.create_dataset("features", (20, 3), "f4")


def _never_ending(file: h5py.File) -> None:
    report = json.loads(file.attrs["decode_report"])
    file.attrs["decode_report"] = json.dumps({**report, "n_frames": 2**40})


def _infinite(file: h5py.File) -> None:
    file.attrs["schema_version"] = np.inf


def _nested(file: h5py.File) -> None:
    file.attrs["decode_report"] = "[" * 50_000


_OF_ROWS = [_out_of_order, _elsewhere, _linked, _claimed, _packed, _external_boxes, _virtual, _unwritten]


@pytest.mark.parametrize("spoil", [*_OF_ROWS, _nested, _never_ending, _infinite])
def test_hostile_entries_are_damaged(cache: FeatureCache, video: Video, spoil: Callable[..., None]) -> None:
    path = write(cache, video, make_rows(20))
    with open_to_write(path, "r+") as file:  # with the right checksum, as who makes it would
        spoil(file)
    assert path.name in str(verify_entry(path)) and "was changed" not in str(verify_entry(path))
    if spoil in _OF_ROWS:
        with pytest.raises(CacheFileError, match=r"a\.h5"):
            rows = RowsInOrder(path, block_rows=4)
            for index in range(10):
                rows.in_frame(index)
    else:
        assert cache.find(KEY, video) is None


def test_what_was_read_beside_a_video_is_compared(cache: FeatureCache, video: Video) -> None:
    """Boxes that others made: one digest per video, in one folder, and found from another place as well."""
    place = {"folder": "/videos", "boxes_from": ["/a.csv"]}
    first, other = (StreamKey("boxes", {"rate": 10, **place}, beside) for beside in ("ab", "cd"))
    assert first.key == other.key
    path = write(cache, video, make_rows(3), key=first)
    found = cache.find(first, video)
    assert found is not None
    assert found.beside == "ab"
    assert cache.find(other, video) is None
    moved, both = (
        StreamKey("boxes", {"rate": 10, **place, "boxes_from": ["/b.csv"]}, beside) for beside in ("ab", "cd")
    )
    assert moved.kind == first.kind
    assert moved.key != first.key
    assert cache.find(both, video) is None
    elsewhere = cache.find(moved, video)
    assert elsewhere is not None
    assert elsewhere.path == path
    cache.settle(moved, video, elsewhere)
    settled = cache.find(moved, video)
    assert settled is not None
    assert settled.path == cache.entry_path(moved, video.name)
    assert write(cache, video, make_rows(3), key=both) == settled.path  # takes its place
    assert cache.find(first, video) is not None


@pytest.mark.parametrize("values", [[], [["a", 'b"c'], {"z": 1, "a": None}], ["the value's place", 1.5]])
@pytest.mark.parametrize("common", [{}, {"a": 1, "z": {"b": [2.5, "é"]}}, {"a": "the value's place"}])
def test_digests_are_those_of_each(common: dict[str, object], values: list[object]) -> None:
    expected = [digest_of({**common, "features": value}) for value in values]
    assert digests_of(common, "features", values) == expected
