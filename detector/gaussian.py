"""Densities made of Gaussians, on the features themselves."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from mulde.detector.base import Detector
from mulde.detector.rows import RowSource, iterate, sample
from mulde.detector.settings import MahalanobisSettings, MixtureSettings
from mulde.detector.standardisation import Scaling

_GAUSSIAN, _MIXTURE = MahalanobisSettings(), MixtureSettings()
_ROWS_FOR_MIXTURE = 100_000
_ROWS_A_PASS = 4096


class Mahalanobis(Detector):
    """Score feature vectors by half their squared Mahalanobis distance from the training mean, in nats.

    The covariance is shrunk towards a multiple of the identity as Ledoit and Wolf found best.

    Args:
        covariance_floor, outlier_limit: see `mulde.detector.settings.MahalanobisSettings`.
        scaling, scale_floor, n_whitened: how features are standardised, see `mulde.detector.MULDE`.
        contamination: share of the training rows that `predict` calls outliers, in (0, 0.5].
        random_state: seed of the draw of rows for whitening and `offset_`, where there are very many.

    Attributes:
        shrinkage_: weight of the identity, in [0, 1].
        covariance_factor_: lower Cholesky factor of the covariance of standardised rows, (k, k).

    Source: Ledoit & Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", 2004.
    """

    settings = MahalanobisSettings
    can_stream: ClassVar[bool] = True

    def __init__(
        self,
        *,
        covariance_floor: float = _GAUSSIAN.covariance_floor,
        scaling: Scaling = "feature",
        scale_floor: Any = 0.0,
        n_whitened: int | None = None,
        outlier_limit: float | None = _GAUSSIAN.outlier_limit,
        contamination: float = 0.01,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.covariance_floor = covariance_floor
        self.scaling = scaling
        self.scale_floor = scale_floor
        self.n_whitened = n_whitened
        self.outlier_limit = outlier_limit
        self.contamination = contamination
        self.random_state = random_state

    def _learn(self, source: RowSource, groups: NDArray[np.int64] | None, seed: int) -> None:
        n_rows, n = source.shape[0], self.standardisation_.n_outputs
        products, fourth_powers = np.zeros((n, n)), 0.0
        for _, rows in iterate(source):
            x = self.standardisation_(rows).astype(np.float64)  # of mean 0
            products += x.T @ x
            fourth_powers += float(np.square(np.square(x).sum(axis=1)).sum())
        covariance = products / n_rows
        self.shrinkage_ = _ledoit_wolf(covariance, fourth_powers / n_rows, n_rows)
        covariance *= 1 - self.shrinkage_
        # a covariance of 0, as of constant features, has no inverse even where the floor is 0
        mean_variance = float(np.trace(products)) / n_rows / n
        floor = self.shrinkage_ * mean_variance + max(self.covariance_floor, 1e-9 * mean_variance, 1e-12)
        covariance[np.diag_indices(n)] += floor
        self.covariance_factor_ = np.linalg.cholesky(covariance)

    def _score(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        whitened = solve_triangular(self.covariance_factor_, x.T.astype(np.float64), lower=True)  # (k, n)
        return np.asarray(0.5 * np.square(whitened).sum(axis=0))

    def _learnt_arrays(self) -> dict[str, NDArray[Any]]:
        return {"shrinkage": np.array(self.shrinkage_), "covariance_factor": self.covariance_factor_}

    def _restore_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.shrinkage_ = float(arrays["shrinkage"])
        self.covariance_factor_ = arrays["covariance_factor"]


class GaussianMixtureDensity(Detector):
    """Score feature vectors by −log-likelihood under a full-covariance Gaussian mixture, in nats.

    Args:
        n_components, covariance_floor, outlier_limit: see `mulde.detector.settings.MixtureSettings`.
        scaling, scale_floor, n_whitened: how features are standardised, see `mulde.detector.MULDE`.
        contamination: share of the training rows that `predict` calls outliers, in (0, 0.5].
        random_state: seed.

    Attributes:
        mixture_: the fitted `sklearn.mixture.GaussianMixture`, on standardised rows; learnt from a sample
            where there are more than 100 000.
    """

    settings = MixtureSettings
    can_stream: ClassVar[bool] = True

    def __init__(
        self,
        *,
        n_components: int = _MIXTURE.n_components,
        covariance_floor: float = _MIXTURE.covariance_floor,
        scaling: Scaling = "feature",
        scale_floor: Any = 0.0,
        n_whitened: int | None = None,
        outlier_limit: float | None = _MIXTURE.outlier_limit,
        contamination: float = 0.01,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_floor = covariance_floor
        self.scaling = scaling
        self.scale_floor = scale_floor
        self.n_whitened = n_whitened
        self.outlier_limit = outlier_limit
        self.contamination = contamination
        self.random_state = random_state

    def _learn(self, source: RowSource, groups: NDArray[np.int64] | None, seed: int) -> None:
        x = self.standardisation_(sample(source, _ROWS_FOR_MIXTURE, seed)).astype(np.float64)
        n_components = min(self.n_components, len(np.unique(x, axis=0)))
        self.mixture_ = GaussianMixture(
            n_components, reg_covar=self.covariance_floor, random_state=seed, max_iter=200
        )
        with warnings.catch_warnings():  # one that still gains a little is good enough
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.mixture_.fit(x)

    def _score(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        parts = [
            -self.mixture_.score_samples(x[start : start + _ROWS_A_PASS].astype(np.float64))
            for start in range(0, len(x), _ROWS_A_PASS)
        ]
        return np.concatenate([np.empty(0), *parts])

    def _learnt_arrays(self) -> dict[str, NDArray[Any]]:
        mixture = self.mixture_
        return {
            "weights": mixture.weights_,
            "means": mixture.means_,
            "precisions_cholesky": mixture.precisions_cholesky_,
        }

    def _restore_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.mixture_ = GaussianMixture(len(arrays["weights"]))
        for name in ("weights", "means", "precisions_cholesky"):
            setattr(self.mixture_, f"{name}_", arrays[name])


def _ledoit_wolf(covariance: NDArray[np.float64], mean_fourth_power: float, n_rows: int) -> float:
    """Return how much to shrink the covariance (k, k) of n rows of mean 0, in [0, 1].

    Args:
        mean_fourth_power: mean of ‖x‖⁴ over the rows.

    Source: Ledoit & Wolf 2004, §3.2 and 3.3; d² is `apart`, b² is `noise`, both over k.
    """
    n = len(covariance)
    squares = float(np.square(covariance).sum())
    apart = squares - float(np.trace(covariance)) ** 2 / n
    noise = (mean_fourth_power - squares) / n_rows
    return 0.0 if noise <= 0 else min(1.0, noise / apart) if apart > 0 else 1.0
