"""Rows read in pieces give what the whole array gives."""

import numpy as np
import pytest

from mulde.detector import Mahalanobis
from mulde.detector.base import RowsOfArray
from mulde.detector.rows import iterate, measure, sample


@pytest.mark.parametrize("n_rows", [1, 2, 1000])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_moments(n_rows: int, offset: float, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(n_rows, 3)) * [1, 10, 1e-3] + offset
    moments = measure(RowsOfArray(values))
    np.testing.assert_allclose(moments.mean, values.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.std, values.std(axis=0), rtol=1e-6, atol=1e-9)
    assert moments.n_rows == n_rows


def test_moments_of_many_blocks() -> None:
    values = np.random.default_rng(0).normal((0, 100), size=(150_000, 2)).astype(np.float32)
    moments = measure(RowsOfArray(values))
    np.testing.assert_allclose(moments.mean, values.mean(axis=0, dtype=np.float64), rtol=1e-9)
    np.testing.assert_allclose(moments.std, values.std(axis=0, dtype=np.float64), rtol=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_named(bad: float) -> None:
    values = np.zeros((70_000, 3))
    values[69_000, 2] = bad
    with pytest.raises(ValueError, match="row 69000, column 2"):
        measure(RowsOfArray(values))


@pytest.mark.parametrize(("n_rows", "wanted", "expected"), [(1, 10, 1), (10, 10, 10), (10_000, 1000, 1000)])
def test_sample_is_of_distinct_rows(n_rows: int, wanted: int, expected: int) -> None:
    drawn = sample(RowsOfArray(np.arange(n_rows, dtype=np.float32)[:, None]), wanted, seed=0)
    assert len(np.unique(drawn)) == len(drawn) == expected


def test_iterate_covers_all_rows_in_order() -> None:
    values = np.arange(10.0)[:, None]
    parts = list(iterate(RowsOfArray(values), 4))
    assert [start for start, _ in parts] == [0, 4, 8]
    np.testing.assert_array_equal(np.concatenate([rows for _, rows in parts]), values)


def test_a_table_with_a_column_named_read_is_a_table() -> None:
    pandas = pytest.importorskip("pandas")
    values = np.random.default_rng(0).normal(size=(200, 2))
    table = pandas.DataFrame(values, columns=["read", "written"])
    fitted = Mahalanobis().fit(table)
    assert list(fitted.feature_names_in_) == ["read", "written"]
    np.testing.assert_array_equal(
        fitted.training_scores(table), Mahalanobis().fit(values).training_scores(values)
    )
