"""How places look: edges, whatever the light, and how far that is from what was seen there."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mulde.extractors.looks import N_FEATURES, UsualLooks, are_looks, cells_of, looks_of

CELLS = 8, 6
"""Of 10 px each."""
ROOM = cv2.GaussianBlur(np.random.default_rng(0).integers(40, 160, (60, 80), np.uint8), (0, 0), 2.0)


def seen(n: int, *, noise: float = 2.0, seed: int = 0) -> list[NDArray[np.uint8]]:
    """Pictures of the room through a camera with noise."""
    rng = np.random.default_rng(seed)
    return [np.clip(ROOM + rng.normal(0, noise, ROOM.shape), 0, 255).astype(np.uint8) for _ in range(n)]


def usual(pictures: list[NDArray[np.uint8]]) -> UsualLooks:
    return UsualLooks(np.stack([looks_of(picture, CELLS) for picture in pictures]))


def with_chair(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Put a striped thing into rows 20 to 40 and columns 30 to 50."""
    changed = picture.copy()
    changed[20:40, 30:50] = np.tile([30, 30, 220, 220], (20, 5))
    return changed


@pytest.mark.parametrize("grey", [0, 100, 255])
def test_an_even_picture_has_no_edges(grey: int) -> None:
    looks = looks_of(np.full((60, 80), grey, np.uint8), CELLS)
    assert looks.shape == (5, 7, N_FEATURES)
    np.testing.assert_array_equal(looks, 0)


@given(gain=st.floats(0.5, 1.6), offset=st.integers(-30, 30))
def test_light_changes_little(gain: float, offset: int) -> None:
    striped = np.tile(np.array([60, 60, 120, 120], np.uint8), (60, 20))
    lit = np.clip(striped * gain + offset, 0, 255).astype(np.uint8)
    np.testing.assert_allclose(looks_of(lit, CELLS), looks_of(striped, CELLS), atol=0.05)


def test_directions_are_told_apart_and_opposite_ones_are_not() -> None:
    ramp = np.tile(np.linspace(20, 220, 80), (60, 1)).astype(np.uint8)
    rising, falling = looks_of(ramp, CELLS), looks_of(ramp[:, ::-1].copy(), CELLS)
    upwards = looks_of(cv2.rotate(ramp, cv2.ROTATE_90_CLOCKWISE), CELLS[::-1])
    np.testing.assert_allclose(rising, falling, atol=0.15)
    assert rising[2, 3, 1] > 0.2 > -0.2 > upwards[3, 2, 1], "cosine of twice the angle"


def test_what_is_new_is_new_where_it_is() -> None:
    novelty = usual(seen(24)).novelty(with_chair(seen(1, seed=1)[0]))
    assert novelty.shape == (5, 7)
    assert novelty[1:4, 2:5].min() > 10
    assert novelty[:, [0, 6]].max() < 4, "an edge is blurred into the place beside it, and no further"


def test_what_was_seen_is_not_new() -> None:
    known = usual([*seen(12), *map(with_chair, seen(12, seed=1))])
    assert np.abs(known.novelty(with_chair(seen(1, seed=2)[0]))).max() < 4


def test_one_sample_tells_how_far_but_not_how_far_is_usual() -> None:
    (picture,) = seen(1)
    known = usual([picture])
    np.testing.assert_allclose(known.novelty(picture), 0, atol=1e-3)
    assert known.novelty(with_chair(picture)).max() > 0.5


def test_neighbours_in_time_do_not_vouch_for_each_other() -> None:
    pictures = seen(16)
    twice = [picture for picture in pictures for _ in range(2)]  # each is shown again in the next sample
    new = with_chair(seen(1, seed=1)[0])
    assert usual(twice).novelty(new)[2, 3] == pytest.approx(usual(pictures).novelty(new)[2, 3], rel=0.2)


@pytest.mark.parametrize(
    ("size", "height", "expected"),
    [
        ((80, 60), 20, (8, 6)),
        ((80, 60), 3, (10, 8)),
        ((80, 60), 500, (2, 2)),
        ((8, 8), 32, (2, 2)),
        ((1, 1), 8, (2, 2)),
    ],
)
def test_places_are_as_large_as_objects(
    size: tuple[int, int], height: float, expected: tuple[int, int]
) -> None:
    assert cells_of(size, height) == expected
    assert looks_of(np.zeros(size[::-1], np.uint8), expected).shape == (expected[1] - 1, expected[0] - 1, 20)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.zeros((2, 3, 3, N_FEATURES), np.float16), True),
        (np.zeros((2, 3, 3, 4), np.float16), False),
        (np.zeros((0, 3, 3, N_FEATURES), np.float16), False),
        (np.zeros((3, 3, N_FEATURES), np.float16), False),
        (np.full((2, 3, 3, N_FEATURES), np.inf, np.float16), False),
        (np.full((2, 3, 3, N_FEATURES), 1.5, np.float16), False),
        (np.zeros((2, 3, 3, N_FEATURES), np.float32), False),
        (np.zeros((2, 2, 3, N_FEATURES), np.float16), False),
        (np.full((2, 3, 3, N_FEATURES), "a"), False),
    ],
)
def test_what_looks_are(samples: NDArray[np.float16], expected: bool) -> None:
    assert are_looks(samples, (4, 4)) is expected
