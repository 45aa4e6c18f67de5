"""A Ray cluster of two nodes on this machine: it does what worker processes do, also when a node is lost."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pool_tasks
import pytest
from cached_files import as_made

from mulde.data.errors import PackageMissingError
from mulde.data.rendered.render import render_scene
from mulde.pipeline.executors.base import WorkerDiedError, WorkerStalledError
from mulde.pipeline.executors.kinds import open_executor
from mulde.pipeline.executors.ray_cluster import RayPool
from mulde.pipeline.executors.settings import RaySettings


def features(cache: Path) -> dict[str, bytes]:
    """Return all files of a cache but for when they were made, and what follows from it."""
    return {str(path.relative_to(cache)): as_made(path.read_bytes()) for path in cache.rglob("*.h5")}


def tensors(run: Path) -> dict[str, bytes]:
    """Return the files of a model that hold numbers."""
    return {str(path.relative_to(run)): path.read_bytes() for path in (run / "model").rglob("*.safetensors")}


def scores(run: Path) -> dict[str, bytes]:
    """Return all score files, but for when they were made."""
    files = [path for path in (run / "scores").rglob("*") if path.is_file()]
    return {str(path.relative_to(run)): as_made(path.read_bytes()) for path in files}


def test_without_ray_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(PackageMissingError, match=r"pip install 'mulde\[ray\]'"):
        open_executor("ray", 1, 30, 1)


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Start a cluster of two nodes of a core each, and connect to it."""
    ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'mulde[ray]'")
    from ray.cluster_utils import Cluster

    before = os.environ.get("PYTHONPATH", "")
    # what its processes find; in a real cluster, all that is installed
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    started = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False},
    )
    started.add_node(num_cpus=1, object_store_memory=100 * 2**20)
    ray.init(address=started.address, log_to_driver=False)
    yield started
    ray.shutdown()
    started.shutdown()
    os.environ["PYTHONPATH"] = before


@pytest.mark.slow
def test_tasks_end_as_they_do_in_worker_processes(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mulde.pipeline.executors.ray_cluster._START_SECONDS", 3.0)
    with RayPool(8, 3.0, 8, RaySettings(cpus=0.25)) as pool:
        assert list(pool.outcomes()) == []
        for function in (pool_tasks.square, pool_tasks.fail, pool_tasks.die, pool_tasks.stall):
            pool.submit(function, 3)
        ended = {type(outcome.error): outcome for outcome in pool.outcomes()}
    assert ended.keys() == {type(None), ValueError, WorkerDiedError, WorkerStalledError}, ended
    assert ended[type(None)].result == 9
    assert str(ended[ValueError].error) == "task 3"


@pytest.mark.slow
@pytest.mark.parametrize("lost_while", ["train", "hold_out", "score"])
def test_learning_and_scoring_are_the_same(cluster: Any, cli, tmp_path: Path, lost_while: str) -> None:
    scene = tmp_path / "scene"
    render_scene(scene, size=(160, 120), n_normal=3, n_test=6, seconds=10.0, fps=10, seed=1)
    options = ["--dataset", scene, "extract.streams=[velocity,place]", "--device", "cpu", "--quiet"]
    options += ["--cache", "cache", f"train.folds={2 if lost_while == 'hold_out' else 0}"]
    options += ["detector.max_steps=300"]
    assert cli("extract", *options, "--out", "one").code == 0
    for command in ("train", "score"):
        assert cli(command, *options, "--out", "one").code == 0
    signs = {
        "train": "checkpoints/*.safetensors",
        "hold_out": "model/manifest.json",  # the model is there
        "score": "scores/**/*.h5",
    }
    lost = threading.Event()

    def lose_a_node() -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not list(Path("run").glob(signs[lost_while])):
            time.sleep(0.02)
        time.sleep(2 if lost_while == "hold_out" else 0)  # until detectors are at work
        cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
        lost.set()

    thread = threading.Thread(target=lose_a_node)
    for command in ("train", "score"):
        if lost_while in {"train": ("train", "hold_out"), "score": ("score",)}[command]:
            thread.start()
        done = cli(command, *options, "--out", "run", "--executor", "ray")
        assert done.code == 0, done.err
    thread.join()
    assert lost.is_set()
    assert tensors(Path("run")) == tensors(Path("one")) != {}
    assert scores(Path("run")) == scores(Path("one")) != {}


@pytest.mark.slow
def test_what_cannot_be_used_is_said_as_on_this_machine(cluster: Any, cli, scene: Path, write_video) -> None:
    moving, *others = sorted((scene / "normal").iterdir())
    for path in others:
        path.unlink()
    options = ["--dataset", scene, "--cache", "cache", "extract.streams=[velocity]", "--device", "cpu"]
    options += ["--quiet", "detector.max_steps=40", "detector.widths=[32]", "extract.flow.preset=ultrafast"]
    still = [np.full((120, 160, 3), 90, np.uint8)] * 40

    def said(command: str) -> tuple[int, str]:
        here = cli(command, *options, "--out", "one")
        there = cli(command, *options, "--out", "run", "--executor", "ray")
        assert (there.code, there.err) == (here.code, here.err)
        return there.code, there.err

    # footage of which too little can be left out is no error
    write_video(scene / "normal" / "still.mp4", still)
    assert cli("extract", *options, "--out", "one").code == 0
    code, text = said("train")
    assert (code, "too little normal footage to leave some of it out" in text) == (0, True)
    assert tensors(Path("run")) == tensors(Path("one")) != {}
    # features that are damaged
    video = sorted((scene / "test").iterdir())[0].stem
    (damaged,) = Path("cache/velocity").rglob(f"{video}.h5")
    content = damaged.read_bytes()
    broken = bytearray(content)
    broken[len(broken) // 2] ^= 1
    for extra in (["--out", "one"], ["--out", "run", "--executor", "ray"]):
        damaged.write_bytes(broken)
        done = cli("score", *options, *extra)
        assert (done.code, done.err.count("\n")) == (2, 2), done.err
        assert f"{video}.h5 was changed after it was written" in done.err
        assert not damaged.exists()
    # nothing to learn from
    moving.unlink()
    assert cli("extract", *options, "--out", "one").code == 0
    code, text = said("train")
    assert (code, text.count("\n")) == (2, 1)
    assert "too few to learn velocity from: does anything move in them?" in text


@pytest.mark.slow
def test_a_lost_node_changes_nothing(cluster: Any, cli, tmp_path: Path) -> None:
    scene = tmp_path / "scene"
    render_scene(scene, size=(160, 120), n_normal=6, n_test=4, seconds=20.0, fps=10, seed=1)
    options = ["--dataset", scene, "extract.streams=[place]", "--device", "cpu", "--quiet"]
    assert cli("extract", *options, "--out", "one", "--cache", "one-cache", "--workers", "2").code == 0
    lost = threading.Event()

    def lose_a_node() -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not list(Path("cache").glob("place/*/*.h5")):
            time.sleep(0.05)
        cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
        lost.set()

    thread = threading.Thread(target=lose_a_node)
    thread.start()
    done = cli("extract", *options, "--out", "run", "--cache", "cache", "--executor", "ray")
    thread.join()
    assert (done.code, lost.is_set()) == (0, True), done.err
    assert features(Path("cache")) == features(Path("one-cache"))
