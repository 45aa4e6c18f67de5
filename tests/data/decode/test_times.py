"""Times of frames are their own: AVI that skips some, clocks that start again, headers that are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mulde.data.decode.readers import open_frames
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


def test_avi_that_was_cut_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "v.avi", "mjpeg", range(N))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    seconds, report = read(path)
    assert 10 < len(seconds) < N
    assert any(f"{N} frames" in warning for warning in report.warnings)


@pytest.mark.parametrize("n_parts", [1, 2, 3])
def test_a_clock_that_starts_again_goes_on(n_parts: int, tmp_path: Path) -> None:
    part = write(tmp_path / "part.ts", "mpeg2video", range(N), options={"bf": "2"}).read_bytes()
    (tmp_path / "v.ts").write_bytes(part * n_parts)
    seconds, report = read(tmp_path / "v.ts")
    np.testing.assert_allclose(seconds, np.arange(n_parts * N) / 10, atol=1e-4)
    said = [warning for warning in report.warnings if "starts again" in warning]
    assert len(said) == (n_parts > 1)
    if n_parts == 3:
        assert "starts again 2 times" in said[0]


def test_a_pause_in_the_recording_is_time_that_passed(tmp_path: Path) -> None:
    ticks = [*range(10), *range(36_000, 36_010)]
    seconds, report = read(write(tmp_path / "v.mkv", "libx264", ticks))
    np.testing.assert_allclose(seconds, np.array(ticks) / 10, atol=1e-3)
    assert not any("starts again" in warning for warning in report.warnings)


def test_a_header_that_says_another_rate(tmp_path: Path) -> None:
    seconds, _ = read(write(tmp_path / "v.mkv", "libx264", range(0, 5 * N, 5), rate=25))
    np.testing.assert_allclose(seconds, np.arange(N) / 5, atol=1e-3)
    assert mean_rate(seconds) == pytest.approx(5, rel=1e-3)


@pytest.mark.parametrize("seconds", [None, np.zeros(0), np.zeros(1), np.zeros(3)])
def test_a_rate_that_nothing_tells(seconds: np.ndarray | None) -> None:
    assert mean_rate(seconds) is None
