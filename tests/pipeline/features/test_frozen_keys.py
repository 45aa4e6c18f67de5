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

SCENE = SceneModel((64, 48), np.full((1, 48, 64), 128, np.uint8), 20.0, 0.0, (20.0, 20.0), aspect=0.5)
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
        "boxes": "79b6bb74e79f-adbf3e",
        "velocity": "11578c317672-adbf3e",
        "direction": "b6362699c185-adbf3e",
        "stillness": "6ebbf1692447-adbf3e",
        "hog": "eeb904da235e-adbf3e",
    },
    "object with local weights": {
        "boxes": "d785fa4d5325-adbf3e",
        "velocity": "e288482664db-adbf3e",
        "pose": "b2cf8eacd542-adbf3e",
        "appearance": "4d70e6235937-adbf3e",
    },
    "frame with random weights": {"clip": "5bb25ecb5650-adbf3e"},
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
