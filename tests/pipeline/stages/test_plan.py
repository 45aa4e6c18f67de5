"""A plan costs little: the recipe of features is built once a scene, however many videos there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mulde.extractors.scene import SceneModel
from mulde.pipeline.config.load import load_config
from mulde.pipeline.config.sections import ExtractConfig
from mulde.pipeline.features import recipe
from mulde.pipeline.open_job import open_job
from mulde.pipeline.stages.extract import Extract
from mulde.pipeline.stages.plan import make_plan
from mulde.pipeline.stages.stage import Situation


@pytest.mark.parametrize("is_extracted", [False, True])
def test_a_plan_builds_one_recipe_a_scene(
    is_extracted: bool, scene_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {
        "data.normal": scene_once / "normal",
        "data.test": scene_once / "test",
        "cache": tmp_path / "cache",
        "out": tmp_path / "run",
    }
    job = open_job(load_config(options=options, overrides=["extract.streams=[velocity]"]))
    if is_extracted:
        Extract().run(Situation(job))
    built = []
    build = recipe.build_recipe

    def count(config: ExtractConfig, scene: SceneModel, **more: Any) -> Any:
        built.append(scene)
        return build(config, scene, **more)

    for module in ("recipe", "inventory"):
        monkeypatch.setattr(f"mulde.pipeline.features.{module}.build_recipe", count)
    (extract, *_) = make_plan(job)
    assert (len(extract.todo), len(extract.current)) == ((0, 5) if is_extracted else (5, 0))
    assert len(built) == 1
