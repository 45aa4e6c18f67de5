"""The coarse density: closed forms for one Gaussian and for any noise, its gradient, and what is far away."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

from mulde.detector import MULDE
from mulde.detector.network import EnergyNetwork
from mulde.detector.objective import PlainObjective, objective
from mulde.detector.smoothed import SmoothedMixture, gather


def mixture(n_features: int = 3, n_centres: int = 5) -> SmoothedMixture:
    generator = torch.Generator().manual_seed(0)
    made = SmoothedMixture(n_centres, n_features)
    made.centres.copy_(torch.randn(n_centres, n_features, generator=generator))
    made.variances.copy_(torch.rand(n_centres, generator=generator) + 0.1)
    made.log_weights.copy_(torch.log_softmax(torch.randn(n_centres, generator=generator), dim=0))
    return made.double()


def batch(n: int, n_features: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x, noise = torch.randn((2, n, n_features), generator=generator, dtype=torch.float64)
    return x, torch.rand((n, 1), generator=generator, dtype=torch.float64) + 0.01, noise


@pytest.mark.parametrize("n", [0, 1, 7])
def test_energy_is_that_of_a_gaussian_mixture(n: int) -> None:
    made, (x, sigma, _) = mixture(), batch(n)
    squares = np.square(x.numpy()[:, None] - made.centres.numpy()).sum(axis=2)
    variances = made.variances.numpy() + sigma.numpy() ** 2
    joint = made.log_weights.numpy() - squares / (2 * variances) - 1.5 * np.log(2 * np.pi * variances)
    np.testing.assert_allclose(made(x, sigma), -logsumexp(joint, axis=1), rtol=1e-9)
    sigmas = torch.tensor([0.02, 1.0], dtype=torch.float64)
    columns = torch.stack([made(x, s.expand(n, 1)) for s in sigmas], dim=1)
    torch.testing.assert_close(made.energies(x, sigmas), columns)


def test_gradient_is_that_of_autograd() -> None:
    made, (x, sigma, _) = mixture(), batch(16)
    at = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(made(at, sigma).sum(), at)
    torch.testing.assert_close(made.gradient(x, sigma), expected, rtol=0, atol=1e-12)


def test_of_one_gaussian_it_is_that_gaussian() -> None:
    rows = np.random.default_rng(0).normal(size=(5000, 2)).astype(np.float32)
    made = SmoothedMixture.fit(rows, 1, seed=0)
    x = torch.tensor([[0.0, 0.0], [1.0, -1.0], [0.0, 8.0]])
    sigma = torch.full((3, 1), 0.5)
    expected = x.square().sum(dim=1) / (2 * 1.25) + math.log(2 * math.pi * 1.25)
    torch.testing.assert_close(made(x, sigma), expected, rtol=0.03, atol=0.05)
    torch.testing.assert_close(made.gradient(x, sigma), x / 1.25, rtol=0.05, atol=0.05)


@pytest.mark.parametrize(
    ("rows", "n_centres"),
    [
        (np.zeros((2, 1)), 1),
        (np.zeros((300, 2)), 1),
        (np.repeat([[0.0], [1.0]], 50, axis=0), 2),
        (np.random.default_rng(0).normal(size=(60, 2)), 6),
        (np.random.default_rng(0).normal(size=(3000, 2)), 8),
    ],
)
def test_there_are_ten_rows_for_each_centre(rows: np.ndarray, n_centres: int) -> None:
    made = SmoothedMixture.fit(rows.astype(np.float32), 8, seed=0)
    assert len(made.centres) == n_centres
    assert made.log_weights.exp().sum() == pytest.approx(1)
    assert torch.isfinite(made(torch.from_numpy(rows).float(), torch.full((len(rows), 1), 0.02))).all()


def test_near_rows_keep_their_distance_far_from_the_origin() -> None:
    made = SmoothedMixture(1, 64)
    made.centres.fill_(1000.0)
    made.variances.fill_(1e-6)
    x = made.centres + 0.001
    sigma = torch.zeros(1, 1)
    nearer = made(made.centres, sigma)
    torch.testing.assert_close(made(x, sigma) - nearer, torch.tensor([32.0]), rtol=0.07, atol=0)


def test_energy_never_stops_growing_with_the_distance() -> None:
    x = np.random.default_rng(0).normal(size=(2000, 3))
    detector = MULDE(widths=(16, 16), max_steps=30, device="cpu", random_state=0).fit(x)
    direction = np.array([1.0, -1.0, 0.5])
    scores = detector.anomaly_score(np.outer([0, 2, 4, 10, 100, 1e4, 1e6], direction))
    assert (np.diff(scores) > 0).all()


@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_step_that_is_written_out_has_the_loss_and_gradients_of_autograd(beta: float) -> None:
    generator = torch.Generator().manual_seed(0)
    net = EnergyNetwork(3, (16, 24), generator=generator, coarse=mixture()).double()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=generator)
    x, sigma, noise = batch(32)
    loss = objective(net, x, sigma, noise, beta)
    expected = torch.autograd.grad(loss, list(net.parameters()), materialize_grads=True)
    got = PlainObjective(net, beta)(x, sigma, noise)
    torch.testing.assert_close(got, loss)
    for parameter, grad in zip(net.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("layer_norm", [False, True])
def test_gradient_of_the_whole_is_that_of_autograd(layer_norm: bool) -> None:
    net = EnergyNetwork(3, (16,), layer_norm=layer_norm, coarse=mixture()).double()
    torch.nn.init.ones_(net.out.weight)
    x, sigma, _ = batch(16)
    at = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(net(at, sigma).sum(), at)
    torch.testing.assert_close(net.gradient(x, sigma), expected, rtol=0, atol=1e-12)
    sigmas = torch.tensor([0.02, 1.0], dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(net.energies(x, sigmas)[:, 1], net(x, torch.ones_like(sigma)))


def test_without_centres_it_is_the_network_alone() -> None:
    x = np.random.default_rng(0).normal(size=(300, 3))
    detector = MULDE(n_centres=0, widths=(8,), max_steps=2, device="cpu", random_state=0).fit(x)
    assert detector.network_.coarse is None


def test_modes_that_a_small_network_does_not_tell_apart() -> None:
    rng = np.random.default_rng(0)
    modes = np.array([(i, j) for i in range(4) for j in range(4)], float)
    x = modes[rng.integers(0, 16, 4000)] + rng.normal(scale=0.03, size=(4000, 2))
    detector = MULDE(widths=(16, 16), max_steps=50, device="cpu", random_state=0).fit(x)
    assert detector.anomaly_score(x[:500]).max() < detector.anomaly_score(modes[:1] + 0.5)[0]


def test_rows_are_gathered_until_there_are_enough() -> None:
    parts = [torch.full((10, 1), float(i)) for i in range(5)]
    assert gather(parts[:1], 25).shape == (10, 1)
    assert gather(parts, 25)[:, 0].tolist() == [0.0] * 10 + [1.0] * 10 + [2.0] * 10
