from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mulde.data.errors import InputError
from mulde.data.video import Video
from mulde.detector import Calibration, Mahalanobis
from mulde.pipeline.config.sections import ExtractConfig
from mulde.pipeline.features.scenes import Scenes
from mulde.pipeline.models.model import (
    EVERY_SCENE,
    RunModel,
    StreamModel,
    load_model,
    load_stream,
    read_manifest,
    save_stream,
    stream_folder,
)

CONFIG = ExtractConfig(streams=("velocity",))


def video(scene: str) -> Video:
    return Video("a", Path("a.mp4"), Path(), scene)


def save(folder: Path, *scenes: str) -> RunModel:
    parts = {}
    for number, scene in enumerate(scenes):
        rows = np.random.default_rng(number).normal(size=(50, 2)).astype(np.float32)
        model = StreamModel(Mahalanobis().fit(rows), Calibration(0.0, 1.0 + number, 0.25))
        parts[scene] = {"velocity": model}
        save_stream(
            stream_folder(folder, scene, "velocity"), "velocity", model, CONFIG, {"source": f"from {number}"}
        )
    model = RunModel(parts, Scenes({}))
    model.save(folder, {})
    return model


@pytest.mark.parametrize("scenes", [(EVERY_SCENE,), ("north", "south")])
def test_what_was_saved_is_loaded(tmp_path: Path, scenes: tuple[str, ...]) -> None:
    saved, loaded = save(tmp_path, *scenes), load_model(tmp_path, CONFIG, "cpu")
    rows = np.array([[1, 2], [np.nan, np.nan], [3, 4]], np.float32)
    assert list(loaded.parts) == list(scenes)
    for scene in scenes:
        found = loaded.of(video(scene))["velocity"].score(rows)
        np.testing.assert_array_equal(found, saved.of(video(scene))["velocity"].score(rows))
        assert found[1] == saved.parts[scene]["velocity"].calibration.unmeasured > 0
    others = {tuple(loaded.of(video(scene))["velocity"].score(rows)) for scene in scenes}
    assert len(others) == len(scenes)


def test_a_video_of_no_known_scene(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="a is of the scene 'west', but there are detectors for north, south"
    ):
        save(tmp_path, "north", "south").of(video("west"))
    assert save(tmp_path, EVERY_SCENE).of(video("west"))


def test_a_stream_is_used_again_if_made_from_the_same(tmp_path: Path) -> None:
    assert load_stream(tmp_path / "velocity", "velocity", CONFIG, "cpu", "from 0") is None
    save(tmp_path, EVERY_SCENE)
    found = load_stream(tmp_path / "velocity", "velocity", CONFIG, "cpu", "from 0")
    assert found is not None
    assert found.calibration == Calibration(0.0, 1.0, 0.25)
    assert load_stream(tmp_path / "velocity", "velocity", CONFIG, "cpu", "from 1") is None


@pytest.mark.parametrize(
    ("streams", "version", "message"),
    [
        (("pose",), 3, r"made from the streams velocity, but pose are asked for"),
        (("velocity",), 2, r"has format version 2, this mulde reads 3: train again"),
        (("velocity",), 4, r"has format version 4, this mulde reads 3: upgrade"),
    ],
)
def test_other_models_are_refused(
    tmp_path: Path, streams: tuple[str, ...], version: int, message: str
) -> None:
    save(tmp_path, EVERY_SCENE)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": version}))
    with pytest.raises(InputError, match=message):
        load_model(tmp_path, ExtractConfig(streams=streams), "cpu")


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("manifest.json", "a bit"),
        ("velocity/manifest.json", "gone"),
        ("velocity/*.safetensors", "cut"),
        ("velocity/*.safetensors", "a bit"),
        ("scene-0.safetensors", "a bit"),
    ],
)
def test_a_damaged_model_is_made_again(cli, scene: Path, file: str, damage: str) -> None:
    settings = "extract.flow.preset=ultrafast extract.streams=[velocity] detector.widths=[8]"
    arguments = ["--dataset", scene, "--out", "run", "detector.max_steps=20", *settings.split()]
    assert cli("run", *arguments).code == 0
    scores = scores_in("run")
    path = next(Path("run/model").glob(file))
    content = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content if damage == "a bit" else content[:-20])
    footage = sorted((scene / "test").iterdir())[0]
    result = cli("score", "--model", "run", footage)
    assert result.code == 2, "it must not be believed"
    assert "train" in result.err
    result = cli("train", *arguments)
    assert result.code == 0, result.err
    assert "train: up to date" not in result.err
    assert cli("run", *arguments).code == 0
    assert scores_in("run") == scores


def scores_in(run: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(run, "scores").glob("*.csv")}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parts": None}, "parts"),
        ({"parts": {}}, "parts"),
        ({"parts": [1]}, "parts"),
        ({"parts": {"": {}}}, "parts"),
        (
            {"parts": {"../..": {"velocity": {"low": 0, "high": 1, "mean": 0.5}}}},
            "leads out of the model's folder",
        ),
        (
            {"parts": {"": {"velocity": {"low": 1, "high": 1, "mean": 0.5}}}},
            "calibration needs finite low < high",
        ),
        ({"scenes": 3}, "scenes"),
        ({"scenes": ["../../outside"]}, "leads out of the model's folder"),
        ({"provenance": None}, "provenance"),
        ({"format_version": "new"}, "damaged"),
        ({"format_version": float("inf")}, "damaged"),
    ],
)
def test_manifests_of_another_shape(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    whole = {
        "format_version": 3,
        "parts": {"": {"velocity": {"low": 0.0, "high": 1.0, "mean": 0.5}}},
        "scenes": [],
        "provenance": {},
    }
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(whole))
    assert read_manifest(tmp_path)["scenes"] == []
    path.write_text(
        json.dumps({name: value for name, value in {**whole, **changes}.items() if value is not None})
    )
    with pytest.raises(
        InputError, match=rf"manifest\.json is damaged.*{message}|manifest\.json is {message}"
    ):
        read_manifest(tmp_path)
