"""Areas and overlaps of boxes, by cases that one can count."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mulde.extractors.boxes.geometry import areas, common_areas, intersection_over_union


def boxes(*rows: list[float]) -> NDArray[np.float32]:
    return np.array(rows, np.float32).reshape(-1, 4)


FIRST = boxes([0, 0, 10, 10], [0, 0, 0, 0], [2, 3, 4, 8])
SECOND = boxes([0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30])


@pytest.mark.parametrize("function", [common_areas, intersection_over_union])
@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 3), (3, 0)])
def test_no_box(function, n: int, m: int) -> None:
    assert function(FIRST[:n], SECOND[:m]).shape == (n, m)


def test_areas() -> None:
    np.testing.assert_array_equal(areas(FIRST), [100, 0, 10])
    np.testing.assert_array_equal(common_areas(FIRST, SECOND), [[100, 50, 0], [0, 0, 0], [10, 0, 0]])


def test_overlap_is_a_share_of_both() -> None:
    expected = [[1, 1 / 3, 0], [0, 0, 0], [0.1, 0, 0]]
    np.testing.assert_allclose(intersection_over_union(FIRST, SECOND), expected, atol=1e-6)
    np.testing.assert_array_equal(
        intersection_over_union(SECOND, FIRST), intersection_over_union(FIRST, SECOND).T
    )
