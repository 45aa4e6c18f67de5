"""MULDE as a scikit-learn outlier detector on feature vectors."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch.nn.functional import pad

from mulde.detector.aggregation import (
    AGGREGATIONS,
    AggregationKind,
    fit_aggregation,
    mean_and_scale,
)
from mulde.detector.network import EnergyNetwork
from mulde.detector.store import Description, StoredModel, read_model, write_model
from mulde.detector.training import Progress, TrainingSettings, train
from mulde.detector.whitening import whitening

_ROWS_PER_PASS = 4096
_ROWS_FOR_AGGREGATION = 50_000  # of the training rows: its few numbers need no more
_ROWS_PER_TILE = 16
_LARGEST_FEATURE = 1e150  # its square is finite
_LARGEST_STANDARDISED = 1e12  # keeps float32 finite; nothing normal is a trillion standard deviations away
_NOT_STORED = ("progress", "device")


class MULDE(OutlierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Score feature vectors by a log-density that is learnt at many noise scales.

    A network f(x, σ) ≈ −log q_σ(x) is trained by denoising score matching on normal rows; a row's energies at
    `n_scales` noise scales become one anomaly score.

    Args:
        widths: units of each hidden layer.
        scaling: "feature" divides each feature by its own standard deviation, as published; "common" divides
            all by the largest one, for features that are components of one quantity, such as a motion vector:
            a component that hardly varies stays small, and directions are treated alike.
        scale_floor: least divisor, for all features or for each, in their units: a difference far below it is
            measurement noise. A feature that hardly ever varies would otherwise reach, where it does, values
            so many standard deviations out that the network has learnt nothing there. Noise scales that are
            below the floor of every feature are left out of scoring.
        n_whitened: learn the density of at most so many whitened principal components of the standardised
            features in place of the features; None for the features themselves, as published.
        layer_norm: normalise each hidden layer.
        dropout: share of hidden units dropped while training, in [0, 1).
        sigma_low: smallest noise scale, in units of standardised features.
        sigma_high: largest noise scale.
        n_scales: L, noise scales at which a row is scored, linearly spaced from sigma_low to sigma_high.
        beta: weight of the regulariser β/2 · f(x, σ)².
        learning_rate: of Adam with betas (0.5, 0.9).
        batch_size: rows a step; an epoch's batches are equally large up to one row.
        epochs: passes over the training rows.
        max_steps: bound on optimiser steps, for machines without a GPU; None for no bound.
        lr_decay: factor on the learning rate after every `lr_decay_epochs`.
        lr_decay_epochs: None keeps the learning rate constant; the paper's code has 50 as an option.
        ema_decay: decay a step of a running mean of the weights that replaces them; None for none.
        aggregation: how energies become one score, a key of `mulde.detector.AGGREGATIONS`.
        n_components: most components of the mixture over energies.
        contamination: share of the training rows that `predict` calls outliers, in (0, 0.5].
        device: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:N".
        random_state: seed; with the same one a CPU gives the same detector, bit for bit. The global random
            state of torch and numpy is neither read nor changed (numpy's is read if this is None).
        progress: called as progress(step, n_steps, loss) every few steps.

    Attributes:
        n_features_in_: d.
        n_samples_fit_: rows it was fitted on.
        mean_, scale_: training mean of each feature and what it is divided by, (d,) both.
        whitening_: from standardised features to what the network sees, (d, k); None where they are the same.
        sigmas_: noise scales of the energies, (L,), growing.
        network_: the trained `EnergyNetwork`.
        losses_: training loss of each step.
        aggregation_: the fitted `Aggregation`.
        offset_: threshold on `score_samples` below which `predict` says −1.

    Source: Micorek et al., "MULDE: Multiscale Log-Density Estimation via Denoising Score Matching for Video
    Anomaly Detection", CVPR 2024 (arXiv 2403.14497).
    """

    def __init__(
        self,
        *,
        widths: Sequence[int] = (4096, 4096),
        scaling: Literal["feature", "common"] = "feature",
        scale_floor: float | Sequence[float] = 0.0,
        n_whitened: int | None = None,
        layer_norm: bool = False,
        dropout: float = 0.0,
        sigma_low: float = 1e-3,
        sigma_high: float = 1.0,
        n_scales: int = 16,
        beta: float = 0.1,
        learning_rate: float = 5e-4,
        batch_size: int = 2048,
        epochs: int = 1000,
        max_steps: int | None = None,
        lr_decay: float = 0.9,
        lr_decay_epochs: int | None = None,
        ema_decay: float | None = None,
        aggregation: AggregationKind = "resolved",
        n_components: int = 5,
        contamination: float = 0.01,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.widths = widths
        self.scaling = scaling
        self.scale_floor = scale_floor
        self.n_whitened = n_whitened
        self.layer_norm = layer_norm
        self.dropout = dropout
        self.sigma_low = sigma_low
        self.sigma_high = sigma_high
        self.n_scales = n_scales
        self.beta = beta
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.epochs = epochs
        self.max_steps = max_steps
        self.lr_decay = lr_decay
        self.lr_decay_epochs = lr_decay_epochs
        self.ema_decay = ema_decay
        self.aggregation = aggregation
        self.n_components = n_components
        self.contamination = contamination
        self.device = device
        self.random_state = random_state
        self.progress = progress

    def fit(self, X: ArrayLike, y: object = None) -> "MULDE":
        """Learn the density of normal rows.

        Args:
            X: features, (n_samples, n_features), at least two rows, finite.
            y: ignored.

        Raises:
            ValueError: X is no finite matrix, an argument of the constructor is out of range, or training
                diverged.
        """
        self._check_params()
        device = resolve_device(self.device)
        values = self._validated(X, reset=True)
        if (largest := np.abs(values).max()) > _LARGEST_FEATURE:
            raise ValueError(f"features reach {largest:.3g}, too large to standardise")
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self.n_samples_fit_ = len(values)
        self.mean_, self.scale_ = mean_and_scale(values)
        noise = self._apply_scale_floor(values.std(axis=0))
        if self.scaling == "common":
            self.scale_ = np.full_like(self.scale_, self.scale_.max())
        lowest = max(self.sigma_low, min(noise, self.sigma_high))
        self.sigmas_ = np.linspace(lowest, self.sigma_high, self.n_scales)
        self.whitening_ = None
        if self.n_whitened is not None:
            self.whitening_ = whitening((values - self.mean_) / self.scale_, self.n_whitened, seed)
        x = torch.from_numpy(self._standardise(values)).to(device)
        self.network_ = self._new_network(torch.Generator().manual_seed(seed)).to(device)
        generator = torch.Generator(device).manual_seed(seed + 1)
        self.losses_ = train(self.network_, x, self._training_settings(), generator, self.progress).numpy()
        energies = self._energies_of(_some_rows(x, generator))
        self.aggregation_ = fit_aggregation(
            self.aggregation, energies, n_components=self.n_components, seed=seed
        )
        scores = -self.aggregation_.anomaly_score(energies)
        self.offset_ = float(np.percentile(scores, 100 * self.contamination))
        return self

    def energies(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the energies (n_samples, L) at the noise scales `sigmas_`; higher = more anomalous."""
        check_is_fitted(self)
        values = self._validated(X, reset=False)
        return self._energies_of(torch.from_numpy(self._standardise(values)))

    def anomaly_score(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return anomaly scores (n_samples,); higher = more anomalous.

        Raises:
            ValueError: X is no finite matrix or has other columns than the training features.
        """
        check_is_fitted(self)
        values = self._validated(X, reset=False)
        needed = self.aggregation_.scales(len(self.sigmas_))
        energies = np.full((len(values), len(self.sigmas_)), np.nan)  # NaN: whoever needs more would notice
        energies[:, needed] = self._energies_of(torch.from_numpy(self._standardise(values)), needed)
        return self.aggregation_.anomaly_score(energies)

    def score_samples(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return log-likelihoods (n_samples,) up to a constant; higher = more normal."""
        return -self.anomaly_score(X)

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return `score_samples` above the threshold, (n_samples,); negative = outlier."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """Return −1 for outliers and 1 for inliers, (n_samples,)."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def save(
        self,
        folder: str | os.PathLike[str],
        *,
        description: Description | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the fitted detector to a folder: safetensors and a JSON manifest.

        Args:
            folder: made if need be; a detector that is there is replaced.
            description: what the features are, such as {"stream": "velocity", "key": "3f2a…"}; `load`
                can compare it with the features to score.
            provenance: more to remember about the training, anything that JSON holds; n_samples, n_steps,
                final_loss and torch are there already.
        """
        check_is_fitted(self)
        trained = {
            "n_samples": self.n_samples_fit_,
            "n_steps": len(self.losses_),
            "final_loss": float(self.losses_[-1]),
            "torch": torch.__version__,
        }
        write_model(
            folder,
            StoredModel(
                kind=type(self).__name__,
                params=self._storable_params(),
                n_features=self.n_features_in_,
                description=dict(description or {}),
                provenance={**(provenance or {}), **trained},
                tensors=self._tensors(),
            ),
        )

    @classmethod
    def load(
        cls, folder: str | os.PathLike[str], *, expect: Description | None = None, device: str = "auto"
    ) -> "MULDE":
        """Read a detector that `save` wrote; its scores on the same device are the same, bit for bit.

        Args:
            folder: where it is.
            expect: description of the features that will be scored, compared with the one given to `save`.
            device: where to score, whatever it was trained on.

        Raises:
            ValueError: it is missing, damaged, changed, from a later version, of another kind, or was fitted
                on other features than expected.
        """
        stored = read_model(folder, expect)
        if stored.kind != cls.__name__:
            raise ValueError(f"{os.fspath(folder)} holds a {stored.kind}, not a {cls.__name__}")
        params = {**stored.params, "widths": tuple(stored.params["widths"])}
        detector = cls(**params, device=device)
        detector._restore(stored)
        return detector

    def _apply_scale_floor(self, std: NDArray[np.float64]) -> float:
        """Raise `scale_` to the floor; return the noise scale below which all features are noise."""
        floor = np.broadcast_to(np.asarray(self.scale_floor, dtype=np.float64), self.scale_.shape)
        is_below = (std < floor) & (floor > 0)
        self.scale_ = np.where(is_below, floor, self.scale_)
        return float((floor / self.scale_).min())

    def _check_params(self) -> None:
        checks = {
            "widths": (
                all(width >= 1 for width in self.widths) and len(self.widths) > 0,
                "at least one, ≥ 1 each",
            ),
            "scaling": (self.scaling in ("feature", "common"), "feature or common"),
            "scale_floor": (bool(np.all(np.asarray(self.scale_floor) >= 0)), "at least 0"),
            "n_whitened": (self.n_whitened is None or self.n_whitened >= 1, "None or at least 1"),
            "dropout": (0 <= self.dropout < 1, "in [0, 1)"),
            "sigma_low": (0 < self.sigma_low <= self.sigma_high, "in (0, sigma_high]"),
            "n_scales": (self.n_scales >= 1, "at least 1"),
            "beta": (self.beta >= 0, "at least 0"),
            "learning_rate": (self.learning_rate > 0, "above 0"),
            "batch_size": (self.batch_size >= 1, "at least 1"),
            "epochs": (self.epochs >= 1, "at least 1"),
            "max_steps": (self.max_steps is None or self.max_steps >= 1, "None or at least 1"),
            "lr_decay": (0 < self.lr_decay <= 1, "in (0, 1]"),
            "lr_decay_epochs": (
                self.lr_decay_epochs is None or self.lr_decay_epochs >= 1,
                "None or at least 1",
            ),
            "ema_decay": (self.ema_decay is None or 0 <= self.ema_decay < 1, "None or in [0, 1)"),
            "aggregation": (self.aggregation in AGGREGATIONS, f"one of {', '.join(AGGREGATIONS)}"),
            "n_components": (self.n_components >= 1, "at least 1"),
            "contamination": (0 < self.contamination <= 0.5, "in (0, 0.5]"),
        }
        for name, (is_valid, allowed) in checks.items():
            if not is_valid:
                raise ValueError(f"{name} is {getattr(self, name)!r}, but must be {allowed}")

    def _validated(self, X: ArrayLike, *, reset: bool) -> NDArray[np.float64]:
        try:
            values: NDArray[np.float64] = validate_data(
                self,
                X,
                reset=reset,
                dtype=np.float64,
                ensure_all_finite=False,
                ensure_min_samples=2 if reset else 1,
            )
        except ValueError as error:
            if reset or "features as input" not in str(error):
                raise
            raise ValueError(
                f"{error} The features have {np.shape(X)[1]} columns, but this detector was fitted on "
                f"{self.n_features_in_}: was another extractor used?"
            ) from None
        is_bad = ~np.isfinite(values)
        if is_bad.any():
            row, column = np.argwhere(is_bad)[0]
            name = "NaN" if np.isnan(values[row, column]) else "infinity (inf)"
            raise ValueError(
                f"features hold {name} in row {row}, column {column} ({is_bad.sum()} such values)"
            )
        return values

    def _standardise(self, values: NDArray[np.float64]) -> NDArray[np.float32]:
        with np.errstate(over="ignore"):  # beyond float64 is beyond the limit too
            standardised = (values - self.mean_) / self.scale_
            if self.whitening_ is not None:
                standardised = standardised @ self.whitening_
        return np.clip(standardised, -_LARGEST_STANDARDISED, _LARGEST_STANDARDISED).astype(np.float32)

    def _new_network(self, generator: torch.Generator | None = None) -> EnergyNetwork:
        return EnergyNetwork(
            self.n_features_in_ if self.whitening_ is None else self.whitening_.shape[1],
            self.widths,
            layer_norm=self.layer_norm,
            dropout=self.dropout,
            generator=generator,
        )

    def _training_settings(self) -> TrainingSettings:
        return TrainingSettings(
            **{field.name: getattr(self, field.name) for field in fields(TrainingSettings)}
        )

    @torch.inference_mode()
    def _energies_of(self, x: torch.Tensor, scales: Sequence[int] | None = None) -> NDArray[np.float64]:
        """Return the energies of standardised rows (N, d) on any device, at all or at the given scales."""
        device = self.network_.out.weight.device
        chosen = self.sigmas_ if scales is None else self.sigmas_[list(scales)]
        sigmas = torch.from_numpy(chosen.astype(np.float32)).to(device)
        # Matrix products round differently for odd numbers of rows; whole tiles give a row the same bits
        # whichever rows it is scored with.
        padded = pad(x, (0, 0, 0, -len(x) % _ROWS_PER_TILE))
        passes = torch.split(padded, _ROWS_PER_PASS)
        energies = torch.cat([self.network_.energies(rows.to(device), sigmas).cpu() for rows in passes])
        return energies[: len(x)].numpy().astype(np.float64)

    def _storable_params(self) -> dict[str, Any]:
        params = {name: value for name, value in self.get_params().items() if name not in _NOT_STORED}
        params["widths"] = [int(width) for width in self.widths]
        params["scale_floor"] = np.asarray(self.scale_floor, dtype=np.float64).tolist()
        if isinstance(self.random_state, np.random.RandomState):
            params["random_state"] = None
        return {
            name: value.item() if isinstance(value, np.generic) else value for name, value in params.items()
        }

    def _tensors(self) -> dict[str, NDArray[Any]]:
        tensors = {
            f"network.{name}": w.detach().cpu().numpy() for name, w in self.network_.state_dict().items()
        }
        tensors |= {f"aggregation.{name}": array for name, array in self.aggregation_.arrays().items()}
        if self.whitening_ is not None:
            tensors["whitening"] = self.whitening_
        return tensors | {
            "mean": self.mean_,
            "scale": self.scale_,
            "sigmas": self.sigmas_,
            "losses": self.losses_,
            "offset": np.array(self.offset_),
        }

    def _restore(self, stored: StoredModel) -> None:
        tensors = stored.tensors
        self.n_features_in_ = stored.n_features
        self.n_samples_fit_ = stored.provenance["n_samples"]
        self.mean_, self.scale_ = tensors["mean"], tensors["scale"]
        self.whitening_ = tensors.get("whitening")
        self.sigmas_, self.losses_ = tensors["sigmas"], tensors["losses"]
        self.offset_ = float(tensors["offset"])
        self.network_ = self._new_network().to(resolve_device(self.device)).eval()
        weights = {name: torch.from_numpy(array) for name, array in _below("network.", tensors).items()}
        self.network_.load_state_dict(weights)
        self.aggregation_ = AGGREGATIONS[self.aggregation](**_below("aggregation.", tensors))


def resolve_device(name: str) -> torch.device:
    """Return the torch device of "auto", "cpu", "cuda" or "cuda:N".

    Raises:
        ValueError: the name is none of these, or there is no such GPU.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if name != "cpu" and (kind != "cuda" or (index and not index.isdecimal())):
        raise ValueError(f"device is {name!r}, but must be auto, cpu, cuda or cuda:N")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device is {name!r}, but torch sees {torch.cuda.device_count()} GPUs here: use cpu or auto"
        )
    return torch.device(name)


def _below(prefix: str, tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the tensors whose name starts with the prefix, without it."""
    return {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}


def _some_rows(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return at most `_ROWS_FOR_AGGREGATION` rows, drawn without replacement."""
    if len(x) <= _ROWS_FOR_AGGREGATION:
        return x
    return x[torch.randperm(len(x), generator=generator, device=x.device)[:_ROWS_FOR_AGGREGATION]]
