"""From the energies at L noise scales to one anomaly score per row.

An aggregation is fitted to the energies (N, L) of normal training rows and never sees a label. Energies are
negative log-densities up to a constant a scale, in nats; higher = more anomalous throughout.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import logsumexp
from sklearn.mixture import GaussianMixture

from mulde.detector.standardisation import scale_of

Array = NDArray[np.float64]

_RESOLVED_SHARE = 0.95
_SMALLEST_COMPONENT_SHARE = 0.1
_ROWS_FOR_MIXTURE = 50_000


@dataclass(frozen=True)
class Aggregation(ABC):
    """A fitted map from energies to anomaly scores; its fields are arrays, and all that has to be stored."""

    @classmethod
    @abstractmethod
    def fit(cls, energies: Array, n_components: int, seed: int) -> "Aggregation":
        """Fit to the energies (N, L) of normal rows, with at most n_components where there is a mixture."""

    @abstractmethod
    def anomaly_score(self, energies: Array) -> Array:
        """Return anomaly scores (N,) of energies (N, L)."""

    def scales(self, n_scales: int) -> list[int]:
        """Return which of the L scales the score depends on; the energies at the others need not be known."""
        return list(range(n_scales))

    def deciding_scale(self, energies: Array) -> NDArray[np.int64] | None:
        """Return at which of the L scales rows are most unusual, (N,); None where that cannot be told."""
        return None

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the fitted arrays by name; `type(self)(**arrays)` rebuilds the aggregation."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class CoarsestResolving(Aggregation):
    """The energy at the coarsest noise scale that resolves the training rows.

    A scale resolves them if its energy explains, linearly, at least 95 % as much of the variance of all
    scales' energies as the best scale does. Variances are those of the energies as they are, in nats: the
    regulariser has shrunk the scales of which little was learnt, and standardising would blow up their error.

    Scales too coarse to see the modes, or too fine to have been learnt, fall out. Of the others the coarsest
    tolerates most difference between training and test (an energy at σ is a density of rows shifted by about
    σ), and is the one whose network inputs reached furthest beyond the training rows.
    """

    column: NDArray[np.int64]
    """Which of the L scales, a 0-d array."""

    @classmethod
    def fit(cls, energies: Array, n_components: int, seed: int) -> "CoarsestResolving":
        explained = explained_variance(energies)
        resolving = np.flatnonzero(explained >= _RESOLVED_SHARE * explained.max())
        return cls(np.array(resolving[-1]))

    def anomaly_score(self, energies: Array) -> Array:
        return np.array(energies[:, int(self.column)])

    def scales(self, n_scales: int) -> list[int]:
        return [int(self.column)]

    def deciding_scale(self, energies: Array) -> NDArray[np.int64]:
        return np.full(len(energies), int(self.column))


@dataclass(frozen=True)
class Largest(Aggregation):
    """The energy at the largest noise scale, as it is."""

    @classmethod
    def fit(cls, energies: Array, n_components: int, seed: int) -> "Largest":
        return cls()

    def anomaly_score(self, energies: Array) -> Array:
        return np.array(energies[:, -1])

    def scales(self, n_scales: int) -> list[int]:
        return [n_scales - 1]

    def deciding_scale(self, energies: Array) -> NDArray[np.int64]:
        return np.full(len(energies), energies.shape[1] - 1)


@dataclass(frozen=True)
class _Standardised(Aggregation):
    """A statistic over scales, each standardised with its training mean and standard deviation.

    The result is brought back to nats by the middle one of the standard deviations.
    """

    mean: Array
    """(L,)"""
    scale: Array
    """(L,), 1 where the training energies are constant."""

    @classmethod
    def fit(cls, energies: Array, n_components: int, seed: int) -> "_Standardised":
        mean = energies.mean(axis=0)
        return cls(mean, scale_of(mean, energies.std(axis=0)))

    def standardise(self, energies: Array) -> Array:
        return np.asarray((energies - self.mean) / self.scale)

    def deciding_scale(self, energies: Array) -> NDArray[np.int64]:
        return np.asarray(self.standardise(energies).argmax(axis=1))

    @property
    def unit_nats(self) -> float:
        """What one standard deviation counts."""
        return float(np.median(self.scale))


class MaxOverScales(_Standardised):
    """The highest standardised energy."""

    def anomaly_score(self, energies: Array) -> Array:
        return np.asarray(self.unit_nats * self.standardise(energies).max(axis=1))


class MeanOverScales(_Standardised):
    """The mean of the standardised energies."""

    def anomaly_score(self, energies: Array) -> Array:
        return np.asarray(self.unit_nats * self.standardise(energies).mean(axis=1))


class MedianOverScales(_Standardised):
    """The median of the standardised energies: the default.

    Which scale separates best depends on data that training does not have. The median over all of them needs
    no
    choice: scales too coarse to see the modes and scales too fine to have been learnt are outvoted by those
    between, and where all agree it is any one of them.
    """

    def anomaly_score(self, energies: Array) -> Array:
        return np.asarray(self.unit_nats * np.median(self.standardise(energies), axis=1))


@dataclass(frozen=True)
class RawMixture(Aggregation):
    """A full-covariance Gaussian mixture on the energies; the score is −log-likelihood, as published.

    Normal energies are almost collinear, so this density lives on their smallest directions: a row a little
    off the curve of the training rows scores higher than one far out along it. Kept for comparison.

    Source: MULDE (arXiv 2403.14497), §3.
    """

    weights: Array
    """(K,), positive, summing to 1."""
    means: Array
    """(K, D)."""
    covariance_factors: Array
    """Lower Cholesky factors of the covariances, (K, D, D)."""

    @classmethod
    def fit(cls, energies: Array, n_components: int, seed: int) -> "RawMixture":
        return cls(*_fit_mixture(energies, n_components, seed, floor=1e-6))

    def anomaly_score(self, energies: Array) -> Array:
        return _surprise(energies, self.weights, self.means, self.covariance_factors)


@dataclass(frozen=True)
class Mixture(RawMixture):
    """A one-sided Gaussian mixture on the few whitened principal components that carry the energies.

    Components below a tenth of the first one's variance are left out as noise. Along the first, on which the
    energies rise together, a row below a Gaussian's mean counts as being there: to lie deeper in a mode is no
    anomaly.
    """

    mean: Array
    """Training mean of the energies, (L,)."""
    whitening: Array
    """Energies above the mean to D coordinates of unit variance, (L, D)."""

    @classmethod
    def fit(cls, energies: Array, n_components: int, seed: int) -> "Mixture":
        mean, whitening = energies.mean(axis=0), _whitening(energies)
        mixture = _fit_mixture((energies - mean) @ whitening, n_components, seed, floor=1e-3)
        return cls(*mixture, mean, whitening)

    def anomaly_score(self, energies: Array) -> Array:
        coordinates = (energies - self.mean) @ self.whitening  # (N, D)
        return _surprise(coordinates, self.weights, self.means, self.covariance_factors, one_sided=True)


AGGREGATIONS: dict[str, type[Aggregation]] = {
    "resolved": CoarsestResolving,
    "gmm": Mixture,
    "gmm_raw": RawMixture,
    "largest": Largest,
    "max": MaxOverScales,
    "mean": MeanOverScales,
    "median": MedianOverScales,
}


def fit_aggregation(kind: str, energies: Array, *, n_components: int = 5, seed: int = 0) -> Aggregation:
    """Fit an aggregation to the energies of normal rows.

    Args:
        kind: a key of `AGGREGATIONS`.
        energies: (N, L), finite, columns in order of growing noise scale.
        n_components: most components of a mixture.
        seed: of the mixture's initialisation and its choice of rows.

    Raises:
        ValueError: the kind is unknown.
    """
    if kind not in AGGREGATIONS:
        raise ValueError(f"aggregation is {kind!r}, but must be one of {', '.join(AGGREGATIONS)}")
    return AGGREGATIONS[kind].fit(energies, n_components, seed)


def explained_variance(energies: Array) -> Array:
    """Return the share of all scales' variance that each scale's energy explains linearly, (L,) in [0, 1].

    A scale that does not vary over the energies (N, L) explains 0; if none does, each explains 1.
    """
    centred = energies - energies.mean(axis=0)
    covariance = centred.T @ centred / len(energies)  # (L, L)
    variance = np.diag(covariance)
    varies = variance > 1e-12 * max(1.0, float(np.square(energies).max()))
    if not varies.any():
        return np.ones(len(variance))
    explained = np.square(covariance).sum(axis=0) / np.where(varies, variance, 1) / variance.sum()
    return np.where(varies, explained, 0)


def _whitening(energies: Array) -> Array:
    """Return the map (L, D) to the leading principal components, the first with rising energies."""
    covariance = np.atleast_2d(np.cov(energies, rowvar=False, bias=True))
    variance, axes = np.linalg.eigh(covariance)
    variance, axes = variance[::-1], axes[:, ::-1]  # largest first
    n_kept = max(1, int((variance > _SMALLEST_COMPONENT_SHARE * variance[0]).sum()))
    axes = axes[:, :n_kept] * np.where(axes[:, :n_kept].sum(axis=0) < 0, -1, 1)
    return np.asarray(axes / np.sqrt(np.maximum(variance[:n_kept], 1e-12)))


def _fit_mixture(values: Array, n_components: int, seed: int, floor: float) -> tuple[Array, Array, Array]:
    """Return weights (K,), means (K, D) and Cholesky factors (K, D, D) of a mixture on values (N, D)."""
    if len(values) > _ROWS_FOR_MIXTURE:
        values = values[np.random.default_rng(seed).permutation(len(values))[:_ROWS_FOR_MIXTURE]]
    n_components = min(n_components, len(np.unique(values, axis=0)))
    mixture = GaussianMixture(n_components, reg_covar=floor, random_state=seed).fit(values)
    return mixture.weights_, mixture.means_, np.linalg.cholesky(mixture.covariances_)


def _surprise(
    values: Array, weights: Array, means: Array, factors: Array, *, one_sided: bool = False
) -> Array:
    """Return −log Σ w N(value; mean, F Fᵀ) for values (N, D), (N,).

    One-sided, each Gaussian is as high below its ridge along the first coordinate as it is on it, so that
    the result never falls when the first coordinate rises.
    """
    joint = np.empty((len(values), len(weights)))
    for k, (weight, mean, factor) in enumerate(zip(weights, means, factors, strict=True)):
        whitened = solve_triangular(factor, (values - mean).T, lower=True)  # (D, N)
        if one_sided:
            first = solve_triangular(factor, np.eye(len(mean))[0], lower=True)  # (D,) a step along it
            rise = np.maximum(0, -(first @ whitened) / (first @ first))  # (N,) to where it is highest
            whitened = whitened + first[:, None] * rise
        joint[:, k] = np.log(weight) - np.log(np.diag(factor)).sum() - 0.5 * np.square(whitened).sum(axis=0)
    return np.asarray(0.5 * values.shape[1] * np.log(2 * np.pi) - logsumexp(joint, axis=1))
