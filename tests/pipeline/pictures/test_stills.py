"""Stills of events from small real videos."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mulde.data.errors import VideoError
from mulde.data.video import Video
from mulde.pipeline.events.record import Event
from mulde.pipeline.pictures.stills import (
    SMALL_WIDTH_PX,
    WIDTH_PX,
    Still,
    close_up,
    strip_frames,
    take_stills,
)

N, FPS = 100, 10
SECONDS = np.arange(N) / FPS
EVENT = Event("v", 40, 60, 4.0, 6.0, None, 50, 2.0, (600.0, 200.0, 640.0, 300.0), "velocity", "fast")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Video:
    """Frames of 1200×600, each of one shade: 0, 2, 4, …"""
    import av

    folder = tmp_path_factory.mktemp("videos")
    with av.open(str(folder / "v.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "g": "12"})
        stream.width, stream.height, stream.pix_fmt = 1200, 600, "yuv420p"
        for index in range(N):
            picture = np.full((600, 1200, 3), 2 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return Video("v", folder / "v.mp4", folder)


def shade(still: Still) -> tuple[float, tuple[int, int]]:
    picture = Image.open(io.BytesIO(still.jpeg))
    return float(np.asarray(picture).mean()), picture.size


def test_no_event_no_still(video: Video) -> None:
    assert take_stills(video, [], SECONDS, frames_per_second=25) == []


def test_the_peak_is_large_and_the_strip_small_and_close(video: Video) -> None:
    (stills,) = take_stills(video, [EVENT], SECONDS, frames_per_second=25)
    assert stills is not None
    assert (stills.peak.frame, stills.peak.size) == (50, (1200, 600))
    assert shade(stills.peak) == (pytest.approx(100, abs=3), (WIDTH_PX, WIDTH_PX // 2))
    assert [still.frame for still in stills.strip] == [40, 45, 50, 55, 60]
    for still in stills.strip:
        mean, size = shade(still)
        assert mean == pytest.approx(2 * still.frame, abs=3)
        assert size == (SMALL_WIDTH_PX, SMALL_WIDTH_PX * 10 // 16)


def test_events_share_frames(video: Video) -> None:
    other = dataclasses.replace(EVENT, box_xyxy=None)
    first, second = take_stills(video, [EVENT, other], SECONDS, frames_per_second=25)
    assert first is not None
    assert second is not None
    assert first.peak == second.peak
    assert shade(second.strip[0])[1] == (
        SMALL_WIDTH_PX,
        SMALL_WIDTH_PX // 2,
    )  # without a box all of the frame


def test_a_frame_that_is_not_there_any_more(video: Video) -> None:
    gone = dataclasses.replace(EVENT, stop_frame=130, peak_frame=120, stop_seconds=13.0)
    assert take_stills(video, [gone], np.arange(140) / FPS, frames_per_second=25) == [None]
    with pytest.raises(VideoError, match="has no frame 120"):
        take_stills(video, [gone], SECONDS, frames_per_second=25)


@pytest.mark.parametrize(
    ("start", "peak", "stop", "expected"),
    [
        (40, 50, 60, [40, 45, 50, 55, 60]),
        (50, 50, 51, [46, 48, 50, 52, 54]),  # no less than 0.2 s apart
        (0, 0, 10, [0, 2, 5]),  # fewer at the start of the video
        (0, 50, 100, [10, 30, 50, 70, 90]),  # no more than 2 s apart
    ],
)
def test_which_frames_make_the_strip(start: int, peak: int, stop: int, expected: list[int]) -> None:
    event = Event("v", start, stop, start / FPS, stop / FPS, None, peak, 1.0, None, "", "")
    found = strip_frames(event, SECONDS)
    assert peak in found
    np.testing.assert_allclose(found, expected, atol=1)


@pytest.mark.parametrize(
    ("box", "shape"),
    [
        (None, (400, 800)),
        ((390.0, 190.0, 410.0, 210.0), (150, 240)),  # 0.3 of the width, 16:10
        ((0.0, 0.0, 20.0, 20.0), (150, 240)),  # moved into the picture
        ((300.0, 100.0, 400.0, 300.0), (400, 800)),  # 2.5 × its height, 16:10, is all of it
        ((0.0, 0.0, 800.0, 400.0), (400, 800)),
    ],
)
def test_close_ups(box: tuple[float, float, float, float] | None, shape: tuple[int, int]) -> None:
    picture: NDArray[np.uint8] = np.zeros((400, 800, 3), np.uint8)
    assert close_up(picture, box).shape[:2] == shape


def test_what_is_no_jpeg_is_refused() -> None:
    with pytest.raises(ValueError, match="not a JPEG"):
        Still(0, 0.0, b"\x89PNG", (4, 4))


def test_a_video_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="any more"):
        take_stills(Video("v", tmp_path / "v.mp4", tmp_path), [EVENT], SECONDS, frames_per_second=25)
