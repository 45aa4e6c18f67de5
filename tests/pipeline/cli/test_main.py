"""The command line on real small videos: what it writes, what it skips, and what it says of mistakes."""

from __future__ import annotations

import csv
import json
import os
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import h5py
import numpy as np
import pytest

from mulde.data.cache.store import read_rows
from mulde.data.rendered.render import render_scene
from mulde.data.sealed import read_json
from mulde.detector import log_tail, mean_of_overlapping
from mulde.pipeline.config.load import load_config, write_config

FAST = ["detector.widths=[32]", "detector.max_steps=60", "extract.flow.preset=ultrafast", "--workers", "2"]
N_FRAMES = 40


def cached_files(folder: Path = Path(".cache/mulde")) -> dict[str, int]:
    """Every feature file with its time of writing."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*.h5")}


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_run_writes_what_the_design_promises(cli, scene: Path) -> None:
    result = cli("run", "--dataset", scene, *FAST)
    assert result.code == 0, result.err
    run = Path("runs/scene-motion")
    tests = sorted(path.stem for path in (scene / "test").iterdir())
    assert tests
    for name in tests:
        rows = read_csv(run / "scores" / f"{name}.csv")
        assert list(rows[0]) == ["frame", "time", "score", "alarm"]
        assert [int(row["frame"]) for row in rows] == list(range(N_FRAMES))
        assert float(rows[10]["time"]) == pytest.approx(1.0)
        assert all(np.isfinite(float(row["score"])) for row in rows)
        with h5py.File(run / "scores" / f"{name}.h5") as file:
            assert file["box"].shape == (len(file["frame"]), 4)
            streams = ("velocity", "direction", "place", "stillness")
            sums = sum(log_tail(file[f"object_score/{stream}"][()]) for stream in streams)
            total = mean_of_overlapping(sums, file["frame"][()], file["box"][()], 10)
            np.testing.assert_allclose(file["object_score/total"][()], total)
    metrics = json.loads((run / "metrics.json").read_text())
    assert 0 <= metrics["micro_auc"] <= 1
    assert "σ = 0.3 s" in metrics["protocols"]["micro_auc"]
    assert metrics["unsmoothed"]["micro_auc"] is not None
    assert (run / "report" / "index.html").read_text().count("<svg") >= len(tests)
    assert "beta: 0.1" in (run / "config.yaml").read_text()
    assert not (run / "failures.json").exists()
    assert "extract" in (run / "run.log").read_text()
    assert not list(run.rglob("*.pkl")) + list(run.rglob("*.pt"))
    assert "micro" in result.out.lower()


@pytest.mark.slow
def test_the_preset_for_hours_of_a_camera(cli, scene: Path) -> None:
    result = cli("run", "--dataset", scene, "--preset", "camera", *FAST)
    assert result.code == 0, result.err
    run, clip = Path("runs/scene-camera"), sorted((scene / "test").iterdir())[0]
    with h5py.File(run / "scores" / f"{clip.stem}.h5") as file:
        assert set(file["object_score"]) == {"place", "texture", "total"}
        assert np.ptp(file["object_score/texture"][()]) > 0
    assert [line.split()[1] for line in cli("plan", run).out.splitlines()[1:]] == ["0"] * 7
    assert cli("score", "--model", run, clip, "--out", "new").code == 0
    columns = [read_csv(folder / "scores" / f"{clip.stem}.csv") for folder in (run, Path("new"))]
    assert columns[0] == columns[1], "how places look is a part of the model"
    fewer = cli("plan", run, "extract.streams=[place]").out.splitlines()
    assert fewer[1].split()[:2] == ["extract", "0"], "what does not look at looks is there"


@pytest.mark.parametrize(
    ("frames_per_second", "settings", "is_told"),
    [
        pytest.param(0.005, (), True, id="hours"),
        pytest.param(10, (), False, id="seconds"),
        pytest.param(0.005, ("extract.streams=[place]",), False, id="streams that were chosen"),
        pytest.param(0.005, ("preset=camera",), False, id="the preset itself"),
        pytest.param(0.005, ("extract.boxes.finder=gradient",), False, id="boxes that were chosen"),
    ],
)
def test_hours_of_a_camera_are_told_of_the_preset_for_them(
    cli, tmp_path: Path, frames_per_second: float, settings: tuple[str, ...], is_told: bool
) -> None:
    folder = tmp_path / "normal" / "quiet"
    folder.mkdir(parents=True)
    for number in range(20):
        picture = np.full((48, 64), 90, np.uint8)
        picture[20:36, 2 * number : 2 * number + 8] = 200
        cv2.imwrite(str(folder / f"{number:03}.png"), picture)
    rate = f"data.frames_per_second={frames_per_second}"
    result = cli("extract", "--normal", folder.parent, "--out", "hours", rate, *settings)
    assert result.code == 0, result.err
    assert ("--preset camera" in result.err) == is_told
    again = cli("extract", "--normal", folder.parent, "--out", "hours", rate, *settings)
    assert "--preset camera" not in again.err, "what is extracted needs no advice"


def test_second_run_does_nothing(cli, scene: Path) -> None:
    assert cli("run", "--dataset", scene, *FAST).code == 0
    before = cached_files()
    scores = {path: path.stat().st_mtime_ns for path in Path("runs").rglob("*.csv")}
    result = cli("run", "--dataset", scene, *FAST)
    assert result.code == 0
    assert result.err.count("up to date") == 7
    assert cached_files() == before
    assert {path: path.stat().st_mtime_ns for path in Path("runs").rglob("*.csv")} == scores


@pytest.mark.slow
def test_detector_setting_decodes_nothing(cli, scene: Path) -> None:
    assert cli("run", "--dataset", scene, *FAST).code == 0
    before = cached_files()
    result = cli("run", "--dataset", scene, *FAST, "detector.beta=0.2")
    assert result.code == 0
    assert "extract: up to date" in result.err
    assert "train: up to date" not in result.err
    assert cached_files() == before


def test_flow_setting_extracts_what_depends_on_it(cli, scene: Path) -> None:
    assert cli("extract", "--dataset", scene, *FAST).code == 0
    before = cached_files()
    assert cli("extract", "--dataset", scene, *FAST, "extract.flow.seconds_around=0.1").code == 0
    after = cached_files()
    assert before.items() <= after.items()
    added = {Path(path).parts[2] for path in after.keys() - before.keys()}
    assert added == {"velocity", "direction", "place"}  # not stillness, which sees no flow
    assert "up to date" in cli("extract", "--dataset", scene, *FAST).err


@pytest.mark.slow
def test_replaced_clip_alone_is_extracted_again(cli, scene: Path) -> None:
    assert cli("run", "--dataset", scene, *FAST).code == 0
    before = cached_files()
    first, second, *_ = sorted((scene / "test").iterdir())
    shutil.copy(second, first)
    (scene / "labels.csv").write_text(f"video,start,end\n{first.stem},,\n{second.stem},3,30\n")
    plan = cli("plan", "--dataset", scene, *FAST)
    assert [line.split()[:4] for line in plan.out.splitlines()[1:3]] == [
        ["extract", "1", "4", "1"],
        ["train", "0", "1", "0"],
    ]
    assert cli("run", "--dataset", scene, *FAST).code == 0
    after = cached_files()
    changed = {Path(path).name for path in after if after[path] != before.get(path)}
    assert changed == {f"{first.stem}.h5"}


@pytest.mark.slow
def test_corrected_labels_are_measured_on_the_scores_that_are_there(cli, scene: Path) -> None:
    assert cli("run", "--dataset", scene, *FAST).code == 0
    run = Path("runs/scene-motion")
    before = {path: path.stat().st_mtime_ns for path in (run / "scores").iterdir()}
    metrics = (run / "metrics.json").read_text()
    first, second, *_ = sorted((scene / "test").iterdir())
    (scene / "labels.csv").write_text(f"video,start,end\n{first.stem},,\n{second.stem},3,30\n")
    plan = cli("plan", "--dataset", scene, *FAST)
    todo = [line.split()[:2] for line in plan.out.splitlines()[1:]]
    stages = dict.fromkeys(["extract", "train", "hold_out", "score", "events"], "0")
    assert todo == [*map(list, stages.items()), ["evaluate", "1"], ["report", "1"]]
    result = cli("evaluate", "--dataset", scene, *FAST)
    assert result.code == 0, result.err
    assert (run / "metrics.json").read_text() != metrics
    assert "score: up to date" in cli("score", "--dataset", scene, *FAST).err
    assert before == {path: path.stat().st_mtime_ns for path in (run / "scores").iterdir()}


LEARNT = ["train", "hold_out", "score", "events", "evaluate", "report"]
TODO_AFTER = {
    "nothing": ([], []),
    "pictures": (["report.n_pictures=1"], ["report"]),
    "metrics": (["evaluate.n_resamples=7"], ["evaluate", "report"]),
    "budget": (["--false-alarms-per-hour", 2000], ["events", "evaluate", "report"]),
    "folds": (["train.folds=3"], ["hold_out", "events", "evaluate", "report"]),
    "smoothing": (["score.smoothing_sigma_seconds=1"], ["score", "events", "evaluate", "report"]),
    "seed": (["--seed", 5], LEARNT),
    "detector": (["detector.beta=0.2"], LEARNT),
    "features": (["extract.flow.seconds_around=0.5"], ["extract", *LEARNT]),
}
WRITES = {
    "extract": "../../.cache/mulde/velocity",
    "train": "model/manifest.json",
    "hold_out": "model/held_out.safetensors",
    "score": "scores/*.h5",
    "events": "events.csv",
    "evaluate": "metrics.json",
    "report": "report",
}


def _written(run: Path) -> dict[str, set[tuple[Path, int]]]:
    """The files of each stage, and when they were written, by stage; of scores, which events add alarms to,
    what they are.
    """
    files = {
        stage: [run / name, *(run / name).rglob("*"), *run.glob(name if "*" in name else "-")]
        for stage, name in WRITES.items()
    }
    times = {
        stage: {(p, p.stat().st_mtime_ns) for p in paths if p.is_file() and p.name != "stream.json"}
        for stage, paths in files.items()
    }
    return {**times, "score": {(p, _crc_of_scores(p)) for p in files["score"] if p.is_file()}}


def _crc_of_scores(path: Path) -> int:
    with h5py.File(path) as file:
        return zlib.crc32(file["frame_score"][()].tobytes())


@pytest.mark.parametrize(
    "broken", ["", *(pytest.param(split, marks=pytest.mark.slow) for split in ("test", "normal"))]
)
@pytest.mark.slow
def test_plan_says_what_run_then_writes(cli, scene: Path, broken: str) -> None:
    if broken:
        (scene / broken / "broken.mp4").write_bytes(b"no video")
    code, run = (3 if broken else 0), Path("runs/scene-motion")
    assert cli("run", "--dataset", scene, *FAST).code == code
    for change, expected in TODO_AFTER.values():
        plan = cli("plan", "--dataset", scene, *FAST, *change)
        todo = [line.split()[0] for line in plan.out.splitlines()[1:] if line.split()[1] != "0"]
        assert todo == expected, change
        assert ("1 failed before" in plan.out) == bool(broken)
        before = _written(run)
        assert cli("run", "--dataset", scene, *FAST, *change).code == code
        after = _written(run)
        assert [stage for stage in WRITES if after[stage] != before[stage]] == expected, change
        n_todo = {line.split()[0]: int(line.split()[1]) for line in plan.out.splitlines()[1:]}
        written = {stage: len(after[stage] - before[stage]) for stage in WRITES}
        assert (n_todo["extract"], n_todo["score"]) == (written["extract"], written["score"]), change
        assert cli("run", "--dataset", scene, *FAST).code == code


@pytest.mark.parametrize("as_file", [False, True], ids=["folder", "its config.yaml"])
@pytest.mark.slow
def test_run_is_picked_up_from_any_folder(
    cli, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_file: bool
) -> None:
    (scene / "test/broken.mp4").write_bytes(b"no video")
    monkeypatch.chdir(tmp_path)
    relative = ["--normal", "scene/normal", "--test", "scene/test", "--labels", "scene/labels.csv"]
    assert cli("run", *relative, "--out", "mine", *FAST).code == 3
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    given = "../mine/config.yaml" if as_file else "../mine"
    plan = cli("plan", given)
    assert plan.code == 0, plan.err
    assert [line.split()[1] for line in plan.out.splitlines()[1:]] == ["0"] * 7
    for stage in ("train", "score", "evaluate", "report"):
        result = cli(stage, given)
        assert (result.code, f"{stage}: up to date" in result.err) == (3, True), result.err
    assert list(Path().iterdir()) == []


@pytest.mark.slow
def test_what_is_normal_is_learnt_without_test_videos(cli, scene: Path) -> None:
    normal = sorted((scene / "normal").iterdir())
    first, *others = [argument for path in normal for argument in ("--normal", path)], "--out", "run"
    for stage in ("extract", "train", "plan"):
        result = cli(stage, *first, *others, *FAST)
        assert result.code == 0, result.err
    test = sorted((scene / "test").iterdir())[0]
    result = cli("score", "--model", "run", test)
    assert result.code == 0, result.err
    alone = read_csv(Path("run/new/scores") / f"{test.stem}.csv")
    result = cli("run", "run", "--test", test)
    assert result.code == 0, result.err
    assert "train: up to date" in result.err
    assert read_csv(Path("run/scores") / f"{test.stem}.csv") == alone
    result = cli("plan", "run", "--preset", "object")
    assert (result.code, "says everything" in result.err) == (2, True)
    assert cli("score", "--normal", normal[0]).code == 2


def test_folders_of_normal_videos_are_said_to_be_cameras_where_nothing_else_tells(cli, scene: Path) -> None:
    for day in ("mon", "tue"):
        shutil.move(sorted((scene / "normal").glob("*.*"))[0], make_folder(scene / "normal" / day))
    for path in (scene / "normal").glob("*.*"):
        path.unlink()
    result = cli("extract", "--normal", scene / "normal", "--out", "run", *FAST)
    assert result.code == 0, result.err
    assert "taken for cameras: mon, tue; data.merge_cameras=true" in result.err


def make_folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize("command", ["run", "score", "plan"])
def test_a_video_in_place_of_a_configuration_is_told_where_it_goes(cli, command: str) -> None:
    result = cli(command, "clip.MP4")
    assert result.code == 2
    assert "mulde score --model RUN clip.MP4" in result.err


def test_folder_that_is_no_run_is_said(cli, scene: Path) -> None:
    result = cli("report", scene / "test")
    assert result.code == 2
    assert "is no run" in result.err


@pytest.mark.slow
def test_one_seed_gives_identical_scores(cli, scene: Path) -> None:
    for out in ("a", "b"):
        assert cli("run", "--dataset", scene, *FAST, "--out", out, "--cache", f"cache-{out}").code == 0
    assert cli("run", "--dataset", scene, *FAST, "--out", "c", "--cache", "cache-a", "--seed", 5).code == 0
    texts = [
        [path.read_text() for path in sorted(Path(out, "scores").glob("*.csv"))] for out in ("a", "b", "c")
    ]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]


@pytest.mark.slow
def test_stages_one_by_one_equal_a_run(cli, scene: Path) -> None:
    assert cli("run", "--dataset", scene, *FAST, "--out", "whole").code == 0
    for stage in ("extract", "train", "score", "evaluate", "report"):
        assert cli(stage, "--dataset", scene, *FAST, "--out", "steps").code == 0
    for path in Path("whole/scores").glob("*.csv"):
        assert path.read_text() == Path("steps/scores", path.name).read_text()
    assert Path("whole/metrics.json").read_text() == Path("steps/metrics.json").read_text()


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("train", "run `mulde extract`"),
        ("score", "run `mulde extract`"),
        ("evaluate", "run `mulde score`"),
        ("report", "run `mulde score`"),
    ],
)
def test_stage_says_what_is_missing(cli, scene: Path, stage: str, message: str) -> None:
    result = cli(stage, "--dataset", scene)
    assert (result.code, message in result.err) == (2, True)
    assert "Traceback" not in result.err


def test_score_says_that_training_is_missing(cli, scene: Path) -> None:
    assert cli("extract", "--dataset", scene, *FAST).code == 0
    result = cli("score", "--dataset", scene, *FAST)
    assert (result.code, "run `mulde train`" in result.err) == (2, True)


@pytest.mark.parametrize("stage", ["evaluate", "report"])
@pytest.mark.slow
def test_stale_scores_are_not_believed(cli, scene: Path, stage: str) -> None:
    assert cli("run", "--dataset", scene, *FAST).code == 0
    before = Path("runs/scene-motion/config.yaml").read_text()
    result = cli(stage, "--dataset", scene, *FAST, "score.smoothing_sigma_seconds=0")
    assert (result.code, "run `mulde score`" in result.err) == (2, True)
    assert Path("runs/scene-motion/config.yaml").read_text() == before
    assert cli("score", "--dataset", scene, *FAST, "score.smoothing_sigma_seconds=0").code == 0
    assert cli("evaluate", "--dataset", scene, *FAST, "score.smoothing_sigma_seconds=0").code == 0
    assert "not smoothed" in Path("runs/scene-motion/metrics.json").read_text()


@pytest.mark.parametrize("stage", ["evaluate", "report"])
@pytest.mark.slow
def test_scores_of_a_video_that_has_changed_are_not_believed(cli, scene: Path, stage: str) -> None:
    assert cli("run", "--dataset", scene, *FAST).code == 0
    first, second, *_ = sorted((scene / "test").glob("*.mp4"))
    shutil.copyfile(second, first)
    result = cli(stage, "--dataset", scene, *FAST)
    assert (result.code, "run `mulde score`" in result.err, first.stem in result.err) == (2, True, True)


@pytest.mark.parametrize("stage", ["evaluate", "report"])
@pytest.mark.slow
def test_scores_are_believed_where_a_stream_that_they_were_made_from_is_gone(
    cli, scene: Path, stage: str
) -> None:
    assert cli("run", "--dataset", scene, *FAST).code == 0
    files = sorted(Path(".cache/mulde/velocity").rglob("*.h5"))
    test_video = next(iter(sorted((scene / "test").glob("*.mp4"))))
    (gone,) = (file for file in files if file.stem == test_video.stem)
    gone.unlink()
    assert cli(stage, "--dataset", scene, *FAST).code == 0
    assert cli("extract", "--dataset", scene, *FAST).code == 0  # which makes it again
    assert files == sorted(Path(".cache/mulde/velocity").rglob("*.h5"))


@pytest.mark.slow
def test_report_shows_metrics_once_they_are_there(cli, scene: Path) -> None:
    for stage in ("extract", "train", "score", "report"):
        assert cli(stage, "--dataset", scene, *FAST).code == 0
    page = Path("runs/scene-motion/report/index.html")
    without = page.read_text()
    for stage in ("evaluate", "report"):
        assert cli(stage, "--dataset", scene, *FAST).code == 0
    assert "Micro AUC" not in without
    assert "Micro AUC" in page.read_text()


def test_a_gpu_that_is_not_there_stops_the_run_at_once(cli, scene: Path) -> None:
    result = cli("run", "--dataset", scene, *FAST, "--device", "cuda:99")
    assert (result.code, "cuda:99" in result.err) == (2, True)
    assert not Path(".cache").exists()


@pytest.mark.slow
def test_without_labels_evaluation_is_left_out(cli, scene: Path) -> None:
    result = cli("run", "--normal", scene / "normal", "--test", scene / "test", *FAST)
    assert result.code == 0, result.err
    assert "evaluate: left out" in result.err
    run = Path("runs/scene-motion")
    assert not (run / "metrics.json").exists()
    assert list(read_csv(next((run / "scores").glob("*.csv")))[0])[:3] == ["frame", "time", "score"]
    assert (run / "report" / "index.html").exists()


def test_new_footage_is_scored_with_a_run(cli, scene: Path, tmp_path: Path) -> None:
    assert cli("run", "--dataset", scene, *FAST).code == 0
    known = sorted((scene / "test").iterdir())[0]
    new = tmp_path / "camera" / "today.mp4"
    new.parent.mkdir()
    shutil.copy(known, new)
    result = cli("score", "--model", "runs/scene-motion", new)
    assert result.code == 0, result.err
    path, page = result.out.splitlines()[0], Path("runs/scene-motion/new/report/index.html")
    assert f"report  {page}" in result.out
    assert "scene-motion · new" in page.read_text(encoding="utf-8")
    expected = [row["score"] for row in read_csv(Path("runs/scene-motion/scores") / f"{known.stem}.csv")]
    assert [row["score"] for row in read_csv(Path(path))] == expected
    again = cli("score", "--model", "runs/scene-motion", new)
    assert "score: up to date" in again.err
    other = "--out", "other", "--cache", "fresh", "extract.rate=all"
    refused = cli("score", "--model", "runs/scene-motion", new, *other)
    said = "extract.rate=all does not fit the model in runs/scene-motion, which was made with extract.rate=10"
    assert (refused.code, said in " ".join(refused.err.split())) == (2, True)
    refused = cli("score", "--model", "runs/scene-motion", new, *other, "extract.threads=2")
    assert (refused.code, "threads" in refused.err) == (2, False)
    refused = cli("score", "--model", "runs/scene-motion", new, *other, "extract.plugins=[nope.py]")
    assert (refused.code, "nope.py cannot be read" in " ".join(refused.err.split())) == (2, True)
    Path("my.yaml").write_text("score: {log_tail: false}\n")
    refused = cli("score", "--model", "runs/scene-motion", new, "my.yaml", *other)
    assert (refused.code, "my.yaml is a configuration" in refused.err) == (2, True)
    assert not Path("fresh").exists()  # it is said before anything is decoded
    next(Path("runs/scene-motion/model").rglob("tensors-*.safetensors")).write_bytes(b"cut")
    damaged = cli("score", "--model", "runs/scene-motion", new, *other)
    assert (damaged.code, "train again" in damaged.err, "extract.rate" in damaged.err) == (2, True, False)
    assert "report: up to date" in again.err


@pytest.mark.slow
def test_a_plug_in_of_a_run_from_elsewhere_is_not_run_to_explain_a_mistake(
    cli, scene: Path, tmp_path: Path
) -> None:
    assert cli("run", "--dataset", scene, *FAST).code == 0
    (tmp_path / "theirs.py").write_text("from pathlib import Path\nPath('was run').touch()\n")
    file = Path("runs/scene-motion/model/config.yaml")
    write_config(file, load_config(file, options={"extract.plugins": [str(tmp_path / "theirs.py")]}))
    video = next(iter((scene / "test").glob("*.mp4")))
    result = cli("score", "--model", "runs/scene-motion", video, "extract.plugins=[]", "extract.rate=all")
    assert (result.code, "was fitted on" in result.err) == (2, True)
    assert not Path("was run").exists()


@pytest.mark.parametrize(
    ("width", "height", "said"),
    [
        (
            320,
            240,
            "frames of 320x240, the learnt scene has 160x120: motion is seen at the same size in both",
        ),
        (80, 60, "motion is seen at the same size in both"),
        (
            320,
            120,
            "which is another shape: background and sizes of objects are learnt from this video",
        ),
    ],
)
@pytest.mark.slow
def test_footage_of_another_size(
    cli, scene: Path, tmp_path: Path, width: int, height: int, said: str
) -> None:
    assert cli("run", "--dataset", scene, *FAST).code == 0
    known = sorted((scene / "test").iterdir())[0]
    new = tmp_path / "camera" / "today.mp4"
    new.parent.mkdir()
    with av.open(str(new), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in frames_of(known):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture).reformat(width, height)))
        container.mux(stream.encode(None))
    result = cli("score", "--model", "runs/scene-motion", new)
    assert result.code == 0, result.err
    assert said in result.err
    assert result.err.index(said) < result.err.index("extract 1/1")  # before the work, not after it
    with h5py.File(Path(result.out.splitlines()[0]).with_suffix(".h5")) as file:
        frame, box = file["frame"][()], file["box"][()]
    assert np.bincount(frame).max() <= 4000
    assert (box >= -1).all() and (box <= [width + 1, height + 1] * 2).all()
    if "another shape" not in said:
        expected = [float(r["score"]) for r in read_csv(Path(f"runs/scene-motion/scores/{known.stem}.csv"))]
        found = [float(row["score"]) for row in read_csv(Path(result.out.splitlines()[0]))]
        assert np.corrcoef(expected, found)[0, 1] > 0.5


def test_plan_does_nothing(cli, scene: Path) -> None:
    result = cli("plan", "--dataset", scene, *FAST)
    assert result.code == 0
    assert [line.split()[:4] for line in result.out.splitlines()[1:]] == [
        ["extract", "5", "0", "0"],
        ["train", "1", "0", "0"],
        ["hold_out", "1", "0", "0"],
        ["score", "2", "0", "0"],
        ["events", "1", "0", "0"],
        ["evaluate", "1", "0", "0"],
        ["report", "1", "0", "0"],
    ]
    assert list(Path().iterdir()) == []


def frames_of(video: Path) -> list[np.ndarray]:  # type: ignore[type-arg]
    with av.open(str(video)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def as_frame_folders(split: Path, target: Path) -> None:
    for video in split.glob("*.mp4"):
        folder = target / video.stem
        folder.mkdir(parents=True)
        for index, rgb in enumerate(frames_of(video)):
            assert cv2.imwrite(str(folder / f"{index}.png"), rgb[..., ::-1])


@pytest.mark.slow
def test_frame_folders_give_the_scores_of_the_videos(cli, scene: Path, tmp_path: Path) -> None:
    folders = tmp_path / "frames"
    for split in ("normal", "test"):
        as_frame_folders(scene / split, folders / split)
    shutil.copy(scene / "labels.csv", folders)
    for root, out in ((scene, "videos"), (folders, "folders")):
        assert cli("run", "--dataset", root, *FAST, "--out", out, "data.frames_per_second=10").code == 0
    seen = sorted((folders / "test").iterdir())
    assert cli("score", "--model", "videos", *seen, "--out", "same").code == 0
    for path in Path("videos/scores").glob("*.csv"):
        pair = [read_csv(root / "scores" / path.name) for root in (Path("videos"), Path("folders"))]
        first, second = ([float(row["score"]) for row in rows] for rows in pair)
        same = [float(row["score"]) for row in read_csv(Path("same/scores") / path.name)]
        # colour and back again is not quite the same grey
        np.testing.assert_allclose(first, same, rtol=0.07, atol=0.05)
        # and other rows make other clusters
        np.testing.assert_allclose(first, second, rtol=0.35, atol=0.2)
        assert np.corrcoef(first, second)[0, 1] > 0.98


def test_lossy_video_gives_nearly_the_boxes_of_the_lossless_one(
    cli, scene: Path, tmp_path: Path, write_video
) -> None:
    lossy = tmp_path / "lossy"
    for split in ("normal", "test"):
        for video in (scene / split).glob("*.mp4"):
            write_video(lossy / split / video.name, frames_of(video), crf=18)
    boxes = []
    for root in (scene, lossy):
        assert cli("extract", "--dataset", root, *FAST, "--cache", root.name).code == 0
        files = sorted((Path(root.name) / "boxes").rglob("*.h5"))
        boxes.append({path.name: read_rows(path) for path in files})
    for name, rows in boxes[0].items():
        other = boxes[1][name]
        assert len(other) == pytest.approx(len(rows), rel=0.15)


Break = Callable[[Path], list[object]]


def _bad_file(name: str, content: bytes) -> Break:
    def break_scene(scene: Path) -> list[object]:
        (scene / "test" / name).write_bytes(content)
        return []

    return break_scene


def _truncated(scene: Path) -> list[object]:
    victim = sorted((scene / "test").iterdir())[0]
    (scene / "test" / "cut.mp4").write_bytes(victim.read_bytes()[:2000])
    return []


@pytest.mark.parametrize(
    ("break_scene", "named"),
    [
        (_bad_file("notes.mp4", b"this is a text file\n" * 50), "notes.mp4"),
        (_bad_file("empty.mp4", b""), "empty.mp4"),
        (_truncated, "cut.mp4"),
    ],
)
@pytest.mark.slow
def test_a_bad_video_does_not_stop_the_others(cli, scene: Path, break_scene: Break, named: str) -> None:
    break_scene(scene)
    result = cli("run", "--dataset", scene, *FAST)
    assert result.code == 3
    assert named in result.err
    assert "Traceback" not in result.err
    failures = json.loads(Path("runs/scene-motion/failures.json").read_text())
    assert [(row["stage"], row["video"]) for row in failures] == [("extract", Path(named).stem)]
    assert len(list(Path("runs/scene-motion/scores").glob("*.csv"))) == 2
    (scene / "test" / named).unlink()
    assert cli("run", "--dataset", scene, *FAST).code == 0
    assert not Path("runs/scene-motion/failures.json").exists()


FAULTY = """
from dataclasses import dataclass
from typing import ClassVar
import numpy as np
from mulde.extractors.base import Extractor, RgbFrame

@dataclass(frozen=True)
class Faulty(Extractor):
    name: ClassVar[str] = "faulty"
    code_version: ClassVar[int] = 1
    preparation = RgbFrame()
    n_features = 1

    def describe(self, around, centre, objects):
        if around[centre].shape[1] == 80:
            raise ZeroDivisionError("a mistake in an extractor")
        return np.ones((len(objects.box_xyxy), 1), np.float32)
"""


def test_a_faulty_extractor_fails_its_video_alone(cli, scene: Path, tmp_path: Path) -> None:
    (tmp_path / "faulty.py").write_text(FAULTY)
    render_scene(tmp_path / "small", size=(80, 60), n_normal=1, n_test=1, seconds=2.0, fps=10, seed=1)
    shutil.copy(next((tmp_path / "small" / "test").iterdir()), scene / "test" / "small.mp4")
    plugin = [f"extract.plugins=[{tmp_path / 'faulty.py'}]", "extract.streams=[velocity,faulty]"]
    result = cli("extract", "--dataset", scene, *FAST, *plugin)
    assert result.code == 3, result.err
    assert "small.mp4: ZeroDivisionError: a mistake in an extractor" in result.err
    assert "Traceback" not in result.err
    assert "Traceback" in Path("runs/scene-motion/run.log").read_text()
    (failure,) = json.loads(Path("runs/scene-motion/failures.json").read_text())
    assert failure["video"] == "small"


@pytest.mark.parametrize("stage", ["evaluate", "report"])
@pytest.mark.slow
def test_a_video_of_which_some_streams_failed_holds_up_no_other(
    cli, scene: Path, tmp_path: Path, stage: str
) -> None:
    (tmp_path / "faulty.py").write_text(FAULTY)
    render_scene(tmp_path / "small", size=(80, 60), n_normal=1, n_test=1, seconds=2.0, fps=10, seed=1)
    shutil.copy(next((tmp_path / "small" / "test").iterdir()), scene / "test" / "small.mp4")
    plugin = [f"extract.plugins=[{tmp_path / 'faulty.py'}]", "extract.streams=[velocity,faulty]"]
    assert cli("extract", "--dataset", scene, *FAST).code == 0  # so there are boxes of it
    assert cli("run", "--dataset", scene, *FAST, *plugin).code == 3
    result = cli(stage, "--dataset", scene, *FAST, *plugin)
    assert (result.code, "small.mp4" in result.err) == (3, True)


@pytest.mark.slow
def test_damaged_features_are_made_again_by_the_run_that_needs_them(cli, scene: Path) -> None:
    assert cli("run", "--dataset", scene, *FAST).code == 0
    before = {path.name: path.read_bytes() for path in Path("runs/scene-motion/scores").glob("*.csv")}
    victim = sorted(Path(".cache/mulde/velocity").rglob("02.h5"))[0]
    content = bytearray(victim.read_bytes())
    content[-5] ^= 1  # in the middle of a number
    victim.write_bytes(content)
    shutil.rmtree("runs/scene-motion")
    result = cli("train", "--dataset", scene, *FAST)
    assert (result.code, "02.h5 was changed after it was written: run extract again" in result.err) == (
        2,
        True,
    )
    victim.write_bytes(content)  # once more
    result = cli("run", "--dataset", scene, *FAST)
    assert (result.code, "02.h5 was damaged, and is deleted" in result.err) == (0, True), result.err
    after = {path.name: path.read_bytes() for path in Path("runs/scene-motion/scores").glob("*.csv")}
    assert after == before


def test_only_bad_videos_is_bad_input(cli, scene: Path) -> None:
    for video in (scene / "test").iterdir():
        video.write_bytes(b"")
    (scene / "labels.csv").unlink()
    result = cli("run", "--dataset", scene, *FAST)
    assert result.code == 2
    assert "no test video can be used" in result.err
    assert not Path("runs/scene-motion/model").exists()  # it is said before anything is learnt


@pytest.mark.slow
def test_labels_of_evaluate_stay_with_the_run(cli, scene: Path, tmp_path: Path) -> None:
    labels = shutil.move(scene / "labels.csv", tmp_path / "mine.csv")
    videos = "--normal", scene / "normal", "--test", scene / "test"
    assert cli("run", *videos, "--out", "gate", *FAST).code == 0
    assert not Path("gate/metrics.json").exists()
    assert cli("evaluate", "gate", "--labels", labels, "--protocol", "unsmoothed").code == 0
    metrics = Path("gate/metrics.json").read_text()
    for command in ("report", "run"):
        result = cli(command, "gate")
        assert result.code == 0, result.err
        assert Path("gate/metrics.json").read_text() == metrics
        assert "not evaluated with these settings" not in Path("gate/report/index.html").read_text()


@pytest.mark.slow
def test_what_was_cut_off_goes_on_by_its_folder(cli, scene: Path) -> None:
    normal = sorted((scene / "normal").iterdir())
    for video in normal:
        video.rename(video.with_suffix(".kept"))
        video.write_bytes(b"")
    assert cli("run", "--dataset", scene, "--out", "gate", *FAST).code == 2
    for video in normal:
        video.with_suffix(".kept").replace(video)
    result = cli("run", "gate")
    assert result.code == 0, result.err
    assert "max_steps: 60" in Path("gate/config.yaml").read_text()


def _labels(text: str) -> Callable[[Path], list[object]]:
    def write(scene: Path) -> list[object]:
        (scene / "labels.csv").write_text("video,start,end\n" + text)
        return ["--dataset", scene]

    return write


MISTAKES: dict[str, tuple[Callable[[Path], list[object]], str]] = {
    "no data": (lambda scene: [], "--normal PATH and --test PATH"),
    "missing folder": (lambda scene: ["--normal", scene / "no", "--test", scene / "test"], "no is not there"),
    "long name": (lambda scene: ["--normal", scene / ("x" * 300), "--test", scene / "test"], "is too long"),
    "empty folder": (
        lambda scene: [(scene / "none").mkdir() or "--normal", scene / "none", "--test", scene / "test"],
        "none holds no videos",
    ),
    "missing data set": (lambda scene: ["--dataset", scene / "no"], "is not there"),
    "unknown layout": (lambda scene: ["--dataset", scene, "--layout", "x"], "unknown layout 'x'"),
    "both": (lambda scene: ["--dataset", scene, "--normal", scene / "normal"], "not both"),
    "labels for nobody": (_labels("nobody,1,2\n"), "labels for video nobody"),
    "labels too long": (_labels("bicycle,1,2000\n"), "reach frame 2000"),
    "unknown key": (lambda scene: ["--dataset", scene, "detector.bta=1"], "did you mean detector.beta?"),
    "unknown option": (lambda scene: ["--dataset", scene, "--bta", "1"], "No such option"),
    "unknown executor": (
        lambda scene: ["--dataset", scene, "--executor", "cloud"],
        "executor = 'cloud' is not allowed",
    ),
    "number without end": (
        lambda scene: ["--dataset", scene, "score.false_alarms_per_day=inf"],
        "score.false_alarms_per_day",
    ),
    "seed below 0": (lambda scene: ["--dataset", scene, "--seed", "-1"], "seed = -1"),
    "layout of nothing": (
        lambda scene: ["--normal", scene / "normal", "--test", scene / "test", "--layout", "ucsd"],
        "--layout is that of --dataset",
    ),
    "bad value": (lambda scene: ["--dataset", scene, "--workers", "0"], "workers = 0"),
    "cache is a file": (lambda scene: ["--dataset", scene, "--cache", scene / "labels.csv"], "--cache DIR"),
    "run is a file": (lambda scene: ["--dataset", scene, "--out", scene / "labels.csv"], "--out DIR"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_gives_one_clear_message(cli, scene: Path, mistake: str) -> None:
    arguments, message = MISTAKES[mistake]
    if mistake == "labels too long":
        first = sorted((scene / "test").iterdir())[0].stem
        (scene / "labels.csv").write_text(f"video,start,end\n{first},1,2000\n")
        given: list[object] = ["--dataset", scene]
    else:
        given = arguments(scene)
    result = cli("run", *given, *FAST) if mistake != "bad value" else cli("run", *given)
    assert result.code == 2, result.err
    assert message in result.err.replace("\n", " ")
    assert "Traceback" not in result.err


@pytest.mark.slow
def test_model_of_other_streams_is_refused(cli, scene: Path) -> None:
    assert cli("run", "--dataset", scene, *FAST).code == 0
    assert cli("extract", "--dataset", scene, *FAST, "extract.streams=[hog]").code == 0
    result = cli("score", "--dataset", scene, *FAST, "extract.streams=[hog]")
    assert result.code == 2
    assert "made from the streams velocity, direction, place, stillness, but hog" in result.err


def test_cache_commands(cli, scene: Path) -> None:
    assert cli("cache", "list").code == 2
    assert cli("extract", "--dataset", scene, *FAST).code == 0
    assert "velocity" in cli("cache", "list").out
    assert "0 damaged" in cli("cache", "verify").out
    victim = next(Path(".cache/mulde/velocity").rglob("*.h5"))
    victim.write_bytes(victim.read_bytes()[:100])
    result = cli("cache", "verify")
    assert (result.code, str(victim) in result.err) == (2, True)


def test_json_for_programs(cli, scene: Path) -> None:
    options = ("--dataset", scene, "--json", *FAST)
    plan = json.loads(cli("plan", *options).out)
    assert [(work["stage"], len(work["todo"])) for work in plan] == [
        ("extract", 5), ("train", 1), ("hold_out", 1), ("score", 2), ("events", 1), ("evaluate", 1),
        ("report", 1),
    ]  # fmt: skip
    (scene / "test" / "broken.mp4").write_bytes(b"no video")
    result = cli("run", *options)
    assert result.code == 3
    told = json.loads(result.out)
    assert told["run"] == "runs/scene-motion"
    assert told["metrics"] == read_json(Path("runs/scene-motion/metrics.json"))
    assert told["failures"] == json.loads(Path("runs/scene-motion/failures.json").read_text())
    assert Path(told["report"]).is_file()
    assert json.loads(cli("evaluate", *options).out)["metrics"] == told["metrics"]
    streams = json.loads(cli("cache", "list", "--json").out)
    assert {stream["stream"] for stream in streams} >= {"boxes", "velocity", "scene"}
    assert all(stream["size_bytes"] > 0 for stream in streams)
    test = sorted((scene / "test").glob("0*.mp4"))[0]
    told = json.loads(cli("score", "--model", "runs/scene-motion", test, "--json").out)
    assert read_csv(Path(told["scores"][test.stem]))[0]["frame"] == "0"


ODD_NAMES = {
    b"x\xff": "x%FF",
    b"\x1b[31mred\nline,\"q\"": "%1B[31mred%0Aline,\"q\"",
    "[red]cafe\u0301".encode(): "[red]caf\xe9",
}  # fmt: skip


def rename_oddly(folder: Path) -> None:
    """Give the first videos of a folder names that are not UTF-8, or that terminals and CSV mistake."""
    for path, name in zip(sorted(folder.glob("*.mp4")), ODD_NAMES, strict=False):
        try:
            path.rename(folder / os.fsdecode(name + b".mp4"))
        except OSError:
            pytest.skip("this file system refuses names that are not UTF-8")


@pytest.mark.slow
def test_odd_names(cli, scene: Path) -> None:
    rename_oddly(scene / "normal")
    for path in sorted((scene / "normal").iterdir()):
        shutil.copy(path, scene / "test")
    (scene / "test" / os.fsdecode(b"bad\xfe\x1b.mp4")).touch()
    rows = ["video,start,end", "x%FF,1,3", "[red]caf\xe9.mp4,2,4"]
    (scene / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    result = cli("run", "--dataset", scene, *FAST)
    assert result.code == 3, result.err
    run = Path("runs/scene-motion")
    names = {path.relative_to(run / "scores").as_posix() for path in (run / "scores").rglob("*.csv")}
    assert {f"{name}.csv" for name in ODD_NAMES.values()} < names
    failures = json.loads((run / "failures.json").read_text(encoding="utf-8"))
    assert [failure["video"] for failure in failures] == ["bad%FE%1B"]
    assert "bad%FE%1B.mp4 is empty (0 bytes)" in failures[0]["reason"]
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    assert set(metrics["per_video"]) == {"x%FF", "[red]caf\xe9"}
    page = (run / "report" / "index.html").read_text(encoding="utf-8")
    log = (run / "run.log").read_text(encoding="utf-8")
    for text in (result.out, result.err, page, log):
        assert "\x1b" not in text
    assert "[red]caf\xe9" in result.err
    assert all(line[:2] == "20" for line in log.splitlines())  # each begins with its date
    before = cached_files()
    for command in (
        ["plan", run], ["report", run], ["evaluate", run], ["cache", "list"], ["cache", "verify"],
        ["datasets", scene], ["datasets", scene, "--json"], ["cache", "prune"],
    ):  # fmt: skip
        again = cli(*command)
        assert again.code in (0, 3), again.err
        assert "\x1b" not in again.out + again.err
        assert "Traceback" not in again.err
    assert cached_files() == before


@pytest.mark.slow
def test_folders_with_odd_names(cli, scene: Path) -> None:
    odd = scene.parent / os.fsdecode(b"d\xff\x1b[31m")
    try:
        scene.rename(odd)
    except OSError:
        pytest.skip("this file system refuses names that are not UTF-8")
    run = Path(os.fsdecode(b"r\xff"))
    options = ("--out", run, "--cache", os.fsdecode(b"c\xff"))
    result = cli("run", "--dataset", odd, *options, *FAST)
    assert result.code == 0, result.err
    assert "\x1b" not in result.out + result.err
    assert "scores  r%FF/scores" in result.out
    assert cli("run", run).code == 0  # config.yaml has the paths of data and cache
    assert "up to date, 5 videos in the cache" in cli("extract", run).err


@pytest.mark.slow
def test_labels_from_a_spreadsheet(cli, scene: Path) -> None:
    rows = read_csv(scene / "labels.csv")
    options = ("--dataset", scene, "--out", "run", *FAST)
    assert cli("run", *options).code == 0
    by_frames = json.loads(Path("run/metrics.json").read_text())
    (scene / "labels.csv").unlink()
    lines = ["video\tstart_time\tend_time\tevent"]
    for row in rows:
        start, end = (f"00:00:{int(row[edge]) // 10:02d},{int(row[edge]) % 10}" for edge in ("start", "end"))
        lines.append(f"{row['video']}.mp4\t{start}\t{end}\tsomething odd")
    (scene / "labels.tsv").write_text("\n".join(lines), encoding="utf-16")
    assert cli("run", *options).code == 0
    by_seconds = json.loads(Path("run/metrics.json").read_text())
    assert by_seconds == by_frames
    event = f"something odd, frames {rows[0]['start']} to {int(rows[0]['end']) - 1}"
    assert event in Path("run/report/index.html").read_text(encoding="utf-8")
    assert f"{len(rows)} labelled events have a name: something odd {len(rows)}" in cli("datasets", scene).out
    labels = scene / "labels.tsv"
    by_scores = cli("evaluate", "--scores", "run/scores", "--labels", labels, "--out", "other")
    assert by_scores.code == 0
    found = json.loads(Path("other/metrics.json").read_text())
    assert found["micro_auc"] == pytest.approx(by_frames["micro_auc"])


@pytest.mark.slow
def test_seconds_read_as_frames_are_suspected_and_unlabelled_videos_named(cli, scene: Path) -> None:
    first, second = sorted(path.stem for path in (scene / "test").iterdir())
    (scene / "labels.csv").write_text(f"video,start,end\n{first},1,3\n")
    result = cli("run", "--dataset", scene, *FAST)
    assert result.code == 0
    assert result.err.count("the labels may be in seconds") == 1
    assert f": 1 of 2 test videos has no labels, so it is not evaluated: {second}" in result.err
    assert f"a line `{second},,` says that nothing happened" in result.err
    (scene / "labels.csv").write_text(f"video,start_frame,end_frame\n{first},1,3\n{second},,\n")
    result = cli("run", "--dataset", scene, *FAST)
    assert "in seconds" not in result.err
    assert "no labels" not in result.err
    assert json.loads(Path("runs/scene-motion/metrics.json").read_text())["per_video"].keys() == {
        first,
        second,
    }
