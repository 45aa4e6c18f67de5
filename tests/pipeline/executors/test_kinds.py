"""Executors by name: each opens and works, and the configuration decides which one extraction opens."""

from __future__ import annotations

from pathlib import Path

import pool_tasks
import pytest

from mulde.pipeline.config.load import load_config
from mulde.pipeline.executors.base import Executor
from mulde.pipeline.executors.kinds import EXECUTORS, open_executor
from mulde.pipeline.features import scenes
from mulde.pipeline.open_job import open_job
from mulde.pipeline.stages import extract
from mulde.pipeline.stages.stage import Situation


@pytest.mark.parametrize("name", EXECUTORS.keys() - {"ray"})  # which is slow; see test_ray_cluster
def test_each_can_be_configured_and_works(name: str) -> None:
    config = load_config(overrides=[f"executor={name}"])
    with open_executor(config.executor, 1, 30, capacity=1) as executor:
        executor.submit(pool_tasks.square, 3)
        assert [outcome.result for outcome in executor.outcomes()] == [9]


def test_extraction_opens_the_one_that_is_configured(
    scene_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def record(name: str, workers: int, stall_seconds: float, capacity: int, ray: object = None) -> Executor:
        opened.append(name)
        return open_executor("local", workers, stall_seconds, capacity)

    for module in (scenes, extract):
        monkeypatch.setattr(module, "open_executor", record)
    (video, *_) = sorted((scene_once / "normal").iterdir())
    given = {"data.normal": video, "out": tmp_path / "run", "cache": tmp_path / "cache", "workers": 1}
    config = load_config(options=given).model_copy(update={"executor": "of a test"})

    extract.Extract().run(Situation(open_job(config, needs_test=False)))
    assert opened == ["local", "of a test"]  # the scene is learnt on this machine
