import importlib.util

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from mulde.detector import NearestNeighbours, nearest
from mulde.detector.nearest import ExactSearch


def naive(x: np.ndarray, rows: np.ndarray, k: int) -> np.ndarray:
    return np.sort(cdist(x.astype(np.float64), rows.astype(np.float64)), axis=1)[:, :k].mean(axis=1)


@pytest.mark.parametrize("d", [1, 3, 15, 16, 200])
@pytest.mark.parametrize("k", [1, 5])
def test_distances_are_those_of_all_pairs(d: int, k: int) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, d)).astype(np.float32)
    x = np.concatenate([rows[:50], rows[50:100] + np.float32(1e-4), rng.normal(size=(50, d))])
    x = (x + 100).astype(np.float32)  # near rows far from the origin: squares would lose the difference
    found = ExactSearch((rows + 100).astype(np.float32), k).mean_distance(x)
    np.testing.assert_allclose(found, naive(x, (rows + 100).astype(np.float32), k), rtol=1e-9, atol=1e-12)


@pytest.mark.skipif(importlib.util.find_spec("faiss") is None, reason="faiss is not installed")
def test_faiss_gives_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows, x = rng.normal(size=(3000, 64)).astype(np.float32), rng.normal(size=(500, 64)).astype(np.float32)
    with_faiss = ExactSearch(rows, 5).mean_distance(x)
    monkeypatch.setattr(nearest, "find_faiss", lambda: None)
    np.testing.assert_array_equal(ExactSearch(rows, 5).mean_distance(x), with_faiss)


def test_fewer_rows_than_neighbours() -> None:
    rows = np.array([[0.0], [1.0]], np.float32)
    np.testing.assert_allclose(ExactSearch(rows, 5).mean_distance(rows), [0.5, 0.5])
    np.testing.assert_allclose(ExactSearch(rows, 5).mean_distance(rows, leave_nearest_out=True), [1, 1])
    assert ExactSearch(rows, 5).mean_distance(rows[:0]).shape == (0,)


def test_training_rows_do_not_find_themselves(rows: np.ndarray) -> None:
    detector = NearestNeighbours(k=3).fit(rows)
    x = detector.search_.rows
    expected = [naive(x[i : i + 1], np.delete(x, i, axis=0), 3)[0] for i in range(len(x))]
    np.testing.assert_allclose(detector.training_scores(rows), expected, rtol=1e-9)


@pytest.mark.parametrize("n_groups", [2, 5, 12])
def test_training_rows_do_not_find_their_group(n_groups: int) -> None:
    # a group's rows are copies of one another; groups lie 1 apart: 0 would be the distance within one
    groups = np.repeat([f"video {i:02}" for i in range(n_groups)], 10)
    rows = np.unique(groups, return_inverse=True)[1][:, None].astype(float)
    detector = NearestNeighbours(k=1, scaling="common").fit(rows)
    scores = detector.training_scores(rows, groups=groups)
    np.testing.assert_allclose(scores * detector.scale_, 1, rtol=1e-6)
    np.testing.assert_allclose(detector.training_scores(rows), 0)
    np.testing.assert_allclose(detector.training_scores(rows, groups=np.zeros(len(rows))), 0)


@pytest.mark.parametrize("group", [0, 1, 2])
@pytest.mark.parametrize("n_groups", [2, 6])
def test_a_group_of_outliers_alone_is_no_group(group: int, n_groups: int) -> None:
    x = np.random.default_rng(0).normal(size=(120, 2))
    groups = np.arange(120) % n_groups
    alone = min(group, n_groups)
    groups[groups >= alone] += 1
    x[50], groups[50] = 1e6, alone
    detector = NearestNeighbours(k=1).fit(x, groups=groups)
    np.testing.assert_array_equal(detector.left_out_, [50])
    others = NearestNeighbours(k=1, outlier_limit=None).fit(np.delete(x, 50, axis=0))
    np.testing.assert_allclose(
        detector.training_scores(x, groups=groups),
        others.training_scores(np.delete(x, 50, axis=0), groups=np.delete(groups, 50)),
        rtol=1e-6,
    )


@pytest.mark.parametrize("k", [1, 3, 40])
def test_equal_rows_count_each(k: int) -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 3, size=(200, 2)).astype(np.float32)
    x = rng.normal(1, 1, size=(50, 2)).astype(np.float32)
    np.testing.assert_allclose(ExactSearch(rows, k).mean_distance(x), naive(x, rows, k), rtol=1e-6)


def test_very_many_equal_rows_are_searched_quickly() -> None:
    # as in a feature that is nearly always 0: a plain tree would compare each pair of them
    rows = np.zeros((100_000, 1), np.float32)
    rows[:100, 0] = np.arange(100)
    search = ExactSearch(rows, 5)
    assert len(search._searched) < 200
    np.testing.assert_array_equal(search.mean_distance(rows[100:]), 0)
