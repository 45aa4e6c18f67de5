"""The training objective, and its gradient written out for plain networks.

For a plain MLP the input gradient and the gradient of the loss with respect to the weights have a closed
form. Written out, a step needs no graph, does each product once, shares the products of clean and perturbed
rows, keeps its buffers from step to step, and can do its products in bfloat16.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mulde.detector.network import EnergyNetwork, tiles
from mulde.detector.settings import Precision

_INVERSE_SQRT_TWO_PI = 1 / math.sqrt(2 * math.pi)


def objective(network: EnergyNetwork, x: Tensor, sigma: Tensor, noise: Tensor, beta: float) -> Tensor:
    """Return the training loss E[½‖σ∇f(x + σε, σ) − ε‖² + β/2 · f(x, σ)²], a scalar.

    The regulariser keeps what is open in place: it sees the network's correction, where there is a coarse
    density.

    Args:
        network: f.
        x: clean standardised features, (N, d).
        sigma: a noise scale for each row, (N, 1).
        noise: ε, standard normal, (N, d).
        beta: weight of the regulariser, which sees the clean rows at the same noise scales.

    Source: MULDE (arXiv 2403.14497), denoising score matching weighted by σ², plus the regulariser.
    """
    residual = sigma * network.gradient(x + sigma * noise, sigma) - noise  # (N, d)
    loss = residual.square().sum(dim=1).mean() / 2
    if beta:
        loss = loss + beta / 2 * network.correction(x, sigma).square().mean()
    return loss


class PlainObjective:
    """`objective` and the gradients of all weights, for a network without normalisation and dropout.

    Rows are handled as M = 2N: N perturbed ones, then the N clean ones that the regulariser sees (M = N where
    beta is 0). In the comments a_k is what layer k gives before its activation, h_k after it, and u_k =
    ∂f/∂a_k.

    Args:
        network: plain; its weights get their `grad`.
        beta: weight of the regulariser.
        precision: of the products of hidden layers; all else is float32, and so is the first layer's product
            of the input, since bfloat16 would not see noise of a small scale.
    """

    def __init__(self, network: EnergyNetwork, beta: float, precision: Precision = "float32") -> None:
        assert network.is_plain
        self._network, self._beta = network, beta
        self._full = network.out.weight.dtype
        self._dtype = torch.bfloat16 if precision == "bfloat16" else self._full
        self._layers = [network.first, *network.hidden]
        self._buffers: dict[str, Tensor] = {}

    @torch.no_grad()
    def __call__(self, x: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
        """Return the loss of x (N, d) at sigma (N, 1) and noise (N, d), a scalar; set every `grad`."""
        n, top = len(x), len(self._layers) - 1
        weights = [self._cast(f"weight{k}", layer.weight) for k, layer in enumerate(self._layers)]
        w_out = self._network.out.weight[0]  # (width,)
        h = [self._inputs(x, sigma, noise)]  # (M, d + 1)
        slopes, curvatures = [], []
        for k, layer in enumerate(self._layers):
            value, slope, curvature = self._activate(k, self._pre_activation(k, layer, weights[k], h[k]), n)
            h.append(value)
            slopes.append(slope)
            curvatures.append(curvature)

        # Down: ∂f/∂h_k = v_k and ∂f/∂a_k = u_k of the perturbed rows, to the input gradient
        v: list[Tensor] = [w_out.to(self._dtype)]
        u: list[Tensor] = []
        for k in range(top, -1, -1):
            u.insert(0, torch.mul(slopes[k][:n], v[0], out=self._new(f"u{k}", slopes[k][:n])))
            if k:
                v.insert(0, self._product(f"v{k}", u[0], weights[k]))
        gradient = self._product("gradient", u[0], weights[0])[:, :-1].to(self._full)  # (N, d)
        residual = sigma * gradient - self._target(h[0][:n], sigma, noise)
        loss = residual.square().sum() / (2 * n)

        # Up: how the loss changes with u_k, and through the slopes with a_k
        along = torch.cat([sigma * residual / n, torch.zeros_like(sigma)], dim=1).to(
            self._dtype
        )  # (N, d + 1)
        steps, through_slopes = [along], []
        for k in range(top + 1):
            du = self._product(f"du{k}", steps[k], weights[k].T)  # (N, width)
            through = torch.mul(du, curvatures[k], out=curvatures[k]).mul_(v[k])
            through_slopes.append(through)
            steps.append(du.mul_(slopes[k][:n]))
        out_grad = steps[-1].sum(dim=0, dtype=self._full)

        # Down again: to a_k through the slopes and, on clean rows, through the energy
        delta = through_slopes[top]
        bias_grad = torch.zeros_like(self._network.out.bias)
        if self._beta:
            top_clean = h[-1][n:]
            energy = (
                torch.mv(top_clean, w_out.to(self._dtype)).to(self._full) + self._network.out.bias
            )  # (N,)
            loss = loss + self._beta / 2 * energy.square().mean()
            pull = self._beta / n * energy  # ∂loss/∂f
            out_grad += torch.mv(top_clean.T, pull.to(self._dtype))
            bias_grad += pull.sum()
            delta = self._delta(top, through_slopes[top], slopes[top], pull, w_out)
        for k in range(top, -1, -1):
            self._set_gradients(k, u[k], steps[k], delta, h[k])
            if k:
                below = self._product(f"delta{k}", delta, weights[k]).mul_(slopes[k - 1])
                below[:n] += through_slopes[k - 1]
                delta = below
        self._network.out.weight.grad = out_grad[None]
        self._network.out.bias.grad = bias_grad
        return loss

    def _inputs(self, x: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
        """Return perturbed rows, then clean ones if they are needed, with their noise scales: (M, d + 1)."""
        perturbed = torch.cat([x + sigma * noise, sigma], dim=1)
        return torch.cat([perturbed, torch.cat([x, sigma], dim=1)]) if self._beta else perturbed

    def _target(self, perturbed: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
        """Return the noise that the MLP is to find, (N, d): what the coarse density does not find."""
        coarse = self._network.coarse
        return noise if coarse is None else noise - sigma * coarse.gradient(perturbed[:, :-1], sigma)

    def _pre_activation(self, k: int, layer: torch.nn.Linear, weight: Tensor, h: Tensor) -> Tensor:
        if k == 0:  # in full precision
            out = self._buffer("a0", (len(h), layer.out_features), self._full)
            return torch.addmm(layer.bias, h, layer.weight.T, out=out)
        out = self._buffer(f"a{k}", (len(h), layer.out_features), self._dtype)
        return torch.addmm(layer.bias.to(self._dtype), h, weight.T, out=out)

    def _activate(self, k: int, a: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return GELU and its slope for all rows of a (M, width), and its curvature for the first n."""
        value, slope = (self._buffer(f"{name}{k}", a.shape, self._dtype) for name in ("h", "slope"))
        curvature = self._buffer(f"curvature{k}", (n, a.shape[1]), self._dtype)
        for rows in tiles(a):
            tile = a[rows].to(self._full)
            value[rows] = torch.nn.functional.gelu(tile)
            slope[rows] = torch.ops.aten.gelu_backward(torch.ones_like(tile), tile)
            if rows.start < n:
                square = tile[: n - rows.start].square()
                # GELU''(a) = φ(a)(2 − a²)
                density = torch.exp(square * -0.5).mul_(_INVERSE_SQRT_TWO_PI)
                curvature[rows] = square.neg_().add_(2).mul_(density)
        return value, slope, curvature

    def _delta(self, k: int, through: Tensor, slope: Tensor, pull: Tensor, w_out: Tensor) -> Tensor:
        """Return ∂loss/∂a of the last hidden layer, (M, width)."""
        n = len(through)
        delta = self._new("delta", slope)
        delta[:n] = through
        torch.mul(slope[n:], w_out.to(self._dtype), out=delta[n:]).mul_(pull.to(self._dtype)[:, None])
        return delta

    def _product(self, name: str, left: Tensor, right: Tensor) -> Tensor:
        return torch.mm(left, right, out=self._buffer(name, (len(left), right.shape[1]), self._dtype))

    def _set_gradients(self, k: int, u: Tensor, step: Tensor, delta: Tensor, h: Tensor) -> None:
        """Set the gradients of layer k: of its weight from both ways down, uᵀ step + deltaᵀ h."""
        layer = self._layers[k]
        grad = self._buffer(f"grad{k}", layer.weight.shape, self._full)
        if self._dtype == self._full:
            torch.mm(u.T, step, out=grad).addmm_(delta.T, h)
        else:
            grad.copy_(torch.mm(u.T, step)).add_(torch.mm(delta.T, h.to(self._dtype)))
        layer.weight.grad = grad
        layer.bias.grad = delta.sum(dim=0, dtype=self._full)

    def _cast(self, name: str, weight: Tensor) -> Tensor:
        if self._dtype == weight.dtype:
            return weight
        return self._buffer(name, weight.shape, self._dtype).copy_(weight)

    def _new(self, name: str, like: Tensor) -> Tensor:
        return self._buffer(name, like.shape, like.dtype)

    def _buffer(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return an uninitialised matrix that the call before used under this name, if it is large enough."""
        known = self._buffers.get(name)
        if known is None or len(known) < shape[0]:
            known = torch.empty(shape, dtype=dtype, device=self._network.out.weight.device)
            self._buffers[name] = known
        return known[: shape[0]]
