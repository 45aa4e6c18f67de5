"""What moves, whatever the light, the noise and the rate; masks and boxes at several sizes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mulde.data.video import Frame
from mulde.extractors.movement import Mask, Movement
from mulde.extractors.preparer import prepare_with

WIDTH, HEIGHT = 80, 60
MOVEMENT = Movement((WIDTH, HEIGHT), threshold=10, seconds_back=0.2)
TEXTURE = np.random.default_rng(0).integers(60, 160, (HEIGHT // 4, WIDTH // 4), np.uint8)
EMPTY = TEXTURE.repeat(4, axis=0).repeat(4, axis=1)


def masks_of(greys: list[NDArray[np.uint8]], fps: float = 10.0) -> list[NDArray[np.uint8]]:
    compare = prepare_with(MOVEMENT)
    frames = [Frame.of_rgb(t, t / fps, np.repeat(grey[..., None], 3, axis=2)) for t, grey in enumerate(greys)]
    return [compare(frame).pixels for frame in frames]


def with_thing(left: float) -> NDArray[np.uint8]:
    grey = EMPTY.copy()
    grey[20:40, round(left) : round(left) + 10] = 250
    return grey


def test_nothing_moves_in_a_first_frame_or_in_a_still() -> None:
    assert not any(mask.any() for mask in masks_of([with_thing(20)] * 5))


@pytest.mark.parametrize("fps", [5.0, 10.0, 25.0, 50.0])
def test_what_moves_is_seen_at_any_rate(fps: float) -> None:
    masks = masks_of([with_thing(10 + 40 * t / fps) for t in range(round(fps))], fps)
    left = round(10 + 40 * (len(masks) - 1) / fps)
    assert masks[-1][24:36, left + 4 : left + 9].all()
    assert not masks[-1][:, left + 16 :].any()
    assert not masks[-1][:15].any()


@pytest.mark.parametrize("change", ["brighter", "darker", "noise", "all at once"])
def test_light_and_noise_do_not_move(change: str) -> None:
    rng = np.random.default_rng(1)
    greys = []
    for t in range(8):
        grey = EMPTY.astype(float)
        grey += {"brighter": 4 * t, "darker": -4 * t, "noise": 0, "all at once": 0}[change]
        if change == "noise":
            grey += rng.normal(0, 8, EMPTY.shape)
        if change == "all at once" and t >= 4:
            grey = 250 - grey
        greys.append(grey.clip(0, 255).astype(np.uint8))
    assert max(mask.mean() for mask in masks_of(greys)) < 0.01


def test_a_thing_that_moves_is_seen_in_light_that_changes() -> None:
    greys = [(with_thing(10 + 4 * t) * (1 - 0.03 * t)).astype(np.uint8) for t in range(8)]
    mask = masks_of(greys)[-1]
    assert mask[24:36, 42:47].all()
    assert mask.mean() < 0.12


def test_coverage_is_the_share_of_a_box_in_pixels_of_the_frame() -> None:
    pixels = np.zeros((30, 40), np.uint8)
    pixels[10:20, 10:20] = 1
    mask = Mask(pixels, (80, 60))
    boxes = np.array([[20, 20, 40, 40], [0, 0, 20, 20], [30, 20, 50, 40]], np.float32)
    np.testing.assert_allclose(mask.coverage(boxes), [1, 0, 0.5])
    np.testing.assert_allclose(mask.coverage(boxes[:0]), [])


def test_joined_is_what_counts_in_either() -> None:
    first, second = np.zeros((4, 6), np.uint8), np.zeros((2, 3), np.uint8)
    first[0, 0] = second[1, 2] = 1
    joined = Mask(first, (6, 4), 0.1).joined(Mask(second, (6, 4), 0.4))
    assert joined.foreground_share == 0.4
    assert joined.pixels.sum() == 1 + 4
    assert joined.pixels[2:, 4:].all()


def test_noise_is_no_picture_that_is_shown_again() -> None:
    """A sensor's noise tells a picture in which all came to rest from one that is late."""
    rng = np.random.default_rng(2)
    moving = [with_thing(10 + 4 * t) for t in range(4)]
    noisy = [
        np.clip(grey + rng.normal(0, 2, grey.shape), 0, 255).astype(np.uint8)
        for grey in [*moving, *[moving[-1]] * 6]
    ]
    masks = masks_of(noisy)
    assert masks[3].any()
    assert not any(mask.any() for mask in masks[6:])


def test_a_picture_that_is_encoded_twice_is_shown_again() -> None:
    moving = [with_thing(10 + 4 * t) for t in range(4)]
    again = [(moving[-1] + delta).astype(np.uint8) for delta in (1, 0, 2)]
    again[1][5, 5] += 20
    masks = masks_of([*moving, *again])
    assert all((mask == masks[3]).all() for mask in masks[4:])


def test_time_that_runs_backwards_shows_nothing_again() -> None:
    compare = prepare_with(MOVEMENT)
    pictures = [with_thing(10 + 4 * t) for t in range(4)]
    seconds = [0.0, 0.1, 0.2, 0.3, -100.0]
    frames = zip(seconds, [*pictures, pictures[-1]], strict=True)
    masks = [compare(Frame.of_rgb(0, t, np.repeat(grey[..., None], 3, axis=2))) for t, grey in frames]
    assert [mask.is_repeated for mask in masks] == [False] * 5


def test_a_picture_that_is_shown_again_has_the_same_mask_for_a_second() -> None:
    moving = [with_thing(10 + 4 * t) for t in range(4)]
    masks = masks_of([*moving, *[moving[-1]] * 14])
    shown_again, at_rest = masks[4:14], masks[14:]
    assert masks[3].any()
    assert all((mask == masks[3]).all() for mask in shown_again)
    assert not any(mask.any() for mask in at_rest)
