"""The energy f(x, σ) ≈ −log q_σ(x) as an MLP, and its gradient with respect to x."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, linear

from mulde.detector.smoothed import SmoothedMixture

_BYTES_A_TILE = 2**20
"""What element-wise work takes at a time on a CPU, so that its intermediate results stay in the cache."""
_INVERSE_SQRT_TWO = 1 / math.sqrt(2)
_INVERSE_SQRT_TWO_PI = 1 / math.sqrt(2 * math.pi)


class EnergyNetwork(nn.Module):
    """An MLP from (x, σ) to one energy, or to what is to be added to a coarse one; high = anomalous.

    Args:
        n_features: d, columns of x.
        widths: units of each hidden layer, at least one layer.
        layer_norm: normalise the pre-activations of each hidden layer.
        dropout: share of hidden units dropped while training, in [0, 1).
        generator: source of the initial weights, on the CPU, so that every device starts from the same ones.
        coarse: a density whose energy the MLP corrects, at first by nothing; None for the MLP alone.

    Source: MULDE (arXiv 2403.14497), §3; the noise scale is one more input, as it is.
    """

    def __init__(
        self,
        n_features: int,
        widths: Sequence[int] = (4096, 4096),
        *,
        layer_norm: bool = False,
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
        coarse: SmoothedMixture | None = None,
    ) -> None:
        super().__init__()
        self.is_plain = not layer_norm and dropout == 0
        self.first = _linear(n_features + 1, widths[0], generator)
        self.hidden = nn.ModuleList([_linear(i, o, generator) for i, o in pairwise(widths)])
        self.norms = nn.ModuleList([nn.LayerNorm(width) if layer_norm else nn.Identity() for width in widths])
        self.dropout = nn.Dropout(dropout)
        self.out = _linear(widths[-1], 1, generator)
        self.coarse = coarse
        if coarse is not None:
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return the energies (N,) of x (N, d) at noise scales sigma (N, 1)."""
        correction = self.correction(x, sigma)
        return correction if self.coarse is None else self.coarse(x, sigma) + correction

    def correction(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return what the MLP gives, (N,): the energy, where there is no coarse one."""
        return self._above_first(self.first(torch.cat([x, sigma], dim=1)))

    def gradient(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return ∇_x f(x, σ), (N, d), which is itself differentiable with respect to the weights."""
        if self.is_plain:
            gradient = self._closed_form_gradient(x, sigma)
        else:
            with torch.enable_grad():
                at = x.detach().requires_grad_()
                (gradient,) = torch.autograd.grad(self.correction(at, sigma).sum(), at, create_graph=True)
        return gradient if self.coarse is None else gradient + self.coarse.gradient(x, sigma)

    def energies(self, x: Tensor, sigmas: Tensor, *, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the energies (N, L) of x (N, d) at each of the noise scales sigmas (L,).

        What the first layer makes of x is computed once for all scales, and nothing but the energy is
        computed.

        Args:
            dtype: of the products of hidden layers, where no gradient is wanted of a plain network.
        """
        weight = self.first.weight
        shared = linear(x, weight[:, :-1], self.first.bias)  # (N, width)
        if torch.is_grad_enabled() or not self.is_plain:
            columns = [self._above_first(shared + sigma * weight[:, -1]) for sigma in sigmas]
        else:
            dtype = shared.dtype if dtype == torch.float32 else dtype
            hidden = [layer for layer in self.hidden if isinstance(layer, nn.Linear)]
            room = [shared.new_empty(len(x), layer.out_features, dtype=dtype) for layer in hidden]
            layers = [(layer.weight.T.to(dtype), layer.bias.to(dtype)) for layer in hidden]
            columns = [self._energy(shared, sigma * weight[:, -1], layers, room) for sigma in sigmas]
        energies = torch.stack(columns, dim=1)  # (N, L)
        return energies if self.coarse is None else energies + self.coarse.energies(x, sigmas)

    def _energy(
        self, shared: Tensor, shift: Tensor, layers: list[tuple[Tensor, Tensor]], room: list[Tensor]
    ) -> Tensor:
        """Return what `_above_first` of shared + shift does, (N,); `room` takes what each layer gives."""
        h = torch.empty_like(shared, dtype=room[0].dtype if room else shared.dtype)
        for rows in tiles(h):
            h[rows] = gelu(shared[rows] + shift)
        for (weight, bias), out in zip(layers, room, strict=True):
            h = torch.addmm(bias, h, weight, out=out)
            for rows in tiles(h):
                h[rows] = gelu(h[rows])
        return torch.mv(h, self.out.weight[0].to(h.dtype)).to(shared.dtype) + self.out.bias

    def _above_first(self, a: Tensor) -> Tensor:
        h = self._activate(0, a)
        for i, layer in enumerate(self.hidden, start=1):
            h = self._activate(i, layer(h))
        energy: Tensor = self.out(h)
        return energy.squeeze(1)  # (N, 1) -> (N,)

    def _activate(self, i: int, a: Tensor) -> Tensor:
        h: Tensor = self.dropout(gelu(self.norms[i](a)))
        return h

    def _closed_form_gradient(self, x: Tensor, sigma: Tensor) -> Tensor:
        # The chain rule written out makes the gradient a forward computation: training needs one backward.
        h, slopes = torch.cat([x, sigma], dim=1), []
        for layer in [self.first, *self.hidden]:
            h, slope = _GeluAndSlope.apply(layer(h))
            slopes.append(slope)
        gradient: Tensor = self.out.weight  # (1, width), the same for every row
        for layer, slope in zip(reversed(self.hidden), reversed(slopes[1:]), strict=True):
            gradient = (gradient * slope) @ layer.weight  # (N, width) -> (N, width below)
        gradient = (gradient * slopes[0]) @ self.first.weight  # (N, d + 1)
        return gradient[:, :-1]  # without ∂f/∂σ


class _GeluAndSlope(torch.autograd.Function):
    """GELU(a) = aΦ(a) and its slope Φ(a) + aφ(a); autograd alone would keep many more tensors."""

    @staticmethod
    def forward(ctx: Any, a: Tensor) -> tuple[Tensor, Tensor]:
        below = torch.erf(a * _INVERSE_SQRT_TWO).add_(1).mul_(0.5)  # Φ(a)
        slope = _normal_density(a).mul_(a).add_(below)
        ctx.save_for_backward(a, slope)
        return below.mul_(a), slope

    @staticmethod
    def backward(ctx: Any, value_grad: Tensor, slope_grad: Tensor) -> Tensor:
        a, slope = ctx.saved_tensors
        curvature = _normal_density(a).mul_(2 - a.square())  # slope'(a) = φ(a)(2 − a²)
        return curvature.mul_(slope_grad).addcmul_(value_grad, slope)


def tiles(a: Tensor) -> Iterator[slice]:
    """Yield the rows of a (M, width) in pieces that fit a CPU's cache; on a GPU, all at once."""
    n_rows = len(a)
    step = max(1, _BYTES_A_TILE // (4 * a.shape[1])) if a.device.type == "cpu" else max(1, n_rows)
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def _normal_density(a: Tensor) -> Tensor:
    return torch.exp(a.square().mul_(-0.5)).mul_(_INVERSE_SQRT_TWO_PI)


def _linear(n_in: int, n_out: int, generator: torch.Generator | None) -> nn.Linear:
    """Return a layer with torch's usual initial weights, drawn from a generator of our own."""
    layer = nn.Linear(n_in, n_out, device="meta").to_empty(device="cpu")
    bound = 1 / math.sqrt(n_in)
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layer
