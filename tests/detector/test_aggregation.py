import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture

from mulde.detector.aggregation import AGGREGATIONS, explained_variance, fit_aggregation

N_SCALES = 6


def chi_square_energies(n: int, seed: int = 0) -> np.ndarray:
    """Energies (n, L) of 1-d standard normal rows at scales 0 … 1, with a little noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 1))
    return x**2 / 2 / (1 + np.linspace(0, 1, N_SCALES) ** 2) + 1e-3 * rng.normal(size=(n, N_SCALES))


@pytest.fixture(scope="module")
def energies() -> np.ndarray:
    return chi_square_energies(2000)


@pytest.mark.parametrize("kind", AGGREGATIONS)
@pytest.mark.parametrize(
    "training",
    [
        np.zeros((2, N_SCALES)),
        np.tile([[1.0], [2.0]], (3, N_SCALES)),  # duplicates, fewer distinct rows than components
        np.random.default_rng(0).normal(size=(3, 1)),  # one scale
        np.c_[np.zeros(50), np.random.default_rng(0).normal(size=(50, 2))],  # one constant scale
        chi_square_energies(30) * 1e6,
    ],
    ids=["constant", "duplicates", "one scale", "a constant scale", "large"],
)
def test_poor_training_energies_give_finite_scores(kind: str, training: np.ndarray) -> None:
    aggregation = fit_aggregation(kind, training)
    assert aggregation.anomaly_score(training[:0]).shape == (0,)
    for test in (training, training + 1e-9, training - 1e9, training + 1e9):
        assert np.isfinite(aggregation.anomaly_score(test)).all()


@pytest.mark.parametrize("kind", AGGREGATIONS)
def test_rows_far_out_score_higher(kind: str, energies: np.ndarray) -> None:
    aggregation = fit_aggregation(kind, energies)
    normal, wide = aggregation.anomaly_score(energies), aggregation.anomaly_score(energies * 9)
    assert roc_auc_score(np.repeat([0, 1], len(energies)), np.r_[normal, wide]) > 0.7


@pytest.mark.parametrize("kind", [kind for kind in AGGREGATIONS if kind != "gmm_raw"])
def test_score_never_falls_when_all_energies_rise(kind: str, energies: np.ndarray) -> None:
    aggregation = fit_aggregation(kind, energies)
    direction = energies.std(axis=0)
    steps = np.array([-1e6, -100, -1, -0.1, 0, 0.1, 1, 10, 1e3, 1e6])[:, None]
    scores = aggregation.anomaly_score(energies.mean(axis=0) + steps * direction)
    assert (np.diff(scores) >= -1e-9).all()
    assert scores[-1] > scores[-2] > scores[-3]


@pytest.mark.parametrize("kind", AGGREGATIONS)
def test_arrays_rebuild_it(kind: str, energies: np.ndarray) -> None:
    fitted = fit_aggregation(kind, energies)
    rebuilt = AGGREGATIONS[kind](**fitted.arrays())
    np.testing.assert_array_equal(rebuilt.anomaly_score(energies), fitted.anomaly_score(energies))


@pytest.mark.parametrize("kind", AGGREGATIONS)
def test_seed_decides(kind: str, energies: np.ndarray) -> None:
    first, second = (fit_aggregation(kind, energies, seed=3).anomaly_score(energies) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("n_components", [1, 3])
def test_raw_mixture_is_the_log_likelihood_of_scikit_learn(n_components: int, energies: np.ndarray) -> None:
    mixture = GaussianMixture(n_components, reg_covar=1e-6, random_state=5).fit(energies)
    score = fit_aggregation("gmm_raw", energies, n_components=n_components, seed=5).anomaly_score(energies)
    np.testing.assert_allclose(score, -mixture.score_samples(energies), rtol=1e-6)


def test_one_sided_mixture_is_two_sided_above_and_flat_below() -> None:
    training = np.random.default_rng(0).normal(size=(500, 1))
    aggregation = fit_aggregation("gmm", training, n_components=1)
    mean, variance = training.mean(), training.var()
    scale = np.sqrt(variance)  # the mixture sees whitened energies
    above = -multivariate_normal(0, 1.001).logpdf((np.array([1.0, 3.0]) - mean) / scale)
    np.testing.assert_allclose(aggregation.anomaly_score(np.array([[1.0], [3.0]])), above, rtol=1e-3)
    flat = aggregation.anomaly_score(np.array([[-1.0], [-50.0]]))
    np.testing.assert_allclose(flat, -multivariate_normal(0, 1.001).logpdf(0), rtol=1e-3)


@pytest.mark.parametrize(
    ("kind", "expected"), [("max", [2, 6]), ("mean", [2 / 3, 0]), ("median", [0, -2]), ("largest", [0, -10])]
)
def test_statistics_over_scales(kind: str, expected: list[float]) -> None:
    signs = np.array([[-1, -1, -1], [1, 1, 1], [-1, 1, -1], [1, -1, 1]])
    training = signs * [1, 2, 10]  # mean 0, standard deviations 1, 2 and 10: the middle one is the unit
    scores = fit_aggregation(kind, training).anomaly_score(np.array([[1.0, 0, 0], [3.0, -4, -10]]))
    np.testing.assert_allclose(scores, expected, atol=1e-12)


def test_explained_variance_by_hand() -> None:
    a, b = np.array([-1.0, -1, 1, 1]), np.array([-1.0, 1, -1, 1])  # uncorrelated, variance 1
    # Two copies of 2a hold 8 of the variance 9, b holds 1, a constant none.
    np.testing.assert_allclose(explained_variance(np.c_[2 * a, 2 * a, b, 0 * a]), [8 / 9, 8 / 9, 1 / 9, 0])


@pytest.mark.parametrize(
    ("strength_at_scale", "expected"),
    [
        ([1, 1, 1, 1, 1, 1], 5),  # all scales agree: the coarsest
        ([0, 1, 1, 1, 1, 1], 5),
        ([1, 1, 1, 1, 0, 0], 3),  # the two coarsest are blind to the structure
        ([0, 0, 0, 0, 0, 0], 5),
    ],
)
def test_default_takes_the_coarsest_scale_that_sees_the_structure(
    strength_at_scale: list[float], expected: int
) -> None:
    rng = np.random.default_rng(0)
    energies = rng.normal(size=(500, 1)) * strength_at_scale + 1e-3 * rng.normal(size=(500, 6))
    if not any(strength_at_scale):
        energies[:] = 0
    scores = fit_aggregation("resolved", energies).anomaly_score(energies)
    np.testing.assert_array_equal(scores, energies[:, expected])


def test_unknown_kind_names_the_known() -> None:
    with pytest.raises(ValueError, match="aggregation is 'gnm', but must be one of resolved, gmm"):
        fit_aggregation("gnm", np.zeros((2, 2)))


@pytest.mark.parametrize("kind, expected", [
    ("median", [0, 2]),
    ("mean", [0, 2]),
    ("max", [0, 2]),
    ("largest", [2, 2]),
    ("resolved", [2, 2]),
    ("gmm", None),
    ("gmm_raw", None),
])  # fmt: skip
def test_the_scale_at_which_a_row_is_most_unusual(kind: str, expected: list[int] | None) -> None:
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(500, 1)) * [1.0, 2.0, 3.0] + rng.normal(size=(500, 3)) * 0.01
    energies = np.array([[9.0, 4.0, 3.0], [0.0, 0.0, 27.0]])  # in spreads: 9, 2, 1 and 0, 0, 9
    found = fit_aggregation(kind, normal).deciding_scale(energies)
    assert (None if found is None else found.tolist()) == expected
