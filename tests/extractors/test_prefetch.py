"""Decoding ahead gives the same frames, passes errors on, and ends when it is left."""

from __future__ import annotations

import threading
from collections.abc import Generator

import numpy as np
import pytest

from mulde.data.decode.readers import FrameReader
from mulde.data.decode.report import Tally, VideoInfo
from mulde.data.errors import VideoError
from mulde.data.video import Frame
from mulde.extractors.prefetch import prefetched

INFO = VideoInfo(width=8, height=6, fps=10.0, n_frames_claimed=None)


def reader(n_frames: int, *, fails: bool = False) -> FrameReader:
    def frames() -> Generator[Frame, None, None]:
        for index in range(n_frames):
            yield Frame.of_rgb(index, index / 10, np.full((6, 8, 3), index % 256, np.uint8))
        if fails:
            raise VideoError("it ends badly")

    return FrameReader(INFO, frames(), Tally("images"))


@pytest.mark.parametrize("n_frames", [0, 1, 100])
def test_frames_are_the_same_and_the_report_is_there(n_frames: int) -> None:
    source = reader(n_frames)
    with prefetched(source, 4) as frames:
        indices = [frame.index for frame in frames]
    assert indices == list(range(n_frames))
    assert source.report.n_frames == n_frames


def test_error_comes_after_the_frames_before_it() -> None:
    seen = []
    with pytest.raises(VideoError, match="it ends badly"), prefetched(reader(3, fails=True), 4) as frames:
        for frame in frames:
            seen.append(frame.index)
    assert seen == [0, 1, 2]


def test_thread_ends_when_frames_are_not_wanted_any_more() -> None:
    before = threading.active_count()
    with prefetched(reader(10_000), 4) as frames:
        assert next(frames).index == 0
    assert threading.active_count() == before


def test_no_more_frames_are_held_than_agreed() -> None:
    made = []

    def frames() -> Generator[Frame, None, None]:
        for index in range(1000):
            made.append(index)
            yield Frame.of_rgb(index, 0.0, np.zeros((6, 8, 3), np.uint8))

    with prefetched(frames(), 4) as ahead:
        next(ahead)
        threading.Event().wait(0.2)
        assert len(made) == 6  # one taken, four that wait, one in hand
