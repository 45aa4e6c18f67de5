"""The eight ways in which a picture can lie, against FFmpeg's definition applied pixel by pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mulde.data.decode.orientation import Orientation
from mulde.data.decode.readers import open_frames
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
FLIPS = Path(__file__).parents[3] / "../shared/cases/flips"


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


@pytest.mark.skipif(not FLIPS.is_dir(), reason="no files with mirrors: ../shared is not there")
@pytest.mark.parametrize(("name", "corner"), [("hflip.mp4", (1, 1)), ("vflip.mp4", (0, 0))])
def test_real_files(name: str, corner: tuple[int, int]) -> None:
    """The red mark of the stored picture lies at the bottom left."""
    path = FLIPS / name
    with open_frames(Video("v", path, path.parent)) as frames:
        rgb = next(frames).rgb.astype(int)
    redness = rgb[..., 0] - rgb[..., 1:].max(axis=-1)
    row, column = (np.argwhere(redness > 80).mean(axis=0) / redness.shape).round()
    assert (row, column) == corner
