"""The energy at one noise scale: denoising score matching without the scales."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from mulde.detector.base import Check
from mulde.detector.mulde import MULDE
from mulde.detector.settings import AggregationKind, Precision, Schedule, SingleScaleSettings
from mulde.detector.standardisation import Scaling
from mulde.detector.training import Progress

_DEFAULTS = SingleScaleSettings()


class SingleScale(MULDE):
    """Score feature vectors by an energy that is trained, and evaluated, at one noise scale only.

    Args:
        sigma: the noise scale, in units of standardised features.

    All other arguments, and the attributes, are those of `MULDE`.

    Source: Vincent, "A connection between score matching and denoising autoencoders", Neural Computation
        2011.
    """

    n_scales: int = 1
    aggregation: AggregationKind = "largest"
    n_components: int = 1

    def __init__(
        self,
        *,
        sigma: float = _DEFAULTS.sigma,
        widths: Sequence[int] | Literal["auto"] = _DEFAULTS.widths,
        scaling: Scaling = "feature",
        scale_floor: Any = 0.0,
        n_whitened: int | None = None,
        layer_norm: bool = _DEFAULTS.layer_norm,
        dropout: float = _DEFAULTS.dropout,
        beta: float = _DEFAULTS.beta,
        learning_rate: float = _DEFAULTS.learning_rate,
        batch_size: int = _DEFAULTS.batch_size,
        epochs: int = _DEFAULTS.epochs,
        max_steps: int | None = _DEFAULTS.max_steps,
        minutes: float | None = _DEFAULTS.minutes,
        schedule: Schedule = _DEFAULTS.schedule,
        lr_decay: float = _DEFAULTS.lr_decay,
        lr_decay_epochs: int = _DEFAULTS.lr_decay_epochs,
        ema_decay: float | None = _DEFAULTS.ema_decay,
        held_out: float = _DEFAULTS.held_out,
        patience: int | None = _DEFAULTS.patience,
        steps_between_looks: int = _DEFAULTS.steps_between_looks,
        precision: Precision = _DEFAULTS.precision,
        outlier_limit: float | None = _DEFAULTS.outlier_limit,
        contamination: float = 0.01,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        progress: Progress | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> None:
        self.sigma = sigma
        self.widths = widths
        self.scaling = scaling
        self.scale_floor = scale_floor
        self.n_whitened = n_whitened
        self.layer_norm = layer_norm
        self.dropout = dropout
        self.beta = beta
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.epochs = epochs
        self.max_steps = max_steps
        self.minutes = minutes
        self.schedule = schedule
        self.lr_decay = lr_decay
        self.lr_decay_epochs = lr_decay_epochs
        self.ema_decay = ema_decay
        self.held_out = held_out
        self.patience = patience
        self.steps_between_looks = steps_between_looks
        self.precision = precision
        self.outlier_limit = outlier_limit
        self.contamination = contamination
        self.device = device
        self.random_state = random_state
        self.progress = progress
        self.checkpoint = checkpoint

    # `MULDE` draws noise from [sigma_low, sigma_high].
    @property
    def sigma_low(self) -> float:  # type: ignore[override]
        """The noise scale."""
        return self.sigma

    @property
    def sigma_high(self) -> float:  # type: ignore[override]
        """The noise scale."""
        return self.sigma

    def _param_checks(self) -> dict[str, Check]:
        return {"sigma": (self.sigma > 0, "above 0"), **super()._param_checks()}
