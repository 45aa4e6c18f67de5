"""Luminance of decoded pictures: what their colours say, whatever the format, range and orientation."""

from __future__ import annotations

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from mulde.data.conversion import _one_thread
from mulde.data.decode.decoded import DecodedPicture
from mulde.data.decode.orientation import Orientation
from mulde.data.pictures import grey_of_rgb, resize

UPRIGHT = Orientation()


def smooth_grey() -> NDArray[np.uint8]:
    """A picture without colour, in which neighbours differ little: formats with coarse colour keep it."""
    y, x = np.mgrid[:48, :66]
    return (40 + 2 * x + y).astype(np.uint8)


def decoded(pixel_format: str, orientation: Orientation = UPRIGHT) -> DecodedPicture:
    rgb = np.repeat(smooth_grey()[..., None], 3, axis=2)
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
    # FFmpeg's threads write 16 pixels at once, of 10 bits past a row's end into another thread's
    return DecodedPicture(frame.reformat(format=pixel_format, **_one_thread()), orientation)


FORMATS = [
    "yuv420p",
    "yuvj420p",
    "yuv422p",
    "yuv444p",
    "nv12",
    "rgb24",
    "bgra",
    "yuv420p10le",
    "gray",
    "gbrp",
]


@pytest.mark.parametrize("pixel_format", FORMATS)
def test_luminance_is_that_of_the_colours(pixel_format: str) -> None:
    picture = decoded(pixel_format)
    assert picture.size == (66, 48)
    grey = picture.to_grey(picture.size)
    assert grey.dtype == np.uint8
    np.testing.assert_allclose(grey.astype(int), grey_of_rgb(picture.to_rgb()), atol=3)
    np.testing.assert_allclose(grey.astype(int), smooth_grey(), atol=3)


@pytest.mark.parametrize("pixel_format", FORMATS)
@pytest.mark.parametrize("turns", range(4))
def test_what_is_encoded_is_in_the_range_of_video_and_stands_as_the_colours_do(
    pixel_format: str, turns: int
) -> None:
    picture = decoded(pixel_format, Orientation.from_quarter_turns(turns))
    grey = np.rot90(smooth_grey(), turns)
    height, width = (each // 2 // 2 * 2 for each in grey.shape)
    yuv = picture.to_yuv((width, height))
    assert (yuv.shape, yuv.dtype) == ((height * 3 // 2, width), np.uint8)
    expected = 16 + 219 / 255 * resize(np.ascontiguousarray(grey), (width, height))
    np.testing.assert_allclose(yuv[:height].astype(int), expected, atol=5)
    np.testing.assert_allclose(yuv[height:].astype(int), 128, atol=3)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "rgb24"])
@pytest.mark.parametrize("turns", range(4))
def test_it_stands_as_the_colours_do(pixel_format: str, turns: int) -> None:
    picture = decoded(pixel_format, Orientation.from_quarter_turns(turns))
    assert picture.size == ((66, 48), (48, 66))[turns % 2]
    grey = picture.to_grey(picture.size)
    np.testing.assert_allclose(grey.astype(int), grey_of_rgb(picture.to_rgb()), atol=3)
    np.testing.assert_allclose(grey.astype(int), np.rot90(smooth_grey(), turns), atol=3)


@pytest.mark.parametrize("turns", range(2))
def test_it_is_given_at_the_size_that_is_asked_for(turns: int) -> None:
    picture = decoded("yuv420p", Orientation.from_quarter_turns(turns))
    size = (33, 24)[:: 1 - 2 * turns]
    expected = resize(grey_of_rgb(picture.to_rgb()), size)
    assert picture.to_grey(size).shape == size[::-1]
    np.testing.assert_allclose(picture.to_grey(size).astype(int), expected, atol=3)
