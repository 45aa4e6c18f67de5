"""Recordings that were joined byte by byte: FFmpeg passes over some in silence, mulde does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mulde.data.decode.joined import unread_bytes
from mulde.data.decode.readers import open_frames
from mulde.data.errors import VideoError
from mulde.data.video import Video

PICTURES = [np.full((96, 128, 3), 20 * index, np.uint8) for index in range(10)]


@pytest.mark.parametrize(
    ("suffix", "codec", "n_parts", "n_read"),
    [
        ("mp4", "libx264", 1, 1),
        ("mp4", "libx264", 2, 1),
        ("mov", "mpeg4", 3, 1),
        ("flv", "flv1", 1, 1),
        ("flv", "flv1", 2, 1),
        ("asf", "msmpeg4v2", 2, 1),
        ("mkv", "libx264", 1, 1),
        ("mkv", "libx264", 2, 2),
        ("mkv", "libx264", 3, 2),
        ("webm", "libvpx", 3, 2),
        ("avi", "mpeg4", 3, 3),
        ("ts", "libx264", 3, 3),
    ],
)
def test_what_is_not_read_is_said(
    tmp_path: Path, write_video, suffix: str, codec: str, n_parts: int, n_read: int
) -> None:
    path = write_video(tmp_path / f"v.{suffix}", PICTURES, codec=codec, fps=25)
    part = path.read_bytes()
    path.write_bytes(part * n_parts)
    with open_frames(Video("v", path, tmp_path)) as frames:
        assert sum(1 for _ in frames) == n_read * len(PICTURES)
    said = [warning for warning in frames.report.warnings if "another recording" in warning]
    n_bytes = (n_parts - n_read) * len(part)
    assert [f"of {n_bytes:,} bytes" in warning for warning in said] == [True] * (n_bytes > 0)


def test_such_a_file_is_not_for_decord(tmp_path: Path, write_video) -> None:
    path = write_video(tmp_path / "v.mp4", PICTURES)
    path.write_bytes(2 * path.read_bytes())
    with pytest.raises(VideoError, match="another recording was joined to it"):
        open_frames(Video("v", path, tmp_path), decoder="decord")


@pytest.mark.parametrize(
    ("content", "containers", "end", "n_bytes"),
    [
        (b"12345678", {"mp4"}, 0, 0),
        (b"12345678", {"mp4"}, 8, 0),
        (b"12345678", {"mp4"}, 99, 0),
        (b"12345678..12345678", {"mp4"}, 9, 8),
        (b"12345678..1234567", {"mp4"}, 9, 0),
        (b"12345678..12345678", {"mpegts"}, 9, 0),
    ],
)
def test_the_start_of_the_file_is_looked_for(
    tmp_path: Path, content: bytes, containers: set[str], end: int, n_bytes: int
) -> None:
    path = tmp_path / "v"
    path.write_bytes(content)
    assert unread_bytes(path, frozenset(containers), end) == n_bytes
