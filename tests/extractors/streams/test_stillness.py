"""Stillness of things that stay, sway, or belong to the background."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mulde.data.video import Frame
from mulde.extractors.base import Objects
from mulde.extractors.movement import CHANGED_SHARE, Arrivals, Mask
from mulde.extractors.scene import SceneModel
from mulde.extractors.streams.stillness import Stillness

BACKGROUND = (
    np.random.default_rng(0).integers(60, 120, (30, 40), np.uint8).repeat(4, axis=0).repeat(4, axis=1)
)
SCENE = SceneModel((160, 120), BACKGROUND[None], 20.0, 0.0, (20.0, 20.0), aspect=0.5)
EXTRACTOR = Stillness(Arrivals(SCENE.digest, 20, 0.4, 10, 60.0, SCENE))
BOX = Objects(np.array([[40, 40, 80, 80]], np.float32), np.zeros((1, 1), np.float32))


def masks_of(greys: list[NDArray[np.uint8]], fps: float = 10.0) -> list[Mask]:
    follow = EXTRACTOR.preparation.start()
    return [
        follow(Frame.of_rgb(t, t / fps, np.repeat(grey[..., None], 3, axis=2)))
        for t, grey in enumerate(greys)
    ]


def with_thing(left: int, value: int = 200) -> NDArray[np.uint8]:
    grey = BACKGROUND.copy()
    grey[40:80, left : left + 20] = value
    return grey


EMPTY = [BACKGROUND] * 6


@pytest.mark.parametrize(
    ("greys", "share"),
    [
        (EMPTY, 0.0),
        ([*EMPTY, *[with_thing(50)] * 7], 0.5),
        ([*EMPTY, *[with_thing(50)] * 4], 0.0),
        ([with_thing(50)] * 12, 0.0),
        ([*EMPTY, *[with_thing(50)] * 2, BACKGROUND, *[with_thing(50)] * 4], 0.0),
        ([*EMPTY, *[with_thing(10 * t) for t in range(9)]], 0.0),
        ([*EMPTY, *[with_thing(50, 250 - 15 * t) for t in range(9)]], 0.0),
        ([*EMPTY, *[with_thing(50)] * 2, *[with_thing(50, 230)] * 7], 0.5),
        ([*EMPTY, *[(with_thing(50) * 0.7).astype(np.uint8)] * 7], 0.5),
        ([*EMPTY, *[(BACKGROUND * 0.6 + 20).astype(np.uint8)] * 9], 0.0),
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
        "left behind in less light",
        "only the light changed",
    ],
)
def test_only_what_appeared_and_stays_is_still(greys: list[NDArray[np.uint8]], share: float) -> None:
    row = EXTRACTOR.describe([masks_of(greys)[-1]], 0, BOX)
    np.testing.assert_allclose(row, [[share]], atol=0.13)  # blurring grows a thing by a pixel a side


@pytest.mark.parametrize("fps", [5.0, 10.0, 30.0])
def test_it_is_a_matter_of_seconds(fps: float) -> None:
    n_before, n_after = round(0.8 * fps), round(0.3 * fps)
    masks = masks_of([*[BACKGROUND] * n_before, *[with_thing(50)] * (2 * n_before)], fps)
    shares = [EXTRACTOR.describe([mask], 0, BOX)[0, 0] for mask in masks]
    assert max(shares[: n_before + n_after]) < 0.1
    assert shares[-1] > 0.4


def test_light_that_wanders_is_no_arrival() -> None:
    """A patch of sun grows brighter for a minute, and stays; a thing as bright is put down at once."""
    sun = [with_thing(50, round(90 + 60 * min(t, 120) / 120)) for t in range(160)]
    thing = [BACKGROUND] * 120 + [with_thing(50, 150)] * 40
    wandered, put_down = (
        [mask.coverage(BOX.box_xyxy)[0] for mask in masks_of(greys, 2.0)] for greys in (sun, thing)
    )
    assert max(wandered) < 0.1
    assert put_down[-1] > 0.4


def with_passer(grey: NDArray[np.uint8], at: int, width: int, shades: tuple[int, int]) -> NDArray[np.uint8]:
    """Somebody, or a bus, in front of it."""
    cloth = np.random.default_rng(at).integers(*shades, (30, 10), np.uint8)
    seen = grey.copy()
    seen[:, at : at + width] = cloth.repeat(4, axis=0).repeat(width // 10, axis=1)[:, : max(0, 160 - at)]
    return seen


def share_of(greys: list[NDArray[np.uint8]], fps: float = 2.0) -> float:
    return float(masks_of(greys, fps)[-1].coverage(BOX.box_xyxy)[0])


def test_a_thing_that_stands_is_told_whoever_passes_in_front_of_it() -> None:
    greys = [BACKGROUND] * 10
    for _ in range(22):
        greys += [with_thing(50, 150)] * 20
        greys += [with_passer(with_thing(50, 150), 20 + 2 * t, 60, (60, 140)) for t in range(15)]
    assert share_of([*greys, *[with_thing(50, 150)] * 10], 10.0) > 0.4


@pytest.mark.parametrize(
    "passing",
    [
        [with_passer(with_thing(50, 150), 80, 80, (170, 250))] * 20,
        [with_passer(with_thing(50, 150), 8 * t, 80, (170, 250)) for t in range(12)],
        [255 - with_thing(50, 150)],
    ],
    ids=["a bus beside it", "a bus in front of it", "a broken picture"],
)
def test_a_thing_that_stands_is_told_after_much_of_the_picture_changed(
    passing: list[NDArray[np.uint8]],
) -> None:
    stands = [with_thing(50, 150)] * 20
    assert share_of([*[BACKGROUND] * 10, *stands, *passing, *stands], 10.0) > 0.4


def test_a_thing_that_stands_is_told_in_light_in_which_it_looks_as_the_wall_did() -> None:
    wall = np.full_like(BACKGROUND, 150)
    wall[::8] = 90
    scene = SceneModel((160, 120), wall[None], 20.0, 0.0, (20.0, 20.0), aspect=0.5)
    follow = Arrivals(scene.digest, 20, 0.4, 10, 60.0, scene).start()
    bag = wall.copy()
    bag[40:80, 50:70] = 240
    pictures = [*[wall] * 10, *[bag] * 10, *[(bag * 0.62).astype(np.uint8)] * 10]
    masks = [
        follow(Frame.of_rgb(t, t / 2, np.repeat(grey[..., None], 3, axis=2)))
        for t, grey in enumerate(pictures)
    ]
    assert masks[19].coverage(BOX.box_xyxy)[0] > 0.4
    assert masks[-1].coverage(BOX.box_xyxy)[0] > 0.4


def test_doubt_ends_where_the_background_is_seen() -> None:
    hovers = [with_thing(50, 100)] * 8
    patchy = [*[BACKGROUND] * 4, *hovers] * 3
    assert share_of([*patchy, *[BACKGROUND] * 4, *[with_thing(50, 150)] * 6]) > 0.4


def test_what_has_stood_for_long_is_a_part_of_the_scene_until_it_is_gone() -> None:
    gone, stays = [BACKGROUND] * 10, [with_thing(50)] * 140
    shares = [mask.coverage(BOX.box_xyxy)[0] for mask in masks_of([*gone, *stays, *gone, *stays], 2.0)]
    counts = np.array(shares) > 0.4
    n_counted = 2 * 60
    assert counts[12 : 10 + n_counted].all()
    assert not counts[12 + n_counted : 160].any()
    assert counts[162 : 160 + n_counted].all()


def test_a_camera_that_was_moved_is_no_arrival() -> None:
    street = (BACKGROUND - 60) * 3
    scene = SceneModel((160, 120), street[None], 20.0, 0.0, (20.0, 20.0), aspect=0.5)
    follow = Arrivals(scene.digest, 20, 0.4, 10, 60.0, scene).start()
    pictures = np.repeat([street, np.roll(street, (30, 50), (0, 1))], (20, 150), axis=0)
    masks = [
        follow(Frame.of_rgb(t, t / 10, np.repeat(grey[..., None], 3, axis=2)))
        for t, grey in enumerate(pictures)
    ]
    assert masks[-1].foreground_share > CHANGED_SHARE
    assert not any(mask.pixels.any() for mask in masks)


def test_another_background_is_no_arrival() -> None:
    """By lamp light another background is the nearest, in which a chair stands elsewhere: nothing came."""
    by_day, by_lamp = with_thing(100), (BACKGROUND * 0.5).astype(np.uint8)
    by_lamp[:60] = 230
    scene = SceneModel((160, 120), np.stack([by_day, by_lamp]), 20.0, 0.0, (20.0, 20.0), aspect=0.5)
    follow = Arrivals(scene.digest, 20, 0.4, 10, 60.0, scene).start()
    chair = np.where(with_thing(100) != BACKGROUND, by_day, by_lamp)
    shares = [
        follow(Frame.of_rgb(t, t / 10, np.repeat(grey[..., None], 3, axis=2))).pixels.mean()
        for t, grey in enumerate([*[by_day] * 10, *[chair] * 10])
    ]
    assert max(shares) < 0.02
