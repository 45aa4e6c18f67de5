"""What looks unlike anything that was seen in its place, box by box."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mulde.data.video import Frame
from mulde.extractors.base import Objects
from mulde.extractors.preparer import prepare_with
from mulde.extractors.scene import learn_scene
from mulde.extractors.settings import SceneSettings
from mulde.extractors.streams.texture import Texture
from mulde.extractors.unlikeness import Unlikeness

ROOM = cv2.GaussianBlur(np.random.default_rng(0).integers(40, 160, (120, 160), np.uint8), (0, 0), 2.0)


def seen(seed: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).normal(0, 2, ROOM.shape)
    return np.clip(ROOM + noise, 0, 255).astype(np.uint8)


SCENE = learn_scene(
    [seen(k) for k in range(24)], SceneSettings(with_looks=True, fallback_height_share=1 / 6, min_blobs=1000)
)
"""Objects are 20 px tall, and pictures are not made smaller."""
EXTRACTOR = Texture(Unlikeness(SCENE.looks_digest, SCENE))


def boxes(*xyxy: tuple[float, float, float, float]) -> Objects:
    return Objects(np.array(xyxy, np.float32).reshape(-1, 4), np.ones((len(xyxy), 1), np.float32))


def describe(grey: NDArray[np.uint8], objects: Objects) -> NDArray[np.float32]:
    frame = Frame.of_rgb(0, 0.0, np.repeat(grey[..., None], 3, axis=2))
    return EXTRACTOR.describe([prepare_with(EXTRACTOR.preparation)(frame)], 0, objects)


def with_thing(left: int, top: int) -> NDArray[np.uint8]:
    grey = seen(99)
    grey[top : top + 20, left : left + 20] = np.tile([30, 30, 220, 220], (20, 5))
    return grey


def test_no_object() -> None:
    assert describe(seen(50), boxes()).shape == (0, 1)


@pytest.mark.parametrize("place", [(0, 0), (60, 40), (80, 100), (140, 100)])
def test_a_new_thing_is_found_in_its_place(place: tuple[int, int]) -> None:
    left, top = place
    elsewhere = (left + 70) % 140, (top + 60) % 100
    values = describe(
        with_thing(left, top),
        boxes((left, top, left + 20, top + 20), (*elsewhere, elsewhere[0] + 20, elsewhere[1] + 20)),
    )
    assert values.shape == (2, 1)
    assert values[0, 0] > 10
    assert values[1, 0] < 4


@pytest.mark.parametrize(
    "grey",
    [
        pytest.param(seen(50), id="as usual"),
        pytest.param((seen(50) * 0.7 + 20).astype(np.uint8), id="other light"),
        pytest.param(np.roll(seen(50), 2, axis=1), id="knocked by two pixels"),
    ],
)
def test_nothing_is_new(grey: NDArray[np.uint8]) -> None:
    inner = [(x, y, x + 20, y + 20) for x in range(20, 130, 10) for y in range(20, 90, 10)]
    values = describe(grey, boxes(*inner))
    assert values.min() >= 0, "less than usual is as usual"
    assert values.max() < 8
    assert np.median(values) < 2


def test_what_stays_for_long_is_no_news() -> None:
    thing, prepare = boxes((60, 40, 80, 60)), prepare_with(EXTRACTOR.preparation)

    def at(seconds: float, grey: NDArray[np.uint8]) -> float:
        frame = Frame.of_rgb(0, seconds, np.repeat(grey[..., None], 3, axis=2))
        return float(EXTRACTOR.describe([prepare(frame)], 0, thing)[0, 0])

    def during(start: int, stop: int, grey: NDArray[np.uint8]) -> list[float]:
        return [at(seconds, grey) for seconds in range(start, stop, 10)]

    first = at(0, with_thing(60, 40))
    assert first > 10
    there = during(10, 3600, with_thing(60, 40))
    assert all(later < earlier for earlier, later in itertools.pairwise(there))
    assert there[6] > 0.85 * first, "a minute later it is still told"
    assert there[-1] < 0.1 * first, "an hour later it is part of the scene"
    assert max(during(3600, 4200, seen(50))) == 0, "nothing is news once it is gone"
    assert at(4200, with_thing(60, 40)) > 0.9 * first, "it comes again"
    assert at(4190, with_thing(60, 40)) > 0, "a clock that jumps back"


@pytest.mark.parametrize("pause_seconds", [0.2, 60, 3600, -3600])
def test_what_comes_in_a_pause_of_the_footage_is_news(pause_seconds: float) -> None:
    thing, prepare = boxes((60, 40, 80, 60)), prepare_with(EXTRACTOR.preparation)
    times = [0, 1, 1 + pause_seconds, 1.2 + pause_seconds, 2 + pause_seconds]
    values = []
    for seconds, grey in zip(times, [seen(50)] * 2 + [with_thing(60, 40)] * 3, strict=True):
        frame = Frame.of_rgb(0, seconds, np.repeat(grey[..., None], 3, axis=2))
        values.append(float(EXTRACTOR.describe([prepare(frame)], 0, thing)[0, 0]))
    assert max(values[:2]) < 4
    assert min(values[2:]) > 10


def test_frames_of_another_size_are_of_the_same_places() -> None:
    large = cv2.resize(with_thing(60, 40), (320, 240), interpolation=cv2.INTER_LINEAR)
    values = describe(large, boxes((120, 80, 160, 120), (20, 20, 60, 60)))
    assert values[0, 0] > 10 > 4 > values[1, 0]


def test_the_scene_decides_about_the_key() -> None:
    assert EXTRACTOR.settings() == {"code_version": 2, "scene_digest": SCENE.looks_digest}
