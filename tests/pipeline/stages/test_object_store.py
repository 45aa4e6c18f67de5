"""Extraction into an object store is extraction: the same files, whoever is killed, and each video once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from object_stores import Server, features, served, subprocess_environment

from mulde.data.cache.objects import ObjectStorage

FAST = ["extract.streams=[place]", "extract.flow.preset=ultrafast", "--workers", "1", "--device", "cpu",
        "detector.kind=mahalanobis", "train.folds=0", "report.n_pictures=0"]  # fmt: skip

LEARNT = ["detector.kind=mulde", "detector.widths=[32]", "detector.max_steps=200", "train.folds=2"]


def command(scene: Path, *arguments: object) -> list[str]:
    given = ["extract", "--dataset", scene, *FAST, *arguments]
    return [sys.executable, "-m", "mulde", *map(str, given)]


@pytest.mark.slow
def test_a_run_is_what_it_is_with_a_folder(
    cli, scene_once: Path, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--dataset", scene_once, *FAST]
    assert cli("run", *options, "--out", "here", "--cache", "cache").code == 0
    done = cli("run", *options, "--out", "there", "--cache", address)
    assert done.code == 0, done.err
    assert features(address) == features(Path("cache"))
    for name in ("01_cyclist", "02_runner"):
        assert (
            Path("there", "scores", f"{name}.csv").read_bytes()
            == Path("here", "scores", f"{name}.csv").read_bytes()
        )
    # on another machine, where there are neither copies nor videos that could be decoded again
    monkeypatch.setenv("MULDE_COPIES", str(tmp_path / "elsewhere"))
    monkeypatch.setattr("mulde.pipeline.stages.extract.extract_missing", None)
    again = cli("run", *options, "--out", "elsewhere", "--cache", address)
    assert (again.code, "up to date, 5 videos in the cache" in again.err) == (0, True), again.err
    assert [row.split()[1] for row in cli("plan", "there").out.splitlines()[1:]] == ["0"] * 7
    listed = cli("cache", "list", "--cache", address)
    assert [row.split()[0] for row in listed.out.splitlines()[1:]] == ["boxes"] * 2 + ["place"] * 2 + [
        "scene"
    ]
    assert cli("cache", "verify", "--cache", address).out == "11 files, 0 damaged\n"
    assert "5 of 5 videos done" in cli("status", "there").out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["cache", "import", ".", "--stream", "x", "--as", "y"], "importing needs a cache in a folder"),
        (["cache", "export", "o.h5", "--stream", "x"], "exporting needs a cache in a folder"),
        (
            ["weights", "list"],
            "weights need a cache in a folder of this machine: give another --cache DIR, or --fo",
        ),
        (
            ["plan", "--normal-features", "a", "--test-features", "b"],
            "imported features need a cache in a folder",
        ),
    ],
)
def test_what_needs_a_folder_is_refused(cli, arguments: list[str], told: str) -> None:
    refused = cli(*arguments, "--cache", "s3://bucket/cache")
    assert (refused.code, told in refused.err, "`cache`" in refused.err) == (2, True, False), refused.err


@pytest.mark.slow
def test_two_processes_at_once_do_each_video_once(
    scene_once: Path, address: str, store_server: Server, tmp_path: Path
) -> None:
    processes = [
        subprocess.Popen(
            command(scene_once, "--out", tmp_path / name, "--cache", address),
            env=subprocess_environment(store_server, tmp_path / f"copies-{name}"),
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    told = [process.communicate(timeout=240)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told
    bucket = address.split("/")[2]
    put = {name: n for name, n in store_server.count_versions(bucket).items() if name.endswith(".h5")}
    assert put == dict.fromkeys(put, 1) and len(put) == 11
    assert ObjectStorage(address).streams() == ["boxes", "place", "scene"]
    assert ObjectStorage(address)._list(".locks") == {}


@pytest.mark.slow
def test_one_that_is_killed_goes_on(
    cli, scene_once: Path, address: str, store_server: Server, tmp_path: Path
) -> None:
    assert cli("extract", "--dataset", scene_once, *FAST, "--out", "here", "--cache", "cache").code == 0
    given = command(scene_once, "--out", tmp_path / "run", "--cache", address)
    environment = subprocess_environment(store_server, tmp_path / "copies")
    process = subprocess.Popen(given, env=environment, start_new_session=True)
    store, deadline = ObjectStorage(address), time.monotonic() + 120
    while not store.keys("boxes"):  # a video is done, and the next begun
        store.look_anew()
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    started = time.monotonic()
    subprocess.run(given, env=environment, check=True)
    assert time.monotonic() - started < 60, "it must not wait for the claims of a process that is gone"
    assert features(address) == features(Path("cache"))


@pytest.mark.slow
def test_a_server_that_goes_away_is_said_and_the_command_goes_on_later(
    scene_once: Path, tmp_path: Path
) -> None:
    with served() as server:
        server.make_bucket("bucket")
        given = command(scene_once, "--out", tmp_path / "run", "--cache", "s3://bucket/cache")
        environment = subprocess_environment(server, tmp_path / "copies")
        process = subprocess.Popen(given, env=environment, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        told = []
        for line in process.stderr:
            told.append(line)
            if line.startswith("extract 1/5"):
                server.stop()
        assert process.wait(timeout=240) == 2, told
    assert told[-1].startswith("mulde: s3://bucket/cache cannot be used ("), told
    assert "the same command goes on with what is not finished" in told[-1].lower()
    assert "Traceback" not in "".join(told)


@pytest.mark.slow
def test_a_server_that_goes_away_while_footage_is_held_out_is_not_too_little_footage(
    scene_once: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with served() as server:
        server.make_bucket("bucket")
        given = command(scene_once, "--out", run, "--cache", "s3://bucket/cache", *LEARNT)
        given[given.index("extract")] = "run"
        environment = subprocess_environment(server, tmp_path / "copies")
        process = subprocess.Popen(given, env=environment, stderr=subprocess.PIPE, text=True)
        while not (run / "model" / "manifest.json").exists():
            assert process.poll() is None
            time.sleep(0.01)
        server.stop()
        (tmp_path / "copies").rename(tmp_path / "gone")
        told = process.communicate(timeout=240)[1]
    assert process.returncode == 2, told
    assert told.splitlines()[-1].startswith("mulde: s3://bucket/cache cannot be used ("), told
    assert "too little normal footage" not in told


@pytest.mark.slow
def test_tasks_on_ray_make_the_same(
    cli, scene_once: Path, address: str, store_server: Server, tmp_path: Path
) -> None:
    pytest.importorskip("ray", reason="ray is not installed: pip install 'mulde[ray]'")
    assert cli("run", "--dataset", scene_once, *FAST, "--out", "here", "--cache", "cache", *LEARNT).code == 0
    given = command(scene_once, "--out", tmp_path / "run", "--cache", address, *LEARNT, "--executor", "ray")
    given[given.index("extract")] = "run"
    environment = subprocess_environment(store_server, tmp_path / "copies")
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))  # for the processes of the cluster
    done = subprocess.run(given, env=environment, capture_output=True, text=True)
    assert (done.returncode, "worker.py" in done.stderr) == (0, False), done.stderr
    assert features(address) == features(Path("cache"))
    for pattern in ("model/**/*.safetensors", "scores/**/*.csv"):
        here = {path.relative_to("here"): path.read_bytes() for path in Path("here").glob(pattern)}
        there = {name: (tmp_path / "run" / name).read_bytes() for name in here}
        assert here == there != {}, pattern
    assert (tmp_path / "run" / "model" / "held_out.safetensors").exists()
