"""Background and object sizes of scenes that are made up."""

from __future__ import annotations

import warnings
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

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


def test_pictures_that_are_all_alike_are_a_scene() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scene = learn_scene([np.full((HEIGHT, WIDTH), 128, np.uint8)] * 80, SceneSettings())
    np.testing.assert_array_equal(scene.backgrounds[0], 128)


def test_background_is_what_is_there_most_of_the_time() -> None:
    scene = learn_scene(make_images(40), SceneSettings())
    assert scene.frame_size == (WIDTH, HEIGHT)
    np.testing.assert_array_equal(scene.backgrounds, 100)


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
    usual = [(60 + k % 21, round(0.4 * (60 + k % 21)), round(0.2 * (60 + k % 21))) for k in range(189)]
    images = standing(*usual, (116, 46, 20), (40, 16, 7))  # in the same perspective
    low, high = learn_scene(images, SceneSettings(min_blobs=10)).height_range
    assert (low, high) == (pytest.approx(27, abs=1), pytest.approx(34, abs=1))


def test_a_steep_perspective_and_a_speck_do_not_make_objects_tiny() -> None:
    images = standing(*[(70, 20, 24)] * 40, *[(100, 60, 20)] * 50, *[(50, 20, 24)] * 8, (30, 9, 40))
    low, high = learn_scene(images, SceneSettings(min_blobs=10)).height_range_in_frame
    assert high / low < 2  # a line says more of groups than of perspective
    assert 20 <= low <= high <= 63


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


@pytest.mark.parametrize(
    "changed",
    [
        {"aspect": None}, {"aspect": np.float64(np.nan)}, {"aspect": np.zeros(2)}, {"height_at_top": "a"},
        {"height_per_row": np.float64(np.inf)}, {"height_range": np.ones(3)}, {"height_range": np.float64(1)},
        {"height_range": np.array([1, np.inf])}, {"frame_size": np.array([0, 9])},
        {"frame_size": np.array([np.inf, 9])}, {"backgrounds": np.zeros(40)},
        {"backgrounds": np.zeros((1, 0, 9), np.uint8)}, {"looks": np.zeros((3, 2, 20), np.float16)},
        {"looks": np.zeros((3, 0, 2, 20), np.float16)}, {"looks": np.zeros((3, 2, 2, 7), np.float16)},
        {"looks": np.zeros((3, 2, 2, 20), np.int64)}, {"looks": np.full((3, 2, 2, 20), np.nan, np.float16)},
    ],
)  # fmt: skip
def test_other_arrays_are_no_scene(changed: dict[str, Any]) -> None:
    arrays = learn_scene(make_images(10, with_objects=False), SceneSettings()).to_arrays() | changed
    with pytest.raises(ValueError, match=r"no scene|backgrounds|must be positive|are none|nothing|looks are"):
        SceneModel.from_arrays({name: array for name, array in arrays.items() if array is not None})


def test_looks_are_learnt_where_they_are_asked_for() -> None:
    images = make_images(10)
    without, scene = (learn_scene(images, SceneSettings(with_looks=asked)) for asked in (False, True))
    assert without.looks is None
    assert "looks" not in without.to_arrays()
    assert scene.looks is not None
    assert len(scene.looks) == len(images)
    assert scene.digest == without.digest, "features that do not look at looks are the same"
    assert scene.looks_digest != without.looks_digest == without.digest
    assert SceneModel.from_arrays(scene.to_arrays()).looks_digest == scene.looks_digest
    assert scene.usual_looks.novelty(images[0]).shape == scene.looks.shape[1:3]
    with pytest.raises(ValueError, match="was not learnt"):
        _ = without.usual_looks


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


@pytest.mark.parametrize(
    ("height_px", "most_pixels", "size"),
    [(1000.0, 300_000, (160, 120)), (10.0, 300_000, (80, 60)), (1000.0, 4800, (80, 60))],
)
def test_working_size_suits_the_objects_and_costs_no_more_than_allowed(
    height_px: float, most_pixels: int, size: tuple[int, int]
) -> None:
    images = standing(*[(60 + k % 40, 20, 12) for k in range(60)])
    settings = SceneSettings(min_blobs=10, object_height_px=height_px, most_pixels=most_pixels)
    scene = learn_scene(images, settings)
    assert scene.size == pytest.approx(size, abs=9)
    assert scene.frame_size == (WIDTH, HEIGHT)
    low, high = scene.height_range_in_frame
    assert low <= 22 * 1.05
    assert high >= 20 * 0.95
    assert scene.typical_height == pytest.approx((low + high) / 2 * scene.size[1] / HEIGHT)


@pytest.mark.parametrize(
    ("shape", "size"),
    [((1, 1), (1, 1)), ((2, 2), (2, 2)), ((3, 5), (4, 2)), ((121, 161), (160, 120)), ((97, 163), (162, 96))],
)
def test_sides_of_pictures_at_working_size_are_even(shape: tuple[int, int], size: tuple[int, int]) -> None:
    scene = learn_scene([np.zeros(shape, np.uint8)], SceneSettings(object_height_px=1000))
    assert scene.size == size
    assert scene.frame_size == shape[::-1]


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_objects_of_a_larger_picture_are_as_much_larger(scale: int) -> None:
    images = make_images(60)
    larger = [np.kron(image, np.ones((scale, scale), np.uint8)) for image in images]
    small, large = (learn_scene(each, SceneSettings()) for each in (images, larger))
    np.testing.assert_allclose(
        large.height_range_in_frame, np.multiply(small.height_range_in_frame, scale), rtol=0.15
    )


def test_specks_of_noise_are_no_objects() -> None:
    rng = np.random.default_rng(0)
    images = []
    for image in make_images(60):
        noisy = image.copy()
        for x, y in rng.integers(0, (WIDTH - 4, HEIGHT - 4), (10, 2)):
            noisy[y : y + 4, x : x + 4] = 170
        images.append(noisy)
    clean, noisy_scene = (learn_scene(each, SceneSettings()) for each in (make_images(60), images))
    assert noisy_scene.typical_height == pytest.approx(clean.typical_height, rel=0.3)


def test_the_scene_of_a_camera_that_shakes_is_that_of_a_steady_one() -> None:
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.integers(0, 256, (260, 340), np.uint8), (0, 0), 2)
    place = np.asarray(cv2.normalize(noise, None, 60, 180, cv2.NORM_MINMAX), np.uint8)
    steady, shaken = [], []
    for _ in range(40):
        grey = place.copy()
        x, y = rng.integers(30, 280), rng.integers(30, 180)
        grey[y : y + 44, x : x + 24] = 250
        dx, dy = rng.uniform(-4, 4, 2)
        for greys, shift in ((steady, (-10, -10)), (shaken, (dx - 10, dy - 10))):
            move = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
            greys.append(np.asarray(cv2.warpAffine(grey, move, (320, 240), flags=cv2.INTER_CUBIC), np.uint8))
    expected, found = (learn_scene(greys, SceneSettings()) for greys in (steady, shaken))
    np.testing.assert_allclose(found.height_range_in_frame, expected.height_range_in_frame, rtol=0.1)
    size = expected.size
    background = cv2.resize(found.backgrounds[0], size).astype(int)
    assert np.abs(background - expected.backgrounds[0])[8:-8, 8:-8].mean() < 4
