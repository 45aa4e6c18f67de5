"""Background and object sizes of scenes that are made up."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mulde.extractors.images import resize
from mulde.extractors.scene import SceneModel, foreground, learn_scene
from mulde.extractors.settings import SceneSettings

WIDTH, HEIGHT = 160, 120


def make_images(n: int, *, with_objects: bool = True, seed: int = 0) -> list[NDArray[np.uint8]]:
    """Boxes of 0.2 × row height stand on rows 50 to 110 of a noisy grey floor."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(n):
        image = np.full((HEIGHT, WIDTH), 100, np.uint8)
        for x in (20, 70, 120) if with_objects else ():
            bottom = int(rng.integers(50, 110))
            height, left = round(0.2 * bottom), x + int(rng.integers(-8, 8))
            image[bottom - height : bottom, left : left + height // 2] = 200
        images.append(image)
    return images


def test_no_image_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        learn_scene([], SceneSettings())


def test_background_is_what_is_there_most_of_the_time() -> None:
    scene = learn_scene(make_images(40), SceneSettings())
    np.testing.assert_array_equal(scene.background, np.full((HEIGHT, WIDTH), 100))


def test_object_heights_follow_the_perspective() -> None:
    scene = learn_scene(make_images(60), SceneSettings())
    for bottom in (60, 80, 100):
        assert scene.object_height(bottom) == pytest.approx(0.2 * bottom, abs=2.5)
    assert scene.aspect == pytest.approx(0.5, abs=0.1)


def test_heights_are_not_extrapolated() -> None:
    scene = learn_scene(make_images(60), SceneSettings())
    assert scene.object_height(0) >= scene.height_range[0] > 0
    assert scene.object_height(10_000) == scene.height_range[1]


def standing(*objects: tuple[int, int, int]) -> list[NDArray[np.uint8]]:
    """Images with one object each: the row it stands on, its height and its width."""
    images = []
    for number, (bottom, height, width) in enumerate(objects):
        image = np.full((HEIGHT, WIDTH), 100, np.uint8)
        left = 10 + 7 * number % 80
        image[bottom - height : bottom, left : left + width] = 200
        images.append(image)
    return images


def test_the_few_highest_and_lowest_objects_do_not_widen_the_range_of_heights() -> None:
    usual = [(60 + k % 21, round(0.4 * (60 + k % 21)), 12) for k in range(63)]
    images = standing(*usual, (116, 46, 20), (26, 10, 20))  # in the same perspective
    low, high = learn_scene(images, SceneSettings(min_blobs=10)).height_range
    assert (low, high) == (pytest.approx(24, abs=2.5), pytest.approx(32, abs=2.5))


def test_a_steep_perspective_and_a_speck_do_not_make_objects_tiny() -> None:
    images = standing(*[(70, 20, 24)] * 40, *[(100, 60, 20)] * 50, *[(50, 20, 24)] * 8, (30, 9, 40))
    low, _ = learn_scene(images, SceneSettings(min_blobs=10)).height_range
    assert low == pytest.approx(22, abs=2.5)  # blurred


def test_without_objects_the_height_is_a_share_of_the_frame() -> None:
    scene = learn_scene(make_images(10, with_objects=False), SceneSettings())
    assert scene.object_height(50) == HEIGHT / 8


def test_arrays_bring_the_scene_back() -> None:
    scene = learn_scene(make_images(40), SceneSettings())
    again = SceneModel.from_arrays(scene.to_arrays())
    assert again.digest == scene.digest
    assert again.object_height(77) == scene.object_height(77)
    other = learn_scene(make_images(40, with_objects=False), SceneSettings())
    assert other.digest != scene.digest


def test_foreground_is_what_differs() -> None:
    background = np.full((60, 80), 100, np.uint8)
    grey = background.copy()
    grey[20:40, 30:50] = 160
    mask = foreground(grey, background, 20)
    assert mask[22:38, 32:48].all()
    assert mask.sum() <= 22 * 22


@pytest.mark.parametrize("change", [-40, 25, 60])
def test_overall_brightness_is_no_foreground(change: int) -> None:
    background = np.random.default_rng(0).integers(60, 180, (60, 80)).astype(np.uint8)
    assert not foreground((background.astype(int) + change).astype(np.uint8), background, 20).any()


@pytest.mark.parametrize(
    ("frame_size", "expected"),
    [
        ((160, 120), True),
        ((640, 480), True),
        ((80, 60), True),
        ((160, 122), True),  # lines that a codec added
        ((160, 124), False),
        ((320, 180), False),  # 16:9
        ((120, 160), False),  # upright
    ],
)
def test_frames_of_its_shape_show_the_scene(frame_size: tuple[int, int], expected: bool) -> None:
    scene = learn_scene(make_images(5), SceneSettings())
    assert scene.is_shape_of(frame_size) == expected


def test_a_small_frame_that_is_enlarged_is_no_foreground() -> None:
    rng = np.random.default_rng(0)
    background = rng.integers(0, 256, (HEIGHT, WIDTH)).astype(np.uint8)  # as much detail as there can be
    scene = SceneModel(background, 20.0, 0.0, (20.0, 20.0), 0.5)
    small = resize(background, (WIDTH // 2, HEIGHT // 2))
    shown = resize(small, scene.size)
    assert foreground(shown, background, 20).mean() > 0.2
    assert not foreground(shown, scene.seen_through((WIDTH // 2, HEIGHT // 2)).background, 20).any()
    assert scene.seen_through((2 * WIDTH, 2 * HEIGHT)) is scene
