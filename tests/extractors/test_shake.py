"""A camera that shakes is told from things that move, however large."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mulde.data.video import Frame
from mulde.extractors.movement import Arrivals, Movement
from mulde.extractors.preparer import prepare_with
from mulde.extractors.scene import SceneModel
from mulde.extractors.shake import STILL, CameraShake, shift_between, shifted
from mulde.extractors.streams.flow import DenseFlow

WIDTH, HEIGHT = 160, 120
Grey = NDArray[np.uint8]


def texture(seed: int = 0, margin: int = 30) -> Grey:
    """A place with something to hold on to everywhere, larger than the picture."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (HEIGHT + 2 * margin, WIDTH + 2 * margin), np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), 2)
    return np.asarray(cv2.normalize(blurred, None, 40, 200, cv2.NORM_MINMAX), np.uint8)


PLACE = texture()


def seen(x: float = 0.0, y: float = 0.0, place: Grey = PLACE) -> Grey:
    """The place, moved by (x, y) pixels in the picture."""
    move = np.array([[1, 0, x - 30], [0, 1, y - 30]], np.float32)
    return np.asarray(cv2.warpAffine(place, move, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC), np.uint8)


def with_thing(grey: Grey, left: int, width: int = 20, seed: int = 9) -> Grey:
    """Something textured that stands in the picture, `width` pixels wide."""
    grey = grey.copy()
    grey[40:90, left : left + width] = 255 - seen(place=texture(seed))[40:90, :width]
    return grey


def frames_of(greys: list[Grey]) -> list[Frame]:
    return [Frame.of_rgb(t, t / 10, np.repeat(grey[..., None], 3, axis=2)) for t, grey in enumerate(greys)]


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (16, 16), (120, 160)])
def test_nothing_to_hold_on_to_is_still(shape: tuple[int, int]) -> None:
    flat = np.full(shape, 90, np.uint8)
    assert shift_between(flat, flat) == STILL
    assert shift_between(flat, np.full(shape, 200, np.uint8)) == STILL


@given(x=st.floats(-8, 8), y=st.floats(-8, 8))
@settings(max_examples=40, deadline=None)
def test_a_shift_is_found_to_a_fraction_of_a_pixel(x: float, y: float) -> None:
    found = shift_between(seen(), seen(x, y))
    if max(abs(x), abs(y)) >= 0.25:
        np.testing.assert_allclose(found, (x, y), atol=0.1)
    elif max(abs(x), abs(y)) < 0.1:
        assert found == STILL


@pytest.mark.parametrize(("gain", "offset"), [(1.0, 0), (0.6, 20), (1.3, -10)])
def test_a_shift_is_found_in_other_light_and_among_things_that_move(gain: float, offset: float) -> None:
    now = (gain * with_thing(seen(3, -2), 90) + offset).clip(0, 255).astype(np.uint8)
    np.testing.assert_allclose(shift_between(with_thing(seen(), 30), now), (3, -2), atol=0.15)


@pytest.mark.parametrize("width", [20, 60, 100])
def test_a_thing_that_moves_is_no_shake_however_large(width: int) -> None:
    assert shift_between(with_thing(seen(), 20, width), with_thing(seen(), 24, width)) == STILL


@pytest.mark.parametrize("width", [20, 60])
def test_all_that_can_be_seen_on_a_dark_road_is_no_shake(width: int) -> None:
    dark = np.full((HEIGHT, WIDTH), 12, np.uint8)
    assert shift_between(with_thing(dark, 20, width), with_thing(dark, 24, width)) == STILL


def test_noise_of_a_steady_camera_is_still() -> None:
    rng = np.random.default_rng(1)
    greys = [(seen() + rng.normal(0, 6, (HEIGHT, WIDTH))).clip(0, 255).astype(np.uint8) for _ in range(8)]
    assert {shift_between(before, now) for before, now in pairwise(greys)} == {STILL}


def test_steps_add_up_to_a_position() -> None:
    follow = CameraShake((WIDTH, HEIGHT)).start()
    places = [(0, 0), (2, 1), (2, 1), (-3, 4), (0, 0)]
    found = [follow(frame) for frame in frames_of([seen(*place) for place in places])]
    np.testing.assert_allclose(found, places, atol=0.3)
    assert found[2] == found[1]


def test_shifted_moves_what_is_shown() -> None:
    np.testing.assert_array_equal(shifted(seen(), (5, 3))[3:, 5:], seen()[:-3, :-5])


def shaken(things: list[int]) -> list[Grey]:
    rng = np.random.default_rng(2)
    return [with_thing(seen(*rng.uniform(-3, 3, 2)), left) for left in things]


def test_in_shaken_pictures_only_things_move() -> None:
    look = prepare_with(Movement((WIDTH, HEIGHT), 10, 0.2))
    masks = [look(frame).pixels for frame in frames_of(shaken([20, 20, 20, 20, 20, 60, 60, 60]))]
    # the thing stands in the picture while the place shakes, so its edges move a little
    away = np.ones((HEIGHT, WIDTH), bool)
    away[34:96, 14:86] = False
    assert max(mask[away].mean() for mask in masks) < 0.02
    assert masks[5][45:85, 62:78].mean() > 0.6


def test_flow_is_without_that_of_the_picture() -> None:
    flow = prepare_with(DenseFlow(Movement((WIDTH, HEIGHT), 10, 0.1), "medium"))
    greys = [with_thing(seen(x, y), 20 + 3 * t) for t, (x, y) in enumerate([(0, 0), (2, 1), (-1, 2), (1, 0)])]
    fields = [flow(frame) for frame in frames_of(greys)]
    vectors = fields[-1].vectors
    assert vectors is not None
    thing, place = vectors[24:42, 16:23].mean(axis=(0, 1)), vectors[5:18, 50:75].mean(axis=(0, 1))
    np.testing.assert_allclose(place, 0, atol=3)  # pixels a second: a third of one between two frames
    np.testing.assert_allclose(thing, (10, 20), atol=8)  # (3, 0) a frame, less (2, -2) of the picture


@pytest.mark.parametrize(("amplitude", "is_told"), [(2.5, False), (40.0, True)])
def test_what_is_a_little_off_its_background_is_no_foreground_and_a_camera_that_was_moved_is(
    amplitude: float, *, is_told: bool
) -> None:
    scene = SceneModel((WIDTH, HEIGHT), seen()[None], 20.0, 0.0, (20.0, 20.0), 0.5)
    look = prepare_with(Arrivals(scene.digest, 15, 0.4, 10, 60.0, scene))
    greys = [seen(amplitude * (-1) ** t, amplitude / 2 * (-1) ** (t // 2)) for t in range(10)]
    shares = [look(frame).foreground_share for frame in frames_of(greys)]
    assert (max(shares) > 0.3) is is_told
    assert is_told or max(shares) < 0.03
