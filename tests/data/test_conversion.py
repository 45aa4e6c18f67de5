"""Frames in another format: the same from one converter for all of them as from one each, without threads."""

from __future__ import annotations

import threading
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter

from mulde.data.conversion import convert

SIZES = [(48, 66), (240, 320), (36, 50)]


def frame_of(size: tuple[int, int], pixel_format: str = "yuv420p") -> av.VideoFrame:
    """A frame of noise."""
    rgb = np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8)
    return av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=pixel_format)


def test_shapes() -> None:
    frame = frame_of((48, 66))
    assert convert(frame, "rgb24").shape == (48, 66, 3)
    assert convert(frame, "yuv420p", (32, 16), 1).shape == (24, 32)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12", "yuvj420p", "rgb24"])
def test_one_converter_is_as_good_as_one_each(pixel_format: str) -> None:
    for frame in [frame_of(size, pixel_format) for size in SIZES] * 2:
        expected = VideoReformatter().reformat(frame, format="rgb24").to_ndarray()
        np.testing.assert_array_equal(convert(frame, "rgb24"), expected)
        expected = VideoReformatter().reformat(frame, 64, 32, "yuv420p", dst_colorspace=1).to_ndarray()
        np.testing.assert_array_equal(convert(frame, "yuv420p", (64, 32), 1), expected)


def test_frames_that_are_kept_are_no_threads() -> None:
    frames = [frame_of((48, 66), "rgb24") for _ in range(20)]
    before = n_threads()
    for frame in frames:
        convert(frame, "yuv420p", (32, 16))
    assert n_threads() == before


def test_each_thread_has_its_own() -> None:
    frame = frame_of((240, 320))
    expected, wrong = convert(frame, "rgb24"), []

    def work() -> None:
        wrong.extend(n for n in range(50) if (convert(frame_of((240, 320)), "rgb24") != expected).any())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def n_threads() -> int:
    """Those of this process, FFmpeg's included."""
    status = Path("/proc/self/task")
    if not status.exists():
        pytest.skip("only Linux tells how many threads there are")
    return len(list(status.iterdir()))
