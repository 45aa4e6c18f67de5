"""Broken rows among the training rows: they decide nothing, and a warning names them."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mulde.detector import DETECTORS, MULDE, PAPER, Detector, Mahalanobis, NearestNeighbours, load_detector
from mulde.detector.base import RowsOfArray
from mulde.detector.outliers import RowsWithout, Usual
from mulde.detector.store import read_model, write_model

RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=(400, 4))
TEST = np.concatenate([RNG.normal(size=(200, 4)), RNG.normal(size=(200, 4)) + 4])
IS_ANOMALY = np.repeat([0, 1], 200)


def build(kind: str, **changes: Any) -> Detector:
    has_network = issubclass(DETECTORS[kind], MULDE)
    quick = {"widths": (64, 64), "max_steps": 150, "device": "cpu"} if has_network else {}
    return DETECTORS[kind](random_state=0, **quick, **changes)


def broken(rows: list[int], value: float, columns: slice = slice(None)) -> np.ndarray:  # type: ignore[type-arg]
    x = NORMAL.copy()
    x[rows, columns] = value
    return x


class Source:
    """Rows that are read piece by piece."""

    def __init__(self, rows: np.ndarray) -> None:  # type: ignore[type-arg]
        self.rows, self.shape = rows, rows.shape

    def read(self, start: int, stop: int) -> np.ndarray:  # type: ignore[type-arg]
        return self.rows[start:stop]


@pytest.mark.parametrize("scaling", ["feature", "common"])
@pytest.mark.parametrize("kind", DETECTORS)
@pytest.mark.parametrize(
    "x",
    [
        broken([7], 1e6),
        broken([7], -1e12),
        broken([7], 1e6, slice(0, 1)),
        broken([0, 50, 100, 399], 1e6),
    ],
    ids=["row", "negative", "one value", "a hundredth"],
)
def test_broken_rows_decide_nothing(kind: str, scaling: str, x: np.ndarray) -> None:  # type: ignore[type-arg]
    detector = build(kind, scaling=scaling).fit(x)
    np.testing.assert_allclose(detector.scale_, 1, atol=0.1)
    scores = detector.anomaly_score(TEST)
    assert roc_auc_score(IS_ANOMALY, scores) > 0.97
    far = detector.anomaly_score(np.full((2, 4), 1e6))
    assert np.isfinite(far).all()
    assert far.min() > np.quantile(scores[IS_ANOMALY == 0], 0.9)


@pytest.mark.parametrize("kind", DETECTORS)
def test_a_broken_row_is_as_good_as_absent(kind: str) -> None:
    x, groups = broken([7], 1e6), np.arange(400) // 40
    with_it = build(kind).fit(x, groups=groups)
    without = build(kind).fit(np.delete(x, 7, axis=0), groups=np.delete(groups, 7))
    assert with_it.left_out_.tolist() == [7]
    assert with_it.n_samples_fit_ == 399
    np.testing.assert_array_equal(with_it.anomaly_score(TEST), without.anomaly_score(TEST))
    scores = with_it.training_scores(x, groups=groups)
    expected = without.training_scores(np.delete(x, 7, axis=0), groups=np.delete(groups, 7))
    np.testing.assert_array_equal(scores, expected)


@pytest.mark.parametrize("kind", DETECTORS)
def test_the_same_from_a_source(kind: str) -> None:
    x = broken([0, 200, 399], 1e6).astype(np.float32)
    detector = build(kind).fit(Source(x))
    assert detector.left_out_.tolist() == [0, 200, 399]
    np.testing.assert_allclose(detector.mean_, np.delete(x, [0, 200, 399], axis=0).mean(axis=0), atol=1e-6)
    assert detector.training_scores(Source(x)).shape == (397,)


def test_a_warning_names_them(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Mahalanobis().fit(NORMAL)
        assert not caplog.records
        Mahalanobis().fit(broken([7, 9], 1e6))
    assert "2 of 400 training rows" in caplog.text
    assert "row 7 is the first" in caplog.text


def rare(share: float, value: float) -> np.ndarray:  # type: ignore[type-arg]
    """A feature that is 0 but for a share of its 1000 values."""
    return np.where(np.arange(1000) < share * 1000, value, 0.0)[:, None]


@pytest.mark.parametrize(
    "x",
    [
        np.zeros((1000, 1)),
        np.full((1000, 1), 1e9),
        rare(0.001, 5.0),
        rare(0.004, 5.0),
        rare(0.02, 5.0),
        rare(0.2, 5.0),
        np.arange(1000)[:, None] % 2.0,
        np.random.default_rng(0).normal(size=(1000, 1)),
        np.random.default_rng(0).exponential(size=(1000, 1)),
        np.random.default_rng(0).standard_t(3, size=(1000, 1)),
        np.random.default_rng(0).poisson(0.1, size=(1000, 1)).astype(float),
        np.repeat([0.0, 90.0], 500)[:, None] + np.random.default_rng(0).normal(size=(1000, 1)),
    ],
)
def test_what_is_only_rare_stays(x: np.ndarray) -> None:  # type: ignore[type-arg]
    default, plain = Mahalanobis().fit(x), Mahalanobis(outlier_limit=None).fit(x)
    assert len(default.left_out_) == 0
    assert default.scale_ == plain.scale_ > 0
    assert default.mean_ == plain.mean_


def test_one_who_walks_through_a_still_room_now_and_then_stays() -> None:
    speed = np.zeros((5000, 1))
    speed[::7] = RNG.exponential(0.03, size=(715, 1))  # what sways
    speed[::60] = RNG.normal(1.5, 0.2, size=(84, 1))
    assert len(Mahalanobis().fit(speed).left_out_) == 0
    speed[7] = 1e6
    assert Mahalanobis().fit(speed).left_out_.tolist() == [7]


def test_motion_above_the_noise_floor_stays() -> None:
    x = RNG.normal(size=(1000, 1)) * 1e-3
    x[:5] = 1.0
    assert len(Mahalanobis().fit(x).left_out_) == 5
    assert len(Mahalanobis(scale_floor=0.05).fit(x).left_out_) == 0


def test_a_feature_that_hardly_varies_has_the_spread_of_its_unit() -> None:
    x = np.stack([RNG.normal(size=1000), RNG.normal(size=1000) * 1e-3], axis=1)
    x[3, 1] = 1.0
    assert Mahalanobis().fit(x).left_out_.tolist() == [3]
    assert len(Mahalanobis(scaling="common").fit(x).left_out_) == 0


def test_heavy_tails_lose_at_most_a_hundredth() -> None:
    x = np.random.default_rng(0).standard_cauchy(size=(1000, 50))
    assert len(Mahalanobis().fit(x).left_out_) == 10


@pytest.mark.parametrize("n_rows", [2, 3, 19])
def test_of_few_rows_none_is_left_out(n_rows: int) -> None:
    x = NORMAL[:n_rows].copy()
    x[0] = 1e6
    assert len(NearestNeighbours().fit(x).left_out_) == 0


def test_the_paper_learns_from_all_rows() -> None:
    quick = {"widths": (8,), "epochs": 1, "batch_size": 400, "device": "cpu", "random_state": 0}
    x = broken([7], 50.0)
    x[8] = 150.0
    detector = MULDE(**{**PAPER, **quick}).fit(x)
    assert len(detector.left_out_) == 0
    np.testing.assert_allclose(detector.scale_, x.std(axis=0))
    np.testing.assert_allclose(detector.mean_, x.mean(axis=0))


@pytest.mark.parametrize("limit", [0, -1.0])
def test_the_limit_is_above_0(limit: float) -> None:
    with pytest.raises(ValueError, match=f"outlier_limit is {limit}, but must be None or a number > 0"):
        Mahalanobis(outlier_limit=limit).fit(NORMAL)


def test_a_model_from_before_the_limit_is_loaded(tmp_path: Path) -> None:
    detector = build("mulde").fit(NORMAL)
    detector.save(tmp_path / "now")
    stored = read_model(tmp_path / "now")
    params = {name: value for name, value in stored.params.items() if name != "outlier_limit"}
    tensors = {name: tensor for name, tensor in stored.tensors.items() if name != "left_out"}
    write_model(tmp_path / "before", replace(stored, params=params, tensors=tensors))
    loaded = load_detector(tmp_path / "before", device="cpu")
    np.testing.assert_array_equal(loaded.anomaly_score(TEST), detector.anomaly_score(TEST))
    assert len(loaded.left_out_) == 0


def test_the_spread_is_a_gaussians_deviation() -> None:
    x = np.random.default_rng(0).normal(size=(10_000, 3)) * [1, 10, 0.1] + [0, 100, -5]
    usual = Usual.fit(x)
    np.testing.assert_allclose(usual.spread, [1, 10, 0.1], rtol=0.03)
    np.testing.assert_allclose(usual.median, [0, 100, -5], atol=0.3)


@pytest.mark.parametrize("left_out", [[], [0], [9], [0, 1], [3, 4, 5], [0, 9], list(range(10))])
def test_rows_without(left_out: list[int]) -> None:
    rows = np.arange(20.0).reshape(10, 2)
    expected = np.delete(rows, left_out, axis=0)
    source = RowsWithout(RowsOfArray(rows), np.array(left_out, dtype=np.int64))
    assert source.shape == expected.shape
    for start in range(len(expected) + 1):
        for stop in range(start, len(expected) + 1):
            np.testing.assert_array_equal(source.read(start, stop), expected[start:stop])
