"""Which names are videos, images, junk; what a video is called."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mulde.data.files import (
    is_hidden,
    is_image_file,
    is_no_video,
    is_video_file,
    name_without_suffix,
    sizes_and_times,
)

VIDEOS = (
    "mp4 MP4 avi mkv mov webm m4v mpg mpeg ts mts m2ts h264 264 h265 265 hevc asf wmv 3gp 3g2 vob ogv dav"
)
IMAGES = "jpg JPEG png webp tif TIFF bmp gif apng ppm pgm jp2"
OTHERS = "labels.csv notes.TXT gt.mat a.srt a.wav README LICENSE masks.npy"
VIDEOS += " mjpeg mjpg divx f4v flv mxf M2TS qt dv mod tod rm"


@pytest.mark.parametrize("suffix", VIDEOS.split())
def test_videos(suffix: str) -> None:
    path = Path(f"a.{suffix}")
    assert (is_video_file(path), is_image_file(path), is_no_video(path)) == (True, False, False)
    assert name_without_suffix(f"cam1/day.2.{suffix}") == "cam1/day.2"


@pytest.mark.parametrize(
    "suffix", ["jpg", "JPEG", "png", "webp", "tif", "TIFF", "bmp", "gif", "apng", "ppm", "pgm", "jp2"]
)
def test_images(suffix: str) -> None:
    path = Path(f"a.{suffix}")
    assert (is_video_file(path), is_image_file(path), is_no_video(path)) == (False, True, False)


@pytest.mark.parametrize(
    "name", ["labels.csv", "notes.TXT", "gt.mat", "a.srt", "a.wav", "README", "LICENSE", "masks.npy"]
)
def test_evidently_no_video(name: str) -> None:
    path = Path(name)
    assert (is_video_file(path), is_image_file(path), is_no_video(path)) == (False, False, True)


@pytest.mark.parametrize("name", ["a.xyz", "a", "a.mp4.part", "a.zip", "a.avif", "csv"])
def test_perhaps_a_video(name: str) -> None:
    path = Path(name)
    assert (is_video_file(path), is_image_file(path), is_no_video(path)) == (False, False, False)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("", False), ("a.mp4", False), ("eaDir", False), ("@home", False), ("#1", False), ("found", False)]
    + [(name, True) for name in ("@eaDir", "#recycle", "@tmp", ".@__thumb", ".thumbnails", "__MACOSX")]
    + [(name, True) for name in ("lost+found", "System Volume Information", "$RECYCLE.BIN", "$Recycle.Bin")]
    + [(name, True) for name in ("._x.jpg", "Thumbs.db", "thumbs.db", ".DS_Store", "desktop.ini")],
)
def test_hidden(name: str, expected: bool) -> None:
    assert is_hidden(name) is expected


@pytest.mark.parametrize(
    ("path", "name"),
    [("a", "a"), ("a.day.2", "a.day.2"), ("s/stack.tif", "s/stack"), ("f.gif", "f"), ("a.jpg", "a.jpg")],
)
def test_name(path: str, name: str) -> None:
    assert name_without_suffix(path) == name


def test_sizes_and_times_of_none_of_what_is_there_and_of_what_is_not(tmp_path: Path) -> None:
    assert sizes_and_times(str(tmp_path), [], ".h5") == []
    (tmp_path / "cam1").mkdir()
    for name, n_bytes in (("a", 3), ("cam1/b", 5)):
        (tmp_path / f"{name}.h5").write_bytes(bytes(n_bytes))
    stats = [(tmp_path / f"{name}.h5").stat() for name in ("a", "cam1/b")]
    expected = [(stat.st_size, stat.st_mtime_ns) for stat in stats]
    assert [size for size, _ in expected] == [3, 5]
    names = ["a", "cam1/b", "c", "a/d", "cam2/b"]
    assert sizes_and_times(str(tmp_path), names, ".h5") == [*expected, None, None, None]
    assert sizes_and_times(str(tmp_path / "no"), names, ".h5") == [None] * 5
    assert sizes_and_times(str(tmp_path / "a.h5"), names, ".h5") == [None] * 5


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EACCES])
def test_sizes_and_times_below_a_folder_that_cannot_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    (tmp_path / "a.h5").write_bytes(b"abc")

    def refuse(*_args: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    found, missing = sizes_and_times(str(tmp_path), ["a", "b"], ".h5")
    assert (found and found[0], missing) == (3, None)
