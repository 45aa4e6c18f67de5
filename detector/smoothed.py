"""A coarse density in closed form at every noise scale, which the energy network corrects."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor, nn

ROWS_FOR_CENTRES = 20_000
_ROWS_A_CENTRE = 10
"""Rows that there are for each centre at least, on average."""
_PRIOR_ROWS = 5
_LEAST_LOG_SHARE = -60.0  # e⁻⁶⁰ of the nearest counts for nothing; e⁻⁹⁰ is a denormal number, and slow
_ROWS_A_TILE = 512  # whose distances stay in a CPU's cache
_LEAST_VARIANCE = 1e-6  # of standardised rows: (0.001 standard deviations)²


class SmoothedMixture(nn.Module):
    """Spherical Gaussians on the rows; noise of scale σ adds σ² to the variance of each, exactly.

    Its energy −log q_σ(x) grows with the square of the distance to the nearest centre far from all rows, as
    the energy of a network that has seen nothing there need not.

    Args:
        n_centres, n_features: shape of its buffers, which a state dict fills.
    """

    centres: Tensor
    """(K, d)"""
    variances: Tensor
    """(K,) of each feature around each centre."""
    log_weights: Tensor
    """(K,)"""

    def __init__(self, n_centres: int, n_features: int) -> None:
        super().__init__()
        self.register_buffer("centres", torch.zeros(n_centres, n_features))
        self.register_buffer("variances", torch.ones(n_centres))
        self.register_buffer("log_weights", torch.full((n_centres,), -math.log(n_centres)))

    @classmethod
    def fit(cls, rows: NDArray[np.float32], n_centres: int, seed: int) -> SmoothedMixture:
        """Cluster standardised rows (n, d), and take mean, variance and share of each cluster.

        Args:
            n_centres: most Gaussians; fewer where there are fewer than ten rows for each.
            seed: of the clustering.
        """
        x = rows.astype(np.float64)
        n_centres = max(1, min(n_centres, len(x) // _ROWS_A_CENTRE, len(np.unique(x, axis=0))))
        means = MiniBatchKMeans(
            n_centres, batch_size=2048, max_iter=20, n_init=1, reassignment_ratio=0, random_state=seed
        )
        label = means.fit(x).labels_
        counts = np.bincount(label, minlength=n_centres)
        kept = np.flatnonzero(counts)
        counts = counts[kept]
        centres = np.stack([x[label == k].mean(axis=0) for k in kept])
        variances = np.array([x[label == k].var(axis=0).mean() for k in kept])
        usual = (counts * variances).sum() / counts.sum()
        # a cluster of few rows says little about how far they spread
        variances = (counts * variances + _PRIOR_ROWS * usual) / (counts + _PRIOR_ROWS)
        mixture = cls(len(kept), x.shape[1])
        mixture.centres.copy_(torch.from_numpy(centres))
        mixture.variances.copy_(torch.from_numpy(np.maximum(variances, _LEAST_VARIANCE)))
        mixture.log_weights.copy_(torch.from_numpy(np.log(counts / counts.sum())))
        return mixture

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return −log q_σ(x), (N,), of rows x (N, d) at noise scales sigma (N, 1), in nats."""
        return -torch.logsumexp(self._log_joint(x, sigma)[0], dim=1)

    @torch.no_grad()
    def energies(self, x: Tensor, sigmas: Tensor) -> Tensor:
        """Return −log q_σ(x), (N, L), at each of the noise scales sigmas (L,)."""
        energies = x.new_empty(len(x), len(sigmas))
        norms, variances = zip(*(self._norm_and_variances(sigma) for sigma in sigmas), strict=True)
        for start in range(0, len(x), _ROWS_A_TILE):
            squares = self._squares(x[start : start + _ROWS_A_TILE])
            joint = torch.empty_like(squares)
            for scale, (norm, variance) in enumerate(zip(norms, variances, strict=True)):
                torch.addcmul(norm, squares, -0.5 / variance, out=joint)
                highest = joint.amax(dim=1, keepdim=True)
                total = joint.sub_(highest).clamp_(min=_LEAST_LOG_SHARE).exp_().sum(dim=1).log_()
                energies[start : start + _ROWS_A_TILE, scale] = -total.add_(highest[:, 0])
        return energies

    @torch.no_grad()
    def gradient(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return the gradient of −log q_σ(x) with respect to x, (N, d)."""
        joint, variances = self._log_joint(x, sigma)
        joint = (joint - joint.amax(dim=1, keepdim=True)).clamp_(min=_LEAST_LOG_SHARE)
        pull = torch.softmax(joint, dim=1).div_(variances)  # (N, K)
        return x * pull.sum(dim=1, keepdim=True) - pull @ self.centres

    def _log_joint(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return log w N(x; centre, (variance + σ²) I), and variance + σ², both (N, K)."""
        norm, variances = self._norm_and_variances(sigma)
        return norm - 0.5 * self._squares(x) / variances, variances

    def _norm_and_variances(self, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return log w (2π (variance + σ²))^(−d/2), and variance + σ²: (N, K), or (K,) for one sigma."""
        variances = self.variances + sigma.square()
        return self.log_weights - 0.5 * self.centres.shape[1] * torch.log(2 * math.pi * variances), variances

    def _squares(self, x: Tensor) -> Tensor:
        """Return squared distances to the centres, (N, K)."""
        # The difference of large squares needs the digits of float64.
        wide, centres = x.double(), self.centres.double()
        squares = wide.square().sum(dim=1, keepdim=True) + centres.square().sum(dim=1)
        return torch.addmm(squares, wide, centres.T, alpha=-2).clamp(min=0).to(x.dtype)


def gather(batches: Iterable[Tensor], n_rows: int = ROWS_FOR_CENTRES) -> NDArray[np.float32]:
    """Return the rows of the first batches, about n_rows of them or all."""
    parts: list[NDArray[np.float32]] = []
    for batch in batches:
        parts.append(batch.cpu().numpy())
        if sum(map(len, parts)) >= n_rows:
            break
    return np.concatenate(parts)
