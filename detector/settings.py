"""The settings of every density, by kind, with their defaults: in one place, and without importing torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

AggregationKind = Literal["resolved", "gmm", "gmm_raw", "largest", "max", "mean", "median"]
Precision = Literal["float32", "bfloat16"]
Schedule = Literal["constant", "step", "cosine"]


OUTLIER_LIMIT = 100.0
"""Of every density's training rows, in spreads; see `mulde.detector.MULDE`."""


@dataclass(frozen=True, kw_only=True)
class EnergySettings:
    """Of densities that train an energy network; `mulde.detector.MULDE` documents each."""

    widths: Sequence[int] | Literal["auto"] = "auto"
    layer_norm: bool = False
    dropout: float = 0.0
    beta: float = 0.1
    learning_rate: float = 2e-3
    batch_size: int = 2048
    epochs: int = 1000
    max_steps: int | None = 500
    minutes: float | None = None
    schedule: Schedule = "cosine"
    lr_decay: float = 0.9
    lr_decay_epochs: int = 50
    ema_decay: float | None = 0.99
    held_out: float = 0.1
    patience: int | None = 10
    steps_between_looks: int = 25
    precision: Precision = "float32"
    outlier_limit: float | None = OUTLIER_LIMIT


@dataclass(frozen=True, kw_only=True)
class MuldeSettings(EnergySettings):
    """Of `mulde.detector.MULDE`, and of `mulde.detector.MSMA`."""

    sigma_low: float = 1e-3
    sigma_high: float = 1.0
    n_scales: int = 16
    aggregation: AggregationKind = "median"
    n_components: int = 5


@dataclass(frozen=True, kw_only=True)
class SingleScaleSettings(EnergySettings):
    """Of `mulde.detector.SingleScale`."""

    sigma: float = 1.0


@dataclass(frozen=True, kw_only=True)
class NearestSettings:
    """Of `mulde.detector.NearestNeighbours`."""

    k: int = 5
    outlier_limit: float | None = OUTLIER_LIMIT


@dataclass(frozen=True, kw_only=True)
class MahalanobisSettings:
    """Of `mulde.detector.Mahalanobis`."""

    covariance_floor: float = 1e-3
    outlier_limit: float | None = OUTLIER_LIMIT


@dataclass(frozen=True, kw_only=True)
class MixtureSettings(MahalanobisSettings):
    """Of `mulde.detector.GaussianMixtureDensity`."""

    n_components: int = 5


Settings = EnergySettings | NearestSettings | MahalanobisSettings
SETTINGS: dict[str, type[Settings]] = {
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
    "n_scales": 16,
    "aggregation": "gmm_raw",
    "n_components": 5,
    "outlier_limit": None,
}
"""What the paper and its code do, as arguments of `MULDE`; the learning rate is 1e-4 for whole frames
there.
"""
