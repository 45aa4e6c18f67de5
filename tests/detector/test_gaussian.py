import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.covariance import LedoitWolf
from sklearn.mixture import GaussianMixture

from mulde.detector import GaussianMixtureDensity, Mahalanobis


@pytest.mark.parametrize(("n", "d"), [(300, 3), (50, 40), (20, 60)])
def test_mahalanobis_is_that_of_ledoit_and_wolf(n: int, d: int) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 5
    detector = Mahalanobis(covariance_floor=0.0).fit(rows)
    twin = LedoitWolf(assume_centered=True).fit((rows - detector.mean_) / detector.scale_)
    assert detector.shrinkage_ == pytest.approx(twin.shrinkage_, rel=1e-4)
    expected = 0.5 * twin.mahalanobis((rows - detector.mean_) / detector.scale_)
    np.testing.assert_allclose(detector.anomaly_score(rows), expected, rtol=1e-3)


def test_mixture_of_one_gaussian_is_a_gaussian(rows: np.ndarray) -> None:
    detector = GaussianMixtureDensity(n_components=1, covariance_floor=1e-9, random_state=0).fit(rows)
    x = (rows - detector.mean_) / detector.scale_
    gaussian = multivariate_normal(x.mean(axis=0), np.cov(x.T, bias=True))
    np.testing.assert_allclose(detector.score_samples(rows), gaussian.logpdf(x), rtol=1e-4, atol=1e-4)


def test_mixture_is_that_of_scikit_learn(rows: np.ndarray) -> None:
    detector = GaussianMixtureDensity(n_components=3, random_state=0).fit(rows)
    x = (rows - detector.mean_) / detector.scale_
    twins = [GaussianMixture(3, reg_covar=1e-3, random_state=seed).fit(x) for seed in range(5)]
    best = max(twin.score(x) for twin in twins)
    assert detector.score_samples(rows).mean() == pytest.approx(best, abs=0.1)
