"""Preprocessing against torchvision's own, and against values that were worked out by hand or kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_networks import SPEC, tiny_encoder

from mulde.data.video import Frame
from mulde.extractors.networks.images import Fit, FittedTiles, ImageSpec, fit_image, split, to_network
from mulde.extractors.settings import EncoderSettings

IMAGENET = ImageSpec(224, 224, 256, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "bilinear")


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 6 + 1, width // 6 + 1, 3), np.uint8)
    return np.ascontiguousarray(np.kron(coarse, np.ones((6, 6, 1), np.uint8))[:height, :width])


@pytest.mark.parametrize("size", [(240, 360), (360, 240), (300, 300), (31, 500), (256, 256), (100, 80)])
def test_crop_is_what_torchvision_does(size: tuple[int, int]) -> None:
    transforms = pytest.importorskip("torchvision.transforms._presets")
    rgb = picture(*size)
    theirs = transforms.ImageClassification(crop_size=224, resize_size=256)(Image.fromarray(rgb))
    ours = to_network(torch.from_numpy(np.stack([fit_image(rgb, IMAGENET, "crop")])), IMAGENET)[0]
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-6)


def test_squash_shows_all() -> None:
    rgb = np.zeros((100, 300, 3), np.uint8)
    rgb[:, 150:] = 255
    fitted = fit_image(rgb, SPEC, "squash")
    assert fitted.shape == (12, 16, 3)
    assert (fitted[:, :7] == 0).all() and (fitted[:, 9:] == 255).all()


def test_pad_keeps_the_aspect_and_fills_with_the_mean() -> None:
    fitted = fit_image(np.full((40, 20, 3), 255, np.uint8), SPEC, "pad")  # 12 high, so 6 wide
    assert (fitted[:, 5:11] == 255).all()
    np.testing.assert_array_equal(fitted[0, 0], [128, 64, 32])
    assert (fitted[:, :5] == fitted[0, 0]).all() and (fitted[:, 11:] == fitted[0, 0]).all()


@pytest.mark.parametrize("fit", ["squash", "pad", "crop"])
def test_one_pixel_will_do(fit: Fit) -> None:
    assert fit_image(np.full((1, 1, 3), 9, np.uint8), SPEC, fit).shape == (12, 16, 3)


def test_colours_scale_and_normalisation_by_hand() -> None:
    rgb = np.zeros((12, 16, 3), np.uint8)
    rgb[..., 0], rgb[..., 1], rgb[..., 2] = 255, 51, 0
    values = to_network(torch.from_numpy(rgb[None]), SPEC)
    assert values.shape == (1, 3, 12, 16)
    # (1 - .5) / .25, (.2 - .25) / .5, (0 - .125) / .75
    np.testing.assert_allclose(values[0, :, 3, 3], [2.0, -0.1, -1 / 6], atol=1e-6)


def test_clips_become_channels_then_time() -> None:
    clip = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 12, 16, 3), np.uint8)
    values = to_network(torch.from_numpy(clip[None]), SPEC)
    assert values.shape == (1, 3, 5, 12, 16)
    np.testing.assert_allclose(values[0, 0, :, 0, 0], (np.arange(5) / 255 - 0.5) / 0.25, atol=1e-6)


# Mean colour of the quarters of a kept picture, through all of preprocessing. If these change, so do all
# features in the caches of users: raise the code versions of the extractors that use it.
GOLDEN = {
    "squash": [
        0.0474,
        0.0278,
        -0.4288,
        -0.0706,
        0.3098,
        0.3240,
        0.6082,
        0.5737,
        0.0623,
        0.0453,
        0.0381,
        0.0810,
    ],
    "pad": [
        -0.0046,
        0.0791,
        -0.2810,
        -0.1085,
        0.2905,
        0.3036,
        0.3969,
        0.3709,
        0.0489,
        0.0415,
        0.0272,
        0.0537,
    ],
    "crop": [
        -0.1101,
        -0.1886,
        -0.6471,
        0.1693,
        0.3297,
        0.4838,
        0.6696,
        0.4881,
        0.0747,
        0.0141,
        0.0475,
        0.0906,
    ],
}


@pytest.mark.parametrize("fit", GOLDEN)
def test_golden_values(fit: Fit) -> None:
    rgb = picture(50, 90, seed=7)
    rgb[..., 2] //= 3  # no two colours alike
    encoder = tiny_encoder(EncoderSettings(fit=fit))
    row = encoder([rgb], lambda pictures: np.stack([fit_image(p, SPEC, fit) for p in pictures]))[0]
    np.testing.assert_allclose(row, GOLDEN[fit], atol=2e-3)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 3), (5, 7)])
def test_tiles_cover_the_frame_once(rows: int, columns: int) -> None:
    rgb = picture(53, 71)
    tiles = split(rgb, rows, columns)
    assert len(tiles) == rows * columns
    lines = [np.concatenate(tiles[r * columns : (r + 1) * columns], axis=1) for r in range(rows)]
    np.testing.assert_array_equal(np.concatenate(lines), rgb)


def test_more_tiles_than_pixels() -> None:
    assert all(tile.size for tile in split(picture(2, 3), 4, 8))


def test_tiles_of_a_frame_are_stacked() -> None:
    prepare = FittedTiles(SPEC, "squash", 2, 3).start()
    assert prepare(Frame.of_rgb(0, 0.0, picture(48, 64))).shape == (6, 12, 16, 3)
