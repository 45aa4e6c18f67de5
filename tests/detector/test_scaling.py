"""How features are scaled before their density is learnt."""

from __future__ import annotations

import numpy as np
import pytest

from mulde.detector import MULDE, Mahalanobis, SingleScale

TINY = {"widths": (16,), "max_steps": 20, "random_state": 0}


def rows(*stds: float) -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(0).normal(size=(500, len(stds))) * stds


@pytest.mark.parametrize(
    ("stds", "options", "expected"),
    [
        ((2.0, 0.5), {}, (2.0, 0.5)),
        ((2.0, 0.0), {}, (2.0, 1.0)),  # a constant feature is left as it is
        ((2e-15, 0.5), {}, (2e-15, 0.5)),  # whatever its unit is
        ((2.0, 0.5), {"scaling": "common"}, (2.0, 2.0)),
        ((2.0, 0.5), {"scale_floor": 1.0}, (2.0, 1.0)),
        ((2.0, 0.5), {"scale_floor": [0.0, 1.0]}, (2.0, 1.0)),
        ((0.0, 0.0), {"scale_floor": 0.05}, (0.05, 0.05)),
    ],
)
def test_scale(stds: tuple[float, float], options: dict[str, object], expected: tuple[float, float]) -> None:
    detector = MULDE(**TINY, **options).fit(rows(*stds))
    np.testing.assert_allclose(detector.scale_, expected, rtol=0.1)


@pytest.mark.parametrize(("std", "lowest"), [(1.0, 0.1), (0.2, 0.5), (0.01, 1.0)])
def test_noise_scales_below_the_floor_are_left_out(std: float, lowest: float) -> None:
    detector = MULDE(**TINY, sigma_high=0.5, scale_floor=0.1).fit(rows(std))
    assert detector.sigmas_[0] == pytest.approx(lowest, rel=0.1)
    assert detector.sigmas_[-1] == pytest.approx(max(0.5, lowest), rel=0.1)


@pytest.mark.parametrize(
    "options",
    [
        {"scale_floor": 0.2},
        {"scale_floor": [0.5, 0.05], "scaling": "common"},
        {"scale_floor": 0.2, "n_whitened": 1},
        {"scale_floor": [0.3, 0.1], "n_whitened": 2},
        {"scale_floor": [0.5, 0.05], "scaling": "common", "n_whitened": 2},
    ],
)
def test_the_floor_is_what_noise_of_its_size_becomes(options: dict[str, object]) -> None:
    x = rows(3.0, 2.0) @ np.array([[1.0, 0.4], [0.0, 1.0]])
    floor = np.broadcast_to(options["scale_floor"], 2)  # type: ignore[call-overload]
    detector = MULDE(**TINY, **options, sigma_high=1.0).fit(x)
    noise = np.random.default_rng(1).normal(size=(5000, 2)) * floor
    seen = detector.standardisation_(noise) - detector.standardisation_(np.zeros((1, 2)))
    assert detector.sigmas_[0] == pytest.approx(seen.std(axis=0).min(), rel=0.05)


def test_a_single_scale_is_what_was_asked_for() -> None:
    detector = SingleScale(**TINY, sigma=0.2, scale_floor=0.1)
    assert detector.fit(rows(0.01)).sigmas_.tolist() == [0.2]


def test_what_hardly_ever_happens_scores_by_its_size() -> None:
    # One row in a thousand is not quite 0. Scaled by its own deviation of 3e-4, 0.5 would be 1600 standard
    # deviations out, where the network has learnt nothing.
    x = np.zeros((3000, 1))
    x[::1000] = 0.01
    settings = {"widths": (64, 64), "beta": 0.0, "max_steps": 800}
    detector = MULDE(**settings, scale_floor=0.05, random_state=0).fit(x)
    scores = detector.anomaly_score(np.array([[0.0], [0.01], [0.1], [0.2], [0.5]]))
    assert (np.diff(scores) > 0).all()
    # x²/(2σ²) at σ = 1: the density of a point, smoothed
    assert scores[2] - scores[0] == pytest.approx((0.1 / 0.05) ** 2 / 2, rel=0.35)


@pytest.mark.parametrize(("n_whitened", "n_kept"), [(1, 1), (2, 2), (5, 3)])
def test_whitened_components_are_uncorrelated_and_of_unit_variance(n_whitened: int, n_kept: int) -> None:
    mixing = np.array([[1.0, 2.0, 0.0, 1.0], [0.0, 1.0, -1.0, 2.0], [3.0, 0.0, 1.0, 0.0]])
    x = rows(1.0, 0.5, 0.1) @ mixing  # four features that span three dimensions
    detector = MULDE(**TINY, n_whitened=n_whitened).fit(x)
    assert detector.whitening_.shape == (4, n_kept)
    seen = (x - detector.mean_) / detector.scale_ @ detector.whitening_
    np.testing.assert_allclose(np.cov(seen.T), np.eye(n_kept).squeeze(), atol=1e-6)


@pytest.mark.parametrize("options", [{"scaling": "both"}, {"scale_floor": -1.0}, {"n_whitened": 0}])
def test_nonsense_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        MULDE(**TINY, **options).fit(rows(1.0))


def test_scaling_is_kept_on_disk(tmp_path) -> None:  # type: ignore[no-untyped-def]
    x = rows(2.0, 0.5)
    detector = MULDE(**TINY, scaling="common", scale_floor=[0.0, 0.1], n_whitened=1).fit(x)
    detector.save(tmp_path)
    np.testing.assert_array_equal(MULDE.load(tmp_path).anomaly_score(x), detector.anomaly_score(x))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.0, 0.1, -1e-20, 1 / 3, 12345.678, 1e30])
def test_a_constant_is_one_in_any_unit(value: float, dtype: type) -> None:
    x = np.full((150_001, 2), value, dtype)
    x[:, 1] = np.random.default_rng(0).normal(size=len(x))
    assert Mahalanobis().fit(x).scale_[0] == 1


@pytest.mark.parametrize("unit", [1e-30, 1e-13, 1e13])
def test_units_change_no_score(unit: float) -> None:
    x = rows(1, 3).astype(np.float32) + np.float32([0, 5])
    np.testing.assert_allclose(
        Mahalanobis().fit(x * unit).anomaly_score(x * unit), Mahalanobis().fit(x).anomaly_score(x), rtol=1e-3
    )


@pytest.mark.parametrize("unit", [1e-30, 1e-13, 1.0])
def test_a_broken_row_is_found_in_any_unit(unit: float) -> None:
    x = rows(1, 3)
    x[7, 1] = 1e6
    assert list(Mahalanobis().fit(x * unit).left_out_) == [7]
