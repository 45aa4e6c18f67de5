import numpy as np
import pytest
import torch

from mulde.detector import MSMA, MULDE, SingleScale

SMALL = {"widths": (32, 32), "max_steps": 30, "device": "cpu", "random_state": 0}


@pytest.mark.parametrize("layer_norm", [False, True])
def test_norms_are_those_of_the_gradient(rows: np.ndarray, layer_norm: bool) -> None:
    detector = MSMA(**SMALL, n_scales=3, layer_norm=layer_norm).fit(rows)
    x = torch.from_numpy(detector.standardisation_(rows))
    for column, sigma in enumerate(detector.sigmas_):
        x = x.detach().requires_grad_()
        detector.network_(x, torch.full((len(x), 1), sigma, dtype=torch.float32)).sum().backward()
        norms = sigma * x.grad.norm(dim=1)
        np.testing.assert_allclose(detector.score_norms(rows)[:, column], norms.numpy(), rtol=1e-4, atol=1e-6)
        x.grad = None


def test_network_is_that_of_mulde(rows: np.ndarray) -> None:
    ours, theirs = MSMA(**SMALL).fit(rows), MULDE(**SMALL).fit(rows)
    np.testing.assert_array_equal(ours.energies(rows), theirs.energies(rows))


def test_norm_of_a_gaussian_is_known() -> None:
    # x ~ N(0, 1) smoothed with σ = 1 has the score -x / 2
    rows = np.random.default_rng(0).normal(size=(4000, 1))
    detector = MSMA(
        widths=(64, 64), max_steps=400, sigma_low=0.1, sigma_high=1.0, beta=0.0, aggregation="largest",
        device="cpu", random_state=0,
    ).fit(rows)  # fmt: skip
    x = np.linspace(-1.5, 1.5, 21)[:, None]
    np.testing.assert_allclose(detector.anomaly_score(x), np.abs(x[:, 0]) / 2, atol=0.1)


def test_single_scale_knows_one_scale(rows: np.ndarray) -> None:
    detector = SingleScale(**SMALL, sigma=0.3).fit(rows)
    np.testing.assert_array_equal(detector.sigmas_, [0.3])
    np.testing.assert_array_equal(detector.anomaly_score(rows), detector.energies(rows)[:, 0])
    assert detector.set_params(sigma=0.5).fit(rows).sigmas_ == [0.5]


def test_single_scale_is_mulde_at_one_scale_bit_for_bit(rows: np.ndarray) -> None:
    single = SingleScale(**SMALL, sigma=0.3).fit(rows)
    twin = MULDE(**SMALL, sigma_low=0.3, sigma_high=0.3, n_scales=1, aggregation="largest").fit(rows)
    np.testing.assert_array_equal(single.anomaly_score(rows), twin.anomaly_score(rows))


@pytest.mark.parametrize("name", ["n_scales", "sigma_low", "aggregation", "n_components", "nothing"])
def test_single_scale_takes_no_argument_of_many_scales(name: str) -> None:
    with pytest.raises(TypeError, match=name):
        SingleScale(**{name: 1})
