"""Where a frame looks unlike anything: by box, and as a mask."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from mulde.extractors.unlikeness import Unlike


@pytest.mark.parametrize(
    ("novelty", "expected"),
    [
        pytest.param([[0.0]], [[0] * 4] * 4, id="nothing"),
        pytest.param([[3.0]], [[1] * 4] * 4, id="a single place, which an object fills"),
        pytest.param([[9.0] * 4] * 6, [[1] * 10] * 14, id="all of few places"),
        pytest.param([[9.0] * 5] * 5, [[0] * 12] * 12, id="all of the picture: another light"),
        pytest.param([[9.0, 9.0, 9.0, 0.0]], [[1] * 7 + [0] * 3] * 4, id="most of it"),
        pytest.param([[2.9, 3.0]], [[0, 0, 0, 1, 1, 1]] * 4, id="up to halfway"),
        pytest.param([[0.0], [9.0], [0.0]], [[n] * 4 for n in (0, 0, 0, 1, 1, 0, 0, 0)], id="in the middle"),
    ],
)
def test_mask(novelty: list[list[float]], expected: list[list[int]]) -> None:
    mask = Unlike(np.array(novelty, np.float32), (64, 48)).mask(3.0)
    np.testing.assert_array_equal(mask.pixels, expected)
    assert mask.frame_size == (64, 48)
    assert mask.foreground_share == 0, "it says nothing of the background"


def test_places_of_boxes() -> None:
    novelty = np.arange(12, dtype=np.float32).reshape(3, 4)  # places of two cells among 5 by 4 cells of 10 px
    found = Unlike(novelty, (50, 40)).at(
        np.array(
            [[0, 0, 1, 1], [5, 5, 15, 15], [35, 25, 45, 35], [49, 39, 50, 40], [0, 0, 50, 40]], np.float32
        )
    )
    np.testing.assert_array_equal(found, [0, 0, 11, 11, novelty[1, 1]])


@given(
    arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.floats(-3, 9, width=32))
)
def test_the_mask_is_where_boxes_are_unlike(novelty: NDArray[np.float32]) -> None:
    n_down, n_across = novelty.shape
    unlike = Unlike(novelty, (40 * (n_across + 1), 40 * (n_down + 1)))
    mask = unlike.mask(2.0)
    y, x = np.indices(mask.pixels.shape).reshape(2, -1) * 20 + 10  # middles of half cells
    is_novel = unlike.at(np.stack([x, y, x, y], axis=1).astype(np.float32)) >= 2.0
    is_another_light = novelty.size >= 25 and (novelty >= 2.0).mean() > 0.9
    np.testing.assert_array_equal(is_novel & (not is_another_light), mask.pixels.ravel())
