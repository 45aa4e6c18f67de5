"""A picture that shows nothing new, nothing at all, or something else than was learnt."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from mulde.data.video import Frame
from mulde.extractors.condition import Condition, Conditions, Held

RANDOM = np.random.default_rng(0)


def noisy(k: int) -> NDArray[np.uint8]:
    return RANDOM.integers(0, 255, (48, 64, 3), np.uint8)


def still(k: int) -> NDArray[np.uint8]:
    return np.repeat(np.repeat(np.arange(64, dtype=np.uint8)[None, :, None] * 3, 48, axis=0), 3, axis=2)


def black(k: int) -> NDArray[np.uint8]:
    return np.full((48, 64, 3), 16 + k % 2, np.uint8)


Part = tuple[Callable[[int], NDArray[np.uint8]], float, float]


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ([], []),
        ([(noisy, 30, 0.0)], []),
        ([(noisy, 5, 0.0), (still, 9, 0.0), (noisy, 5, 0.0)], []),  # too short
        ([(noisy, 5, 0.0), (still, 12, 0.0), (noisy, 5, 0.0)], [("frozen", 5.0), ("good", 17.0)]),
        ([(noisy, 5, 0.0), (black, 4, 0.0), (noisy, 5, 0.0)], [("black", 5.0), ("good", 9.0)]),
        ([(noisy, 5, 0.0), (noisy, 12, 0.5), (noisy, 5, 0.1)], [("moved", 5.0), ("good", 17.0)]),
        ([(noisy, 5, 0.0), (noisy, 5, 0.5), (noisy, 5, 0.1)], []),  # somebody walked close by
    ],
)
def test_table(parts: list[Part], told: list[tuple[str, float]]) -> None:
    """Five frames a second; a part is a picture, seconds, and the share that is not what was learnt."""
    share, index, found = 0.0, 0, list[Condition]()
    conditions = Conditions(lambda: share)
    for make, seconds, share in parts:  # noqa: B007  # the function above reads it
        for k in range(round(5 * seconds)):
            condition = conditions.push(Frame.of_rgb(index, index / 5, make(k)))
            found += [] if condition is None else [condition]
            index += 1
    assert [(each.state, round(each.seconds, 6)) for each in found] == told


@pytest.mark.parametrize("fps", [1.0, 4.0, 5.0, 8.0, 10.0, 12.5, 25.0, 30.0, 60.0])
def test_a_frozen_picture_is_told_at_any_rate(fps: float) -> None:
    conditions, found = Conditions(lambda: 0.0), list[Condition]()
    for k in range(round(fps * 20)):
        seconds = k / fps
        picture = still(k) if 3 <= seconds < 15 else noisy(k)
        condition = conditions.push(Frame.of_rgb(k, seconds, picture))
        found += [] if condition is None else [condition]
    frozen, good = found
    assert (frozen.state, good.state) == ("frozen", "good")
    longest = max(0.2, 1 / fps) + 1 / fps  # from a look to the next
    assert 3 <= frozen.seconds <= 3 + longest
    assert 15 <= good.seconds <= 15 + longest


@pytest.mark.parametrize(
    ("parts", "notes"),
    [
        ([], []),
        ([(noisy, 30)], []),
        ([(noisy, 5), (still, 20), (noisy, 5)], ["the picture stands still for 20 s, first at 5.0 s"]),
        ([(noisy, 5), (still, 20)], ["the picture stands still for 20 s, first at 5.0 s"]),
        ([(black, 4)], ["the picture shows nothing for 4 s, first at 0.0 s"]),
        (
            [(noisy, 5), (black, 4), (noisy, 5), (black, 3), (noisy, 2)],
            ["the picture shows nothing for 7 s, 2 times, first at 5.0 s"],
        ),
    ],
)
def test_what_is_said_of_a_video(
    parts: list[tuple[Callable[[int], NDArray[np.uint8]], float]], notes: list[str]
) -> None:
    held, index = Held(), 0
    for make, seconds in parts:
        for k in range(round(5 * seconds)):
            held.push(Frame.of_rgb(index, index / 5, make(k)))
            index += 1
    assert held.notes() == notes
