"""Evaluation from the command line: scores of others, protocols, regions, and what is done again."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import av
import cv2
import h5py
import numpy as np
import pytest

from mulde.data.labels.deferred import Deferred
from mulde.data.labels.labels import Labels
from mulde.data.labels.regions import Regions
from mulde.pipeline.metrics.video_scores import VideoScores
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.scores import ScoredVideo, write_scores
from mulde.pipeline.stages.region_labels import read_region_videos

N_FRAMES = 60
FEW = "evaluate.n_resamples=20"


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    """Scores of two videos in sub-folders and labels beside: v1 is found, v2 is normal."""
    folder = tmp_path / "theirs"
    for camera in ("door", "yard"):
        (folder / camera).mkdir(parents=True)
    values = np.zeros(N_FRAMES)
    values[20:30] = 5
    rows = "".join(f"{n},{n / 10:.2f},{value}\n" for n, value in enumerate(values))
    (folder / "door" / "v1.csv").write_text("frame,time,score\n" + rows)
    np.save(folder / "yard" / "v2.npy", np.linspace(0, 3, N_FRAMES))
    (tmp_path / "labels.csv").write_text("video,start,end\ndoor/v1,20,30\nyard/v2,,\n")
    return folder


def test_scores_of_others_are_measured_without_model_cache_or_video(cli, scores: Path) -> None:
    result = cli("evaluate", "--scores", scores, "--labels", scores.parent / "labels.csv", FEW)
    assert result.code == 0, result.err
    assert "100.00 %" in result.out
    assert "scores as given" in result.out
    assert "yard" in result.out  # the scenes
    assert "the frame rate of 1 video is not known, the first is yard/v2: give" in result.out
    assert list(Path().iterdir()) == []


def test_scores_without_times_have_the_rate_that_is_given(cli, scores: Path) -> None:
    labels = ["--labels", scores.parent / "labels.csv"]
    result = cli("evaluate", "--scores", scores, *labels, FEW, "data.frames_per_second=10")
    assert (result.code, "frame rate" in result.out) == (0, False), result.err
    assert "false alarms per hour, at most" in result.out


def test_a_run_folder_gets_the_metrics_of_others(cli, scores: Path) -> None:
    arguments = ["--scores", scores, "--labels", scores.parent / "labels.csv", "--out", "theirs", FEW]
    marked = cli("evaluate", *arguments, "--protocol", "per-video-minmax")
    assert marked.code == 0
    assert "this protocol uses the test scores" in marked.out
    document = json.loads(Path("theirs/metrics.json").read_text())
    assert document["protocol"]["protocol"] == "per-video-minmax"
    assert "uses the test scores" in document["protocols"]["micro_auc"]
    assert document["micro_auc"] < 1  # each video has its own highest frame now
    assert document["reasons"]["rbdc"] == "the scores are of whole frames, without boxes"
    plain = cli("evaluate", *arguments)
    assert (plain.code, "uses the test scores" in plain.out) == (0, False)
    assert json.loads(Path("theirs/metrics.json").read_text())["micro_auc"] == 1


def test_markup_in_names_is_printed_as_it_is(cli, tmp_path: Path) -> None:
    for camera in ("[red]a", "[bold]b"):
        (tmp_path / "s" / camera).mkdir(parents=True)
        (tmp_path / "s" / camera / "v.csv").write_text("score\n1\n2\n")
    (tmp_path / "labels.csv").write_text("video,start,end\n[red]a/v,1,2\n[bold]b/v,0,1\n")
    result = cli("evaluate", "--scores", tmp_path / "s", "--labels", tmp_path / "labels.csv", FEW)
    assert result.code == 0, result.err
    assert "[red]a" in result.out
    assert "[bold]b" in result.out


def test_our_own_scores_are_measured_before_smoothing_where_it_is_asked_for(cli, tmp_path: Path) -> None:
    run, raw = RunFolder(Path("run")), np.tile([0.0, 9.0], 30)
    labels, smoothed = raw > 0, np.linspace(0, 1, 60)
    seconds = np.arange(60) / 10
    write_scores(run, ScoredVideo("day/a", smoothed, raw, seconds, 10.0), {})
    (tmp_path / "labels" / "day").mkdir(parents=True)
    np.save(tmp_path / "labels" / "day" / "a.npy", labels)
    arguments = ["--labels", tmp_path / "labels", "--out", "theirs", FEW]

    def measure(scores: str, protocol: str) -> tuple[str, str]:
        result = cli("evaluate", "--scores", scores, *arguments, "--protocol", protocol)
        assert result.code == 0, result.err
        document = json.loads(Path("theirs/metrics.json").read_text())
        return f"{document['micro_auc']:.2f}", document["protocols"]["micro_auc"].rpartition("; ")[2]

    assert measure("run/scores", "mulde") == ("0.52", "scores as given.")
    assert measure("run/scores", "unsmoothed") == ("1.00", "scores not smoothed.")
    assert measure("run/scores", "ai-vad")[1] == "scores smoothed over time (Gaussian, σ = 3 frames)."
    shutil.copytree("run/scores", "copy")
    refused = cli("evaluate", "--scores", "copy", *arguments, "--protocol", "unsmoothed")
    assert (refused.code, "call the folder scores, as a run does" in refused.err) == (2, True), refused.err
    Path("copy/day/a.h5").unlink()
    assert measure("copy", "unsmoothed") == ("0.52", "scores as given, smoothed before or not.")


MISTAKES = {
    "no labels": ([], "Give either --dataset ROOT or --labels PATH"),
    "two frames short": (["v2", 58], "labels for yard/v2 are for 60 frames, but it has 58"),
    "missing": (["v2", None], "1 of 2 labelled videos have no scores"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_scores_that_do_not_fit_the_labels(cli, scores: Path, mistake: str) -> None:
    changes, message = MISTAKES[mistake]
    labels = scores.parent / "frames"
    for name in ("door/v1", "yard/v2"):
        (labels / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(labels / f"{name}.npy", np.arange(N_FRAMES) == 25)
    if changes:
        np.save(scores / "yard" / "v2.npy", np.zeros(changes[1] or 1))
        if changes[1] is None:
            (scores / "yard" / "v2.npy").unlink()
    result = cli("evaluate", "--scores", scores, *(["--labels", labels] if changes else []))
    assert (result.code, message in result.err.replace("\n", " ")) == (2, True), result.err


def test_scores_without_labels_are_named(cli, scores: Path) -> None:
    np.save(scores / "extra.npy", np.zeros(3))
    result = cli("evaluate", "--scores", scores, "--labels", scores.parent / "labels.csv", FEW)
    assert result.code == 0
    assert "1 video with scores but without labels left out, the first is extra" in result.err


# --- A run ---

FAST = [
    "detector.widths=[32]",
    "detector.max_steps=60",
    "extract.flow.preset=ultrafast",
    "--workers",
    "2",
    FEW,
]


def as_ucsd(scene: Path, root: Path) -> Path:
    """Write the clips of a scene in UCSD's layout, with masks like windows all over each abnormal frame."""
    lines = []
    for split, name in (("normal", "Train"), ("test", "Test")):
        for number, video in enumerate(sorted((scene / split).glob("*.mp4")), start=1):
            clip = root / "UCSDped2" / name / f"{name}{number:03d}"
            clip.mkdir(parents=True)
            with av.open(str(video)) as container:
                images = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
            for index, image in enumerate(images, start=1):
                assert cv2.imwrite(str(clip / f"{index:03d}.tif"), image)
                if split == "test":
                    mask = np.zeros_like(image)
                    mask[:] = 255 * (11 <= index <= 30)
                    mask[::24], mask[:, ::16] = 0, 0  # lines between them
                    clip.with_name(f"{clip.name}_gt").mkdir(exist_ok=True)
                    assert cv2.imwrite(str(clip.with_name(f"{clip.name}_gt") / f"{index:03d}.bmp"), mask)
            lines.append("TestVideoFile{end+1}.gt_frame = [11:30];\n" if split == "test" else "")
    (root / "UCSDped2" / "Test" / "UCSDped2.m").write_text("TestVideoFile = {};\n" + "".join(lines))
    return root / "UCSDped2"


@pytest.mark.slow
def test_a_run_with_regions_under_several_protocols(cli, scene: Path, tmp_path: Path) -> None:
    arguments = ["--dataset", as_ucsd(scene, tmp_path), "--out", "run", *FAST]
    assert cli("run", *arguments).code == 0
    metrics, page = Path("run/metrics.json"), Path("run/report/index.html")
    before = json.loads(metrics.read_text())
    assert 0 < before["rbdc"] <= 1
    assert before["intervals"]["rbdc"]["low"] <= before["rbdc"] <= before["intervals"]["rbdc"]["high"]
    assert 0 < before["tbdc"] <= 1
    assert "tracks are linked by overlap" in before["protocols"]["tbdc"]
    assert 0 < before["box_auc"] <= 1
    assert before["events"]["n_events"] == 2
    assert "scores smoothed over time" in page.read_text()

    unsmoothed = cli("evaluate", *arguments, "--protocol", "unsmoothed")
    assert "protocol unsmoothed: scores not smoothed" in unsmoothed.out
    after = json.loads(metrics.read_text())
    assert after["micro_auc"] == before["unsmoothed"]["micro_auc"]
    assert after["rbdc"] == before["rbdc"]
    assert "up to date" in cli("evaluate", *arguments, "--protocol", "unsmoothed").err

    # a report under another protocol than the metrics shows none of them
    assert cli("report", *arguments, "report.n_pictures=0").code == 0
    assert "These scores were not evaluated with these settings" in page.read_text()
    assert 'class="shot"' not in page.read_text()
    assert cli("report", *arguments, "--protocol", "unsmoothed").code == 0
    assert "scores not smoothed" in page.read_text()

    theirs = cli(
        "evaluate", "--scores", "run/scores", "--dataset", tmp_path / "UCSDped2", FEW, "--out", "run"
    )
    assert (theirs.code, "a run with scores of its own" in theirs.err) == (2, True)
    theirs = cli("evaluate", "--scores", "run/scores", "--dataset", tmp_path / "UCSDped2", FEW)
    assert theirs.code == 0, theirs.err
    assert f"{100 * before['micro_auc']:.2f} %" in theirs.out


@pytest.mark.slow
def test_scores_of_other_settings_or_videos_are_not_measured(cli, scene: Path) -> None:
    assert cli("run", "--dataset", scene, "--out", "run", *FAST).code == 0
    first, second = sorted((scene / "test").glob("*.mp4"))
    micro_auc = json.loads(Path("run/metrics.json").read_text())["micro_auc"]

    # without the cache the scores are all there is, and of one kind
    assert cli("evaluate", "run", "--cache", "gone").code == 0
    assert cli("evaluate", "run", "--cache", "gone", "--protocol", "unsmoothed").code == 0
    for change in ("score.smoothing_sigma_seconds=3", "extract.streams=[velocity]", "detector.max_steps=61"):
        refused = cli("evaluate", "run", "--cache", "gone", change)
        assert refused.code == 2, change
        assert f"were made with {change.split('=')[0]}=" in refused.err
        assert "`mulde run`" in refused.err
    assert cli("evaluate", "run", "--protocol", "mulde").code == 0
    assert json.loads(Path("run/metrics.json").read_text())["micro_auc"] == micro_auc

    # a labelled video that cannot be read is missing from the metrics, which they say
    (scene / "test" / "broken.mp4").write_bytes(b"no video")
    with (scene / "labels.csv").open("a") as labels:
        labels.write("broken,3,5\n")
    broken = cli("run", "run")
    said = "1 of 3 labelled test videos without scores, and not measured: broken"
    assert (broken.code, said in broken.out) == (3, True), broken.out
    assert json.loads(Path("run/metrics.json").read_text())["caution"] == said

    # all test videos are others now
    for video, other in ((first, "01"), (second, "02")):
        shutil.copy(scene / "normal" / f"{other}.mp4", video)
    stale = cli("evaluate", "run")
    assert (stale.code, "missing or not up to date" in stale.err) == (2, True), stale.out


# --- Regions of a run ---

ON = (0, 0, 10, 10)


def put_objects(run: RunFolder, name: str, **datasets: np.ndarray) -> None:
    path = run.objects(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for key, values in datasets.items():
            file[key.replace("__", "/")] = values


def region_labels(**rows: list[tuple[int, float, float, float, float, int]]) -> Labels:
    found = {name: Deferred((), lambda r=r: Regions.from_rows(r)) for name, r in rows.items()}
    frames = {name: np.array([0, 1], dtype=np.uint8) for name in ("a", "b")}
    return Labels(arrays={**frames, "quiet": np.zeros(2, dtype=np.uint8)}, region_sources=found)


VIDEOS = {
    name: VideoScores(name, np.zeros(2), np.array([0, is_abnormal], dtype=np.uint8))
    for name, is_abnormal in (("a", 1), ("b", 1), ("quiet", 0))
}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path / "run")
    for name in VIDEOS:
        one = np.array([[*ON]], dtype=np.float32)
        put_objects(run, name, frame=np.array([1]), box=one, object_score__total=np.array([2.0]))
    return run


def test_videos_with_known_regions_are_brought_together_with_their_boxes(
    run: RunFolder, caplog, monkeypatch
) -> None:
    monkeypatch.setattr(logging.getLogger("mulde"), "propagate", True)  # the command line turns it off
    labels = region_labels(a=[(1, *ON, 3), (2, *ON, 3)])  # the second is in the frame after the last
    videos, reason = read_region_videos(run, labels, list(VIDEOS.values()), are_windows=False)
    assert reason == ""
    assert [(video.name, len(video.regions), video.scores.tolist()) for video in videos] == [
        ("a", 1, [2.0]),
        ("quiet", 0, [2.0]),
    ]
    assert "1 video without region labels" in caplog.text
    assert not any(video.are_windows for video in videos)
    windows, _ = read_region_videos(run, labels, list(VIDEOS.values()), are_windows=True)
    assert all(video.are_windows for video in windows)


def test_why_there_are_no_region_metrics(run: RunFolder) -> None:
    assert read_region_videos(run, region_labels(), list(VIDEOS.values()), are_windows=False) == (
        [],
        "no region labels",
    )
    put_objects(run, "a", frame=np.array([1]), object_score__total=np.array([2.0]))
    labels = region_labels(a=[(1, *ON, 3)], b=[(1, *ON, 3)])
    videos, reason = read_region_videos(run, labels, list(VIDEOS.values()), are_windows=False)
    assert (videos, "whole frames" in reason) == ([], True)
