"""Score files: what is written reads back, and damage is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from mulde.data.errors import InputError
from mulde.data.foreign import apart
from mulde.data.hdf5 import open_to_write
from mulde.data.sealed import seal
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.scores import (
    ScoredObjects,
    ScoredVideo,
    object_datasets,
    open_scores,
    read_datasets,
    read_looked_at,
    read_objects,
    read_rows_behind,
    read_scores,
    row_datasets,
    to_csv,
    with_scores,
    write_alarms,
    write_scores,
)


def video(n_frames: int = 3) -> ScoredVideo:
    return ScoredVideo(
        "cam1/a",
        np.array([0.1, 1 / 3, 2.0])[:n_frames],
        np.array([0.0, 1.0, 2.0])[:n_frames],
        np.array([0.0, 0.2, 0.5])[:n_frames],
        25.0,
        ("one packet was refused",),
        "rows of clip in 1 of 3 frames",
    )


@pytest.mark.parametrize("n_frames", [1, 3])
def test_frames_read_back(n_frames: int, tmp_path: Path) -> None:
    run, written = RunFolder(tmp_path), video(n_frames)
    write_scores(run, written, {})
    read = read_scores(run, "cam1/a")
    for name in ("scores", "unsmoothed", "seconds"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    assert (read.fps, read.warnings, read.note) == (written.fps, written.warnings, written.note)
    assert read_objects(run, "cam1/a") is None


def test_csv_has_a_row_per_frame() -> None:
    assert to_csv(video(2)) == "frame,time,score,alarm\n0,0.000000,0.1,\n1,0.200000,0.3333333333333333,\n"


@pytest.mark.parametrize("n_objects", [0, 2])
def test_objects_read_back(n_objects: int, tmp_path: Path) -> None:
    objects = ScoredObjects(
        np.array([0, 2])[:n_objects],
        np.array([[0, 0, 4, 8], [2, 2, 9, 9]], dtype=np.float32)[:n_objects],
        {"velocity": np.array([1.0, 2.0])[:n_objects], "pose": np.array([0.5, 0.25])[:n_objects]},
        np.array([1.5, 2.25])[:n_objects],
    )
    write_scores(
        RunFolder(tmp_path),
        video(),
        object_datasets(objects.frame, objects.box_xyxy, objects.streams, objects.total),
    )
    read = read_objects(RunFolder(tmp_path), "cam1/a")
    assert read is not None
    np.testing.assert_array_equal(read.frame, objects.frame)
    np.testing.assert_array_equal(read.box_xyxy, objects.box_xyxy)
    np.testing.assert_array_equal(read.total, objects.total)
    assert read.streams.keys() == objects.streams.keys()


def test_objects_without_boxes_are_none(tmp_path: Path) -> None:
    frame = np.array([0])
    write_scores(RunFolder(tmp_path), video(), object_datasets(frame, None, {}, np.array([1.0])))
    assert read_objects(RunFolder(tmp_path), "cam1/a") is None


def _cut(run: RunFolder) -> None:
    lines = run.csv("cam1/a").read_text().splitlines()
    run.csv("cam1/a").write_text("\n".join(lines[:-1]) + "\n")


def _forget(run: RunFolder) -> None:
    with h5py.File(run.objects("cam1/a"), "a") as file:
        del file["frame_score_unsmoothed"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: run.csv("cam1/a").unlink(), r"a\.csv are missing or damaged .*run `mulde score` again"),
        (lambda run: run.csv("cam1/a").write_text("frame,time,score\n0,0,x\n"), "was changed after"),
        (lambda run: run.objects("cam1/a").write_bytes(b"HDF"), "are missing or damaged"),
        (_forget, "was changed after"),
        (_cut, r"a\.csv was changed after it was written: run `mulde score` again"),
    ],
)
def test_damage_is_named(damage, message: str, tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    write_scores(run, video(), {})
    damage(run)
    with pytest.raises(InputError, match=message):
        read_scores(run, "cam1/a")


def test_a_record_checks_itself() -> None:
    with pytest.raises(ValueError, match=r"cam: .* differ in shape"):
        ScoredVideo("cam", np.zeros(3), np.zeros(3), np.zeros(2), 25.0)


@pytest.mark.parametrize("text", ["", "[" * 100_000, "1", "[1]", '[{"video": 1}]', '{"a": 1}', "null"])
def test_what_a_run_says_of_itself_may_be_anything(tmp_path: Path, text: str) -> None:
    for name in ("state.json", "failures.json"):
        (tmp_path / name).write_text(text)
    assert RunFolder(tmp_path).failures() == []
    assert RunFolder(tmp_path).fingerprints("train") == {}


def _packed(file: h5py.File, name: str) -> None:
    values = file[name][()]
    del file[name]
    file.create_dataset(name, data=values, chunks=values.shape, compression="gzip")


def _external(file: h5py.File, name: str) -> None:
    n_bytes = file[name].nbytes
    shape, dtype = file[name].shape, file[name].dtype
    del file[name]
    file.create_dataset(name, shape, dtype, external=[("/etc/hostname", 0, n_bytes)])


@pytest.mark.parametrize("spoil", [_packed, _external])
@pytest.mark.parametrize("name", ["frame_score_unsmoothed", "box", "object_score/velocity"])
def test_hostile_scores_are_refused(tmp_path: Path, name: str, spoil: Callable[..., None]) -> None:
    run = RunFolder(tmp_path)
    frame, box, scores = np.arange(3), np.ones((3, 4), np.float32), np.arange(3.0)
    write_scores(run, video(), object_datasets(frame, box, {"velocity": scores}, scores))
    read_scores(run, "cam1/a")
    with open_to_write(run.objects("cam1/a"), "r+") as file:  # with the right checksum
        spoil(file, name)
    reads = [read_objects, read_rows_behind, read_datasets]
    for read in [read_scores] if name == "frame_score_unsmoothed" else reads:
        with pytest.raises(InputError, match=r"packed or in chunks|in other files"):
            read(run, "cam1/a")


@pytest.mark.parametrize("group", ["object_score", "row", "row/velocity"])
def test_rows_without_end_in_place_of_a_group_are_refused(tmp_path: Path, group: str) -> None:
    run, frame, scores = RunFolder(tmp_path), np.arange(3), np.arange(3.0)
    if group == "object_score":
        datasets = object_datasets(frame, np.ones((3, 4), np.float32), {"velocity": scores}, scores)
    else:
        datasets = row_datasets("velocity", frame, scores, {})
    write_scores(run, video(), datasets)
    with open_to_write(run.objects("cam1/a"), "r+") as file:
        del file[group]
        file.create_dataset(group, (2**26,), "f4", chunks=(2**20,))  # takes no room, and minutes
    for read in [read_rows_behind, *([read_objects] if group == "object_score" else [])]:
        with pytest.raises(InputError, match=f"{group} is no group"):
            read(run, "cam1/a")


@pytest.mark.parametrize("part", ["a file of numbers", "a stream that is too short"])
def test_rows_that_do_not_fit_together_are_damage(tmp_path: Path, part: str) -> None:
    run, path = RunFolder(tmp_path), RunFolder(tmp_path).objects("a")
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as file:
        file["frame"] = np.arange(3)
        if part == "a file of numbers":
            file["object_score"] = np.zeros(3)
        else:
            file["object_score/velocity"], file["object_score/total"] = np.zeros(2), np.zeros(3)
    with pytest.raises(InputError, match=r"missing or damaged .*run `mulde score` again"):
        read_rows_behind(run, "a")


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("csv_checksum", np.zeros(2, [("a", "f4")])), ("csv_checksum", 5), ("csv_checksum", np.zeros(3)),
        ("fps", "fast"), ("fps", np.zeros(2, [("a", "f4")])), ("fps", np.ones(3)), ("warnings", 5),
        ("warnings", "5"), ("warnings", "[" * 9000), ("warnings", np.zeros(3)),
    ],
)  # fmt: skip
def test_attributes_of_other_kinds_are_damage(attribute: str, value: object, tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    write_scores(run, video(), {})
    with open_to_write(run.objects("cam1/a"), "r+") as file:
        file.attrs[attribute] = value
    with pytest.raises(InputError, match="mulde score"):
        read_scores(run, "cam1/a")


@pytest.mark.parametrize("gone", ["object_score", "object_score/total", "frame"])
def test_objects_without_scores_are_damage(gone: str, tmp_path: Path) -> None:
    run, box = RunFolder(tmp_path), np.array([[0, 0, 4, 8]] * 2, np.float32)
    write_scores(run, video(), object_datasets(np.arange(2), box, {"velocity": np.ones(2)}, np.ones(2)))
    with open_to_write(run.objects("cam1/a"), "r+") as file:
        del file[gone]
    with pytest.raises(InputError, match="mulde score"):
        read_objects(run, "cam1/a")


@pytest.mark.parametrize("frame", [[0, 9], [-1, 0]])
def test_objects_of_frames_that_are_not_there_are_refused(frame: list[int], tmp_path: Path) -> None:
    run, box = RunFolder(tmp_path), np.array([[0, 0, 4, 8]] * 2, np.float32)
    write_scores(run, video(), object_datasets(np.array(frame), box, {"velocity": np.ones(2)}, np.ones(2)))
    with open_scores(run, "cam1/a") as files, pytest.raises(InputError, match="missing or damaged"):
        files.stream_scores(np.arange(3.0))


@pytest.mark.parametrize(
    "read",
    [
        read_scores, read_objects, read_datasets, read_rows_behind, read_looked_at,
        lambda run, name: write_alarms(run, video(), np.ones(3, np.bool_)),
    ],
)  # fmt: skip
def test_a_file_that_never_ends_is_refused(
    read: Callable[[RunFolder, str], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path)
    write_scores(run, video(), {})
    content = run.objects("cam1/a").read_bytes()
    at = content.index(b"GCOL") + 16
    while int.from_bytes(content[at : at + 2], "little"):  # the objects of the heap; then comes its gap
        at += 16 + (int.from_bytes(content[at + 8 : at + 16], "little") + 7) // 8 * 8
    start = content.index(b"checksum: ") + len(b"checksum: ")
    content = content[: at + 8] + bytes(8) + content[at + 16 :]  # a gap of no length
    run.objects("cam1/a").write_bytes(seal(content[:start] + b"0" * 32 + content[start + 32 :]))
    monkeypatch.setattr(apart, "_LEAST_SECONDS", 1.0)
    with pytest.raises(InputError, match="made to hang"):
        read(run, "cam1/a")


@pytest.mark.parametrize("there", [[], ["a"], ["cam1/a", "cam1/day.2", "b"]])
def test_those_that_have_scores(tmp_path: Path, there: list[str]) -> None:
    run = RunFolder(tmp_path)
    for name in there:
        run.csv(name).parent.mkdir(parents=True, exist_ok=True)
        run.csv(name).write_text("")
    asked = ["cam1/a", "a", "cam1/day.2", "b", "c", "cam1"]
    assert with_scores(run, asked) == [name for name in asked if name in there]
    if "cam1/a" in there:  # moved to another disk, with a link in its place
        (run.scores / "cam1").rename(tmp_path / "moved")
        (run.scores / "cam1").symlink_to(tmp_path / "moved")
        assert with_scores(run, asked) == [name for name in asked if name in there]
