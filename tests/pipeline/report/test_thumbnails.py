"""Tests of mulde.pipeline.report.thumbnails on small real videos."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mulde.data.errors import VideoError
from mulde.data.video import Video
from mulde.pipeline.report import thumbnails
from mulde.pipeline.report.thumbnails import WIDTH_PX, draw_frame
from mulde.pipeline.runs.scores import ScoredObjects


@pytest.fixture
def video(tmp_path: Path, write_video) -> Video:
    """Five frames of 840×420, each of one shade: 0, 20, 40, …"""
    frames = [np.full((420, 840, 3), 20 * index, dtype=np.uint8) for index in range(5)]
    return Video("v", write_video(tmp_path / "v.mp4", frames), tmp_path)


@pytest.fixture
def objects() -> ScoredObjects:
    boxes = [[0, 0, 40, 40], [420, 210, 630, 315], [0, 0, 9, 9], [4, 4, 99, 99], [600, 300, 840, 420]]
    return ScoredObjects(
        np.array([2, 3, 3, 3, 3]), np.array(boxes, dtype=np.float32), {}, np.array([9.0, 5, 1, 3, 4])
    )


def open_jpeg(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg))).astype(int)


def test_a_frame_is_small_and_holds_its_best_box(video: Video, objects: ScoredObjects) -> None:
    picture = open_jpeg(draw_frame(video, 3, objects))
    assert picture.shape == (WIDTH_PX // 2, WIDTH_PX, 3)
    assert abs(picture[20, 380].mean() - 60) < 6  # frame 3, away from all boxes
    middle_left = picture[130, 208]  # the left edge of the box from (420, 210) to (630, 315)
    assert middle_left[0] > middle_left[2] + 80
    assert abs(picture[130, 260].mean() - 60) < 8  # inside it


def test_whole_frames_have_no_box(video: Video) -> None:
    picture = open_jpeg(draw_frame(video, 0, None))
    assert picture.max() < 12


def test_what_cannot_be_shown_says_why(video: Video, objects: ScoredObjects, monkeypatch) -> None:
    with pytest.raises(VideoError, match="has no frame 5 any more"):
        draw_frame(video, 5, objects)
    monkeypatch.setattr(thumbnails, "MAX_FRAMES_BEFORE", 3)
    with pytest.raises(VideoError, match="frame 3 lies too far into the video"):
        draw_frame(video, 3, objects)
    video.path.unlink()
    with pytest.raises(VideoError, match=r"the video is not at .*v\.mp4 any more"):
        draw_frame(video, 0, objects)
