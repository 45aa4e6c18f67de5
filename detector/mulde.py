"""MULDE as a scikit-learn outlier detector on feature vectors."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted
from torch.nn.functional import pad

from mulde.data.version import mulde_version
from mulde.detector.aggregation import AGGREGATIONS, fit_aggregation
from mulde.detector.base import Detector, RowsOfArray, arrays_below, resolve_device
from mulde.detector.batches import Batches, RowsInMemory, RowsStreamed
from mulde.detector.checkpoint import Checkpoint
from mulde.detector.network import EnergyNetwork
from mulde.detector.rows import RowSource, sample
from mulde.detector.settings import (
    AggregationKind,
    EnergySettings,
    MuldeSettings,
    Precision,
    Schedule,
    Spacing,
    TrainingSettings,
)
from mulde.detector.smoothed import SmoothedMixture, gather
from mulde.detector.split import Split, split_rows
from mulde.detector.training import Progress, Recipe, Trainer

_ROWS_PER_PASS = 4096
_ROWS_FOR_AGGREGATION = 50_000  # of the training rows: its few numbers need no more
_ROWS_PER_TILE = 16
SECONDS_BETWEEN_CHECKPOINTS = 30.0
_FEW_COLUMNS, _WIDTH_OF_FEW = 8, 64
_NARROWEST, _WIDEST_ON_CPU, _WIDTH_ON_GPU = 256, 1024, 4096
_DEFAULTS = MuldeSettings()


class MULDE(Detector):
    """Score feature vectors by a log-density that is learnt at many noise scales.

    A network f(x, σ) ≈ −log q_σ(x) is trained by denoising score matching on normal rows; a row's energies at
    `n_scales` noise scales become one anomaly score. By default the network corrects the energy of a mixture
    of `n_centres` Gaussians, which is known at every noise scale. The defaults are for a quick and sound
    detector on the machine at hand; `MULDE(**PAPER)` is what the paper does.

    Args:
        widths, …, outlier_limit: whatever stands in `mulde.detector.settings.MuldeSettings`, with its
            meaning, range and default there; `mulde config detector` prints them.
        scaling: "feature" divides each feature by its own standard deviation, as published; "common" divides
            all by the largest one, for features that are components of one quantity, such as a motion vector:
            a component that hardly varies stays small, and directions are treated alike.
        scale_floor: least divisor, for all features or for each, in their units: a difference far below it is
            measurement noise. A feature that hardly ever varies would otherwise reach, where it does, values
            so many standard deviations out that the network has learnt nothing there. Noise scales that are
            below the floor of every feature are left out of scoring.
        n_whitened: learn the density of at most so many whitened principal components of the standardised
            features in place of the features; None for the features themselves, as published.
        contamination: share of the training rows that `predict` calls outliers, in (0, 0.5].
        device: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:N".
        random_state: seed; with the same one a CPU gives the same detector, bit for bit. The global random
            state of torch and numpy is neither read nor changed (numpy's is read if this is None).
        progress: called with a `mulde.detector.Look` at every look.
        checkpoint: file that keeps the state of an unfinished training; the same `fit` goes on from there, to
            the same weights, bit for bit on a CPU. It is deleted at the end.

    Attributes:
        n_features_in_: d.
        n_samples_fit_: rows it was fitted on, held-out ones included, those left out not.
        left_out_: numbers of the rows given to `fit` that `outlier_limit` left out, growing.
        standardisation_: training mean and scale of each feature, and whitening; `mean_`, `scale_`,
            `whitening_`.
        sigmas_: noise scales of the energies, (L,), growing.
        widths_: units of each hidden layer.
        network_: the trained `EnergyNetwork`.
        losses_: training loss of each step.
        held_out_losses_: (n_looks, 2), steps done and loss of the held-out rows.
        best_step_: steps after which the weights that were kept were reached.
        aggregation_: the fitted `Aggregation`.
        offset_: threshold on `score_samples` below which `predict` says −1.

    Source: Micorek et al., "MULDE: Multiscale Log-Density Estimation via Denoising Score Matching for Video
    Anomaly Detection", CVPR 2024 (arXiv 2403.14497).
    """

    settings: ClassVar[type[EnergySettings]] = MuldeSettings
    can_stream: ClassVar[bool] = True

    def __init__(
        self,
        *,
        widths: Sequence[int] | Literal["auto"] = _DEFAULTS.widths,
        scaling: Literal["feature", "common"] = "feature",
        scale_floor: float | Sequence[float] = 0.0,
        n_whitened: int | None = None,
        n_centres: int = _DEFAULTS.n_centres,
        layer_norm: bool = _DEFAULTS.layer_norm,
        dropout: float = _DEFAULTS.dropout,
        sigma_low: float = _DEFAULTS.sigma_low,
        sigma_high: float = _DEFAULTS.sigma_high,
        n_scales: int = _DEFAULTS.n_scales,
        spacing: Spacing = _DEFAULTS.spacing,
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
        aggregation: AggregationKind = _DEFAULTS.aggregation,
        n_components: int = _DEFAULTS.n_components,
        outlier_limit: float | None = _DEFAULTS.outlier_limit,
        contamination: float = 0.01,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        progress: Progress | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> None:
        self.widths = widths
        self.scaling = scaling
        self.scale_floor = scale_floor
        self.n_whitened = n_whitened
        self.n_centres = n_centres
        self.layer_norm = layer_norm
        self.dropout = dropout
        self.sigma_low = sigma_low
        self.sigma_high = sigma_high
        self.n_scales = n_scales
        self.spacing = spacing
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
        self.aggregation = aggregation
        self.n_components = n_components
        self.outlier_limit = outlier_limit
        self.contamination = contamination
        self.device = device
        self.random_state = random_state
        self.progress = progress
        self.checkpoint = checkpoint

    def energies(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the energies (n_samples, L) at the noise scales `sigmas_`; higher = more anomalous."""
        return self._energies_of(torch.from_numpy(self._standardised(X)))

    def deciding_sigma(self, X: ArrayLike) -> NDArray[np.float64] | None:
        """See `Detector.deciding_sigma`; mixtures over energies do not tell noise scales apart."""
        x = torch.from_numpy(self._standardised(X))
        column = self.aggregation_.deciding_scale(self._measure(x))
        return None if column is None else self.sigmas_[column]

    def _learn(self, source: RowSource, groups: NDArray[np.int64] | None, seed: int) -> None:
        device = resolve_device(self.device)
        low, high = self._learnt_noise_range
        lowest = max(low, min(self.standardisation_.noise_sigma, high))
        between = np.geomspace if self.spacing == "geometric" else np.linspace
        self.sigmas_ = between(lowest, high, self.n_scales)
        n_inputs = self.standardisation_.n_outputs
        self.widths_: tuple[int, ...] = (
            suitable_widths(n_inputs, device) if self.widths == "auto" else tuple(self.widths)
        )
        batches, held_out = self._prepare_rows(source, groups, seed, device)
        coarse = None
        if self.n_centres:
            coarse = SmoothedMixture.fit(gather(batches.of_epoch(0, 0)), self.n_centres, seed)
        self.network_ = self._new_network(torch.Generator().manual_seed(seed), coarse).to(device)
        trainer = Trainer(
            self.network_,
            batches,
            held_out,
            self._recipe(),
            seed + 1,
            progress=self.progress,
            checkpoint=self._open_checkpoint(source, groups, seed, device),
        )
        history = trainer.run()
        self.losses_, self.held_out_losses_ = history.losses, history.held_out
        self.best_step_ = history.best_step
        some = self.standardisation_(sample(source, _ROWS_FOR_AGGREGATION, seed + 2))
        self.aggregation_ = fit_aggregation(
            self.aggregation,
            self._measure(torch.from_numpy(some)),
            n_components=self.n_components,
            seed=seed,
        )

    def _score(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        needed = self.aggregation_.scales(len(self.sigmas_))
        energies = np.full((len(x), len(self.sigmas_)), np.nan)  # NaN: whoever needs more would notice
        energies[:, needed] = self._measure(torch.from_numpy(x), needed)
        return self.aggregation_.anomaly_score(energies)

    def _measure(self, x: torch.Tensor, scales: Sequence[int] | None = None) -> NDArray[np.float64]:
        """Return what is aggregated of standardised rows (N, k), at all or at the given scales."""
        return self._energies_of(x, scales)

    def _prepare_rows(
        self, source: RowSource, groups: NDArray[np.int64] | None, seed: int, device: torch.device
    ) -> tuple[Batches, torch.Tensor | None]:
        """Return the batches to learn from and the rows to judge by, the latter on the device."""
        split = split_rows(source, groups, self.held_out, seed)
        held_out = None
        if split.held_out is not None:
            held_out = torch.from_numpy(self.standardisation_(split.held_out)).to(device)
        if isinstance(source, RowsOfArray):
            rows = source.read(0, source.shape[0])
            x = torch.from_numpy(self.standardisation_(rows if split.is_whole else rows[split.indices()]))
            return RowsInMemory(x.to(device), self.batch_size, seed + 1), held_out
        return self._stream(source, split, seed, device), held_out

    def _stream(self, source: RowSource, split: Split, seed: int, device: torch.device) -> RowsStreamed:
        return RowsStreamed(source, split.ranges, self.standardisation_, self.batch_size, seed + 1, device)

    def _open_checkpoint(
        self, source: RowSource, groups: NDArray[np.int64] | None, seed: int, device: torch.device
    ) -> Checkpoint | None:
        if self.checkpoint is None:
            return None
        digest = hashlib.sha256(json.dumps([mulde_version(), torch.__version__, seed, str(device)]).encode())
        digest.update(json.dumps(self._storable_params(), sort_keys=True).encode())
        rows = sample(source, _ROWS_PER_PASS, seed)
        for array in (np.array(source.shape), self.mean_, self.scale_, rows, groups):
            digest.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
        return Checkpoint(
            Path(self.checkpoint),
            digest.hexdigest(),
            device,
            seconds_between=SECONDS_BETWEEN_CHECKPOINTS,
        )

    def _check_params(self) -> None:
        super()._check_params()
        resolve_device(self.device)
        low, high = self._noise_range
        if low > high:
            raise ValueError(f"sigma_low is {low!r}, but must be at most sigma_high, which is {high!r}")

    def _new_network(
        self, generator: torch.Generator | None = None, coarse: SmoothedMixture | None = None
    ) -> EnergyNetwork:
        return EnergyNetwork(
            self.standardisation_.n_outputs,
            self.widths_,
            layer_norm=self.layer_norm,
            dropout=self.dropout,
            generator=generator,
            coarse=coarse,
        )

    @property
    def _noise_range(self) -> tuple[float, float]:
        """The least and the largest noise scale."""
        return self.sigma_low, self.sigma_high

    @property
    def _learnt_noise_range(self) -> tuple[float, float]:
        """The same, up to the noise of the features where that is more; a single scale stays as it is."""
        low, high = self._noise_range
        return low, high if low == high else max(high, self.standardisation_.noise_sigma)

    def _recipe(self) -> Recipe:
        low, high = self._learnt_noise_range
        settings = {field.name: getattr(self, field.name) for field in fields(TrainingSettings)}
        return Recipe(**settings, sigma_low=low, sigma_high=high)

    @torch.inference_mode()
    def _energies_of(self, x: torch.Tensor, scales: Sequence[int] | None = None) -> NDArray[np.float64]:
        """Return the energies of standardised rows (N, k) on any device, at all or at the given scales."""
        device = self.network_.out.weight.device
        chosen = self.sigmas_ if scales is None else self.sigmas_[list(scales)]
        sigmas = torch.from_numpy(chosen.astype(np.float32)).to(device)
        # Matrix products round differently for odd numbers of rows; whole tiles give a row the same bits
        # whichever rows it is scored with.
        padded = pad(x, (0, 0, 0, -len(x) % _ROWS_PER_TILE))
        passes = torch.split(padded, _ROWS_PER_PASS)
        dtype = torch.bfloat16 if self.precision == "bfloat16" else torch.float32
        parts = [self.network_.energies(rows.to(device), sigmas, dtype=dtype).cpu() for rows in passes]
        energies = torch.cat(parts)
        return energies[: len(x)].numpy().astype(np.float64)

    def _provenance(self) -> dict[str, Any]:
        return {
            "n_steps": len(self.losses_),
            "best_step": self.best_step_,
            "final_loss": float(self.losses_[-1]),
            "held_out_loss": float(self.held_out_losses_[:, 1].min()) if len(self.held_out_losses_) else None,
            "torch": torch.__version__,
        }

    def _learnt_arrays(self) -> dict[str, NDArray[Any]]:
        check_is_fitted(self)
        network = {f"network.{k}": w.detach().cpu().numpy() for k, w in self.network_.state_dict().items()}
        aggregation = {f"aggregation.{name}": array for name, array in self.aggregation_.arrays().items()}
        return {
            **network,
            **aggregation,
            "widths": np.array(self.widths_),
            "sigmas": self.sigmas_,
            "losses": self.losses_,
            "held_out_losses": self.held_out_losses_,
            "best_step": np.array(self.best_step_),
        }

    def _restore_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.widths_ = tuple(int(width) for width in arrays["widths"])
        self.sigmas_, self.losses_ = arrays["sigmas"], arrays["losses"]
        self.held_out_losses_, self.best_step_ = arrays["held_out_losses"], int(arrays["best_step"])
        n_weights = sum(array.size for array in arrays_below("network.", arrays).values())
        if any(a * b > n_weights for a, b in zip(self.widths_, self.widths_[1:], strict=False)):
            raise ValueError(f"layers of {self.widths_} units have more than {n_weights} weights")
        weights = {name: torch.from_numpy(array) for name, array in arrays_below("network.", arrays).items()}
        centres = weights.get("coarse.centres")
        coarse = None if centres is None else SmoothedMixture(*centres.shape)
        self.network_ = self._new_network(coarse=coarse).to(resolve_device(self.device)).eval()
        self.network_.load_state_dict(weights)
        self.aggregation_ = AGGREGATIONS[self.aggregation](**arrays_below("aggregation.", arrays))


def suitable_widths(n_inputs: int, device: torch.device) -> tuple[int, int]:
    """Return units of two hidden layers for rows of n_inputs columns: few on a CPU, the paper's on a GPU.

    On a CPU that is 64 up to 8 columns, where 256 were not better, then 256 up to 64, then four times the
    columns in powers of two, at most 1024.
    """
    if device.type != "cpu":
        return _WIDTH_ON_GPU, _WIDTH_ON_GPU
    if n_inputs <= _FEW_COLUMNS:
        return _WIDTH_OF_FEW, _WIDTH_OF_FEW
    width = 2 ** int(np.ceil(np.log2(4 * n_inputs)))
    width = min(max(width, _NARROWEST), _WIDEST_ON_CPU)
    return width, width
