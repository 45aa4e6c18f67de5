"""A run with boxes that others made: from the file to features, scores and what is made again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mulde.data.cache.store import read_rows
from mulde.data.exchange.boxes import read_boxes
from mulde.data.features import FeatureRows
from mulde.data.layouts.find_videos import find_videos
from mulde.extractors.scene import SceneModel
from mulde.pipeline.config.load import load_config
from mulde.pipeline.features.given_boxes import open_given
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.scores import read_objects
from mulde.pipeline.stages.extract import ExtractTask, extract_video

RunCli = Callable[..., Any]
HEADER = "video,frame,x1,y1,x2,y2,class,track"


def write_boxes(scene: Path, folder: Path, *, without: str = "", step: float = 1.0) -> Path:
    """Two objects in each frame of each video: one that walks on, and one without a track that stands."""
    lines = [HEADER]
    for split in ("normal", "test"):
        for number, video in enumerate(find_videos(scene / split)):
            if video.name == without:
                continue
            speed = step * (3 if split == "test" and number else 1)
            for t in range(40):
                x = 10 + speed * t
                lines.append(f"{split}/{video.name},{t},{x:.1f},20,{x + 10:.1f},50,person,{number + 5}")
                lines.append(f"{split}/{video.name},{t},100,60,112,90,,")
    path = folder / "boxes.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def arguments(scene: Path, boxes: Path, *more: str) -> list[str]:
    return [
        *(
            "--normal",
            str(scene / "normal"),
            "--test",
            str(scene / "test"),
            "--labels",
            f"{scene}/labels.csv",
        ),
        *("--workers", "1", "--cache", "cache", "extract.boxes.finder=file", f"extract.boxes.file={boxes}"),
        *("extract.streams=[track,shape]", "detector.kind=knn", "evaluate.n_resamples=0", "train.folds=0"),
        *("report.n_pictures=0", *more),
    ]


def rows_of(stream: str) -> dict[str, FeatureRows]:
    return {
        f"{path.parent.name}/{path.stem}": read_rows(path) for path in Path("cache").glob(f"{stream}/*/*.h5")
    }


def todo(cli: RunCli, *given: str) -> dict[str, tuple[int, int]]:
    """By stage, how much there is to do, and how much of it is there from something else."""
    plan = json.loads(cli("plan", "--json", *given).out)
    return {each["stage"]: (len(each["todo"]), len(each["stale"])) for each in plan}


def test_a_run_from_boxes_alone(cli: RunCli, scene: Path, tmp_path: Path) -> None:
    boxes = write_boxes(scene, tmp_path)
    given = arguments(scene, boxes)
    result = cli("run", "--out", "run", *given)
    assert result.code == 0, result.err
    for rows in rows_of("track").values():
        # 1 px a frame, or 3, at 10 frames a second, 30 px tall; and one that stands
        assert_array_equal(rows.frame, np.repeat(np.arange(40), 2))
        assert {*np.round(rows.features[:, 0].tolist(), 3)} in ({0.0, 0.333}, {0.0, 1.0})
        assert_allclose(rows.features[:, 1], 0, atol=1e-4)
    shapes = np.concatenate([rows.features for rows in rows_of("shape").values()])
    assert_allclose(np.exp(shapes[:, 1] - shapes[:, 0]), np.tile([3, 2.5], len(shapes) // 2), rtol=1e-4)
    table = cli("cache", "list", "--cache", "cache", "--json").out
    assert all(
        str(boxes) in each["description"].get("boxes_from", [str(boxes)]) for each in json.loads(table)
    )
    slow, fast = (read_objects(RunFolder(Path("run")), video.name) for video in find_videos(scene / "test"))
    assert slow is not None and fast is not None
    assert fast.total.max() > slow.total.max()  # such a speed is not in the normal videos
    assert {n for n, _ in todo(cli, "--out", "run", *given).values()} == {0}

    # other boxes of one video make only that one anew
    last = find_videos(scene / "test")[-1]
    lines = boxes.read_text().splitlines()
    moved = [line.replace(",100,60,", ",101,60,") if f"test/{last.name}," in line else line for line in lines]
    boxes.write_text("\n".join(moved))
    plan = todo(cli, "--out", "run", *given)
    assert [plan[stage] for stage in ("extract", "train", "score")] == [(1, 1), (0, 0), (1, 1)]
    result = cli("extract", "--out", "run", *given)
    assert "extract: 1 video," in result.err
    plan = todo(cli, "--out", "run", *given)
    assert [plan[stage] for stage in ("extract", "train", "score")] == [(0, 0), (0, 0), (1, 1)]


def test_other_boxes_of_normal_videos_are_learnt_anew(cli: RunCli, scene: Path, tmp_path: Path) -> None:
    boxes = write_boxes(scene, tmp_path)
    first, *others = find_videos(scene / "normal")
    for video in others:
        video.path.unlink()
    given = arguments(scene, boxes)
    assert cli("extract", "--out", "run", *given).code == 0
    assert cli("train", "--out", "run", *given).code == 0
    assert todo(cli, "--out", "run", *given)["train"] == (0, 0)
    text = boxes.read_text()
    boxes.write_text(text.replace(f"normal/{first.name},7,100,60,", f"normal/{first.name},7,101,60,"))
    assert cli("extract", "--out", "run", *given).code == 0
    assert todo(cli, "--out", "run", *given)["train"] == (1, 1)


def test_what_does_not_add_up_is_said_once_before_the_work(cli: RunCli, scene: Path, tmp_path: Path) -> None:
    missing = find_videos(scene / "normal")[0].name
    boxes = write_boxes(scene, tmp_path, without=missing)
    with boxes.open("a") as file:
        file.write("elsewhere,0,1,1,2,2,,\n")
        file.write("".join(f"test/{video.name},40,1,1,2,2,,\n" for video in find_videos(scene / "test")))
    result = cli("extract", "--out", "run", *arguments(scene, boxes))
    assert result.code == 0, result.err
    text = " ".join(result.err.split())
    assert text.count(f"1 of 5 videos have no boxes there, the first is {missing}") == 1
    assert text.count("1 videos there are not among the data, the first is elsewhere") == 1
    assert text.count("1 of 81 boxes are of frames after the last one, 39") == 2
    assert text.index("have no boxes there") < text.index("extract 1/5")
    rows = rows_of("track")
    assert sorted(len(each) for each in rows.values()) == [0, 80, 80, 80, 80]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["extract.boxes.file=nowhere.csv"], "nowhere.csv cannot be read (No such file or directory)"),
        (["extract.boxes.join=windows"], "extract.streams has track, shape, about boxes that fit objects"),
        (["extract.boxes.first_frame=2"], "extract.boxes.first_frame"),
    ],
)
def test_mistakes_end_the_run_at_once(
    cli: RunCli, scene: Path, tmp_path: Path, more: list[str], message: str
) -> None:
    result = cli("run", "--out", "run", *arguments(scene, write_boxes(scene, tmp_path), *more))
    assert result.code == 2
    assert message in result.err
    assert not list(Path("cache").rglob("*.h5"))


@pytest.mark.slow
def test_new_footage_has_boxes_of_its_own(cli: RunCli, scene: Path, tmp_path: Path) -> None:
    boxes = write_boxes(scene, tmp_path)
    assert cli("extract", "--out", "run", *arguments(scene, boxes)).code == 0
    assert cli("train", "--out", "run", *arguments(scene, boxes)).code == 0
    new = find_videos(scene / "test")[0].path.rename(tmp_path / "tuesday.mp4")
    refused = cli("score", "--model", "run", new)
    assert refused.code == 2
    assert "has boxes of none of the 1 videos: they are named tuesday" in refused.err
    assert "extract.boxes.file" in refused.err
    own = tmp_path / "tuesday.txt"
    own.write_text("".join(f"{t + 1},-1,{10 + 2 * t},20,10,30,1,-1,-1,-1\n" for t in range(40)))
    scored = cli("score", "--model", "run", new, f"extract.boxes.file={own}")
    assert scored.code == 0, scored.err
    assert len(list(Path("run").glob("new/scores/tuesday.csv"))) == 1


def test_published_boxes_of_ped2(shared_folder: Path, tmp_path: Path) -> None:
    """VEC's boxes, which have no tracks: every video has its own, and nearly all boxes are linked."""
    ped2 = shared_folder / "ped2"
    files = [ped2 / f"boxes_{split}.csv" for split in ("training", "testing")]
    if not all(file.exists() for file in files):
        pytest.skip(f"no published boxes: {files[0]} is not there")
    names = ",".join(map(str, files))
    config = load_config(
        overrides=[
            "extract.boxes.finder=file",
            f"extract.boxes.file=[{names}]",
            "extract.streams=[track,shape]",
        ]
    ).extract
    videos = [video for split in ("training", "testing") for video in find_videos(ped2 / split)]
    given = open_given(config, videos)
    assert given is not None
    assert given.notes == ()
    assert sum(len(given.of(video)) for video in videos) == sum(
        len(boxes) for file in files for boxes in read_boxes(file).values()
    )
    video = next(video for video in videos if video.name == "Test001")
    scene = SceneModel((360, 240), np.zeros((1, 240, 360), np.uint8), 30.0, 0.0, (30.0, 30.0), aspect=0.5)
    task = ExtractTask(video, scene, config, tmp_path, 10.0, device="cpu", boxes=given.of(video))
    result = extract_video(task, lambda n_frames, n_expected=None: None)
    assert result.status == "done"
    (track,) = (read_rows(path) for path in tmp_path.glob("track/*/*.h5"))
    assert len(track) == len(given.of(video))
    assert np.isfinite(track.features).all(axis=1).mean() > 0.95
    assert 0.1 < np.nanmedian(track.features[:, 0]) < 1.0  # people who walk, seen from far above
