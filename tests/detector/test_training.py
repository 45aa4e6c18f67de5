"""What is learnt, against densities whose smoothed form is known."""

import numpy as np
import pytest
import torch

from mulde.detector.network import EnergyNetwork
from mulde.detector.training import TrainingSettings, WeightAverage, train

RECIPE = {
    "beta": 0.0,
    "sigma_low": 1e-3,
    "sigma_high": 1.0,
    "learning_rate": 2e-3,
    "batch_size": 512,
    "epochs": 1000,
    "max_steps": 600,
    "lr_decay": 0.5,
    "lr_decay_epochs": 10,
    "ema_decay": 0.99,
}
SIGMAS = (0.4, 0.7, 1.0)


def learnt(x: np.ndarray, **changes: object) -> EnergyNetwork:
    generator = torch.Generator().manual_seed(0)
    network = EnergyNetwork(x.shape[1], (64, 64), generator=generator)
    train(network, torch.tensor(x, dtype=torch.float32), TrainingSettings(**{**RECIPE, **changes}), generator)
    return network


def gradient(network: EnergyNetwork, x: np.ndarray, sigma: float) -> np.ndarray:
    points = torch.tensor(x, dtype=torch.float32)
    return network.gradient(points, torch.full((len(x), 1), sigma)).detach().numpy()


def energy(network: EnergyNetwork, x: np.ndarray, sigma: float) -> np.ndarray:
    points = torch.tensor(x, dtype=torch.float32)
    return network(points, torch.full((len(x), 1), sigma)).detach().numpy()


@pytest.fixture(scope="module")
def gaussian() -> EnergyNetwork:
    return learnt(np.random.default_rng(0).normal(size=(20_000, 2)))


@pytest.fixture(scope="module")
def two_modes() -> EnergyNetwork:
    rng = np.random.default_rng(0)
    return learnt((rng.choice([-1, 1], 20_000) + 0.3 * rng.normal(size=20_000))[:, None])


def negative_log_two_modes(x: np.ndarray, sigma: float) -> np.ndarray:
    variance = 0.3**2 + sigma**2
    return -np.logaddexp(-((x - 1) ** 2) / 2 / variance, -((x + 1) ** 2) / 2 / variance)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_gradient_on_gaussian_rows(gaussian: EnergyNetwork, sigma: float) -> None:
    points = np.random.default_rng(1).uniform(-1.5, 1.5, (200, 2))
    error = gradient(gaussian, points, sigma) - points / (1 + sigma**2)
    assert np.sqrt(np.square(error).mean()) < 0.1


@pytest.mark.parametrize("sigma", SIGMAS)
def test_energy_difference_on_gaussian_rows(gaussian: EnergyNetwork, sigma: float) -> None:
    points = np.array([[0, 0], [1, 0], [0, -1.5], [1.2, 1.2]])
    expected = np.square(points).sum(axis=1) / 2 / (1 + sigma**2)
    got = energy(gaussian, points, sigma)
    np.testing.assert_allclose(got - got[0], expected - expected[0], atol=0.12)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_energy_difference_on_two_modes(two_modes: EnergyNetwork, sigma: float) -> None:
    x = np.linspace(-1.5, 1.5, 31)
    got, expected = energy(two_modes, x[:, None], sigma), negative_log_two_modes(x, sigma)
    np.testing.assert_allclose(got - got.mean(), expected - expected.mean(), atol=0.15)


def test_regulariser_keeps_energies_near_zero() -> None:
    x = np.random.default_rng(0).normal(size=(2000, 2))
    free, held = (energy(learnt(x, beta=beta, max_steps=200), x, 0.5) for beta in (0.0, 1.0))
    assert np.square(held).mean() < np.square(free).mean()


@pytest.mark.parametrize(
    ("n_samples", "batch_size", "epochs", "max_steps", "expected"),
    [(1, 8, 3, None, 3), (8, 8, 3, None, 3), (9, 8, 3, None, 6), (100, 8, 1000, 5, 5), (100, 8, 1, 500, 13)],
)
def test_n_steps(n_samples: int, batch_size: int, epochs: int, max_steps: int | None, expected: int) -> None:
    changes = {"batch_size": batch_size, "epochs": epochs, "max_steps": max_steps}
    assert TrainingSettings(**{**RECIPE, **changes}).n_steps(n_samples) == expected


@pytest.mark.parametrize(("epoch", "expected"), [(0, 1.0), (49, 1.0), (50, 0.9), (149, 0.81), (150, 0.729)])
def test_learning_rate_decays_in_steps(epoch: int, expected: float) -> None:
    changes = {"learning_rate": 1.0, "lr_decay": 0.9, "lr_decay_epochs": 50}
    assert TrainingSettings(**{**RECIPE, **changes}).learning_rate_in(epoch) == pytest.approx(expected)


@pytest.mark.parametrize("n_samples", [1, 5, 17])
def test_a_network_trains_on_few_rows(n_samples: int) -> None:
    generator = torch.Generator().manual_seed(0)
    network = EnergyNetwork(2, (8,), generator=generator)
    x = torch.randn((n_samples, 2), generator=generator)
    losses = train(network, x, TrainingSettings(**{**RECIPE, "batch_size": 8, "max_steps": 9}), generator)
    assert losses.shape == (9,)
    assert losses.isfinite().all()


def test_average_of_weights_forgets_the_start_and_stays_within_what_was_seen() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(network.weight, -1e6)
    average = WeightAverage(network, decay=0.9)
    for value in [1.0, 2.0] * 100:
        torch.nn.init.constant_(network.weight, value)
        average.update(network)
    average.copy_to(network)
    assert 1.4 < network.weight.item() < 1.6


def test_divergence_is_an_error() -> None:
    x = np.random.default_rng(0).normal(size=(64, 2))
    with pytest.raises(ValueError, match=r"training diverged: the loss is .* lower learning_rate"):
        learnt(x, learning_rate=1e30, max_steps=20)


def test_progress_counts_to_the_last_step() -> None:
    calls: list[tuple[int, int, float]] = []
    generator = torch.Generator().manual_seed(0)
    network = EnergyNetwork(1, (8,), generator=generator)
    settings = TrainingSettings(**{**RECIPE, "max_steps": 45})
    losses = train(network, torch.zeros(4, 1), settings, generator, lambda *call: calls.append(call))
    assert [call[:2] for call in calls] == [(20, 45), (40, 45), (45, 45)]
    assert calls[-1][2] == pytest.approx(losses[-1].item())
