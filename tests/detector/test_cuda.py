"""The detector on a GPU: the same objective, the same scores as on a processor, and resumption."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from mulde.detector import MULDE, Look
from mulde.detector.network import EnergyNetwork
from mulde.detector.objective import PlainObjective, objective

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU"),
]


SMALL = {"widths": (64, 64), "max_steps": 60, "batch_size": 256, "n_scales": 5, "random_state": 0}


@pytest.fixture(scope="module")
def normal_rows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2000, 3)) * [1, 10, 0.1] + [0, 100, -5]


def test_scores_are_those_of_a_processor(normal_rows: np.ndarray, tmp_path: Path) -> None:
    fitted = MULDE(**SMALL, device="cuda").fit(normal_rows)
    assert fitted.network_.out.weight.is_cuda
    fitted.save(tmp_path / "model.safetensors")
    moved = MULDE.load(tmp_path / "model.safetensors", device="cpu")
    assert not moved.network_.out.weight.is_cuda
    assert_allclose(moved.anomaly_score(normal_rows), fitted.anomaly_score(normal_rows), rtol=1e-3, atol=1e-3)


def test_the_default_tells_outliers_apart(normal_rows: np.ndarray) -> None:
    fitted = MULDE(random_state=0, device="cuda", max_steps=200).fit(normal_rows)
    far = normal_rows + np.array([8, 80, 0.8])
    assert (fitted.anomaly_score(far).min()) > np.quantile(fitted.anomaly_score(normal_rows), 0.99)


@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_written_gradients_are_those_of_autograd(beta: float) -> None:
    network = EnergyNetwork(3, (16, 16), generator=torch.Generator().manual_seed(0)).double().cuda()
    x, noise = torch.randn(2, 40, 3, dtype=torch.float64, device="cuda")
    sigma = torch.rand(40, 1, dtype=torch.float64, device="cuda") + 0.01
    expected = torch.autograd.grad(
        objective(network, x, sigma, noise, beta), list(network.parameters()), allow_unused=True
    )
    PlainObjective(network, beta)(x, sigma, noise)
    for weight, gradient in zip(network.parameters(), expected, strict=True):
        assert weight.grad is not None
        wanted = torch.zeros_like(weight) if gradient is None else gradient
        torch.testing.assert_close(weight.grad, wanted)


def test_bfloat16_learns_what_float32_learns(normal_rows: np.ndarray) -> None:
    losses = [
        MULDE(**SMALL, device="cuda", precision=precision).fit(normal_rows).held_out_losses_[:, 1].min()
        for precision in ("float32", "bfloat16")
    ]
    assert losses[1] == pytest.approx(losses[0], abs=0.02)


def test_interrupted_training_goes_on(
    normal_rows: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mulde.detector.mulde.SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    checkpoint = tmp_path / "checkpoint"

    class StoppedError(Exception):
        pass

    def stop(look: Look) -> None:
        if look.step >= 50:
            raise StoppedError

    with pytest.raises(StoppedError):
        MULDE(**SMALL, device="cuda", checkpoint=checkpoint, progress=stop).fit(normal_rows)
    assert checkpoint.exists()
    resumed = MULDE(**SMALL, device="cuda", checkpoint=checkpoint).fit(normal_rows)
    whole = MULDE(**SMALL, device="cuda").fit(normal_rows)
    assert_allclose(
        resumed.anomaly_score(normal_rows), whole.anomaly_score(normal_rows), rtol=1e-3, atol=1e-3
    )
