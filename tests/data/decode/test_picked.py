"""Single frames picked from anywhere are the frames that reading all in order gives."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mulde.data.decode import picked
from mulde.data.decode.picked import pick_frames, read_between
from mulde.data.decode.readers import open_frames
from mulde.data.errors import VideoError
from mulde.data.video import Frame, Video

N = 60
VARIABLE = [*range(0, 60, 2), *range(60, 300, 9), *range(1000, 1004)]


def write(path: Path, codec: str, shown_at: Sequence[int], **options: str) -> Video:
    """Write pictures that all differ, at ticks of a clock of 25 a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"g": "12", **options})
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25)
        for index, tick in enumerate(shown_at):
            picture = np.full((48, 64, 3), 20 + index * 3, np.uint8)
            picture[:, : index % 64] = 0
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return Video("v", path, path.parent)


def read_all(video: Video) -> tuple[list[float], list[NDArray[np.uint8]]]:
    with open_frames(video) as frames:
        read = [(frame.seconds, frame.rgb) for frame in frames]
    return [seconds for seconds, _ in read], [rgb for _, rgb in read]


def rgb_of(frame: Frame) -> NDArray[np.uint8]:
    return frame.rgb


def test_nothing_is_picked_from_anything(tmp_path: Path) -> None:
    assert pick_frames(Video("v", tmp_path / "missing.mp4", tmp_path), {}, rgb_of) == {}


@pytest.mark.parametrize("shown_at", [range(N), VARIABLE], ids=["even", "variable"])
@pytest.mark.parametrize(
    ("suffix", "codec", "options"),
    [
        ("mp4", "libx264", {"bf": "2"}),
        ("mkv", "libx264", {"bf": "2"}),
        ("ts", "libx264", {"bf": "2"}),
        ("avi", "mjpeg", {}),
        ("avi", "mpeg4", {"bf": "0"}),
        ("mkv", "ffv1", {}),
        ("h264", "libx264", {"bf": "2"}),
    ],
)
def test_picked_frames_are_those_of_reading_in_order(
    suffix: str, codec: str, options: dict[str, str], shown_at: Sequence[int], tmp_path: Path
) -> None:
    video = write(tmp_path / f"v.{suffix}", codec, shown_at, **options)
    seconds, pictures = read_all(video)
    wanted = [len(pictures) - 1, 0, 1, 13, 14, len(pictures) // 2]
    found = pick_frames(video, {index: seconds[index] for index in wanted}, rgb_of)
    assert {*found} == {*wanted}
    for index in wanted:
        np.testing.assert_array_equal(found[index], pictures[index])


def test_far_into_a_long_file_only_seeking_finds_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picked, "MOST_FRAMES_IN_ORDER", 20)
    video = write(tmp_path / "v.mp4", "libx264", range(N))
    assert {*pick_frames(video, {10: 0.4, 50: 2.0}, rgb_of)} == {10, 50}
    assert {*pick_frames(video, {10: 0.41, 50: 2.01}, rgb_of)} == {
        10
    }  # times that no frame has: read in order


def test_frames_that_are_not_there_are_left_out(tmp_path: Path) -> None:
    video = write(tmp_path / "v.mp4", "libx264", range(N))
    assert {*pick_frames(video, {3: 0.12, 500: 20.0}, rgb_of)} == {3}


@pytest.mark.parametrize("start, stop", [(0, 0), (0, 3), (5, 20), (40, 50), (58, 60), (58, 99)])
@pytest.mark.parametrize("shown_at", [range(N), VARIABLE], ids=["even", "variable"])
def test_a_stretch_is_that_of_reading_in_order(
    shown_at: Sequence[int], start: int, stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picked, "_NEAR_FRAMES", 4)
    video = write(tmp_path / "v.mp4", "libx264", shown_at, bf="2")
    seconds, pictures = read_all(video)
    read = list(read_between(video, np.array(seconds), start, stop))
    assert [frame.index for frame in read] == list(range(start, min(stop, len(pictures))))
    for frame in read:
        assert frame.seconds == pytest.approx(seconds[frame.index], abs=0.002)
        np.testing.assert_array_equal(frame.rgb, pictures[frame.index])


def test_a_stretch_whose_times_do_not_agree_is_read_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picked, "_NEAR_FRAMES", 4)
    video = write(tmp_path / "v.mp4", "libx264", range(N))
    read = list(read_between(video, np.arange(N) / 24.0, 30, 33))
    assert [frame.index for frame in read] == [30, 31, 32]


def test_images(tmp_path: Path) -> None:
    for index in range(5):
        Image.fromarray(np.full((8, 8, 3), 40 * index, np.uint8)).save(tmp_path / f"{index}.png")
    found = pick_frames(Video("v", tmp_path, tmp_path.parent), {3: 0.12, 1: 0.04, 7: 0.28}, rgb_of)
    assert {index: int(picture[0, 0, 0]) for index, picture in found.items()} == {1: 40, 3: 120}


def test_a_video_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="any more"):
        pick_frames(Video("v", tmp_path / "v.mp4", tmp_path), {0: 0.0}, rgb_of)
