"""The eight ways in which a picture can lie, against FFmpeg's definition applied pixel by pixel."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mulde.data.decode.orientation import Orientation
from mulde.data.decode.readers import open_frames, sample_frames
from mulde.data.video import Video

ONE = 1 << 16
MATRICES = {
    "upright": (1, 0, 0, 1),
    "mirrored": (-1, 0, 0, 1),
    "upside down, mirrored": (1, 0, 0, -1),
    "half a turn": (-1, 0, 0, -1),
    "a quarter turn": (0, 1, -1, 0),
    "a quarter turn back": (0, -1, 1, 0),
    "transposed": (0, 1, 1, 0),
    "transposed the other way": (0, -1, -1, 0),
}


def shown(picture: np.ndarray, a: int, b: int, c: int, d: int) -> np.ndarray:
    """Put the pixel of column p and row q into column a·p + c·q and row b·p + d·q."""
    height, width = picture.shape[:2]
    places = {(b * p + d * q, a * p + c * q): picture[q, p] for p in range(width) for q in range(height)}
    rows, columns = sorted({row for row, _ in places}), sorted({column for _, column in places})
    return np.array([[places[row, column] for column in columns] for row in rows])


@pytest.mark.parametrize("name", MATRICES)
def test_pixels_go_where_the_matrix_says(name: str) -> None:
    a, b, c, d = MATRICES[name]
    picture = np.arange(3 * 5 * 3, dtype=np.uint8).reshape(3, 5, 3)
    orientation = Orientation.from_matrix((a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30))
    np.testing.assert_array_equal(orientation.apply(picture), shown(picture, a, b, c, d))
    assert (orientation == Orientation()) == (name == "upright")


def test_nearly_a_quarter_turn_is_one() -> None:
    assert Orientation.from_matrix((3000, ONE, 0, -ONE, 3000)) == Orientation(True, False, True)


@pytest.mark.parametrize("n", range(-1, 5))
def test_quarter_turns(n: int) -> None:
    picture = np.arange(3 * 5 * 3, dtype=np.uint8).reshape(3, 5, 3)
    np.testing.assert_array_equal(Orientation.from_quarter_turns(n).apply(picture), np.rot90(picture, n))


def quarters(rgb: np.ndarray) -> list[list[int]]:
    """Name the colours of the four quarters of a picture: 0 dark, 1 red, 2 green, 3 blue."""
    height, width = rgb.shape[:2]
    places = [[rgb[q * height // 4, p * width // 4].astype(int) for p in (1, 3)] for q in (1, 3)]
    return [[0 if colour.max() < 100 else 1 + int(colour.argmax()) for colour in row] for row in places]


def coloured() -> np.ndarray:
    """Make a picture whose quarters are red and green above blue and black."""
    rgb = np.zeros((96, 128, 3), np.uint8)
    rgb[:48, :64, 0] = rgb[:48, 64:, 1] = rgb[48:, :64, 2] = 250
    return rgb


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("upright", [[1, 2], [3, 0]]),
        ("mirrored", [[2, 1], [0, 3]]),
        ("upside down, mirrored", [[3, 0], [1, 2]]),
        ("half a turn", [[0, 3], [2, 1]]),
        ("a quarter turn", [[3, 1], [0, 2]]),
        ("a quarter turn back", [[2, 0], [1, 3]]),
        ("transposed", [[1, 3], [2, 0]]),
        ("transposed the other way", [[0, 2], [3, 1]]),
    ],
)
def test_real_files(name: str, expected: list[list[int]], tmp_path: Path, write_video) -> None:
    path = write_video(tmp_path / "v.mp4", [coloured()] * 12, codec="mpeg4", g=3)
    content, (a, b, c, d) = bytearray(path.read_bytes()), MATRICES[name]
    start = content.find(b"tkhd") + 4 + 40
    matrix = (a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30)
    content[start : start + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
    path.write_bytes(content)
    video = Video("v", path, tmp_path)
    with open_frames(video) as frames:
        assert {str(quarters(frame.rgb)) for frame in frames} == {str(expected)}
        size = (frames.info.height, frames.info.width)
    assert size == ((96, 128) if b == 0 else (128, 96))
    (sample,) = sample_frames(video, 1, lambda frame: frame.rgb)
    assert quarters(sample) == expected


@pytest.mark.parametrize(
    ("exif", "expected"), [(1, [[1, 2], [3, 0]]), (3, [[0, 3], [2, 1]]), (6, [[3, 1], [0, 2]])]
)
def test_metadata_that_pyav_does_not_know(exif: int, expected: list[list[int]], tmp_path: Path) -> None:
    """FFmpeg 8 hands on the EXIF data of JPEG pictures, of which PyAV 18 knows no name."""
    image = Image.fromarray(coloured())
    metadata = image.getexif()
    metadata[0x0112] = exif
    stream = io.BytesIO()
    image.save(stream, "jpeg", exif=metadata, quality=95)
    path = tmp_path / "v.mjpeg"
    path.write_bytes(3 * stream.getvalue())
    with open_frames(Video("v", path, tmp_path)) as frames:
        assert [quarters(frame.rgb) for frame in frames] == [expected] * 3
