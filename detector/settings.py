"""The settings of every density, by kind: meaning, range and default in one place, without importing torch.

Ranges are annotations: the densities check them when they are fitted, the configuration when it reads values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MinLen

AggregationKind = Literal["resolved", "gmm", "gmm_raw", "largest", "max", "mean", "median"]
Fusion = Literal["sum", "max"]
"""How the scores of streams become one."""
Precision = Literal["float32", "bfloat16"]
Schedule = Literal["constant", "step", "cosine"]
Spacing = Literal["linear", "geometric"]


@dataclass(frozen=True, kw_only=True)
class DensitySettings:
    """What all densities have in common."""

    outlier_limit: Annotated[float, Gt(0)] | None = 100.0
    """Training rows in which a feature lies farther from its median than so many spreads (its standard
    deviation, were it Gaussian; at least `scale_floor`) are left out, the farthest first, at most one in a
    hundred, and a warning says so: one broken row would otherwise decide the scale of all others. Rows to
    score are taken as they are. None to learn from all, as published."""


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How a network is trained."""

    beta: Annotated[float, Ge(0)] = 0.1
    """Weight of the regulariser β/2 · f(x, σ)²."""
    learning_rate: Annotated[float, Gt(0)] = 2e-3
    """Learning rate of Adam with betas (0.5, 0.9)."""
    batch_size: Annotated[int, Ge(1)] = 2048
    """Rows per step; the batches of an epoch are equally large up to one row."""
    epochs: Annotated[int, Ge(1)] = 1000
    """Most passes over the training rows."""
    max_steps: Annotated[int, Ge(1)] | None = 500
    """Bound on optimiser steps; None for no bound."""
    minutes: Annotated[float, Gt(0)] | None = None
    """Bound on the time of training; None for no bound. With one, two fits are not the same bit for bit. In a
    run it is the time of the whole stage, shared equally by all networks that are trained."""
    schedule: Schedule = "cosine"
    """How the learning rate changes: "constant", "step" (times lr_decay after every lr_decay_epochs; an
    option of the paper's code), or "cosine", down to a hundredth over the steps, or minutes, that are
    allowed."""
    lr_decay: Annotated[float, Gt(0), Le(1)] = 0.9
    """Factor on the learning rate in the schedule "step"."""
    lr_decay_epochs: Annotated[int, Ge(1)] = 50
    """Epochs between two such factors."""
    ema_decay: Annotated[float, Ge(0), Lt(1)] | None = 0.99
    """Decay per step of a running mean of the weights that replaces them; None for none."""
    patience: Annotated[int, Ge(1)] | None = 5
    """End training after so many looks at the held-out rows without a new lowest loss; None to go on."""
    steps_between_looks: Annotated[int, Ge(1)] = 25
    """Steps from one look at the held-out rows, and call of `progress`, to the next."""
    precision: Precision = "float32"
    """Precision of the matrix products of hidden layers: "bfloat16" is about twice as fast where the
    processor has it. All else is float32."""


@dataclass(frozen=True, kw_only=True)
class EnergySettings(TrainingSettings, DensitySettings):
    """What densities that train an energy network have in common."""

    widths: Annotated[tuple[Annotated[int, Ge(1)], ...], MinLen(1)] | Literal["auto"] = "auto"
    """Units of each hidden layer; "auto" chooses two layers by the number of features and the device."""
    n_centres: Annotated[int, Ge(0)] = 256
    """Most Gaussians of a mixture on the training rows whose energy is known in closed form at every noise
    scale, and which the network corrects; 0 for the network alone, as published."""
    layer_norm: bool = False
    """Normalise each hidden layer."""
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Share of hidden units dropped while training."""
    held_out: Annotated[float, Ge(0), Lt(1)] = 0.1
    """Share of the rows kept from training to judge it by: whole groups where `fit` is given groups, whole
    videos in a run; of two or three large ones a stretch of each. The weights with their lowest loss are
    kept. 0 for none, as with fewer than 100 rows."""


@dataclass(frozen=True, kw_only=True)
class MuldeSettings(EnergySettings):
    """Settings of `mulde.detector.MULDE`, and of `mulde.detector.MSMA`."""

    sigma_low: Annotated[float, Gt(0)] = 0.01
    """Smallest noise scale, in units of standardised features; at most sigma_high."""
    sigma_high: Annotated[float, Gt(0)] = 0.5
    """Largest noise scale."""
    n_scales: Annotated[int, Ge(1)] = 8
    """L, noise scales at which a row is scored, from sigma_low to sigma_high."""
    spacing: Spacing = "geometric"
    """How these scales are spaced. "linear", as published, looks at hardly any that are below a tenth of
    sigma_high, where most of what tells rows apart can be."""
    aggregation: AggregationKind = "median"
    """How energies become one score, a key of `mulde.detector.AGGREGATIONS`."""
    n_components: Annotated[int, Ge(1)] = 5
    """Most components of the mixture over energies."""


@dataclass(frozen=True, kw_only=True)
class SingleScaleSettings(EnergySettings):
    """Settings of `mulde.detector.SingleScale`."""

    sigma: Annotated[float, Gt(0)] = 1.0
    """The noise scale, in units of standardised features."""


@dataclass(frozen=True, kw_only=True)
class NearestSettings(DensitySettings):
    """Settings of `mulde.detector.NearestNeighbours`."""

    k: Annotated[int, Ge(1)] = 5
    """Neighbours whose distances are averaged. One alone is the choice of AI-VAD, but then a single odd
    training row makes its surroundings normal."""


@dataclass(frozen=True, kw_only=True)
class MahalanobisSettings(DensitySettings):
    """Settings of `mulde.detector.Mahalanobis`."""

    covariance_floor: Annotated[float, Ge(0)] = 1e-3
    """Added to the variance of every standardised feature: differences below its root are taken for noise."""


@dataclass(frozen=True, kw_only=True)
class MixtureSettings(MahalanobisSettings):
    """Settings of `mulde.detector.GaussianMixtureDensity`."""

    n_components: Annotated[int, Ge(1)] = 5
    """Gaussians; fewer where there are fewer distinct rows."""
    covariance_floor: Annotated[float, Gt(0)] = 1e-3
    """Added to the variance of every standardised feature, in every component: differences below its root are
    taken for noise. Of mahalanobis it may be 0."""


SETTINGS: dict[str, type[DensitySettings]] = {
    "mulde": MuldeSettings,
    "msma": MuldeSettings,
    "single_scale": SingleScaleSettings,
    "knn": NearestSettings,
    "gmm": MixtureSettings,
    "mahalanobis": MahalanobisSettings,
}
"""By the names that `mulde.detector.DETECTORS` has for the densities."""

PAPER: dict[str, Any] = {
    "widths": (4096, 4096),
    "batch_size": 2048,
    "epochs": 1000,
    "max_steps": None,
    "learning_rate": 5e-4,
    "schedule": "constant",
    "beta": 0.1,
    "ema_decay": None,
    "held_out": 0.0,
    "n_centres": 0,
    "sigma_low": 1e-3,
    "sigma_high": 1.0,
    "n_scales": 16,
    "spacing": "linear",
    "aggregation": "gmm_raw",
    "n_components": 5,
    "outlier_limit": None,
}
"""What the paper and its code do, as arguments of `MULDE`; the learning rate is 1e-4 for whole frames
there.
"""
