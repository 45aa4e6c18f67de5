"""Features made elsewhere: every form is read, every mistake is named, all goes in or nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from mulde.data.cache.store import read_entry, read_frame_seconds, read_rows, verify_entry
from mulde.data.errors import InputError
from mulde.data.exchange.clip_lengths import read_clip_lengths, resolve_lengths
from mulde.data.exchange.imports import ImportRequest, import_features, list_imported
from mulde.data.exchange.sources import ForeignSource, numbered, read_foreign

RNG = np.random.default_rng(0)
DENSE = RNG.normal(size=(10, 3))


def objects(counts: list[int], width: int = 34) -> NDArray[np.object_]:
    """Make features in AI-VAD's form: one float64 array (n_objects, width) a frame, some of them empty."""
    frames = np.empty(len(counts), dtype=object)
    for index, count in enumerate(counts):
        frames[index] = RNG.normal(size=(count, width)) if count else np.array([])
    return frames


def take(path: Path, cache: Path, **options: Any) -> dict[str, Path]:
    """Import a source as pose of a/b, and return its entries."""
    settings = {name: options.pop(name) for name in ("fps", "replace", "n_whitened") if name in options}
    import_features(ImportRequest(ForeignSource(path, **options), "pose", "a/b", **settings), cache)
    return list_imported(cache, "a/b")[0].entries


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_ai_vad_form(tmp_path: Path, cache: Path) -> None:
    counts = [0, 2, 1, 0, 0, 3, 1, 0, 0, 0]
    frames, path = objects(counts), tmp_path / "pose.npy"
    np.save(path, frames, allow_pickle=True)
    np.save(tmp_path / "lengths.npy", np.array([4, 7, 10]))  # running sums
    entries = take(path, cache, clip_lengths=tmp_path / "lengths.npy", allow_pickle=True, fps=10.0)
    assert list(entries) == ["01", "02", "03"]
    expected = {"01": [1, 1, 2], "02": [1, 1, 1, 2], "03": []}
    for name, path in entries.items():
        rows, entry = read_rows(path), read_entry(path)
        assert rows.frame.tolist() == expected[name]
        assert (entry.report.fps, entry.n_features, entry.is_imported) == (10, 34, True)
        assert verify_entry(path) is None
    assert [read_entry(path).report.n_frames for path in entries.values()] == [4, 3, 3]
    np.testing.assert_array_equal(read_rows(entries["02"]).features[3], frames[6][0].astype(np.float32))


def test_objects_need_consent(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "pose.npy"
    np.save(path, objects([1, 2]), allow_pickle=True)
    with pytest.raises(InputError, match=r"pose\.npy holds Python objects.*any program.*`allow_pickle`"):
        take(path, cache)


def test_boxes_in_the_form_of_the_features(tmp_path: Path, cache: Path) -> None:
    counts = [2, 0, 1]
    boxes = objects(counts, 4)
    np.save(tmp_path / "pose.npy", objects(counts), allow_pickle=True)
    np.save(tmp_path / "box.npy", boxes, allow_pickle=True)
    entries = take(tmp_path / "pose.npy", cache, boxes=tmp_path / "box.npy", allow_pickle=True)
    found = read_rows(entries["pose"]).box_xyxy
    np.testing.assert_array_equal(found, np.concatenate([boxes[0], boxes[2]]).astype(np.float32))
    np.save(tmp_path / "box.npy", objects([1, 1, 1], 4), allow_pickle=True)
    with pytest.raises(InputError, match=r"box\.npy and .*pose\.npy differ in their number of objects"):
        take(tmp_path / "pose.npy", cache, boxes=tmp_path / "box.npy", allow_pickle=True)


def test_one_dense_array_of_a_split(tmp_path: Path, cache: Path) -> None:
    np.save(tmp_path / "all.npy", DENSE)
    entries = take(tmp_path / "all.npy", cache, lengths=(4, 6), names=("x/one", "two"), n_whitened=2)
    assert set(entries) == {"x/one", "two"}
    rows = read_rows(entries["two"])
    np.testing.assert_array_equal(rows.features, DENSE[4:].astype(np.float32))
    assert rows.frame.tolist() == list(range(6))
    np.testing.assert_allclose(read_frame_seconds(entries["two"]), np.arange(6) / 25)
    (found,) = list_imported(cache)
    assert (found.stream, found.n_features, found.traits.n_whitened, found.split) == ("pose", 3, 2, "a/b")
    said = json.loads((found.home / "stream.json").read_text())
    assert said["from"] == str(tmp_path / "all.npy")
    assert (said["n_videos"], said["n_frames"]) == (2, 10)


def write_npy(path: Path) -> None:
    np.save(path.with_suffix(".npy"), DENSE)


def write_npz(path: Path) -> None:
    np.savez(path.with_suffix(".npz"), anything=DENSE)


def write_h5(path: Path) -> None:
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        file["anything"] = DENSE


def write_npz_rows(path: Path) -> None:
    np.savez(path.with_suffix(".npz"), features=DENSE, frame=np.arange(10), n_frames=10, fps=12.5)


def write_h5_rows(path: Path) -> None:
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        file["features"], file["frame"], file["box"] = DENSE, np.arange(10), np.zeros((10, 4))
        file["start"], file["stop"] = np.arange(10) - 1, np.arange(10) + 1
        file.attrs["n_frames"], file.attrs["fps"] = 10, 12.5


@pytest.mark.parametrize("write", [write_npy, write_npz, write_h5, write_npz_rows, write_h5_rows])
def test_folder_with_a_file_a_video(tmp_path: Path, cache: Path, write: Callable[[Path], None]) -> None:
    folder = tmp_path / "features"
    (folder / "cam1").mkdir(parents=True)
    for name in ("10", "9", "cam1/a"):
        write(folder / name)
    (folder / "._9.npy").write_bytes(b"macOS")
    entries = take(folder, cache)
    assert set(entries) == {"10", "9", "cam1/a"}
    for path in entries.values():
        rows = read_rows(path)
        np.testing.assert_array_equal(rows.features, DENSE.astype(np.float32))
        assert rows.frame.tolist() == list(range(10))
        assert read_entry(path).report.n_frames == 10
    if write is write_h5_rows:
        assert rows.start is not None
        assert rows.start[:2].tolist() == [-1, 0]
        assert read_entry(path).report.fps == 12.5


@pytest.mark.parametrize(
    ("told", "options", "seconds", "fps"),
    [
        ({}, {}, np.arange(10) / 25, 25.0),
        ({"fps": 10.0}, {}, np.arange(10) / 10, 10.0),
        ({"frame_seconds": np.arange(10) / 5}, {}, np.arange(10) / 5, 5.0),
        ({"frame_seconds": 100 + np.arange(10) / 5, "fps": 25.0}, {}, np.arange(10) / 5, 5.0),
        ({"frame_seconds": np.arange(10) / 5, "fps": 25.0}, {"fps": 2.0}, np.arange(10) / 2, 2.0),
    ],
)
def test_times_of_frames_come_before_a_rate(
    tmp_path: Path,
    cache: Path,
    told: dict[str, Any],
    options: dict[str, Any],
    seconds: np.ndarray,
    fps: float,
) -> None:
    np.savez(tmp_path / "a.npz", features=DENSE, frame=np.arange(10), n_frames=10, **told)
    (path,) = take(tmp_path / "a.npz", cache, **options).values()
    np.testing.assert_allclose(read_frame_seconds(path), seconds, atol=1e-9)
    assert read_entry(path).report.fps == pytest.approx(fps)


def test_one_file_with_an_array_a_video(tmp_path: Path, cache: Path) -> None:
    np.savez(tmp_path / "a.npz", **{"10": DENSE, "9": DENSE[:4]})
    entries = take(tmp_path / "a.npz", cache)
    assert {name: read_entry(path).n_rows for name, path in entries.items()} == {"9": 4, "10": 10}
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["9"], file["cam1/10"] = DENSE[:4], DENSE
        file["cam1/11/features"], file["cam1/11/frame"] = DENSE, np.zeros(10, int)
        file["cam1/11"].attrs["n_frames"] = 3
    entries = take(tmp_path / "a.h5", cache, replace=True)
    found = {
        name: (read_entry(path).n_rows, read_entry(path).report.n_frames) for name, path in entries.items()
    }
    assert found == {"9": (4, 4), "cam1/10": (10, 10), "cam1/11": (10, 3)}


def test_objects_in_an_archive_are_refused(tmp_path: Path, cache: Path) -> None:
    for arrays in ({"a": objects([1, 2])}, {"a": objects([1, 2]), "b": DENSE}):
        np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
        with pytest.raises(InputError, match=r"a\.npz, a holds Python objects"):
            take(tmp_path / "a.npz", cache)


def test_rows_without_a_measurement_are_kept(tmp_path: Path, cache: Path) -> None:
    values = DENSE.copy()
    values[3] = np.nan
    np.save(tmp_path / "a.npy", values)
    entries = take(tmp_path / "a.npy", cache)
    assert np.isnan(read_rows(entries["a"]).features[3]).all()
    assert verify_entry(entries["a"]) is None


def changed(row: int, column: int, value: float) -> NDArray[np.float64]:
    values = DENSE.copy()
    values[row, column] = value
    return values


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"features": np.zeros((0, 0))}, r"features have shape \(0, 0\)"),
        ({"features": np.zeros(5)}, r"a\.npz: features have shape \(5,\)"),
        ({"features": np.array([["x"]])}, r"features have shape \(1, 1\) of <U1"),
        ({"features": changed(7, 1, np.nan)}, r"a\.npz: row 7 holds NaN"),
        ({"features": changed(2, 0, np.inf)}, r"a\.npz: row 2 holds NaN or infinite"),
        ({"features": changed(2, 0, 1e60)}, r"a\.npz: row 2 holds .* beyond float32"),
        ({"features": DENSE, "frame": np.arange(9), "n_frames": 10}, r"10 rows of features, but 9 of frame"),
        ({"features": DENSE, "frame": np.arange(10)}, r"how many frames has the video"),
        (
            {"features": DENSE, "frame": np.arange(10), "n_frames": 9},
            r"frames 0 to 9, but there are 9 frames",
        ),
        ({"features": DENSE, "frame": np.arange(10)[::-1], "n_frames": 10}, r"row 1 is of frame 8.*frame 9"),
        ({"features": DENSE, "frame": np.arange(10) / 2, "n_frames": 10}, r"a whole number per row"),
        ({"features": DENSE, "box": np.zeros((10, 3))}, r"box has shape \(10, 3\), expected \(10, 4\)"),
        ({"features": DENSE, "box": np.zeros((9, 4))}, r"10 rows of features, but 9 of box"),
        ({"features": DENSE, "frame": np.full(10, np.inf), "n_frames": 10}, r"a whole number per row"),
        ({"features": np.float32(1)}, r"a\.npz holds one number"),
        ({"features": DENSE, "start": np.arange(10)}, r"both start and stop"),
        ({"features": DENSE, "n_frames": 11}, r"10 rows, one a frame, but 11 frames"),
        ({"features": DENSE, "fps": 0.0}, r"fps is 0\.0"),
        (
            {"features": DENSE, "frame_seconds": np.arange(9.0)},
            r"frame_seconds has shape \(9,\), not \(10,\)",
        ),
        ({"features": DENSE, "frame_seconds": np.full(10, np.nan)}, r"frame_seconds must be finite"),
        ({"features": DENSE, "frame_seconds": -np.arange(10.0)}, r"frame_seconds .* must not go back"),
        ({"feats": DENSE, "frames": np.arange(10)}, r"a\.npz, frames: features have shape \(10,\)"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, cache: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=message):
        take(tmp_path / "a.npz", cache)
    assert [path.name for path in cache.iterdir()] == [".locks"]


def test_mistakes_in_a_split_are_named_by_their_place_in_the_file(tmp_path: Path, cache: Path) -> None:
    np.save(tmp_path / "dense.npy", changed(7, 1, np.nan))
    with pytest.raises(InputError, match=r"dense\.npy: row 7 holds NaN"):
        take(tmp_path / "dense.npy", cache, lengths=(5, 5))
    frames = objects([1, 0, 2, 1])
    frames[2][1, 5] = np.nan
    np.save(tmp_path / "pose.npy", frames, allow_pickle=True)
    with pytest.raises(InputError, match=r"pose\.npy: an object of frame 2 holds NaN"):
        take(tmp_path / "pose.npy", cache, lengths=(2, 2), allow_pickle=True)
    np.savez(tmp_path / "rows.npz", features=DENSE, frame=np.arange(10))
    with pytest.raises(InputError, match=r"rows of frames 0 to 9, but there are 8 frames"):
        take(tmp_path / "rows.npz", cache, lengths=(4, 4))
    frames[3] = np.zeros((1, 33))
    np.save(tmp_path / "pose.npy", frames, allow_pickle=True)
    with pytest.raises(InputError, match=r"frame 3 holds an array of shape \(1, 33\), not \(n_objects, 34\)"):
        take(tmp_path / "pose.npy", cache, lengths=(2, 2), allow_pickle=True)


def test_videos_that_differ_are_refused_and_leave_nothing(tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "features"
    folder.mkdir()
    np.save(folder / "1.npy", np.zeros((4, 3)))
    np.save(folder / "2.npy", np.zeros((4, 2)))
    with pytest.raises(
        InputError, match=r"2\.npy: video 2 has 2 features per row.*those before it 3 features"
    ):
        take(folder, cache)
    assert [path.name for path in cache.iterdir()] == [".locks"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "are not there"),
        (b"", "cannot be read"),
        (b"hello", "cannot be read"),
        ("folder", "holds no file"),
    ],
)
def test_sources_that_are_none(
    tmp_path: Path, cache: Path, content: bytes | str | None, message: str
) -> None:
    path = tmp_path / "a.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        path.mkdir()
    with pytest.raises(InputError, match=message):
        take(path, cache)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": 1}, "holds one dict, expected an array per frame"),
        ([["x"], np.zeros((1, 2))], "frame 0 holds list, not numbers"),
        ([np.zeros(0), np.zeros(0)], "holds no object in any of its 2 frames"),
        ([np.zeros(3), np.zeros((1, 2))], r"frame 0 holds an array of shape \(3,\), not \(n_objects, D\)"),
    ],
)
def test_objects_that_are_none(tmp_path: Path, cache: Path, content: Any, message: str) -> None:
    array = np.empty(len(content) if isinstance(content, list) else (), dtype=object)
    array[...] = content
    np.save(tmp_path / "pose.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=message):
        take(tmp_path / "pose.npy", cache, allow_pickle=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lengths": (4, 5)}, r"`lengths` add up to 9"),
        ({"lengths": (10, 0)}, r"at least 1 frame"),
        ({"lengths": (4, 6), "names": ("a",)}, r"1 video names are given, but there are 2 clip lengths"),
        ({"lengths": (4, 6), "names": ("a", "a")}, r"two videos would be called a"),
        ({"lengths": (4, 6), "names": ("a", "../b")}, r"'\.\./b' is no video name"),
        ({"names": ("a", "b")}, r"one file without clip lengths is one video"),
    ],
)
def test_lengths_and_names_must_fit(tmp_path: Path, cache: Path, options: Any, message: str) -> None:
    np.save(tmp_path / "all.npy", DENSE)
    with pytest.raises(InputError, match=message):
        take(tmp_path / "all.npy", cache, **options)


@pytest.mark.parametrize(("n", "names"), [(0, ()), (2, ("01", "02")), (100, None)])
def test_numbered_names(n: int, names: tuple[str, ...] | None) -> None:
    found = numbered(n)
    assert len(found) == n
    assert found == names if names is not None else (found[0], found[-1]) == ("001", "100")


@pytest.mark.parametrize(
    ("values", "n_frames", "expected"),
    [
        ([5], 5, [5]),
        ([180, 150, 120], 450, [180, 150, 120]),
        ([180, 330, 450], 450, [180, 150, 120]),
        ([0, 180, 330, 450], 450, [180, 150, 120]),
        ([180, 150, 120], None, [180, 150, 120]),
        ([0, 180, 330], None, [180, 150]),
        ([5, 5], 5, "add up to 10 and end with 5, but the features are of 5 frames"),
        ([120, 150, 180], None, "could be lengths or their running sums"),
        ([120, 150, 180], 450, [120, 150, 180]),
        ([120, 150, 180], 180, [120, 30, 30]),
        ([120, 150], 271, "add up to 270 and end with 150"),
        ([0], None, "add up to 0"),
        ([3, -1], None, "add up to 2"),
    ],
)
def test_lengths_or_running_sums(values: list[int], n_frames: int | None, expected: list[int] | str) -> None:
    if isinstance(expected, str):
        with pytest.raises(InputError, match=expected):
            resolve_lengths(values, n_frames, "lengths")
    else:
        assert resolve_lengths(values, n_frames, "lengths") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", None), ("3 x", None), ("3.5", None), ("3, 4\n5\n", [3, 4, 5]), ("180", [180])],
)
def test_clip_lengths_as_text(tmp_path: Path, text: str, expected: list[int] | None) -> None:
    path = tmp_path / "lengths.txt"
    path.write_text(text)
    if expected is None:
        with pytest.raises(InputError, match=r"lengths\.txt"):
            read_clip_lengths(path)
    else:
        assert read_clip_lengths(path).tolist() == expected


def test_importing_again(tmp_path: Path, cache: Path) -> None:
    source = tmp_path / "a.npy"
    np.save(source, DENSE)
    (first,) = take(source, cache).values()
    before = first.stat().st_mtime_ns
    take(source, cache)
    assert first.stat().st_mtime_ns == before
    np.save(source, DENSE + 1)
    with pytest.raises(InputError, match=r"already imported from .*a\.npy.*`replace`"):
        take(source, cache)
    assert read_rows(first).features[0, 0] == np.float32(DENSE[0, 0])
    (second,) = take(source, cache, replace=True).values()
    assert not first.exists()
    assert read_rows(second).features[0, 0] == np.float32(DENSE[0, 0] + 1)
    second.write_bytes(b"damaged")
    (mended,) = take(source, cache, replace=True).values()
    assert verify_entry(mended) is None


@pytest.mark.parametrize(
    ("stream", "split"),
    [("", "a"), ("../x", "a"), ("pose", ""), ("pose", "a//b"), ("pose", "../a"), ("p/q", "a")],
)
def test_names_that_are_none(stream: str, split: str) -> None:
    with pytest.raises(InputError, match="is no name of"):
        ImportRequest(ForeignSource(Path("a.npy")), stream, split)


def _external_link(file: h5py.File) -> None:
    file["features"] = h5py.ExternalLink("other.h5", "features")


def _loop(file: h5py.File) -> None:
    file["features"], file["b"] = h5py.SoftLink("/b"), h5py.SoftLink("/features")


def _external_storage(file: h5py.File) -> None:
    file.create_dataset("features", (2, 3), "f4", external=[("/etc/passwd", 0, 24)])


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((2, 3), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "features", (2, 3))
    file.create_virtual_dataset("features", layout)


def _claims_rows(file: h5py.File) -> None:
    file.create_dataset("features", (2**31, 4), "f4", chunks=(1024, 4))


def _claims_frames(file: h5py.File) -> None:
    file["features"], file["frame"] = np.ones((3, 4), np.float32), np.arange(3)
    file.attrs["n_frames"] = 2**40


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_external_link, r"/features is a link: only what is in the file itself is read"),
        (_loop, r"is a link"),
        (_external_storage, r"/features is kept in other files, which are not read"),
        (_virtual, r"/features is kept in other files"),
        (_claims_rows, r"a\.h5 would take 34\.4 GB of memory"),
        (_claims_frames, r"the times of 1099511627776 frames would take 8\.8e\+03 GB"),
    ],
)
@pytest.mark.parametrize("beside", [False, True], ids=["one array", "several videos"])
def test_hostile_hdf5_is_refused(tmp_path: Path, make: Any, message: str, beside: bool) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        make(file.create_group("video") if beside else file)
    with pytest.raises(InputError, match=message):
        list(read_foreign(ForeignSource(path)))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("..", "no video name"),
        ("/a", "no video name"),
        ("a/../../b", "no video name"),
        ("x" * 300, "too long"),
    ],
)
def test_names_that_lead_elsewhere(tmp_path: Path, cache: Path, name: str, message: str) -> None:
    np.savez(tmp_path / "a.npz", **{name: DENSE, "b": DENSE})
    with pytest.raises(InputError, match=message):
        take(tmp_path / "a.npz", cache)
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("a.npz", "cache")] == []


def test_names_with_control_characters_are_spelt(tmp_path: Path, cache: Path) -> None:
    np.savez(tmp_path / "a.npz", **{"\x1b[2J\n": DENSE, "b": DENSE})
    take(tmp_path / "a.npz", cache)
    assert {path.name for path in cache.rglob("*.h5")} == {"%1B[2J%0A.h5", "b.h5"}
