"""Footage is held out by tasks: in whatever order they end, and a lost one is not too little footage."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mulde.pipeline.executors.base import Outcome, Tick, WorkerDiedError
from mulde.pipeline.executors.in_process import InProcess
from mulde.pipeline.stages import hold_out

FAST = ["detector.kind=mahalanobis", "extract.flow.preset=ultrafast", "--device", "cpu", "--quiet"]


class Backwards(InProcess):
    """Begins with what was submitted last."""

    def submit(self, function: Callable[[Any, Tick], Any], task: Any) -> None:
        super().submit(function, task)
        self._waiting.rotate(1)


class Lost(InProcess):
    """Runs on machines that are gone."""

    def _run(self, function: Any, task: Any, on_poll: Any) -> Outcome[Any, Any]:
        return Outcome(task, None, WorkerDiedError("its machine is gone"), 0.0)


def test_the_order_in_which_tasks_end_changes_nothing(
    cli, scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--normal", scene / "normal", "--cache", "cache", *FAST, "train.by=scene"]
    options += ["extract.streams=[velocity,place]"]
    first, *others = sorted((scene / "normal").iterdir())
    clips = [first, *others, Path(shutil.copy(first, first.with_stem("again")))]
    for index, clip in enumerate(clips):  # of two cameras
        camera = clip.parent / f"camera{index % 2}"
        camera.mkdir(exist_ok=True)
        clip.rename(camera / clip.name)
    assert cli("extract", *options, "--out", "one").code == 0
    files = []
    for out, executor in (("one", InProcess), ("two", Backwards)):
        monkeypatch.setattr(hold_out, "open_computation", lambda *_, kind=executor: kind())
        done = cli("train", *options, "--out", out)
        assert done.code == 0, done.err
        files.append(Path(out, "model", "held_out.safetensors").read_bytes())
    assert files[0] == files[1]


def test_a_lost_task_is_not_too_little_footage(cli, scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["--dataset", scene, "--out", "run", *FAST, "extract.streams=[place]"]
    assert cli("extract", *options).code == 0
    monkeypatch.setattr(hold_out, "open_computation", lambda *_: Lost())
    done = cli("train", *options)
    assert done.code == 2
    assert done.err.startswith("mulde: hold out place without part 1: its machine is gone; the same command")
    assert not Path("run/model/held_out.safetensors").exists()
