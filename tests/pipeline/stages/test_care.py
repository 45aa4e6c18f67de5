"""Damage in a run is found, and what is to go is named; with a model that takes no time to fit."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from mulde.data.errors import InputError
from mulde.detector import Calibration, Mahalanobis
from mulde.extractors.scene import SceneModel
from mulde.pipeline.config.load import load_config, write_config
from mulde.pipeline.events.files import write_events, write_threshold
from mulde.pipeline.events.record import Event, Threshold
from mulde.pipeline.features.scenes import Scenes
from mulde.pipeline.models.held_out import save_held_out
from mulde.pipeline.models.model import RunModel, StreamModel, save_stream, stream_folder
from mulde.pipeline.runs.folder import Failure, RunFolder
from mulde.pipeline.runs.scores import ScoredVideo, those_whole, write_scores
from mulde.pipeline.stages.care import find_run_damage

SCENE = SceneModel((64, 48), np.full((1, 48, 64), 128, np.uint8), 20.0, 0.0, (20.0, 20.0), aspect=0.5)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path / "run")
    write_config(run.config, load_config())
    run.model.mkdir()
    rows = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    stream = StreamModel(Mahalanobis().fit(rows), Calibration(0.0, 1.0, 0.25))
    save_stream(stream_folder(run.model, "", "velocity"), "velocity", stream, load_config().extract, {})
    RunModel({"": {"velocity": stream}}, Scenes({"": SCENE})).save(run.model, {})
    write_config(run.model_config, load_config())
    write_scores(run, ScoredVideo("cam/a", *(np.arange(3.0) for _ in range(3)), 25.0), {})
    save_held_out(run.held_out, [], "of the model")
    write_events(run, [Event("cam/a", 1, 3, 1.0, 3.0, None, 2, 7.25, None, "velocity", "faster")])
    write_threshold(run, Threshold(2.5, 2.0, 1.0, 0.25, is_extrapolated=True, text="a"))
    run.remember("score", {"cam/a": "1"})
    run.record_failures("extract", [Failure("b", "extract", "cut short")])
    return run


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no run"):
        find_run_damage(RunFolder(tmp_path))


def test_nothing_is_wrong(run: RunFolder) -> None:
    damage = find_run_damage(run)
    assert (damage.items, damage.left, damage.n_checked, damage.n_unsealed) == ((), (), 14, 0)


@pytest.mark.parametrize(
    ("name", "deleted"),
    [
        ("state.json", "state.json"), ("failures.json", "failures.json"),
        ("model/config.yaml", "model/config.yaml"), ("model/manifest.json", "model/manifest.json"),
        ("model/scene-0.safetensors", "model/manifest.json"), ("scores/cam/a.csv", "scores/cam/a.csv"),
        ("scores/cam/a.h5", "scores/cam/a.h5"), ("config.yaml", ""), ("events.csv", "events.csv"),
        ("events.json", "events.json"), ("threshold.json", "threshold.json"),
        ("model/held_out.safetensors", "model/held_out.safetensors"),
    ],
)  # fmt: skip
def test_a_flipped_bit_is_found(run: RunFolder, name: str, deleted: str) -> None:
    path = run.folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    damage = find_run_damage(run)
    found = [str(item.path.relative_to(run.folder)) for item in damage.items]
    assert found == ([deleted] if deleted else [])
    assert len(damage.left) == (not deleted)


def test_a_whole_file_of_something_else_is_found(run: RunFolder) -> None:
    path = run.objects("cam/a")
    with h5py.File(path, "w") as file:
        file["features"] = np.zeros(3)
    assert [item.path for item in find_run_damage(run).items] == [path]
    assert those_whole(run, ["cam/a"]) == set()


def test_files_of_before_are_counted(run: RunFolder) -> None:
    run.config.write_text("preset: motion\n")
    (run.folder / "metrics.json").write_text("{}")
    damage = find_run_damage(run)
    assert (damage.items, damage.left, damage.n_unsealed) == ((), (), 2)


def test_what_was_left_over_is_no_damage(run: RunFolder) -> None:
    (run.scores / ".a.csv.0123.tmp").write_text("half")
    (item,) = find_run_damage(run).items
    assert not item.is_damaged
