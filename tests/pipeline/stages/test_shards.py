"""Extraction in parts, by processes that know nothing of each other, is extraction."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cached_files import as_made

FAST = ["extract.streams=[place]", "extract.flow.preset=ultrafast", "--workers", "1", "--device", "cpu"]


def features(cache: Path) -> dict[str, bytes]:
    """Return all files of a cache but for when they were made, and what follows from it."""
    files = [path for path in sorted(cache.rglob("*.h5")) if "scene" not in path.parts]
    return {str(path.relative_to(cache)): as_made(path.read_bytes()) for path in files}


def command(scene: Path, *arguments: object) -> list[str]:
    given = ["extract", "--dataset", scene, *FAST, *arguments]
    return [sys.executable, "-m", "mulde", *map(str, given)]


def test_parts_make_what_one_process_makes(cli, scene_once: Path) -> None:
    assert cli("extract", "--dataset", scene_once, *FAST, "--out", "one", "--cache", "one-cache").code == 0
    for shard in ("2/2", "1/2"):
        done = cli("extract", "--dataset", scene_once, *FAST, "--out", "run", "--cache", "cache",
                   "--shard", shard)  # fmt: skip
        assert done.code == 0, done.err
    assert features(Path("cache")) == features(Path("one-cache"))
    told = json.loads(cli("status", "run", "--json").out)
    assert (told["n_done"], told["n_failed"], told["states"]) == (5, 0, {"ended": 2})
    assert sorted(part["n_videos"] for part in told["shards"]) == [2, 3]
    text = cli("status", "run").out
    assert "5 of 5 videos done, 0 failed; shards: 2 ended" in text
    assert "hours" in text.splitlines()[0]
    assert "hours" not in cli("status", "one").out
    # what the parts have made is what every other command finds
    plan = cli("plan", "run")
    assert plan.out.splitlines()[1].split() == ["extract", "0", "5", "0"]
    assert json.loads(cli("status", "one", "--json").out)["n_done"] == 5


def test_what_failed_is_left_out_until_it_is_asked_for(cli, scene: Path) -> None:
    whole = (scene / "test" / "01_cyclist.mp4").read_bytes()
    (scene / "test" / "01_cyclist.mp4").write_bytes(b"no video")
    options = ["--dataset", scene, *FAST, "--out", "run", "--shard", "1/1"]
    first = cli("extract", *options)
    assert (first.code, "01_cyclist (extract)" in first.err) == (3, True)
    assert cli("plan", "run").code == 0
    second = cli("extract", *options)
    assert (second.code, "--retry-failed" in second.err) == (3, True)
    told = json.loads(cli("status", "run", "--json").out)
    assert (told["n_done"], told["n_failed"], told["n_videos"]) == (4, 1, 5)
    assert [failure["video"] for failure in told["shards"][0]["failures"]] == ["01_cyclist"]
    assert "01_cyclist (extract)" in cli("status", "run").out
    (scene / "test" / "01_cyclist.mp4").write_bytes(whole)
    assert cli("extract", *options, "--retry-failed").code == 0
    assert json.loads(cli("status", "run", "--json").out)["n_done"] == 5


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["extract", "--shard", "4/3", "--normal", "."], "--shard 4/3 is no part"),
        (["extract", "--retry-failed", "--normal", "."], "--retry-failed is for --shard"),
        (["status", "."], "nothing was extracted for . yet"),
    ],
)
def test_what_cannot_be_done_is_said(cli, arguments: list[str], told: str) -> None:
    refused = cli(*arguments)
    assert (refused.code, told in refused.err) == (2, True), refused.err


@pytest.mark.slow
def test_four_processes_of_which_one_is_killed(scene_once: Path, tmp_path: Path) -> None:
    one, run, cache = tmp_path / "one", tmp_path / "run", tmp_path / "cache"
    subprocess.run(command(scene_once, "--out", one, "--cache", tmp_path / "one-cache"), check=True)
    commands = {
        number: command(scene_once, "--out", run, "--cache", cache, "--shard", f"{number}/4")
        for number in range(1, 5)
    }
    processes = {number: subprocess.Popen(each, start_new_session=True) for number, each in commands.items()}
    progress = run / "shards" / "2-of-4" / "progress.json"
    deadline = time.monotonic() + 120
    while not (progress.exists() and b'"n_videos": 0' not in progress.read_bytes()):
        assert time.monotonic() < deadline and processes[2].poll() is None
        time.sleep(0.02)
    os.killpg(processes[2].pid, signal.SIGKILL)
    processes[2].wait()
    told = subprocess.run(
        [sys.executable, "-m", "mulde", "status", str(run), "--json"], capture_output=True, check=True
    )
    states = {part["number"]: part["state"] for part in json.loads(told.stdout)["shards"]}
    assert states[2] == "killed"
    assert [processes[number].wait() for number in (1, 3, 4)] == [0, 0, 0]
    subprocess.run(commands[2], check=True)
    assert features(cache) == features(tmp_path / "one-cache")
