"""Cache keys of four configurations, frozen: code that moves must not have features made again.

A key that changes on purpose (a code version, a setting) is changed here in the same commit, which says why.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mulde.data.cache.store import StreamKey
from mulde.extractors.scene import SceneModel
from mulde.pipeline.config.load import load_config
from mulde.pipeline.features.recipe import build_recipe

SCENE = SceneModel(np.full((48, 64), 128, np.uint8), 20.0, 0.0, (20.0, 20.0), aspect=0.5)
CONFIGURATIONS = {
    "motion": ("extract.streams=[velocity,direction,stillness,hog]",),
    "object with local weights": (
        "preset=object",
        "extract.boxes.yolo.weights=WEIGHTS",
        "extract.pose.weights=WEIGHTS",
        "extract.appearance.encoder=torchvision/mobilenet_v2",
        "extract.appearance.weights=WEIGHTS",
    ),
    "frame with random weights": (
        "preset=frame",
        "extract.clip.encoder=torchvision/s3d",
        "extract.clip.weights=random",
    ),
}
FROZEN = {
    "motion": {
        "boxes": "24ba6ac4bc61-adbf3e",
        "velocity": "10c60e47ee58-adbf3e",
        "direction": "cf691e71ed1c-adbf3e",
        "stillness": "c28da0773f12-adbf3e",
        "hog": "ff2d5d0f3057-adbf3e",
    },
    "object with local weights": {
        "boxes": "8b395653c8fb-adbf3e",
        "velocity": "55c3ac5b28fb-adbf3e",
        "pose": "cca2d4d53ab7-adbf3e",
        "appearance": "1ae9597f754b-adbf3e",
    },
    "frame with random weights": {"clip": "126fb2ebe8e6-adbf3e"},
    "imported": {"imported": "eded44eda3eb"},
}


def keys(*overrides: str) -> dict[str, str]:
    recipe = build_recipe(load_config(overrides=list(overrides)).extract, SCENE)
    return {name: key.key for name, key in recipe.keys(Path("/videos")).items()}


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_keys_are_what_they_were(configuration: str, tmp_path: Path) -> None:
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"the same bytes everywhere")
    overrides = [text.replace("WEIGHTS", str(weights)) for text in CONFIGURATIONS[configuration]]
    assert keys(*overrides) == FROZEN[configuration]


def test_key_of_imported_features_is_what_it_was() -> None:
    key = StreamKey("imported", {"name": "tracks", "is_of_objects": True})
    assert key.key == FROZEN["imported"]["imported"]
