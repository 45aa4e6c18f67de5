"""Stillness of things that stay, sway, or belong to the background."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mulde.data.video import Frame
from mulde.extractors.base import Objects
from mulde.extractors.foreground import Foreground, ForegroundFrame
from mulde.extractors.scene import SceneModel
from mulde.extractors.settings import StillnessSettings
from mulde.extractors.stillness import Stillness

BACKGROUND = np.full((60, 80), 90, np.uint8)
SCENE = SceneModel(BACKGROUND, 20.0, 0.0, (20.0, 20.0), aspect=0.5)
EXTRACTOR = Stillness(Foreground.of(SCENE, 20), StillnessSettings(frames_unchanged=4))
BOX = Objects(np.array([[20, 20, 40, 40]], np.float32), np.zeros((1, 1), np.float32))


def frames_of(greys: list[NDArray[np.uint8]]) -> list[ForegroundFrame]:
    subtract = EXTRACTOR.preparation.start()
    return [subtract(Frame(t, t / 10, np.repeat(grey[..., None], 3, axis=2))) for t, grey in enumerate(greys)]


def with_thing(left: int, value: int = 200) -> NDArray[np.uint8]:
    grey = BACKGROUND.copy()
    grey[20:40, left : left + 10] = value
    return grey


@pytest.mark.parametrize(
    ("greys", "share"),
    [
        ([BACKGROUND] * 5, 0.0),
        ([with_thing(25)] * 5, 0.5),
        ([with_thing(25)] * 4, 0.0),  # not there for long enough
        ([BACKGROUND, *[with_thing(25)] * 4], 0.0),
        ([with_thing(25), with_thing(25), BACKGROUND, with_thing(25), with_thing(25)], 0.0),
        ([with_thing(10), with_thing(15), with_thing(20), with_thing(25), with_thing(30)], 0.0),
        ([with_thing(25, 200 - 15 * t) for t in range(5)], 0.0),
    ],
    ids=["empty", "stays", "young", "arrived", "interrupted", "passes", "changes"],
)
def test_only_what_stays_is_still(greys: list[NDArray[np.uint8]], share: float) -> None:
    row = EXTRACTOR.describe(frames_of(greys), len(greys) - 1, BOX)
    np.testing.assert_allclose(row, [[share]], atol=0.11)  # blurring grows a thing by a pixel a side
