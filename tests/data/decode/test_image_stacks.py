"""Image files of several pages: every page is a frame, at the time that the file says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mulde.data.decode.image_stacks import is_stack
from mulde.data.decode.readers import open_frames, sample_frames
from mulde.data.errors import VideoError
from mulde.data.video import Frame, Video

N = 6


def page(index: int, size: tuple[int, int] = (48, 32)) -> Image.Image:
    """A page whose number is its brightness, beside a ramp that has no run of one colour."""
    rgb = np.full((size[1], size[0], 3), 40 * index, np.uint8)
    rgb[: size[1] // 2] = np.random.default_rng(index).integers(0, 256, (size[1] // 2, size[0], 3))
    return Image.fromarray(rgb)


def save(path: Path, n: int = N, **options: Any) -> Path:
    several = {"save_all": True, "append_images": [page(index) for index in range(1, n)]} if n > 1 else {}
    page(0).save(path, **several, **options)
    return path


def numbers(frames: list[Frame]) -> list[int]:
    return [round(float(frame.rgb[-4:].mean()) / 40) for frame in frames]


def as_video(path: Path) -> Video:
    return Video("clip", path, path.parent)


@pytest.mark.parametrize(
    ("name", "options", "seconds"),
    [
        ("a.tif", {}, [0, 0.1, 0.2, 0.3, 0.4, 0.5]),  # as frames_per_second says
        ("a.tiff", {"compression": "tiff_lzw"}, [0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        ("a.gif", {"duration": 40}, [0, 0.04, 0.08, 0.12, 0.16, 0.2]),
        ("a.gif", {"duration": [40, 80] * 3}, [0, 0.04, 0.12, 0.16, 0.24, 0.28]),
        ("a.gif", {"duration": 0}, [0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        ("a.png", {"duration": 50}, [0, 0.05, 0.1, 0.15, 0.2, 0.25]),
        ("a.apng", {"duration": 50, "format": "PNG"}, [0, 0.05, 0.1, 0.15, 0.2, 0.25]),
        ("a.webp", {"duration": 70, "lossless": True}, [0, 0.07, 0.14, 0.21, 0.28, 0.35]),
    ],
)
def test_pages_are_frames(tmp_path: Path, name: str, options: dict[str, Any], seconds: list[float]) -> None:
    path = save(tmp_path / name, **options)
    assert is_stack(path)
    with open_frames(as_video(path), frames_per_second=10) as reader:
        frames = list(reader)
    assert numbers(frames) == list(range(N))
    np.testing.assert_allclose([frame.seconds for frame in frames], seconds, atol=1e-9)
    assert (reader.report.n_frames, reader.report.n_frames_claimed) == (N, N)
    assert bool(reader.report.warnings) == name.startswith("a.tif")  # that it has no times of its own
    samples = sample_frames(as_video(path), 2, lambda frame: frame, frames_per_second=10)
    assert numbers(samples) == [1, 4]


@pytest.mark.parametrize("name", ["a.tif", "a.gif", "a.png", "a.webp", "a.jpg", "a.mp4", "missing.tif"])
def test_one_page_or_none(tmp_path: Path, name: str) -> None:
    if name == "a.mp4":
        (tmp_path / name).write_bytes(b"no image")
    elif name != "missing.tif":
        save(tmp_path / name, n=1)
    assert not is_stack(tmp_path / name)


def test_further_pictures_of_a_phone_are_no_frames(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", n=3, format="MPO")
    assert not is_stack(path)


@pytest.mark.parametrize("name", ["a.tif", "a.gif", "a.png"])
def test_cut_short(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / name)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    with open_frames(as_video(path)) as reader:
        frames = list(reader)
    assert numbers(frames) == list(range(len(frames)))
    assert 2 <= len(frames) < N
    assert any("page" in warning and "read" in warning for warning in reader.report.warnings)


def test_16_bits_and_turned(tmp_path: Path) -> None:
    pages = [Image.fromarray(np.full((4, 6), value << 8, np.uint16)) for value in (7, 200)]
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:], exif=exif)
    with open_frames(as_video(tmp_path / "a.tif")) as reader:
        frames = list(reader)
    assert [int(frame.rgb.mean()) for frame in frames] == [7, 200]


def test_another_size_is_named(tmp_path: Path) -> None:
    page(0).save(tmp_path / "a.tif", save_all=True, append_images=[page(1, (24, 16))])
    with pytest.raises(VideoError, match=r"a\.tif changes its frame size from 48x32 to 24x16 at page 1"):
        list(open_frames(as_video(tmp_path / "a.tif")))
