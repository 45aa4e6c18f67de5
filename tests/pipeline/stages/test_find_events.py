"""Events of a run: what is written, what makes them anew, and what older models can still do."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import mulde
from mulde.detector import box_of_overlapping
from mulde.pipeline.config.sections import ScoreConfig
from mulde.pipeline.events.files import read_events, read_threshold
from mulde.pipeline.models.held_out import HeldOutPiece
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.scores import read_objects
from mulde.pipeline.stages.find_events import learn_threshold

FAST = ("detector.widths=[32]", "detector.max_steps=60", "extract.flow.preset=ultrafast")
MANY = ("--false-alarms-per-hour", 1000)
"""So many that two dozen seconds of normal footage support it."""


def alarms(run: Path) -> dict[str, list[int]]:
    found = {}
    for path in sorted((run / "scores").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as stream:
            found[path.stem] = [int(row["alarm"]) for row in csv.DictReader(stream)]
    return found


def scores_of(run: Path) -> dict[str, bytes]:
    """What was scored; the files may be written anew, for they know the table that has the alarms."""
    found = {}
    for path in (run / "scores").glob("*.h5"):
        with h5py.File(path) as file:
            found[path.stem] = file["object_score/total"][()].tobytes()
    return found


@pytest.mark.slow
def test_events_follow_from_scores_and_settings(cli, scene: Path) -> None:
    run = Path("run")
    result = cli("run", "--dataset", scene, "--out", run, *FAST, *MANY)
    assert result.code == 0, result.err
    events, threshold = read_events(RunFolder(run)), read_threshold(RunFolder(run))
    assert threshold.score is not None and not threshold.is_extrapolated
    assert threshold.text in result.out.replace("\n", " ")
    assert events and all(event.score >= threshold.score for event in events)
    assert [event.score for event in events] == sorted((event.score for event in events), reverse=True)
    for event in events:
        assert event.reason in result.out
        objects = read_objects(RunFolder(run), event.video)
        assert objects is not None
        inside = np.flatnonzero(objects.frame == event.peak_frame)
        highest = inside[objects.total[inside].argmax()] - inside[0]
        seen = sum(values[inside] for values in objects.streams.values())
        box = box_of_overlapping(seen, objects.box_xyxy[inside], int(highest))
        np.testing.assert_allclose(event.box_xyxy, box, atol=0.01)
    expected = {name: np.zeros(40, int) for name in alarms(run)}
    for event in events:
        expected[event.video][event.start_frame : event.stop_frame] = 1
    assert alarms(run) == {name: column.tolist() for name, column in expected.items()}
    metrics = json.loads((run / "metrics.json").read_text())["alarms"]
    assert (metrics["promised_per_day"], metrics["threshold"]) == (24_000, threshold.score)

    # another budget scores nothing again; then the same one gives the same
    for stage in ("evaluate", "report"):
        result = cli(stage, run, "--false-alarms-per-day", 1)
        assert (result.code, "run `mulde score` with the same options" in result.err) == (2, True)
    before, text = scores_of(run), (run / "events.csv").read_text()
    result = cli("score", run, "--false-alarms-per-day", 1, "--json")
    told = json.loads(result.out)
    assert told["threshold"]["is_extrapolated"] and "Only 12 s" in told["threshold"]["text"]
    assert told["events"] == json.loads((run / "events.json").read_text())
    assert scores_of(run) == before
    assert read_threshold(RunFolder(run)).score > threshold.score
    assert cli("score", run, *MANY).code == 0
    assert (run / "events.csv").read_text() == text
    assert scores_of(run) == before

    # a model from before there were events still scores, and says why there is no threshold
    (run / "model/held_out.safetensors").unlink()
    result = cli("score", "--model", run, sorted((scene / "test").iterdir())[0], "--json")
    told = json.loads(result.out)
    assert (told["threshold"]["score"], told["events"]) == (None, [])
    assert "run `mulde train`" in told["threshold"]["text"]
    assert "hold_out" in cli("plan", run, *MANY).out


@pytest.mark.slow
def test_python_gives_the_same_events_and_pictures_of_them(cli, scene: Path) -> None:
    clip = sorted((scene / "test").iterdir())[0]
    dated = clip.with_name("gate_2026-11-28_13-04-05.mp4")
    clip.rename(dated)
    (scene / "labels.csv").unlink()
    settings = {"detector": {"widths": [32], "max_steps": 60}, "extract": {"flow": {"preset": "ultrafast"}}}
    run = mulde.train(scene / "normal", "py", workers=1, **settings)
    results = run.score_all([dated], score={"false_alarms_per_day": 24_000})
    result = cli("score", "--model", "py", dated, *MANY)
    assert result.code == 0, result.err
    (video,) = results.videos
    assert results.events == video.events == read_events(RunFolder(Path("py/new")))
    assert results.threshold == video.threshold == read_threshold(RunFolder(Path("py/new")))
    assert video.alarm is not None
    assert video.alarm.astype(int).tolist() == alarms(Path("py/new"))[dated.stem]
    event = video.events[0]
    assert event.when.startswith("2026-11-28 13:04:0")
    picture = video.picture(event)
    assert (picture.shape, picture.dtype) == ((120, 160, 3), np.uint8)
    assert event.box_xyxy is not None
    x1, y1 = round(event.box_xyxy[0]), round(event.box_xyxy[1])
    assert (np.abs(picture[y1, x1].astype(int) - (255, 90, 71)) < 3).all(), "a corner of the box"
    lines = video.plot().get_lines()
    assert any(line.get_ydata()[0] == video.threshold.score for line in lines)


@pytest.mark.slow
def test_what_is_made_again_has_its_alarms_and_other_footage_keeps_its_events(
    cli, scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Path("run")
    assert cli("run", "--dataset", scene, "--out", run, *FAST, *MANY).code == 0
    expected, text = alarms(run), (run / "events.csv").read_text()
    assert any(map(any, expected.values()))

    table = sorted((run / "scores").glob("*.csv"))[0]
    table.write_text(table.read_text().replace("0.1", "0.2"))  # a score is another
    (run / "events.csv").write_text(text.replace(",", ";"))
    result = cli("score", run, *MANY)
    assert "score: 1 video in" in result.err
    assert (alarms(run), (run / "events.csv").read_text()) == (expected, text)

    # an end in the middle: nothing is taken for what it is not
    with monkeypatch.context() as patched:
        patched.setattr("mulde.pipeline.stages.find_events.write_events", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            cli("score", run, "--false-alarms-per-day", 1)
    assert "events: up to date" not in cli("score", run, *MANY).err
    assert (alarms(run), (run / "events.csv").read_text()) == (expected, text)

    for video in sorted((scene / "test").iterdir()):
        assert cli("score", "--model", run, video).code == 0
    assert (run / "new/events.csv").read_text() == text


def _interrupted(*arguments: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_damaged_features_are_made_again_where_footage_is_held_out(cli, scene: Path) -> None:
    arguments = ("--dataset", scene, "--out", "run", "--cache", "c", *FAST, *MANY)
    assert cli("run", *arguments).code == 0
    normal = {path.stem for path in (scene / "normal").iterdir()}
    path = next(path for path in sorted(Path("c/velocity").rglob("*.h5")) if path.stem in normal)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    result = cli("run", *arguments, "train.folds=3")
    assert result.code == 0, result.err
    assert "was damaged, and is deleted" in result.err
    assert read_threshold(RunFolder(Path("run"))).score is not None


@pytest.mark.slow
def test_normal_footage_of_which_nothing_can_be_left_out_gives_no_threshold(
    cli, scene: Path, write_video
) -> None:
    moving, *others = sorted((scene / "normal").iterdir())
    for path in others:
        path.unlink()
    write_video(scene / "normal/still.mp4", [np.full((120, 160, 3), 90, np.uint8)] * 40)
    assert cli("extract", "--normal", scene / "normal", "--out", "run", *FAST).code == 0
    result = cli("train", "--normal", scene / "normal", "--out", "run", *FAST)
    assert result.code == 0, result.err
    assert "too little normal footage to leave some of it out" in result.err
    result = cli("score", "--model", "run", moving)
    assert result.code == 0, result.err
    assert "No threshold: there is too little normal footage" in result.out


@pytest.mark.parametrize("arguments, message", [
    (["--false-alarms-per-day", 1, "--false-alarms-per-hour", 1], "not both"),
    (["--false-alarms-per-day", 0], "--false-alarms-per-day is 0, but must be a number above 0"),
    (["--false-alarms-per-hour", -1], "--false-alarms-per-hour is -1, but must be a number above 0"),
    (["--false-alarms-per-hour", "nan"], "--false-alarms-per-hour is nan, but"),
    (["--recorded-at", "gate"], "names no part of a date"),
])  # fmt: skip
def test_mistakes(cli, scene: Path, arguments: list[object], message: str) -> None:
    result = cli("plan", "--dataset", scene, *arguments)
    assert (result.code, message in result.err) == (2, True), result.err


@pytest.mark.parametrize(
    ("settings", "is_alike"),
    [
        ({}, True),
        ({"log_tail": False}, False),
        ({"n_overlapping": 5}, False),
        ({"n_overlapping": 10}, True),
        ({"fusion": "max"}, False),
    ],
)
def test_a_threshold_is_of_scores_that_were_put_together_alike(
    settings: dict[str, Any], is_alike: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = np.arange(6000)
    scores = np.random.default_rng(0).random(6000).astype(np.float32)
    piece = HeldOutPiece(frames / 10, 10.0, frames, scores, is_bent=True, n_averaged=10)
    monkeypatch.setattr("mulde.pipeline.stages.hold_out.read_held_out", lambda run: [piece])
    threshold, _ = learn_threshold(RunFolder(tmp_path), ScoreConfig(**settings))
    assert (threshold.score is not None) == is_alike
    assert ("put together in another way" in threshold.text) == (not is_alike)
