"""Stillness of things that stay, sway, or belong to the background."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mulde.data.video import Frame
from mulde.extractors.base import Objects
from mulde.extractors.scene import SceneModel
from mulde.extractors.settings import StillnessSettings
from mulde.extractors.streams.stillness import Stillness

BACKGROUND = np.full((60, 80), 90, np.uint8)
SCENE = SceneModel(BACKGROUND, 20.0, 0.0, (20.0, 20.0), aspect=0.5)
EXTRACTOR = Stillness(SCENE, 20, StillnessSettings(frames_unchanged=4))
BOX = Objects(np.array([[20, 20, 40, 40]], np.float32), np.zeros((1, 1), np.float32))


def masks_of(greys: list[NDArray[np.uint8]]) -> list[NDArray[np.bool_]]:
    follow = EXTRACTOR.preparation.start()
    return [follow(Frame(t, t / 10, np.repeat(grey[..., None], 3, axis=2))) for t, grey in enumerate(greys)]


def with_thing(left: int, value: int = 200) -> NDArray[np.uint8]:
    grey = BACKGROUND.copy()
    grey[20:40, left : left + 10] = value
    return grey


EMPTY = [BACKGROUND] * 4


@pytest.mark.parametrize(
    ("greys", "share"),
    [
        (EMPTY, 0.0),
        ([*EMPTY, *[with_thing(25)] * 5], 0.5),
        ([*EMPTY, *[with_thing(25)] * 4], 0.0),
        ([with_thing(25)] * 9, 0.0),
        ([*EMPTY, *[with_thing(25)] * 2, BACKGROUND, *[with_thing(25)] * 4], 0.0),
        ([*EMPTY, *[with_thing(5 * t) for t in range(9)]], 0.0),
        ([*EMPTY, *[with_thing(25, 250 - 15 * t) for t in range(9)]], 0.0),
        ([*EMPTY, *[with_thing(25)] * 2, *[with_thing(25, 230)] * 5], 0.5),
        ([*[with_thing(25, 105)] * 6, *[with_thing(25, 125)] * 6], 0.0),
    ],
    ids=[
        "empty",
        "left behind",
        "too young",
        "there from the start",
        "interrupted",
        "passes",
        "changes",
        "another takes its place",
        "hovered around the threshold",
    ],
)
def test_only_what_appeared_and_stays_is_still(greys: list[NDArray[np.uint8]], share: float) -> None:
    row = EXTRACTOR.describe([masks_of(greys)[-1]], 0, BOX)
    np.testing.assert_allclose(row, [[share]], atol=0.11)  # blurring grows a thing by a pixel a side
