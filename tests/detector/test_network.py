import math

import pytest
import torch
from torch import Tensor

from mulde.detector.network import EnergyNetwork


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


@pytest.mark.parametrize("widths", [(8,), (16, 24), (8, 8, 8)])
@pytest.mark.parametrize("n", [0, 1, 7])
def test_gradient_has_the_shape_of_x(widths: tuple[int, ...], n: int) -> None:
    x, sigma, _ = batch(n, 3)
    assert network(3, widths).gradient(x, sigma).shape == (n, 3)
    assert network(3, widths)(x, sigma).shape == (n,)


@pytest.mark.parametrize(("n_features", "widths"), [(1, (8,)), (3, (16, 24)), (34, (32, 32, 32))])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_gradient_is_that_of_autograd(n_features: int, widths: tuple[int, ...], layer_norm: bool) -> None:
    net = network(n_features, widths, layer_norm=layer_norm)
    x, sigma, _ = batch(16, n_features)
    torch.testing.assert_close(
        net.gradient(x, sigma), gradient_by_autograd(net, x, sigma), rtol=0, atol=1e-12
    )


def test_float32_gradient_is_that_of_autograd_to_1e_5() -> None:
    net = network(34, (256, 256)).float()
    x, sigma, _ = (part.float() for part in batch(64, 34))
    torch.testing.assert_close(net.gradient(x, sigma), gradient_by_autograd(net, x, sigma), rtol=0, atol=1e-5)


def test_energies_are_one_pass_a_scale() -> None:
    net = network()
    x, _, _ = batch(11, 3)
    sigmas = torch.linspace(1e-3, 1, 4, dtype=torch.float64)
    expected = torch.stack([net(x, sigma.expand(11, 1)) for sigma in sigmas], dim=1)
    torch.testing.assert_close(net.energies(x, sigmas), expected)
    with torch.no_grad():
        torch.testing.assert_close(net.energies(x, sigmas), expected)


def test_energies_in_bfloat16_are_close() -> None:
    net = network(34, (256, 256)).float()
    x, _, _ = (part.float() for part in batch(500, 34))
    sigmas = torch.linspace(1e-3, 1, 4)
    with torch.no_grad():
        exact, rough = net.energies(x, sigmas), net.energies(x, sigmas, dtype=torch.bfloat16)
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, rtol=0, atol=0.05 * float(exact.std()))


def test_gelu_is_exact() -> None:
    net = EnergyNetwork(1, (1,)).double()
    with torch.no_grad():
        for weight in net.parameters():
            weight.fill_(1)
    a = 0.7 + 0.2 + 1  # x + σ + bias
    expected = a * 0.5 * (1 + math.erf(a / math.sqrt(2))) + 1
    got = net(torch.tensor([[0.7]], dtype=torch.float64), torch.tensor([[0.2]], dtype=torch.float64))
    assert got.item() == pytest.approx(expected, abs=1e-12)
