"""What light explains is no difference, and what it does not explain is one."""

from __future__ import annotations

import numpy as np
import pytest

from mulde.extractors.light import light_difference

PICTURE = np.random.default_rng(0).integers(40, 140, (12, 16), np.uint8).repeat(10, axis=0).repeat(10, axis=1)


@pytest.mark.parametrize(
    ("gain", "offset"), [(1.0, 0.0), (1.0, 30.0), (1.0, -30.0), (0.6, 20.0), (1.2, -10.0), (0.9, 40.0)]
)
@pytest.mark.parametrize("with_object", [False, True])
def test_gain_and_offset_are_light(gain: float, offset: float, with_object: bool) -> None:
    seen = PICTURE.astype(float)
    if with_object:
        seen[40:80, 60:80] += 60
    seen = (gain * seen + offset).clip(0, 255).astype(np.uint8)
    difference = light_difference(seen, PICTURE)
    assert difference.shape == PICTURE.shape
    outside = np.ones(PICTURE.shape, bool)
    outside[35:85, 55:85] = False
    assert np.abs(difference[outside]).max() < 12
    if with_object:
        np.testing.assert_allclose(difference[45:75, 63:77].mean(), gain * 60, atol=12)


def test_a_lamp_in_a_corner_is_light() -> None:
    y, x = np.mgrid[:120, :160]
    lamp = 50 * np.exp(-((x - 130) ** 2 + (y - 20) ** 2) / 5000)
    seen = (PICTURE + lamp).clip(0, 255).astype(np.uint8)
    assert np.abs(light_difference(seen, PICTURE)).mean() < 0.3 * lamp.mean()


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (8, 8), (9, 30)])
def test_tiny_pictures(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 255, size, np.uint8)
    np.testing.assert_allclose(light_difference(picture, picture), 0, atol=1)
