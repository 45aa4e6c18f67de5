"""Times of frames are their own: AVI that skips some, clocks that start again, headers that are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from mulde.data.decode.clock import Clock
from mulde.data.decode.preflight import Probe
from mulde.data.decode.readers import open_frames, sample_frames
from mulde.data.decode.report import Tally, VideoInfo
from mulde.data.errors import VideoError
from mulde.data.times import mean_rate
from mulde.data.video import DecodeReport, Video

N = 30


def write(
    path: Path, codec: str, shown_at: Sequence[int], *, rate: int = 10, options: dict[str, str] | None = None
) -> Path:
    """Write a frame at each tick of a clock of `rate` a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height = 128, 96
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, rate)
        for tick in shown_at:
            picture = np.full((96, 128, 3), 7 * tick % 256, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def read(path: Path) -> tuple[np.ndarray, DecodeReport]:
    with open_frames(Video("v", path, path.parent)) as frames:
        seconds = np.array([frame.seconds for frame in frames])
    return seconds, frames.report


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("mjpeg", {}),
        ("ffv1", {}),
        ("msmpeg4v2", {}),
        ("mpeg4", {"bf": "0"}),
        ("mpeg4", {"bf": "2"}),
        ("libx264", {"bf": "0"}),
        ("libx264", {"bf": "2"}),
    ],
)
@pytest.mark.parametrize("skipped", [[], [5, 6, 7, 20]])
def test_avi(codec: str, options: dict[str, str], skipped: list[int], tmp_path: Path) -> None:
    ticks = [tick for tick in range(N) if tick not in skipped]
    seconds, report = read(write(tmp_path / "v.avi", codec, ticks, options=options))
    if options.get("bf") != "2":  # of frames that are coded out of order AVI knows a gap only roughly
        np.testing.assert_allclose(seconds, np.array(ticks) / 10, atol=1e-9)
    assert (len(seconds), seconds[0], seconds[-1]) == (len(ticks), 0.0, pytest.approx((N - 1) / 10))
    assert report.warnings == ()


def test_avi_with_a_fast_clock(tmp_path: Path) -> None:
    seconds, report = read(write(tmp_path / "v.avi", "mjpeg", range(0, 1200, 120), rate=600))
    np.testing.assert_allclose(seconds, np.arange(10) / 5)
    assert (report.warnings, mean_rate(seconds)) == ((), pytest.approx(5))


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_avi_with_a_fast_clock_and_frames_out_of_order(codec: str, tmp_path: Path) -> None:
    path = write(tmp_path / "v.avi", codec, range(0, 7200, 120), rate=600, options={"bf": "2"})
    seconds, report = read(path)
    assert (len(seconds), report.warnings, seconds[-1]) == (60, (), pytest.approx(11.8))


def test_avi_that_was_cut_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "v.avi", "mjpeg", range(N))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    seconds, report = read(path)
    assert 10 < len(seconds) < N
    assert any(f"{N} frames" in warning for warning in report.warnings)


JOINABLE = {
    "ts": ("mpeg2video", {"bf": "2"}),
    "mkv": ("libx264", {"bf": "2"}),
    "webm": ("libvpx", {}),
    "mpg": ("mpeg1video", {}),
}
JOINED_RATE = 25  # MPEG-1 knows few others


def join(path: Path, *parts: Sequence[int]) -> Path:
    """Write recordings one after the other into one file, as `cat` does."""
    codec, options = JOINABLE[path.suffix[1:]]
    part = path.with_name(f"part{path.suffix}")
    content = [write(part, codec, ticks, rate=JOINED_RATE, options=options).read_bytes() for ticks in parts]
    path.write_bytes(b"".join(content))
    return path


@pytest.mark.parametrize("suffix", JOINABLE)
@pytest.mark.parametrize(("n_first", "n_second"), [(N, N), (N, 5), (9, N), (5, 12)])
def test_a_clock_that_starts_again_goes_on(suffix: str, n_first: int, n_second: int, tmp_path: Path) -> None:
    path = join(tmp_path / f"v.{suffix}", range(n_first), range(n_second))
    seconds, report = read(path)
    np.testing.assert_allclose(seconds, np.arange(n_first + n_second) / JOINED_RATE, atol=1e-3)
    assert report.warnings == (
        f"the clock of the recording starts again at frame {n_first}: times go on from there",
    )


@pytest.mark.parametrize(
    ("parts", "said"), [((range(N),), ()), ((range(N),) * 3, ("again 2 times, first at frame 30: times",))]
)
def test_restarts_are_said_once(parts: Sequence[range], said: tuple[str, ...], tmp_path: Path) -> None:
    seconds, report = read(join(tmp_path / "v.ts", *parts))
    np.testing.assert_allclose(seconds, np.arange(len(parts) * N) / JOINED_RATE, atol=1e-4)
    assert len(report.warnings) == len(said)
    assert all(words in warning for words, warning in zip(said, report.warnings, strict=True))


@pytest.mark.parametrize("after_pause", [1, 10])
@pytest.mark.parametrize("suffix", ["ts", "mkv", "webm"])
def test_a_clock_that_starts_again_after_a_pause(suffix: str, after_pause: int, tmp_path: Path) -> None:
    first = [*range(N), *range(90_000, 90_000 + after_pause)]
    seconds, _ = read(join(tmp_path / f"v.{suffix}", first, range(N)))
    went_on = first[-1] + 1 + np.arange(N)
    np.testing.assert_allclose(seconds, np.concatenate([first, went_on]) / JOINED_RATE, atol=1e-3)


def test_parts_with_rates_of_their_own(tmp_path: Path) -> None:
    seconds, _ = read(join(tmp_path / "v.mkv", range(0, 5 * N, 5), range(N)))
    np.testing.assert_allclose(seconds[N:], (5 * N + np.arange(N)) / JOINED_RATE, atol=1e-3)


def test_joined_files_are_not_for_decord(tmp_path: Path) -> None:
    path = join(tmp_path / "v.mkv", range(N), range(N))
    with pytest.raises(VideoError, match="not for decord"):
        open_frames(Video("v", path, path.parent), decoder="decord")


@dataclass(frozen=True)
class Stamped:
    """What a clock looks at of a frame."""

    pts: int | None
    key_frame: bool = False


@pytest.mark.parametrize(
    ("stamps", "ticks", "n_restarts"),
    [
        ([], [], 0),
        ([None], [0], 0),
        ([None, None, None], [0, 1, 2], 0),
        ([7], [0], 0),
        ([-3, -2, -1, 0], [0, 1, 2, 3], 0),
        ([None, None, 9, 10], [0, 1, 2, 3], 0),
        ([0, None, None, 3, None, 5], [0, 1, 2, 3, 4, 5], 0),
        ([0, 3, 6, None, 12], [0, 3, 6, 9, 12], 0),
        ([0, 1, 1, 2, 3], [0, 1, 1.1, 2, 3], 0),
        ([0, 0, 0, 0, 0], [0, 0.1, 1.1, 2.1, 3.1], 0),  # a clock that stands still tells nothing
        ([0, 1, 1, 1, 1, 5, 6], [0, 1, 1.1, 2.1, 3.1, 5, 6], 0),
        ([0, 1, 5, 2, 3, 4, 6, 7], [0, 1, 5, 5.1, 5.2, 5.3, 6, 7], 0),  # 5 was handed out early
        ([0, 1, 2, 40, 40, 41], [0, 1, 2, 40, 40.1, 41], 0),
        ([100, *range(101, 130), *range(70, 75)], range(35), 1),
    ],
)
def test_stamps(stamps: list[int | None], ticks: Sequence[float], n_restarts: int) -> None:
    """Stamps of a clock of ten a second, none of a key frame."""
    info = VideoInfo(width=8, height=8, fps=10.0, n_frames_claimed=None)
    tally, probe = Tally("pyav"), Probe(info, frozenset({"mp4"}), "h264", "yuv420p")
    clock = Clock(probe, SimpleNamespace(time_base=Fraction(1, 10)), tally)  # type: ignore[arg-type]
    seconds = [clock.seconds(Stamped(stamp)) for stamp in stamps]  # type: ignore[arg-type]
    np.testing.assert_allclose(seconds, np.array(list(ticks)) / 10, atol=1e-9)
    assert len(tally.restart_frames) == n_restarts


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_a_pause_in_the_recording_is_time_that_passed(suffix: str, tmp_path: Path) -> None:
    ticks = [*range(10), *range(36_000, 36_010)]
    seconds, report = read(write(tmp_path / f"v.{suffix}", "libx264", ticks))
    np.testing.assert_allclose(seconds, np.array(ticks) / 10, atol=1e-3)
    said = "no frames for 3599.1 s after frame 9: the recording paused, or they are lost"
    assert report.warnings == (() if suffix == "mp4" else (said,))


def test_several_pauses(tmp_path: Path) -> None:
    ticks = [*range(10), *range(100, 110), *range(300, 310)]
    _, report = read(write(tmp_path / "v.mkv", "libx264", ticks))
    assert report.warnings == (
        "no frames in 2 places, 28.2 s together, the longest after frame 19: the recording paused, "
        "or they are lost",
    )


def test_samples_of_a_video_with_a_pause_are_of_all_of_it(tmp_path: Path) -> None:
    path = write(tmp_path / "v.mkv", "libx264", [*range(N), *range(36_000, 36_000 + N)], options={"g": "5"})
    samples = sample_frames(Video("v", path, path.parent), 12, lambda frame: frame.index)
    assert samples == [*range(3, 60, 5)]


def test_samples_of_a_recording_that_begins_late(tmp_path: Path) -> None:
    path = write(tmp_path / "v.mkv", "libx264", range(600, 660), options={"g": "5"})
    video = Video("v", path, path.parent)
    samples = sample_frames(video, 6, lambda frame: frame.seconds)
    np.testing.assert_allclose(samples, [0.5, 1.5, 2.5, 3.5, 4.5, 5.5], atol=0.11)
    assert read(path)[1].warnings == ()


def test_a_header_that_says_another_rate(tmp_path: Path) -> None:
    seconds, report = read(write(tmp_path / "v.mkv", "libx264", range(0, 5 * N, 5), rate=25))
    assert report.warnings == ()
    np.testing.assert_allclose(seconds, np.arange(N) / 5, atol=1e-3)
    assert mean_rate(seconds) == pytest.approx(5, rel=1e-3)


@pytest.mark.parametrize("seconds", [None, np.zeros(0), np.zeros(1), np.zeros(3)])
def test_a_rate_that_nothing_tells(seconds: np.ndarray | None) -> None:
    assert mean_rate(seconds) is None
