"""A picture that shows nothing new, nothing at all, or something else than was learnt."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from mulde.data.video import Frame
from mulde.pipeline.watch.condition import Condition, Conditions

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
        ([(noisy, 5, 0.0), (still, 12, 0.0), (noisy, 5, 0.0)], [("frozen", 5.2), ("good", 17.0)]),
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
