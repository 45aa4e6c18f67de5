"""MSMA: the norm of the score at many noise scales in place of the energy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from mulde.detector.mulde import MULDE

_ROWS_A_PASS = 2048


class MSMA(MULDE):
    """Score feature vectors by ‖σ∇f(x, σ)‖ at L noise scales, the same network and aggregation as MULDE's.

    The norm of the score tells how far a row is from a mode, as the energy does, but it is small in every
    valley and on every ridge of the density, however improbable. Arguments and attributes are those of
    `MULDE`; as published, a mixture is what aggregates: `MSMA(aggregation="gmm_raw")`.

    Source: Mahmood, Oliva & Styner, "Multiscale Score Matching for Out-of-Distribution Detection", ICLR 2021
    (arXiv 2010.13132). There a network gives the score itself; here it is the gradient of an energy, the
    baseline of the same family in MULDE (arXiv 2403.14497).
    """

    least_range: ClassVar[float] = 3.29 / 2
    """What the norm spans for a Gaussian feature at noise scale 1, where it is |x|/2, up to x = 3.29."""

    def score_norms(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return ‖σ∇f‖ of rows X at the noise scales `sigmas_`, (n_samples, L); higher = more anomalous."""
        return self._measure(torch.from_numpy(self._standardised(X)))

    @torch.no_grad()
    def _measure(self, x: torch.Tensor, scales: Sequence[int] | None = None) -> NDArray[np.float64]:
        device = self.network_.out.weight.device
        chosen = self.sigmas_ if scales is None else self.sigmas_[list(scales)]
        norms = np.empty((len(x), len(chosen)))
        for start in range(0, len(x), _ROWS_A_PASS):
            rows = x[start : start + _ROWS_A_PASS].to(device)
            for column, sigma in enumerate(chosen):
                gradient = self.network_.gradient(rows, torch.full((len(rows), 1), sigma).to(rows))
                norms[start : start + len(rows), column] = (sigma * gradient.norm(dim=1)).cpu().numpy()
        return norms
