"""Arithmetic on images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mulde.extractors.images import median

FINITE = st.floats(-1e6, 1e6, width=32)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([3], 3), ([200, 250], 225), ([1, 2, 9], 2), ([4, 4, 4, 4], 4), ([[5, 1], [3, 2]], 2.5)],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_median(values: object, expected: float, dtype: type) -> None:
    assert median(np.array(values, dtype)) == expected


@given(arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=FINITE))
def test_the_median_is_numpys(values: np.ndarray) -> None:
    assert median(values) == pytest.approx(float(np.median(values.astype(np.float64))), rel=1e-12)
    assert median(values[::2, ::2]) == pytest.approx(float(np.median(values[::2, ::2].astype(np.float64))))
