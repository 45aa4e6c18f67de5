"""Boxes of others find their videos before anything is decoded, and what does not add up is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mulde.data.boxes import NO_BOXES
from mulde.data.errors import InputError
from mulde.data.exchange.boxes import read_boxes
from mulde.data.video import Video
from mulde.extractors.scene import SceneModel
from mulde.pipeline.config.load import load_config
from mulde.pipeline.config.sections import ExtractConfig
from mulde.pipeline.features.given_boxes import GivenBoxes, check_normal, notes_on, open_given
from mulde.pipeline.features.inventory import Recipes
from mulde.pipeline.features.recipe import lacks_sources, stream_digests
from mulde.pipeline.features.scenes import Scenes

SCENE = SceneModel((64, 48), np.full((1, 48, 64), 128, np.uint8), 20.0, 0.0, (20.0, 20.0), aspect=0.5)
HEADER = "video,frame,x1,y1,x2,y2"


def video(split: str, name: str) -> Video:
    folder = Path("/videos") / split
    return Video(name, folder / f"{name}.mp4", folder)


VIDEOS = (
    video("training", "01"),
    video("training", "cam/02"),
    video("testing", "01"),
    video("testing", "03"),
)


def written(folder: Path, *lines: str, name: str = "boxes.csv") -> Path:
    path = folder / name
    path.write_text("\n".join((HEADER, *lines)) + "\n")
    return path


def config(*paths: Path, **settings: object) -> ExtractConfig:
    files = ",".join(map(str, paths))
    overrides = ["extract.boxes.finder=file", f"extract.boxes.file=[{files}]"]
    return load_config(
        overrides=[*overrides, *(f"extract.boxes.{name}={value}" for name, value in settings.items())]
    ).extract


def opened(*paths: Path, videos: tuple[Video, ...] = VIDEOS, **settings: object) -> GivenBoxes:
    given = open_given(config(*paths, **settings), videos)
    assert given is not None
    return given


def test_other_finders_ask_for_none() -> None:
    assert open_given(load_config().extract, VIDEOS) is None


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("cam/02", 1),
        ("cam/02.mp4", 1),
        (r"cam\02", 1),
        ("training/cam/02", 1),
        ("training/01", 0),
        ("testing/01", 2),
        ("testing/01.mp4", 2),
        ("03", 3),
    ],
)
def test_a_video_is_meant_by_its_name(tmp_path: Path, name: str, place: int) -> None:
    given = opened(written(tmp_path, f"{name},0,1,1,2,2"))
    assert [len(given.of(each)) for each in VIDEOS] == [int(at == place) for at in range(len(VIDEOS))]
    assert given.of(VIDEOS[0 if place else 1]) is NO_BOXES


def test_two_files_are_one(tmp_path: Path) -> None:
    first = written(tmp_path, "training/01,0,1,1,2,2", "cam/02,0,1,1,2,2", name="first.csv")
    second = written(tmp_path, "testing/01,0,1,1,2,2", "03,0,1,1,2,2", name="second.csv")
    given = opened(first, second)
    assert [len(given.of(each)) for each in VIDEOS] == [1, 1, 1, 1]
    assert given.notes == ()


def test_a_folder_of_mot_text_has_the_folders_of_the_splits(tmp_path: Path) -> None:
    for split in ("training", "testing"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "01.txt").write_text("1,-1,0,0,9,9,1,-1,-1,-1\n" * (1 + (split == "testing")))
    given = opened(tmp_path)
    assert [len(given.of(each)) for each in VIDEOS] == [1, 0, 2, 0]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((), "has boxes of none of the 4 videos: they are named 01, …, and it names none"),
        (("Test01,0,1,1,2,2",), "it names Test01, …"),
        (
            ("01,0,1,1,2,2",),
            "video 01 is in /videos/training and /videos/testing: name it with the folder, such",
        ),
        (("03,0,1,1,2,2", "03.mp4,0,1,1,2,2"), "is meant by both 03 and 03.mp4"),
        (("03,0,0,0,0.2,0.9", "03,9,0.5,0.5,1,1"), "no coordinate is above 1: expected pixels"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, lines: tuple[str, ...], message: str) -> None:
    path = written(tmp_path, *lines)
    with pytest.raises(InputError) as caught:
        opened(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "settings", "notes"),
    [
        (
            ("03,0,1,1,2,2", "x,0,1,1,2,2", "y,0,1,1,2,2"),
            {},
            ["3 of 4 videos have no boxes there, the first is 01", "2 videos there are not among the data"],
        ),
        (("03,1,1,1,2,2",), {}, ["3 of 4 videos", "if frames are counted from 1 there"]),
        (("03,1,1,1,2,2",), {"first_frame": 1}, ["3 of 4 videos"]),
        (("03,1,1,1,2,2", "cam/02,0,1,1,2,2"), {}, ["2 of 4 videos"]),
        (("03,1,1,1,2,2", "cam/02,7,1,1,2,2", "testing/01,9,1,1,2,2"), {}, ["1 of 4 videos"]),
    ],
)
def test_what_does_not_add_up_is_said(
    tmp_path: Path, lines: tuple[str, ...], settings: dict[str, object], notes: list[str]
) -> None:
    found = opened(written(tmp_path, *lines), **settings).notes
    assert len(found) == len(notes)
    for note, text in zip(found, notes, strict=True):
        assert text in note


@pytest.mark.parametrize(
    ("lines", "notes"),
    [
        ((), []),
        (("a,0,0,0,80,60", "a,9,5,5,9,9"), []),
        (("a,0,-1,0,80,60",), ["1 of 1 boxes reach beyond the picture of 80x60: clipped"]),
        (("a,0,5,5,5,9", "a,1,1,1,2,2"), ["1 of 2 boxes have no area in the picture of 80x60: left out"]),
        (
            ("a,0,80,60,160,120", "a,1,90,1,99,2", "a,1,1,1,2,2"),
            ["2 of 3 boxes have no area in the picture of 80x60: left out; were they made for pictures"],
        ),
        (("a,11,1,1,2,2",), ["1 of 1 boxes are of frames after the last one, 9"]),
        (
            ("a,1,1,1,2,2", "a,10,1,1,2,2"),
            ["of frames after the last one, 9; if the file counts frames from 1"],
        ),
        (("a,0,1,1,2,2", "a,10,1,1,2,2"), ["1 of 2 boxes are of frames after the last one, 9"]),
    ],
)
def test_what_lies_outside_of_the_video_is_counted(
    tmp_path: Path, lines: tuple[str, ...], notes: list[str]
) -> None:
    boxes = read_boxes(written(tmp_path, *lines)).get("a", NO_BOXES)
    found = notes_on(boxes, (80, 60), 10)
    assert len(found) == len(notes)
    for note, text in zip(found, notes, strict=True):
        assert text in note
        assert ("from 1" in note) == ("from 1" in text)


def test_normal_videos_without_a_box_end_the_run(tmp_path: Path) -> None:
    path, normal = written(tmp_path, "testing/01,0,1,1,2,2"), VIDEOS[:2]
    for settings in ({}, {"join": "gradient"}, {"whole_frame_if_empty": True}):
        given, boxes = opened(path, **settings), config(path, **settings).boxes
        if settings:
            check_normal(given, boxes, normal)
        else:
            with pytest.raises(InputError, match="no box in any of the 2 normal videos"):
                check_normal(given, boxes, normal)
    check_normal(opened(path), config(path).boxes, VIDEOS[2:])
    check_normal(None, load_config().extract.boxes, normal)


def test_a_file_that_has_changed_is_read_again(tmp_path: Path) -> None:
    path = written(tmp_path, "03,0,1,1,2,2")
    first = opened(path).of(VIDEOS[3])
    written(tmp_path, "03,0,1,1,2,2", "03,1,1,1,2,2")
    assert (len(first), len(opened(path).of(VIDEOS[3]))) == (1, 2)


def test_file_and_finder_belong_together(tmp_path: Path) -> None:
    for overrides in (["extract.boxes.finder=file"], [f"extract.boxes.file={tmp_path}"]):
        with pytest.raises(InputError, match=r"boxes of others take finder=file and file=PATH"):
            load_config(overrides=overrides)


def test_files_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one, two = ("extract.boxes.file=a.csv", "extract.boxes.file=[a.csv,b.csv]")
    for given, expected in (
        (one, str(tmp_path / "a.csv")),
        (two, [str(tmp_path / n) for n in ("a.csv", "b.csv")]),
    ):
        anchored = load_config(overrides=["extract.boxes.finder=file", given]).anchored()
        assert anchored.model_dump(mode="json")["extract"]["boxes"]["file"] == expected


def test_boxes_that_are_gone_are_missed_before_anything_is_compared(tmp_path: Path) -> None:
    path = written(tmp_path, "03,0,1,1,2,2")
    assert not lacks_sources(config(path))
    path.unlink()
    assert lacks_sources(config(path))
    with pytest.raises(InputError, match=r"cannot be read"):
        opened(path)


def test_keys_tell_files_apart_and_not_what_detectors_take(tmp_path: Path) -> None:
    scenes = Scenes({"": SCENE})
    keys, digests = [], []
    for name, line in (("a.csv", "03,0,1,1,2,2"), ("b.csv", "03,0,1,1,2,3")):
        settings = config(written(tmp_path, line, name=name))
        keys.append(Recipes(settings, scenes, open_given(settings, VIDEOS)).keys(VIDEOS[3]))
        digests.append(stream_digests(settings))
    assert digests[0] == digests[1]
    for stream, key in keys[0].items():
        other = keys[1][stream]
        assert key.kind == other.kind
        assert key.key != other.key
        assert key.beside != other.beside != ""
