"""Watching gives the scores and events that the same file has offline with causal smoothing."""

from __future__ import annotations

import json
import re
import shutil
import socket
import threading
from contextlib import closing
from dataclasses import astuple
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

import mulde
from mulde.data.decode.readers import open_frames
from mulde.data.video import Video
from mulde.pipeline.events.files import read_events
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.origin import load_run_config
from mulde.pipeline.stages.normal import mark_as_normal
from mulde.pipeline.watch.happenings import Beginning, Happening, LiveEvents
from mulde.pipeline.watch.outputs import EventFolder, as_record
from mulde.pipeline.watch.scorer import ScoredFrame
from mulde.pipeline.watch.sources import open_source
from mulde.pipeline.watch.watcher import Closed, Opened, View, Watcher

FAST = ("detector.widths=[32]", "detector.max_steps=60", "extract.flow.preset=ultrafast")
MANY = ("--false-alarms-per-hour", 1000, "score.causal=true")
FRAMES = (
    "extract.streams=[clip,frame]",
    "extract.clip.encoder=torchvision/r3d_18",
    "extract.clip.weights=random",
    "extract.clip.every_frames=10",
    "extract.clip.length_frames=4",
    "extract.frame.encoder=torchvision/mobilenet_v3_small",
    "extract.frame.weights=random",
    "extract.frame.every_frames=3",
    "preset=frame",
)


@pytest.mark.parametrize(
    "settings",
    [FAST, (*FAST, "extract.rate=4"), (*FAST, "preset=camera"), (*FAST[:2], *FRAMES, "score.fusion=max")],
)
@pytest.mark.slow
def test_it_sees_what_is_found_offline(cli, scene: Path, settings: tuple[str, ...]) -> None:
    run, clip = RunFolder(Path("run")), sorted((scene / "test").iterdir())[0]
    trained = cli("run", "--normal", scene / "normal", "--test", clip, "--out", run.folder, *settings, *MANY)
    assert trained.code == 0, trained.err
    written = np.loadtxt(run.csv(clip.stem), delimiter=",", skiprows=1)
    config = load_run_config(run.config)
    seen = list(Watcher(run, config).watch(open_source(str(clip))))
    frames = [each for each in seen if isinstance(each, ScoredFrame)]
    assert [each.frame for each in frames] == written[:, 0].tolist()
    np.testing.assert_allclose([each.score for each in frames], written[:, 2], atol=2e-6)
    offline = sorted(read_events(run), key=lambda event: event.start_frame)
    live = [each.event for each in seen if isinstance(each, Happening)]
    assert [astuple(event)[:6] for event in live] == [astuple(event)[:6] for event in offline]
    assert [event.reason for event in live] == [event.reason for event in offline]
    assert [event.box_xyxy for event in live] == [event.box_xyxy for event in offline]
    begun = [each.start_frame for each in seen if isinstance(each, Beginning)]
    assert begun == [event.start_frame for event in offline]
    assert isinstance(seen[0], Opened)
    assert seen[-1] == Closed(clip.stem, len(written), seen[-1].notes)
    told = cli(
        *("watch", clip, "--model", run.folder, "--scores", "--clips", "--before", 1, "--after", 0.5),
        *(*MANY[2:], "score.false_alarms_per_day=24000"),
    )
    assert told.code == 0, told.err
    records = [json.loads(line) for line in told.out.splitlines()]
    assert [r["score"] for r in records if r["type"] == "frame"] == [round(f.score, 6) for f in frames]
    kept = list(map(json.loads, Path("run/watch/events.jsonl").read_text(encoding="utf-8").splitlines()))
    assert kept == [r for r in records if r["type"] != "frame"]
    told_events = [r for r in kept if r["type"] == "event"]
    assert [r["reason"] for r in told_events] == [event.reason for event in offline]
    assert all((Path("run/watch") / r["picture"]).exists() for r in told_events)
    clips = {r["clip"]: r for r in kept if r["type"] == "clip"}
    assert [r["clip"] for r in told_events] == list(clips)
    for told_event in told_events:
        made = clips[told_event["clip"]]
        assert made["start_s"] == pytest.approx(max(0, told_event["start_s"] - 1), abs=0.11)
        assert made["stop_s"] == pytest.approx(min(told_event["stop_s"] + 0.5, frames[-1].seconds), abs=0.11)
        with av.open(str(Path("run/watch") / made["clip"])) as container:
            assert len(list(container.decode(video=0))) == made["n_frames"]


def retime(source: Path, path: Path, seconds: NDArray[np.float64]) -> None:
    """Write the pictures of a video with other times."""
    with open_frames(Video("v", source, source.parent)) as frames:
        pictures = [frame.rgb for frame in frames]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "18"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.time_base = "yuv420p", Fraction(1, 1000)
        stream.codec_context.time_base = Fraction(1, 1000)
        for rgb, time in zip(pictures, seconds, strict=True):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = round(1000 * time), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("settings", [FAST, (*FAST[:2], *FRAMES)])
@pytest.mark.slow
def test_frames_that_do_not_come_evenly_have_the_scores_of_offline(
    cli, scene: Path, settings: tuple[str, ...]
) -> None:
    """Ten frames a second, a minute's pause, a lost frame, one frame a second, and thirty."""
    source, clip = sorted((scene / "test").iterdir())[0], Path("uneven.mkv")
    steps = np.repeat([0.1, 60.0, 0.1, 0.2, 0.1, 1.0, 0.033], [15, 1, 6, 1, 6, 4, 6])
    seconds = np.concatenate([[0.0], np.cumsum(steps)])
    retime(source, clip, seconds)
    run = RunFolder(Path("run"))
    trained = cli("run", "--normal", scene / "normal", "--test", clip, "--out", run.folder, *settings, *MANY)
    assert trained.code == 0, trained.err
    written = np.loadtxt(run.csv("uneven"), delimiter=",", skiprows=1)
    np.testing.assert_allclose(written[:, 1], seconds, atol=2e-3)
    seen = list(Watcher(run, load_run_config(run.config)).watch(open_source(str(clip))))
    scores = [each.score for each in seen if isinstance(each, ScoredFrame)]
    assert max(scores) > 0.5
    np.testing.assert_allclose(scores, written[:, 2], atol=2e-6)
    live = [each.event for each in seen if isinstance(each, Happening)]
    offline = sorted(read_events(run), key=lambda event: event.start_frame)
    assert [astuple(event)[:6] for event in live] == [astuple(event)[:6] for event in offline]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing.mp4", "--model", "run"), "nothing.mp4 is not there"),
        (("clip.mp4", "--model", "."), "is no run with a trained model"),
        (("clip.mp4", "--model", "run", "--webhook", "door"), "no address that can be posted to"),
        (("clip.mp4", "--model", "run", "score.causl=1"), "causl"),
        (("clip.mp4", "--model", "run", "detector.beta=1"), "detector.beta=1 does not change the detectors"),
        (("clip.mp4", "--model", "run", "--before", 2), "give --clips, too"),
        (("small.mp4", "--model", "run"), "the learnt scene has 160x120"),
        (
            ("clip.mp4", "--model", "run", "--camera", "door"),
            "run has one camera only: leave --camera out",
        ),
    ],
)
def test_what_cannot_be_watched(
    cli, trained: Path, arguments: tuple[str, ...], message: str, scene: Path, write_video
) -> None:
    shutil.copytree(trained, "run")
    shutil.copy(sorted((scene / "test").iterdir())[0], "clip.mp4")
    write_video(Path("small.mp4"), np.zeros((12, 64, 160, 3), np.uint8))
    result = cli("watch", *arguments)
    assert result.code == 2
    assert message in result.err
    assert "Traceback" not in result.err


@pytest.fixture(scope="module")
def trained(scene_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a model; not to be changed."""
    place = tmp_path_factory.mktemp("trained")
    settings = {"detector": {"widths": [32], "max_steps": 60}, "extract": {"streams": ["velocity"]}}
    return mulde.train(scene_once / "normal", place / "run", cache=place / "cache", **settings).folder


def test_files_that_were_given_up_are_told_by_the_exit_code(
    cli, trained: Path, scene: Path, write_video
) -> None:
    shutil.copytree(trained, "run")
    Path("footage").mkdir()
    shutil.copy(sorted((scene / "test").iterdir())[0], "footage/b.mp4")
    Path("footage/a.mp4").write_text("no video")
    for name in ("0", "c"):
        write_video(Path(f"footage/{name}.mp4"), np.zeros((12, 64, 160, 3), np.uint8))
    result = cli("watch", "footage", "--model", "run", "--false-alarms-per-hour", 2)
    assert result.code == 3
    assert "a false alarm twice an hour" in " ".join(result.err.split()), result.err
    records = [json.loads(line) for line in result.out.splitlines()]
    lost = [record for record in records if record["type"] == "lost"]
    for record, told in zip(lost, ("0 has frames of 160x64", "a.mp4", "c has frames of 160x64"), strict=True):
        assert told in record["reason"] and record["next_try_seconds"] is None
    assert [record["video"] for record in records if record["type"] == "opened"] == ["b"]


def test_what_was_dropped_is_told_with_the_footage_it_is_missing_in(trained: Path, scene: Path) -> None:
    run, clips = RunFolder(trained), sorted((scene / "normal").iterdir())[:2]
    source = open_source(str(clips[0].parent))
    said = []
    for seen in Watcher(run, load_run_config(run.config)).watch(source):
        if isinstance(seen, Opened) and not said:
            source.health.n_dropped += 3
        if isinstance(seen, Closed):
            said.append(seen.n_dropped)
    assert said == [3] + [0] * (len(said) - 1)
    assert len(said) > 1


def test_who_wants_to_see_is_shown_frames_and_what_was_found_in_them(trained: Path, scene: Path) -> None:
    run, clip = RunFolder(trained), sorted((scene / "test").iterdir())[0]
    came: list[int] = []
    views: list[View] = []
    scored = {}
    watcher = Watcher(run, load_run_config(run.model_config))
    for seen in watcher.watch(
        open_source(str(clip)), on_frame=lambda frame: came.append(frame.index), on_view=views.append
    ):
        assert isinstance(seen, Opened) != bool(came)
        if isinstance(seen, ScoredFrame):
            scored[seen.frame] = seen
    assert came == list(scored)
    assert [view.frame for view in views] == [scored[view.frame.frame] for view in views]
    assert len(views) >= len(came) - 3  # ten frames a second are all looked at
    for view in views:
        assert view.picture.size == (160, 120)
        assert view.frame.unsmoothed == pytest.approx(view.total.max(initial=0.0))
    with_boxes = [view for view in views if len(view.total)]
    assert len(with_boxes) > 20
    boxes = np.concatenate([view.box_xyxy for view in with_boxes])
    assert ((boxes >= 0) & (boxes <= [160, 120, 160, 120])).all()


@pytest.mark.parametrize("token", ["0123456789abcdef", ""])
def test_a_page_is_served_while_it_watches(
    cli, trained: Path, scene: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    for package in ("starlette", "uvicorn", "prometheus_client"):
        pytest.importorskip(package)
    monkeypatch.setenv("MULDE_PAGE_TOKEN", token)
    shutil.copytree(trained, "door")
    half_written = [Path("door/watch", name, ".a.123.tmp") for name in ("clips", "pictures", "outbox")]
    for path in half_written:  # by a process that was killed
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
    result = cli("watch", sorted((scene / "test").iterdir())[0], "--model", "door", "--page", "0.0.0.0:0")
    assert result.code == 0, result.err
    told = re.search(r"^the page is at http://\S+:\d+/(?:\?token=(\w{32}))?$", result.err, re.MULTILINE)
    assert told
    assert bool(told[1]) == (token == "")  # one that is known is not repeated
    assert not token or token not in result.err
    assert not any(path.exists() for path in half_written)
    kept = [path for path in Path("door/watch").rglob("*") if path.is_file()]
    assert kept
    secret = told[1] or token
    assert not [path for path in kept if secret.encode() in path.read_bytes()]
    assert secret not in result.out


def test_a_port_that_is_in_use_is_told_before_anything_is_done(cli, trained: Path, scene: Path) -> None:
    for package in ("starlette", "uvicorn", "prometheus_client"):
        pytest.importorskip(package)
    shutil.copytree(trained, "run")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = cli(
            *("watch", sorted((scene / "test").iterdir())[0], "--model", "run"),
            *("--page", taken.getsockname()[1]),
        )
    assert result.code == 2
    assert "is in use by another program: choose another for the page" in result.err
    assert len(result.err.splitlines()) == 1
    assert not Path("run/watch").exists()


@pytest.mark.parametrize("name", ["pictures", "clips", "outbox", "events.jsonl"])
def test_nothing_is_written_through_links_out_of_the_run(
    cli, trained: Path, scene: Path, tmp_path: Path, name: str
) -> None:
    shutil.copytree(trained, "run")
    (tmp_path / "elsewhere").mkdir()
    Path("run/watch").mkdir()
    Path("run/watch", name).symlink_to(tmp_path / "elsewhere" / name)
    result = cli("watch", sorted((scene / "test").iterdir())[0], "--model", "run")
    assert result.code == 2
    assert "is a link out of the run" in result.err
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_events_of_an_address_can_be_marked(trained: Path, scene: Path, tmp_path: Path) -> None:
    clip = sorted((scene / "test").iterdir())[0]
    run = RunFolder(tmp_path / "run")
    shutil.copytree(trained, run.folder)
    config = load_run_config(run.model_config, overrides=["score.false_alarms_per_day=24000"])
    watcher = Watcher(run, config)
    handler = partial(SimpleHTTPRequestHandler, directory=str(clip.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/{clip.name}"
        live = next(e for e in watcher.watch(open_source(address)) if isinstance(e, Happening))
        server.shutdown()
    file = next(e for e in watcher.watch(open_source(str(clip))) if isinstance(e, Happening))
    assert live.excerpt is not None and file.excerpt is not None
    # it is called by the time of day, is of no file, and what was watched is told apart from other times
    event, start = live.excerpt.event, live.event.start_frame
    assert re.fullmatch(rf"live:\d{{8}}T\d{{6}}-{start}", event.id)
    assert (event.source, file.excerpt.event.source) == ("", str(clip))
    assert (file.excerpt.event.id, event.footage[:2]) == (f"{clip.stem}:{start}", "20")
    assert event.watched_seconds == pytest.approx(live.event.stop_seconds, abs=2.5)
    np.testing.assert_array_equal(live.excerpt.rows.seconds, file.excerpt.rows.seconds)
    for stream, rows in live.excerpt.rows.streams.items():
        np.testing.assert_array_equal(rows.features, file.excerpt.rows.streams[stream].features)
    # kept, and marked: of live footage nothing is hidden, for it does not come again
    with closing(EventFolder(run.folder / "watch", watcher.stream_digests)) as kept:
        kept.keep(as_record(live, watcher.threshold), live)
    (mark,) = mark_as_normal(run, [event.id])
    assert mark.event == event
    again = [e for e in Watcher(run, config).watch(open_source(str(clip))) if isinstance(e, Happening)]
    assert [e.event.start_frame for e in again][:1] == [start]


def test_which_of_several_cameras(cli, scene: Path, tmp_path: Path) -> None:
    for camera in ("door", "gate"):
        shutil.copytree(scene / "normal", tmp_path / "normal" / camera)
    settings = {"detector": {"widths": [32], "max_steps": 20}, "extract": {"streams": ["velocity"]}}
    run = mulde.train(tmp_path / "normal", "run", train={"folds": 0}, **settings)
    clip = sorted((scene / "test").iterdir())[0]
    refused = cli("watch", clip, "--model", run.folder)
    assert refused.code == 2
    assert f"which camera {clip.stem} is of is not known: --camera can be door, gate" in refused.err
    mistyped = cli("watch", clip, "--model", run.folder, "--camera", "dor")
    assert mistyped.code == 2
    assert "the run knows no camera dor: --camera can be door, gate" in mistyped.err
    watched = cli("watch", clip, "--model", run.folder, "--camera", "gate")
    assert watched.code == 0, watched.err


def test_what_is_remembered_of_a_frame_keeps_nothing_else_in_memory(
    trained: Path, scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    push = LiveEvents.push

    def noting(self: LiveEvents, scored: Any, found: Any, *more: Any) -> Any:
        looks.extend(found)
        return push(self, scored, found, *more)

    monkeypatch.setattr(LiveEvents, "push", noting)
    clip = sorted((scene / "test").iterdir())[0]
    for _ in Watcher(RunFolder(trained), load_run_config(trained / "config.yaml")).watch(
        open_source(str(clip))
    ):
        pass
    arrays = [array for look in looks for array in (*look.features.values(), look.box_xyxy)]
    assert len(arrays) > 40
    assert all(array.base is None for array in arrays)
