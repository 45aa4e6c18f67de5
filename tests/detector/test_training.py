"""What is learnt, against densities whose smoothed form is known."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mulde.detector.batches import RowsInMemory
from mulde.detector.network import EnergyNetwork
from mulde.detector.training import History, Look, Recipe, Trainer, update_average

RECIPE: dict[str, Any] = {
    "beta": 0.0,
    "sigma_low": 1e-3,
    "sigma_high": 1.0,
    "learning_rate": 2e-3,
    "batch_size": 512,
    "epochs": 1000,
    "max_steps": 600,
    "minutes": None,
    "schedule": "constant",
    "lr_decay": 0.5,
    "lr_decay_epochs": 10,
    "ema_decay": 0.99,
    "patience": None,
    "steps_between_looks": 20,
    "precision": "float32",
}
SIGMAS = (0.4, 0.7, 1.0)


def fit(
    x: np.ndarray,
    *,
    held_out: np.ndarray | None = None,
    widths: tuple[int, ...] = (64, 64),
    progress: Callable[[Look], None] | None = None,
    **changes: object,
) -> tuple[EnergyNetwork, History]:
    settings = Recipe(**{**RECIPE, **changes})
    network = EnergyNetwork(x.shape[1], widths, generator=torch.Generator().manual_seed(0))
    rows = RowsInMemory(torch.tensor(x, dtype=torch.float32), settings.batch_size, seed=0)
    judged_by = None if held_out is None else torch.tensor(held_out, dtype=torch.float32)
    return network, Trainer(network, rows, judged_by, settings, 0, progress=progress).run()


def learnt(x: np.ndarray, **changes: object) -> EnergyNetwork:
    return fit(x, **changes)[0]  # type: ignore[arg-type]


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
    ("n_batches", "epochs", "max_steps", "expected"),
    [(1, 3, None, 3), (2, 3, None, 6), (13, 1000, 5, 5), (13, 1, 500, 13)],
)
def test_n_steps(n_batches: int, epochs: int, max_steps: int | None, expected: int) -> None:
    settings = Recipe(**{**RECIPE, "epochs": epochs, "max_steps": max_steps})
    assert settings.n_steps(n_batches) == expected


@pytest.mark.parametrize(
    ("schedule", "epoch", "share_done", "expected"),
    [
        ("constant", 149, 0.9, 1.0),
        ("step", 49, 0.1, 1.0),
        ("step", 50, 0.1, 0.9),
        ("step", 150, 0.1, 0.729),
        ("cosine", 0, 0.0, 1.0),
        ("cosine", 0, 0.5, 0.505),
        ("cosine", 0, 1.0, 0.01),
        ("cosine", 0, 1.5, 0.01),  # a budget of minutes was overdrawn by a step
    ],
)
def test_learning_rate(schedule: str, epoch: int, share_done: float, expected: float) -> None:
    changes = {"learning_rate": 1.0, "lr_decay": 0.9, "lr_decay_epochs": 50, "schedule": schedule}
    settings = Recipe(**{**RECIPE, **changes})
    assert settings.learning_rate_at(epoch, share_done) == pytest.approx(expected)


@pytest.mark.parametrize("n_samples", [1, 5, 17])
def test_a_network_trains_on_few_rows(n_samples: int) -> None:
    x = np.random.default_rng(0).normal(size=(n_samples, 2))
    _, history = fit(x, widths=(8,), batch_size=8, max_steps=9)
    assert history.losses.shape == (9,)
    assert np.isfinite(history.losses).all()


def test_average_of_weights_forgets_the_start_and_stays_within_what_was_seen() -> None:
    network = EnergyNetwork(1, (1,))
    average = copy.deepcopy(network)
    torch.nn.init.constant_(average.out.bias, -1e6)
    for i, value in enumerate([1.0, 2.0] * 100, start=1):
        torch.nn.init.constant_(network.out.bias, value)
        update_average(average, network, 0.9, i)
    assert 1.4 < average.out.bias.item() < 1.6


def test_divergence_is_an_error() -> None:
    x = np.random.default_rng(0).normal(size=(64, 2))
    with pytest.raises(ValueError, match=r"training diverged: the loss is .* lower learning_rate"):
        learnt(x, learning_rate=1e30, max_steps=20)


def test_looks_count_to_the_last_step() -> None:
    looks: list[Look] = []
    x = np.random.default_rng(0).normal(size=(100, 1))
    _, history = fit(x, held_out=x, widths=(8,), max_steps=45, progress=looks.append)
    assert [(look.step, look.n_steps) for look in looks] == [(20, 45), (40, 45), (45, 45)]
    assert looks[-1].loss == pytest.approx(history.losses[40:].mean())
    assert [look.held_out_loss for look in looks] == history.held_out[:, 1].tolist()
    assert looks[-1].seconds_left == 0
    assert looks[0].rows_per_second > 0


def test_training_ends_when_held_out_rows_gain_no_more_and_keeps_the_best_weights() -> None:
    # 20 training rows of a wide distribution are soon learnt by heart
    rng = np.random.default_rng(0)
    x, held_out = rng.normal(size=(20, 8)), rng.normal(size=(1000, 8))
    changes = {"learning_rate": 1e-2, "schedule": "constant", "ema_decay": None, "batch_size": 20}
    network, history = fit(x, held_out=held_out, max_steps=2000, patience=3, **changes)
    n_steps = len(history.losses)
    assert n_steps < 2000
    assert n_steps == history.best_step + 3 * RECIPE["steps_between_looks"]
    best = history.held_out[:, 1].min()
    assert history.held_out[history.held_out[:, 0] == history.best_step, 1] == best
    again, _ = fit(x, held_out=held_out, max_steps=history.best_step, **changes)
    for kept, expected in zip(network.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(kept, expected, rtol=0, atol=0)


def test_held_out_loss_of_known_density() -> None:
    # For x ~ N(0, I) in d dimensions the best loss is d/2 · E[1 / (1 + σ²)]: what noise leaves unexplained
    rng = np.random.default_rng(0)
    x, held_out = rng.normal(size=(20_000, 2)), rng.normal(size=(8000, 2))
    _, history = fit(x, held_out=held_out, max_steps=1000)
    sigma = np.exp(np.linspace(np.log(1e-3), 0, 10_001))
    expected = np.mean(1 / (1 + sigma**2))
    assert history.held_out[-1, 1] == pytest.approx(expected, abs=0.03)


def test_minutes_bound_the_training() -> None:
    x = np.random.default_rng(0).normal(size=(512, 2))
    _, history = fit(x, max_steps=10**6, minutes=0.01)
    assert 1 <= len(history.losses) < 10**5


def test_bfloat16_reaches_the_same_held_out_loss() -> None:
    rng = np.random.default_rng(0)
    x, held_out = rng.normal(size=(5000, 8)) ** 3, rng.normal(size=(2000, 8)) ** 3
    exact, rough = (
        fit(x, held_out=held_out, max_steps=300, precision=p)[1].held_out[-1, 1]
        for p in ("float32", "bfloat16")
    )
    assert rough == pytest.approx(exact, rel=0.01)
