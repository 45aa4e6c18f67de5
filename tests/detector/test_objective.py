"""The objective and its gradients, against the textbook's loop."""

import pytest
import torch
from torch import Tensor

from mulde.detector.network import EnergyNetwork
from mulde.detector.objective import PlainObjective, objective


def network(
    n_features: int = 3, widths: tuple[int, ...] = (16, 24), **options: float | bool
) -> EnergyNetwork:
    return EnergyNetwork(n_features, widths, generator=torch.Generator().manual_seed(0), **options).double()


def batch(n: int, n_features: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x, noise = torch.randn((2, n, n_features), generator=generator, dtype=torch.float64)
    return x, torch.rand((n, 1), generator=generator, dtype=torch.float64), noise


def gradient_by_autograd(net: EnergyNetwork, x: Tensor, sigma: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    return torch.autograd.grad(net(x, sigma).sum(), x, create_graph=True)[0]


def textbook_objective(net: EnergyNetwork, x: Tensor, sigma: Tensor, noise: Tensor, beta: float) -> Tensor:
    """The loss row by row, as the paper writes it: σ²/2 · ‖∇f − ε/σ‖² + β/2 · f²."""
    rows = []
    for i in range(len(x)):
        s = sigma[i : i + 1]
        gradient = gradient_by_autograd(net, x[i : i + 1] + s * noise[i : i + 1], s)
        rows.append(s**2 / 2 * ((gradient - noise[i] / s) ** 2).sum() + beta / 2 * net(x[i : i + 1], s) ** 2)
    return torch.stack(rows).mean()


@pytest.mark.parametrize("beta", [0.0, 0.1])
@pytest.mark.parametrize("options", [{}, {"layer_norm": True}])
def test_objective_and_its_weight_gradient_are_the_textbook_ones(
    beta: float, options: dict[str, bool]
) -> None:
    net = network(**options)
    x, sigma, noise = batch(9, 3)
    ours, theirs = objective(net, x, sigma, noise, beta), textbook_objective(net, x, sigma, noise, beta)
    torch.testing.assert_close(ours, theirs)
    weights = [weight for weight in net.parameters() if weight is not net.out.bias or beta]
    for got, expected in zip(
        torch.autograd.grad(ours, weights), torch.autograd.grad(theirs, weights), strict=True
    ):
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-12)


def test_regulariser_sees_the_clean_rows() -> None:
    net = network()
    x, sigma, noise = batch(9, 3)
    difference = objective(net, x, sigma, noise, beta=2.0) - objective(net, x, sigma, noise, beta=0.0)
    torch.testing.assert_close(difference, net(x, sigma).square().mean())


@pytest.mark.parametrize("n", [1, 2, 37])
@pytest.mark.parametrize("beta", [0.0, 0.1])
@pytest.mark.parametrize("widths", [(8,), (16, 24), (8, 9, 10)])
def test_written_out_gradients_are_those_of_autograd(n: int, beta: float, widths: tuple[int, ...]) -> None:
    net = network(3, widths)
    x, sigma, noise = batch(n, 3)
    expected_loss = objective(net, x, sigma, noise, beta)
    weights = list(net.parameters())
    expected = torch.autograd.grad(expected_loss, weights, allow_unused=True, materialize_grads=True)
    loss = PlainObjective(net, beta)(x, sigma, noise)
    torch.testing.assert_close(loss, expected_loss.detach())
    for weight, gradient in zip(weights, expected, strict=True):
        torch.testing.assert_close(weight.grad, gradient, rtol=1e-9, atol=1e-12)


def test_buffers_do_not_leak_from_one_batch_into_the_next() -> None:
    net = network()
    plain = PlainObjective(net, 0.1)
    for n in (9, 4, 9, 11, 1):
        parts = batch(n, 3)
        got = plain(*parts)
        fresh = [weight.grad.clone() for weight in net.parameters() if weight.grad is not None]
        torch.testing.assert_close(got, PlainObjective(net, 0.1)(*parts), rtol=0, atol=0)
        for weight, gradient in zip(net.parameters(), fresh, strict=True):
            torch.testing.assert_close(weight.grad, gradient, rtol=0, atol=0)


def test_tiles_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    net = network()
    parts = batch(50, 3)
    whole = PlainObjective(net, 0.1)(*parts)
    monkeypatch.setattr("mulde.detector.network._BYTES_A_TILE", 4 * 24 * 7)  # 7 rows of the last layer
    torch.testing.assert_close(PlainObjective(net, 0.1)(*parts), whole, rtol=1e-12, atol=0)


def test_bfloat16_gradients_are_close() -> None:
    net = network(34, (128, 128)).float()
    parts = tuple(part.float() for part in batch(256, 34))
    loss = PlainObjective(net, 0.1)(*parts)
    exact = torch.cat([weight.grad.flatten().clone() for weight in net.parameters()])
    rough_loss = PlainObjective(net, 0.1, "bfloat16")(*parts)
    rough = torch.cat([weight.grad.flatten() for weight in net.parameters()])
    assert rough_loss.item() == pytest.approx(loss.item(), rel=1e-2)
    assert torch.nn.functional.cosine_similarity(rough, exact, dim=0) > 0.999
    assert rough.dtype == torch.float32
