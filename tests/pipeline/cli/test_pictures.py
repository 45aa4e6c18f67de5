"""render, clips and scene on a run of the small scene."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from mulde.pipeline.events.files import write_events, write_threshold
from mulde.pipeline.events.record import Event, Threshold
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.stages.pictures import clip_name, clip_span

FAST = ("--workers", "1", "detector.max_steps=20", "evaluate.n_resamples=0", "report.n_pictures=1")


def event(video: str, **changes: object) -> Event:
    made = Event(video, 20, 30, 2.0, 3.0, None, 24, 1.5, (4.0, 4.0, 30.0, 60.0), "velocity", "very fast")
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def length(path: Path) -> tuple[float, int]:
    """Seconds and frames of a video."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.duration is not None
        return float(stream.duration * stream.time_base), sum(1 for _ in container.decode(stream))


@pytest.mark.slow
def test_what_a_run_found_is_shown(cli, scene: Path) -> None:
    assert cli("run", "--dataset", scene, "--out", "run", *FAST).code == 0
    clip, other = sorted((scene / "test").glob("*.mp4"))
    result = cli("render", "run", clip.stem)
    assert result.code == 0, result.err
    path = Path(result.out.strip())
    assert path == Path("run/rendered") / f"{clip.stem}.mp4"
    assert length(path) == (pytest.approx(length(clip)[0], abs=0.01), length(clip)[1])
    assert cli("render", "run", other, "--out", "here").out.strip() == str(Path("here") / f"{other.stem}.mp4")
    before = clip.read_bytes()
    onto_itself = cli("render", "run", clip.stem, "--out", clip.parent)
    assert (onto_itself.code, "is a video that was scored" in onto_itself.err) == (2, True)
    assert clip.read_bytes() == before
    missing = cli("render", "run", "nobody")
    assert (missing.code, f"no scored video of run: there are {clip.stem}" in missing.err) == (2, True)

    run = RunFolder(Path("run"))
    write_threshold(run, Threshold(1.0, 1.0, 1.0, 1.0, False, ""))
    write_events(run, [event(clip.stem), event(other.stem, start_frame=0, start_seconds=0.0, peak_frame=0)])
    result = cli("clips", "run", "--before", "0.5", "--after", "0.2")
    assert result.code == 0, result.err
    first = f"001_{clip.stem}_0h00m02s"
    assert [Path(line).name for line in result.out.split()] == [
        f"{first}.mp4", f"{first}_plain.mp4",
        f"002_{other.stem}_0h00m00s.mp4", f"002_{other.stem}_0h00m00s_plain.mp4",
    ]  # fmt: skip
    for suffix in ("", "_plain"):
        assert length(Path("run/clips") / f"{first}{suffix}.mp4") == (pytest.approx(1.7), 17)
    with av.open(str(clip)) as whole, av.open(f"run/clips/{first}_plain.mp4") as cut:
        expected = [frame.to_ndarray(format="rgb24").astype(int) for frame in whole.decode(video=0)][15:32]
        shown = [frame.to_ndarray(format="rgb24").astype(int) for frame in cut.decode(video=0)]
    errors = [[np.abs(a - b).mean() for b in expected] for a in shown]
    assert np.mean(np.diag(errors)) < 4
    assert (np.argmin(errors, axis=1) == np.arange(17)).mean() > 0.8  # frames may be alike

    pictures = cli("scene", "run")
    assert [Image.open(line).size for line in pictures.out.split()] == [(640, 480)]


def test_new_footage_is_shown_too(cli, scene: Path) -> None:
    assert cli("train", "--normal", scene / "normal", "--out", "run", *FAST).code == 2
    for stage in ("extract", "train"):
        assert cli(stage, "--normal", scene / "normal", "--out", "run", *FAST).code == 0
    clip = sorted((scene / "test").glob("*.mp4"))[0]
    assert cli("score", "--model", "run", clip).code == 0
    result = cli("render", "run/new")
    assert result.code == 0, result.err
    assert length(Path(result.out.strip()))[1] == length(clip)[1]
    clip.unlink()
    gone = cli("render", "run/new")
    assert (gone.code, "any more" in gone.err) == (2, True)


def test_no_event_gives_no_clip(cli, scene: Path) -> None:
    quiet = ("--false-alarms-per-day", 1, "score.event_least_seconds=900")
    result = cli("run", "--dataset", scene, "--out", "run", "--json", *quiet, *FAST)
    assert (result.code, json.loads(result.out)["events"]) == (0, [])
    assert json.loads(cli("report", "run", "--json").out) == json.loads(result.out)
    result = cli("clips", "run")
    assert (result.code, result.out, "there are no events in run" in result.err) == (0, "", True), result.err
    assert not Path("run/clips").exists()


def test_what_is_no_run_says_so(cli, tmp_path: Path) -> None:
    for command in ("render", "clips"):
        result = cli(command, tmp_path)
        assert (result.code, "is no run" in result.err) == (2, True)
    assert cli("scene", tmp_path).code == 2


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(0.0, 0.0, (20, 30)), (0.5, 0.2, (15, 32)), (9.0, 9.0, (0, 50)), (0.05, 0.05, (20, 31))],
)
def test_the_span_of_a_clip(before: float, after: float, expected: tuple[int, int]) -> None:
    assert clip_span(event("v"), np.arange(50) / 10, before, after) == expected


@pytest.mark.parametrize(
    ("video", "expected"),
    [("a", "007_a_1h01m02s"), ("door/../x y\x1b", "007_door_.._x_y__1h01m02s"), ("é" * 200, None)],
)
def test_the_name_of_a_clip(video: str, expected: str | None) -> None:
    name = clip_name(7, event(video, start_seconds=3662.5, stop_seconds=3663.0))
    assert name == expected or (expected is None and len(name.encode()) < 200)
