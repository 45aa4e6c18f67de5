"""Several cameras: the file that names them, and each sees what it would see alone."""

from __future__ import annotations

import json
import logging
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import pytest

import mulde
from mulde.data.errors import InputError
from mulde.pipeline.cli.console import log_to_file
from mulde.pipeline.watch.cameras import open_cameras, read_cameras, side_by_side, watch_all
from mulde.pipeline.watch.sources import Lost, open_source
from mulde.pipeline.watch.watcher import Closed

ONE = "{name: door, source: clip.mp4}"


@pytest.mark.parametrize(("text", "message"), [
    ("", "cameras.yaml must hold `cameras`"),
    ("[1]", "must hold `cameras`"),
    ("cameras: [", "is no YAML"),
    ("model: run", "cameras is missing"),
    ("cameras: []", "cameras is not allowed"),
    ("cameras: [door]", "the 1. camera is not allowed"),
    (f"cameras: [{ONE}]\nmodels: run", "models is no key: known are cameras, model, settings"),
    ("cameras: [{name: door, sorce: 0}]", "source of camera door is missing"),
    ("cameras: [{name: door, source: 0, x: 1}]", "x of camera door is no key: known are name, source, model"),
    ("cameras: [{source: 0}]", "name of the 1. camera is missing"),
    (f"cameras: [{ONE}, {{name: a/b, source: 0}}]", "name of camera a/b: a name is of letters"),
    ("cameras: [{name: .., source: 0}]", "name of camera ..: a name is of letters"),
    (f"cameras: [{ONE}, {{name: Door, source: 0}}]", "two cameras are called door"),
    ("cameras: [{name: door, source: 0, follow: 0}]", "follow of camera door is not allowed: input should"),
    ("cameras: [{name: door, source: true}]", "source of camera door is not allowed"),
    ("cameras: &x [{name: door, source: 0}]\nmodel: *x", "aliases"),
])  # fmt: skip
def test_what_is_no_file_of_cameras(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "cameras.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as error:
        read_cameras(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_what_is_no_yaml_is_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "cameras.yaml"
    path.write_text("cameras:\n- name: door\n  source: rtsp://me:secret@door/a: b\n", encoding="utf-8")
    with pytest.raises(InputError, match="not allowed here in line 3, column ") as error:
        read_cameras(path)
    assert "secret" not in str(error.value)


def test_a_file_of_cameras(tmp_path: Path) -> None:
    path = tmp_path / "cameras.yaml"
    path.write_text(
        "model: runs/a\ncameras:\n- {name: door, source: 0, settings: [seed=1]}\n", encoding="utf-8"
    )
    known = read_cameras(path)
    (camera,) = known.cameras
    assert (known.model, camera.source, camera.settings, camera.model) == (
        Path("runs/a"),
        "0",
        ("seed=1",),
        None,
    )


def count(n: int, *, pause: float = 0.0) -> Generator[int, None, None]:
    for k in range(n):
        time.sleep(pause)
        yield k


@pytest.mark.parametrize("numbers", [{}, {"a": 0}, {"a": 3, "b": 1000}])
def test_feeds_run_side_by_side(numbers: dict[str, int]) -> None:
    feeds = {name: (lambda n=n: count(n)) for name, n in numbers.items()}
    found: dict[str, list[int]] = {name: [] for name in numbers}
    for name, number in side_by_side(feeds, []):
        found[name].append(number)
    assert found == {name: list(range(n)) for name, n in numbers.items()}


def test_nobody_waits_for_the_others_and_an_end_ends_them_all(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    sources = [open_source("http://127.0.0.1:9/a.ts")]
    ended = threading.Event()

    def endless() -> Generator[int, None, None]:
        try:
            yield from count(10**9)
        finally:
            ended.set()

    with closing(side_by_side({"slow": lambda: count(2, pause=0.3), "quick": endless}, sources)) as seen:
        names = [next(seen)[0] for _ in range(1000)]
    assert names.count("quick") >= 999
    assert ended.wait(5)
    assert sources[0].is_over.is_set()


def test_an_error_of_a_feed_is_raised() -> None:
    def broken() -> Generator[int, None, None]:
        yield 1
        raise InputError("the disk is full")

    with pytest.raises(InputError, match="the disk is full"):
        list(side_by_side({"a": broken, "b": lambda: count(10**9)}, []))


@pytest.fixture(scope="module")
def trained(scene_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a model; not to be changed."""
    place = tmp_path_factory.mktemp("trained")
    settings = {"detector": {"widths": [32], "max_steps": 40}, "extract": {"streams": ["velocity"]}}
    return mulde.train(scene_once / "normal", place / "run", cache=place / "cache", **settings).folder


def records_of(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def without(records: list[dict[str, object]], *keys: str) -> list[dict[str, object]]:
    """Leave out what may differ: names of pictures have the time of day in them."""
    return [{key: value for key, value in record.items() if key not in keys} for record in records]


def test_each_sees_what_it_would_see_alone(cli, trained: Path, scene_once: Path) -> None:
    shutil.copytree(trained, "run")
    clips = sorted((scene_once / "test").iterdir())
    Path("broken.mp4").write_text("no video")
    many = "score.false_alarms_per_day=24000"
    entries = [
        {"name": "door", "source": str(clips[0]), "settings": [many]},
        {"name": "gate", "source": str(clips[1]), "model": "run"},
        {"name": "yard", "source": "broken.mp4"},
    ]
    Path("cameras.yaml").write_text(json.dumps({"model": "run", "cameras": entries}), encoding="utf-8")
    result = cli("watch", "cameras.yaml", "--scores")
    assert result.code == 3, result.err
    told = records_of(result.out)
    for name, clip, setting in (("door", clips[0], [many]), ("gate", clips[1], [])):
        alone = cli("watch", clip, "--model", "run", "--out", f"alone-{name}", "--scores", *setting)
        own = [record for record in told if record["camera"] == name]
        assert without(own, "camera", "picture") == without(records_of(alone.out), "picture")
        kept = records_of(Path(f"run/watch/{name}/events.jsonl").read_text(encoding="utf-8"))
        assert kept == [r for r in told if r["camera"] == name and r["type"] != "frame"]
    (lost,) = [record for record in told if record["camera"] == "yard"]
    assert lost["type"] == "lost" and "broken.mp4" in str(lost["reason"]) and lost["next_try_seconds"] is None
    # and an event of one of them can be marked
    event = next(record for record in told if record["type"] == "event" and record["camera"] == "door")
    marked = cli("normal", "run", event["event_id"])
    assert marked.code == 0, marked.err


@pytest.mark.parametrize(("entry", "arguments", "message"), [
    ({"source": "0.mp4"}, [], "camera door: 0.mp4 is not there"),
    ({"model": "."}, [], "camera door: . is no run with a trained model"),
    ({"camera": "gate"}, [], "has one camera only: leave camera out"),
    ({"settings": ["score.causl=1"]}, [], "causl"),
    ({"settings": ["train.by=scene"]}, [], "camera door: train.by=scene does not change the detectors in"),
    ({"model": None}, [], "camera door has no model: give model, or --model RUN for all"),
    ({}, ["--follow", 3], "--camera and --follow are of one camera: name them in cameras.yaml"),
    ({}, ["--webhook", "door"], "no address that can be posted to"),
])  # fmt: skip
def test_what_is_wrong_is_said_before_the_first_frame(
    cli, trained: Path, scene_once: Path, entry: dict[str, object], arguments: list[object], message: str
) -> None:
    clip = sorted((scene_once / "test").iterdir())[0]
    first = {"name": "first", "source": str(clip), "model": str(trained)}
    second = {"name": "door", "source": str(clip), "model": str(trained), **entry}
    Path("cameras.yaml").write_text(json.dumps({"cameras": [first, second]}), encoding="utf-8")
    result = cli("watch", "cameras.yaml", "--out", "seen", *arguments)
    assert (result.code, result.out, message in result.err) == (2, "", True), result.err


def test_one_that_does_not_answer_is_looked_for_and_models_are_shared(
    trained: Path, scene_once: Path
) -> None:
    clip = sorted((scene_once / "test").iterdir())[0]
    path = Path(trained.parent / "cameras.yaml")
    entries = [
        {"name": "away", "source": "http://me:secret@127.0.0.1:9/a.ts"},
        {"name": "door", "source": str(clip), "settings": ["score.false_alarms_per_day=2"]},
    ]
    path.write_text(json.dumps({"cameras": entries}), encoding="utf-8")
    with closing(mulde.watch_cameras(path, model=trained)) as seen:
        assert next(seen)[0] in ("away", "door")
    budgets = {
        given: [
            c.watcher.threshold.false_alarms_per_day
            for c in open_cameras(path, model=trained, settings=given)
        ]
        for given in ((), ("score.false_alarms_per_day=3",))
    }
    assert [*budgets.values()] == [[1, 2], [3, 3]]
    cameras = open_cameras(path, model=trained)
    assert cameras[0].watcher.model is cameras[1].watcher.model
    assert cameras[0].watcher.turn is cameras[1].watcher.turn
    assert [camera.source.shows for camera in cameras] == ["away", "door"]  # so that ids of events differ
    lost, closed = 0, False
    started = time.monotonic()
    with closing(watch_all(cameras)) as seen:
        for name, each in seen:
            if isinstance(each, Lost):
                assert name == "away" and each.next_try_seconds is not None and "secret" not in each.reason
                lost += 1
            closed = closed or isinstance(each, Closed)
            if lost >= 2 and closed:
                break
    assert time.monotonic() - started < 20


def test_a_log_of_a_camera_has_what_its_threads_say_and_no_other(tmp_path: Path) -> None:
    log = logging.getLogger("mulde.pipeline")
    with log_to_file(tmp_path / "run.log", thread="camera a"):
        for name in ("camera a", "camera a clips", "camera ab", "camera b", "camera b clips", "clips"):
            thread = threading.Thread(target=log.warning, args=("%s", name), name=name)
            thread.start()
            thread.join()
        for name in ("camera a", "camera b"):
            log.warning("meant %s", name, extra={"thread_meant": name})
    lines = (tmp_path / "run.log").read_text(encoding="utf-8").splitlines()
    assert [line.partition(" WARNING ")[2] for line in lines] == [
        "camera a",
        "camera a clips",
        "meant camera a",
    ]


@pytest.mark.slow
def test_a_page_shows_all_of_them_and_an_interrupt_ends_it(trained: Path, tmp_path: Path) -> None:
    pytest.importorskip("starlette")
    pytest.importorskip("prometheus_client")
    path = tmp_path / "cameras.yaml"
    entries = [{"name": name, "source": f"http://127.0.0.1:9/{name}.ts"} for name in ("a", "b")]
    path.write_text(json.dumps({"cameras": entries}), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "mulde",
        "watch",
        path,
        "--model",
        trained,
        "--out",
        tmp_path,
        "--page",
        0,
    ]
    told = tmp_path / "stderr"
    with (
        told.open("w", encoding="utf-8") as stderr,
        subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=stderr, text=True) as process,
    ):
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["type"] == "lost"  # by then the page is there
        url = told.read_text(encoding="utf-8").partition("the page is at ")[2].split()[0]
        with urllib.request.urlopen(f"{url}metrics", timeout=20) as answer:
            text = answer.read().decode()
        assert all(f'mulde_source_up{{camera="{name}"}} 0.0' in text for name in ("a", "b")), text
        process.send_signal(signal.SIGTERM)  # as Ctrl-C, to which a shell may have made this process deaf
        assert process.wait(20) == 130
    for name, other in ("ab", "ba"):
        log = (tmp_path / name / "run.log").read_text(encoding="utf-8")
        assert f" INFO {name}: " in log and f" INFO {other}: " not in log, log
