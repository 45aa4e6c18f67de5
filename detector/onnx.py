"""The scoring path as one ONNX graph: features in, anomaly scores out."""

from __future__ import annotations

import logging
import math
import os
from functools import singledispatch
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from mulde.data.atomic import replacing
from mulde.data.errors import InputError, require_package
from mulde.detector.aggregation import (
    Aggregation,
    CoarsestResolving,
    Largest,
    MaxOverScales,
    MeanOverScales,
    MedianOverScales,
    Mixture,
    RawMixture,
)
from mulde.detector.mulde import MULDE
from mulde.detector.score_norms import MSMA
from mulde.detector.standardisation import LARGEST_STANDARDISED

INPUT_NAME, OUTPUT_NAME = "features", "anomaly_score"
_OPSET = 18


def export_onnx(detector: MULDE, path: str | os.PathLike[str]) -> None:
    """Write standardisation, energies and aggregation of a fitted detector as an ONNX file.

    Its input "features" is (n, d) float32, its output "anomaly_score" (n,) float64, higher = more anomalous;
    n is free. The graph computes in float32: scores differ from `anomaly_score` by rounding, to which the
    aggregation "gmm_raw" is the most sensitive, and from one with precision="bfloat16" by rounding in that.

    Raises:
        InputError: a package that exporting needs is not installed, or the detector is an `MSMA`, whose norms
            of gradients no graph is made of.
        NotFittedError: the detector was not fitted.
    """
    check_is_fitted(detector)
    if isinstance(detector, MSMA):
        raise InputError("MSMA scores by gradients, which ONNX does not hold: export a MULDE")
    for package in ("onnx", "onnxscript"):
        require_package(package, "onnx")
    module = ScoringPath(detector).eval()
    example = torch.zeros(2, detector.n_features_in_)
    level = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        program = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            opset_version=_OPSET,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            dynamic_shapes=({0: torch.export.Dim("n")},),
            verbose=False,
        )
    finally:
        logging.getLogger("torch.onnx").setLevel(level)
    assert program is not None
    with replacing(Path(path)) as temporary:
        program.save(str(temporary))


class ScoringPath(nn.Module):
    """What `MULDE.anomaly_score` computes, from (n, d) float32 to (n,) float64, in torch alone."""

    mean: Tensor
    scale: Tensor
    whitening: Tensor | None
    sigmas: Tensor

    def __init__(self, detector: MULDE) -> None:
        super().__init__()
        standardisation = detector.standardisation_
        self.network = detector.network_
        self.chosen = detector.aggregation_.scales(len(detector.sigmas_))
        self.n_scales = len(detector.sigmas_)
        self.aggregate = torch_aggregation(detector.aggregation_)
        self.register_buffer("mean", torch.from_numpy(standardisation.mean))
        self.register_buffer("scale", torch.from_numpy(standardisation.scale))
        whitening = standardisation.whitening
        self.register_buffer("whitening", None if whitening is None else torch.from_numpy(whitening))
        self.register_buffer("sigmas", torch.from_numpy(detector.sigmas_.astype(np.float32)))

    def forward(self, features: Tensor) -> Tensor:
        """Return anomaly scores (n,) of features (n, d)."""
        x = (features.double() - self.mean) / self.scale
        if self.whitening is not None:
            x = x @ self.whitening
        x = x.clamp(-LARGEST_STANDARDISED, LARGEST_STANDARDISED).float()
        columns = [
            self.network(x, self.sigmas[index].expand(x.shape[0], 1)).double()
            if index in self.chosen
            else torch.zeros_like(x[:, 0]).double()
            for index in range(self.n_scales)
        ]
        scores: Tensor = self.aggregate(torch.stack(columns, dim=1))
        return scores


class _Column(nn.Module):
    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index

    def forward(self, energies: Tensor) -> Tensor:
        return energies[:, self.index]


class _OverScales(nn.Module):
    mean: Tensor
    scale: Tensor

    def __init__(self, mean: ArrayLike, scale: ArrayLike, unit: float, how: str) -> None:
        super().__init__()
        self.how, self.unit = how, unit
        self.register_buffer("mean", torch.as_tensor(mean))
        self.register_buffer("scale", torch.as_tensor(scale))

    def forward(self, energies: Tensor) -> Tensor:
        values = (energies - self.mean) / self.scale * self.unit
        if self.how == "max":
            return values.amax(dim=1)
        if self.how == "mean":
            return values.mean(dim=1)
        middle = values.shape[1] // 2
        ordered = values.sort(dim=1).values
        if values.shape[1] % 2:
            return ordered[:, middle]
        return (ordered[:, middle - 1] + ordered[:, middle]) / 2


class _MixtureSurprise(nn.Module):
    """−log-likelihood of a Gaussian mixture; see `mulde.detector.aggregation`."""

    inverse: Tensor
    means: Tensor
    constant: Tensor
    centre: Tensor
    whitening: Tensor

    def __init__(self, mixture: RawMixture) -> None:
        super().__init__()
        inverse = np.linalg.inv(mixture.covariance_factors)  # (K, D, D), lower
        constant = np.log(mixture.weights) + np.log(np.diagonal(inverse, axis1=1, axis2=2)).sum(axis=1)
        self.is_one_sided = isinstance(mixture, Mixture)
        self.register_buffer("inverse", torch.from_numpy(inverse))
        self.register_buffer("means", torch.from_numpy(mixture.means))
        self.register_buffer("constant", torch.from_numpy(constant))
        if isinstance(mixture, Mixture):
            self.register_buffer("centre", torch.from_numpy(mixture.mean))
            self.register_buffer("whitening", torch.from_numpy(mixture.whitening))

    def forward(self, energies: Tensor) -> Tensor:
        values = (energies - self.centre) @ self.whitening if self.is_one_sided else energies
        offset = values[:, None] - self.means  # (n, K, D)
        whitened = torch.einsum("kde,nke->nkd", self.inverse, offset)  # (n, K, D)
        if self.is_one_sided:
            first = self.inverse[:, :, 0]  # (K, D) a step along the first coordinate
            rise = (-(first * whitened).sum(dim=2) / first.square().sum(dim=1)).clamp(min=0)
            whitened = whitened + first * rise[..., None]
        joint = self.constant - 0.5 * whitened.square().sum(dim=2)
        return 0.5 * self.means.shape[1] * math.log(2 * math.pi) - torch.logsumexp(joint, dim=1)


@singledispatch
def torch_aggregation(aggregation: Aggregation) -> nn.Module:
    """Return an aggregation as a module, from energies (n, L) to scores (n,)."""
    raise TypeError(f"{type(aggregation).__name__} cannot be exported")


@torch_aggregation.register
def _(aggregation: CoarsestResolving) -> nn.Module:
    return _Column(int(aggregation.column))


@torch_aggregation.register
def _(aggregation: Largest) -> nn.Module:
    return _Column(-1)


@torch_aggregation.register
def _(aggregation: MaxOverScales) -> nn.Module:
    return _OverScales(aggregation.mean, aggregation.scale, aggregation.unit_nats, "max")


@torch_aggregation.register
def _(aggregation: MeanOverScales) -> nn.Module:
    return _OverScales(aggregation.mean, aggregation.scale, aggregation.unit_nats, "mean")


@torch_aggregation.register
def _(aggregation: MedianOverScales) -> nn.Module:
    return _OverScales(aggregation.mean, aggregation.scale, aggregation.unit_nats, "median")


@torch_aggregation.register
def _(aggregation: RawMixture) -> nn.Module:
    return _MixtureSurprise(aggregation)
