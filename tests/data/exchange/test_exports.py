"""One file for a whole stream: what was exported is imported again, row by row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from mulde.data.cache.store import (
    FeatureCache,
    StreamKey,
    list_streams,
    read_entry,
    read_frame_seconds,
    read_rows,
)
from mulde.data.errors import InputError
from mulde.data.exchange.exports import export_stream, find_stream
from mulde.data.exchange.imports import ImportRequest, import_features, list_imported
from mulde.data.exchange.sources import ForeignSource
from mulde.data.exchange.traits import FeatureTraits
from mulde.data.features import FeatureRows
from mulde.data.identity import identify
from mulde.data.video import DecodeReport, Video

KEY = StreamKey("pose", {"folder": "/videos", "n_bins": 8})
COUNTS = {"a": 0, "b/Straße": 1, "b/c": 20}


@pytest.fixture(params=["boxes", "clips", "frames"])
def cache(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A cache with three videos, whose frames are not evenly spaced in time."""
    rng, folder = np.random.default_rng(0), tmp_path / "cache"
    for name, n in COUNTS.items():
        source = tmp_path / "videos" / f"{name}.mp4"
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_bytes(b"x" * (n + 1))
        video, frame = Video(name, source, tmp_path / "videos"), np.sort(rng.integers(0, 10, n))
        rows = FeatureRows(
            rng.normal(size=(n, 3)).astype(np.float32),
            frame,
            rng.normal(size=(n, 4)).astype(np.float32) if request.param == "boxes" else None,
            frame - 2 if request.param == "clips" else None,
            frame + 2 if request.param == "clips" else None,
            rng.normal(size=(n, 2)).astype(np.float32) if request.param == "boxes" else None,
        )
        boxes, clips = request.param == "boxes", request.param == "clips"
        with FeatureCache(folder).writer(
            KEY, video, 3, has_boxes=boxes, has_spans=clips, n_extra=2 * boxes
        ) as writer:
            writer.append(rows)
            report = DecodeReport("pyav", 10, 10, 12.5, 64, 48)
            seconds = np.sort([0.0, *rng.uniform(0, 9 / 12.5, 8), 9 / 12.5])
            writer.commit(identify(video, with_digest=True), report, seconds)
    return folder


def test_what_was_exported_is_imported_again(cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "exported" / "pose.h5"
    assert export_stream(find_stream(cache, "pose"), out) == 3
    import_features(ImportRequest(ForeignSource(out), "pose", "again"), tmp_path / "other")
    (found,) = list_imported(tmp_path / "other", "again")
    assert found.entries.keys() == COUNTS.keys()
    for name, path in found.entries.items():
        old = FeatureCache(cache).entry_path(KEY, name)
        before, after = read_rows(old), read_rows(path)
        for column in ("features", "frame", "box_xyxy", "start", "stop"):
            np.testing.assert_array_equal(getattr(before, column), getattr(after, column))
        with h5py.File(out, "r") as file:
            exported = file[name]["extra"][()] if before.extra is not None else None
        np.testing.assert_array_equal(exported, before.extra)
        assert after.extra is None  # of use to people, not to detectors
        np.testing.assert_array_equal(read_frame_seconds(path), read_frame_seconds(old))
        assert (read_entry(path).report.n_frames, read_entry(path).report.fps) == (10, 12.5)
    # and what was imported is exported to the same again
    export_stream(find_stream(tmp_path / "other", "pose"), tmp_path / "twice.h5")
    import_features(ImportRequest(ForeignSource(tmp_path / "twice.h5"), "pose", "again"), tmp_path / "other")


@pytest.mark.parametrize(("rows_are", "expected"), [("objects", True), ("frames", False), (None, False)])
def test_what_rows_are_survives(tmp_path: Path, rows_are: str | None, expected: bool) -> None:
    arrays = {"features": np.zeros((2, 3)), "frame": np.array([1, 4]), "n_frames": 6}
    np.savez(tmp_path / "a.npz", **arrays, **({} if rows_are is None else {"rows_are": rows_are}))
    import_features(ImportRequest(ForeignSource(tmp_path / "a.npz"), "pose", "once"), tmp_path / "cache")
    export_stream(find_stream(tmp_path / "cache", "pose"), tmp_path / "pose.h5")
    import_features(ImportRequest(ForeignSource(tmp_path / "pose.h5"), "pose", "twice"), tmp_path / "cache")
    assert [found.is_of_objects for found in list_imported(tmp_path / "cache")] == [expected, expected]


def test_plain_hdf5_that_every_library_reads(cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "pose.h5"
    export_stream(find_stream(cache, "pose"), out)
    assert out.read_bytes()[:9] == b"\x89HDF\r\n\x1a\n\x00"  # superblock 0: what HDF5 1.0 to 2.0 read
    with h5py.File(out, "r") as file:
        assert file.attrs["format"].decode() == "mulde features"
        assert [name.decode() for name in file["video_names"]] == sorted(
            COUNTS, key=lambda name: name.casefold()
        )
        assert file["b/Straße"].attrs["video"].decode() == "b/Straße"
        assert file["b/c"].attrs["n_rows"] == 20

        def check(name: str, item: h5py.HLObject) -> None:
            for value in item.attrs:
                dtype = item.attrs.get_id(value).dtype
                assert dtype.kind in "SOif"
                assert h5py.check_string_dtype(dtype) is None or h5py.check_string_dtype(dtype).length
            if isinstance(item, h5py.Dataset):
                assert item.compression is None
                assert not item.is_virtual
                assert item.dtype.kind in "fiS"

        file.visititems(check)


def test_only_exports_are_written_over(cache: Path, tmp_path: Path) -> None:
    notes, export = tmp_path / "notes.txt", tmp_path / "pose.h5"
    notes.write_text("mine")
    for _ in range(2):
        assert export_stream(find_stream(cache, "pose"), export) == 3
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["features"] = np.zeros(3)
    for path in (notes, other):
        before = path.read_bytes()
        with pytest.raises(InputError, match=rf"{path.name} is there, and is no export of features"):
            export_stream(find_stream(cache, "pose"), path)
        assert path.read_bytes() == before


def test_one_stream_has_to_be_named(cache: Path, tmp_path: Path) -> None:
    source = tmp_path / "a.npy"
    np.save(source, np.zeros((4, 3)))
    import_features(ImportRequest(ForeignSource(source), "pose", "ped2/testing"), cache)
    with pytest.raises(
        InputError, match=r"2 kinds of pose.*`key` \w+: .*ped2/testing, imported from .*a\.npy"
    ):
        find_stream(cache, "pose")
    assert find_stream(cache, "pose", KEY.key[:4]).key == KEY.key
    with pytest.raises(InputError, match=r"no stream 'nose': it has pose"):
        find_stream(cache, "nose")
    FeatureCache(cache).write_arrays(StreamKey("scene", {}), "all", {"background": np.zeros(3)})
    with pytest.raises(InputError, match="scene is no stream of features"):
        export_stream(find_stream(cache, "scene"), tmp_path / "out.h5")


def test_an_export_names_its_videos_itself(cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "pose.h5"
    export_stream(find_stream(cache, "pose"), out)
    with pytest.raises(InputError, match=r"`lengths` is not for .*pose\.h5"):
        import_features(ImportRequest(ForeignSource(out, lengths=(1, 2)), "pose", "x"), tmp_path / "other")


def test_folder_that_cannot_be_written(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        export_stream(list_streams(cache)[0], tmp_path / "file" / "pose.h5")


def test_what_detectors_should_know_is_carried(cache: Path, tmp_path: Path) -> None:
    traits = FeatureTraits(has_one_unit=True, n_whitened=2, noise_floor=0.5, are_windows=True)
    export_stream(find_stream(cache, "pose"), tmp_path / "pose.h5", traits)
    source, other = ForeignSource(tmp_path / "pose.h5"), tmp_path / "other"
    assert import_features(ImportRequest(source, "pose", "a"), other).taken == traits
    (found,) = list_imported(other, "a")
    assert found.traits == traits
    request = ImportRequest(source, "pose", "b", n_whitened=1, has_one_unit=False)  # said now
    assert import_features(request, other).taken == replace(traits, has_one_unit=False, n_whitened=None)
    (found,) = list_imported(other, "b")
    assert found.traits == replace(traits, has_one_unit=False, n_whitened=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("has_one_unit", 2),
        ("n_whitened", 1.5),
        ("n_whitened", 0),
        ("noise_floor", np.nan),
        ("are_windows", ""),
    ],
)
def test_what_detectors_cannot_know(tmp_path: Path, name: str, value: object) -> None:
    np.savez(tmp_path / "a.npz", features=np.zeros((2, 3)), **{name: value})
    with pytest.raises(InputError, match=f"{name} must be"):
        import_features(ImportRequest(ForeignSource(tmp_path / "a.npz"), "pose", "a"), tmp_path / "cache")
