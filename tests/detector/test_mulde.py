import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.utils.estimator_checks import parametrize_with_checks

from mulde.detector import MULDE, Look, Mahalanobis
from mulde.detector.aggregation import AGGREGATIONS
from mulde.detector.mulde import suitable_widths

Small = Callable[..., MULDE]


@parametrize_with_checks([MULDE(widths=(8, 8), max_steps=5, n_scales=4, device="cpu", random_state=0)])
def test_scikit_learn_contract(estimator: MULDE, check: Callable[[MULDE], None]) -> None:
    check(estimator)


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import mulde.detector, sys; print(sorted({'torch', 'sklearn', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"[]\n"


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((0, 3)), "0 sample"),
        (np.zeros((1, 3)), "1 sample"),
        (np.zeros((5, 0)), "0 feature"),
        (np.zeros(5), "1D array"),
        ([[0, 1], [2, 1e200]], r"features reach 1e\+200, too large"),
        ([[0, 1], [2, np.nan]], "features hold NaN in row 1, column 1"),
        ([[0, 1], [-np.inf, np.nan]], r"features hold infinity \(inf\) in row 1, column 0 \(2 such values\)"),
    ],
)
def test_fit_refuses(small: Small, X: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small().fit(X)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((0, 3)), "0 sample"),
        ([[0, 1, np.nan]], "features hold NaN in row 0, column 2"),
        (
            np.zeros((2, 512)),
            "features have 512 columns, but this detector was fitted on 3: was another extractor used?",
        ),
    ],
)
@pytest.mark.parametrize("method", ["score_samples", "anomaly_score", "predict", "energies"])
def test_scoring_refuses(fitted: MULDE, method: str, X: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(fitted, method)(X)


@pytest.mark.parametrize(
    "change",
    [
        {"widths": ()},
        {"widths": (0,)},
        {"dropout": 1.0},
        {"sigma_low": 0.0},
        {"sigma_low": 2.0},
        {"n_scales": 0},
        {"beta": -1.0},
        {"learning_rate": 0.0},
        {"batch_size": 0},
        {"epochs": 0},
        {"max_steps": 0},
        {"lr_decay": 0.0},
        {"ema_decay": 1.0},
        {"aggregation": "average"},
        {"n_components": 0},
        {"contamination": 0.0},
        {"device": "gpu"},
        {"device": "cuda:99"},
    ],
)
def test_bad_arguments_are_named(small: Small, rows: np.ndarray, change: dict[str, object]) -> None:
    (name,) = change
    with pytest.raises(ValueError, match=f"^{name} is .*(but must be|GPUs here)"):
        small(**change).fit(rows)


@pytest.mark.parametrize(
    "X",
    [
        np.zeros((2, 1)),
        np.ones((40, 3)),  # constant features, one distinct row
        np.repeat([[1.0, 2.0], [3.0, 4.0]], 20, axis=0),
        np.c_[np.arange(10.0), np.full(10, 7.0)],
        np.random.default_rng(0).normal(size=(3, 4096)),
        np.random.default_rng(0).normal(size=(50, 3)).astype(np.float16),
        np.random.default_rng(0).integers(0, 9, (50, 3)),
        1e15 + np.random.default_rng(0).normal(size=(50, 2)),
    ],
    ids=["two zeros", "constant", "duplicates", "a constant feature", "d=4096", "float16", "int", "offset"],
)
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_poor_rows_give_finite_scores(small: Small, aggregation: str, X: np.ndarray) -> None:
    detector = small(aggregation=aggregation, max_steps=3).fit(X)
    for test in (X, X + 1, X - 1000):
        assert np.isfinite(detector.score_samples(test)).all()


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("distance", [1e6, 1e30, 1e300])
def test_the_furthest_outliers_have_large_finite_scores(
    small: Small, rows: np.ndarray, aggregation: str, distance: float
) -> None:
    detector = small(aggregation=aggregation, max_steps=150).fit(rows)
    outliers = detector.mean_ + distance * np.array([[1, 0, 0], [0, -1, 0], [-1, 1, 1]])
    scores = detector.anomaly_score(outliers)
    assert np.isfinite(scores).all()
    assert (scores > 10 * np.abs(detector.anomaly_score(rows)).max()).all()


def test_score_grows_with_distance(small: Small, rows: np.ndarray) -> None:
    detector = small(max_steps=200).fit(rows)
    directions = np.random.default_rng(1).normal(size=(50, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    distances = np.array([3, 5, 10, 30, 100, 1e4, 1e6])[:, None, None]
    far = detector.mean_ + distances * directions * detector.scale_  # (distances, directions, d)
    scores = detector.anomaly_score(far.reshape(-1, 3)).reshape(len(distances), -1)
    assert (np.diff(scores, axis=0) > 0).all()


def test_outliers_are_found(small: Small) -> None:
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(2000, 8))
    detector = small(max_steps=100, contamination=0.05).fit(normal)
    test = np.r_[rng.normal(size=(500, 8)), 2 * rng.normal(size=(500, 8))]
    assert roc_auc_score(np.repeat([0, 1], 500), detector.anomaly_score(test)) > 0.85
    assert np.mean(detector.predict(normal) == -1) == pytest.approx(0.05, abs=0.001)


def test_all_scores_say_the_same(fitted: MULDE, rows: np.ndarray) -> None:
    score = fitted.score_samples(rows)
    np.testing.assert_array_equal(fitted.anomaly_score(rows), -score)
    np.testing.assert_array_equal(fitted.decision_function(rows), score - fitted.offset_)
    np.testing.assert_array_equal(fitted.predict(rows) == -1, score < fitted.offset_)
    assert fitted.energies(rows).shape == (300, 5)


def test_standardisation_makes_position_and_unit_irrelevant(small: Small, rows: np.ndarray) -> None:
    moved = rows * [2.0, 4.0, 0.5] + [64.0, -32.0, 8.0]
    expected = small().fit(rows).anomaly_score(rows)
    np.testing.assert_allclose(small().fit(moved).anomaly_score(moved), expected, rtol=1e-3, atol=1e-4)


def test_same_seed_same_bits_whatever_the_global_state(small: Small, rows: np.ndarray) -> None:
    options = {"dropout": 0.2, "ema_decay": 0.9, "aggregation": "gmm"}
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    states = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    first = small(**options).fit(rows).anomaly_score(rows)
    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002
    np.testing.assert_array_equal(small(**options).fit(rows).anomaly_score(rows), first)


def test_another_seed_other_bits(small: Small, rows: np.ndarray, fitted: MULDE) -> None:
    assert (small(random_state=1).fit(rows).energies(rows) != fitted.energies(rows)).any()


@pytest.mark.parametrize("size", [1, 7, 100])
def test_scores_do_not_depend_on_the_rows_beside(fitted: MULDE, rows: np.ndarray, size: int) -> None:
    parts = [fitted.anomaly_score(rows[i : i + size]) for i in range(0, len(rows), size)]
    np.testing.assert_allclose(np.concatenate(parts), fitted.anomaly_score(rows), rtol=0, atol=1e-6)


def test_scores_do_not_depend_on_order(fitted: MULDE, rows: np.ndarray) -> None:
    order = np.random.default_rng(0).permutation(len(rows))
    np.testing.assert_allclose(
        fitted.anomaly_score(rows[order]), fitted.anomaly_score(rows)[order], rtol=0, atol=1e-6
    )


def test_more_rows_than_one_pass(fitted: MULDE, rows: np.ndarray) -> None:
    many = np.tile(rows, (20, 1))
    np.testing.assert_allclose(
        fitted.anomaly_score(many), np.tile(fitted.anomaly_score(rows), 20), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("layer_norm", [False, True])
def test_a_loaded_detector_scores_the_same_bits(
    small: Small, rows: np.ndarray, tmp_path: Path, aggregation: str, layer_norm: bool
) -> None:
    detector = small(aggregation=aggregation, layer_norm=layer_norm, progress=print).fit(rows)
    detector.save(tmp_path, description={"stream": "velocity"}, provenance={"videos": 16})
    loaded = MULDE.load(tmp_path, expect={"stream": "velocity"}, device="cpu")
    np.testing.assert_array_equal(loaded.score_samples(rows), detector.score_samples(rows))
    np.testing.assert_array_equal(loaded.predict(rows), detector.predict(rows))
    np.testing.assert_array_equal(loaded.losses_, detector.losses_)
    ours, theirs = loaded.get_params(), detector.get_params()
    assert ours.pop("progress") is None
    assert theirs.pop("progress") is print
    assert ours == theirs


def test_a_loaded_detector_knows_its_columns(rows: np.ndarray, tmp_path: Path, small) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    table = pandas.DataFrame(rows, columns=["x", "y", "z"])
    detector = small().fit(table)
    detector.save(tmp_path, provenance={"feature_names": "of somebody else"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = MULDE.load(tmp_path, device="cpu")
        np.testing.assert_array_equal(loaded.score_samples(table), detector.score_samples(table))
    with pytest.raises(ValueError, match="feature names should match"):
        loaded.score_samples(table[["y", "x", "z"]])


def test_loading_refuses_other_features_and_other_kinds(fitted: MULDE, tmp_path: Path) -> None:
    class Other(MULDE):
        pass

    fitted.save(tmp_path, description={"stream": "velocity"})
    with pytest.raises(ValueError, match="fitted on stream 'velocity', but was given stream 'pose'"):
        MULDE.load(tmp_path, expect={"stream": "pose"})
    with pytest.raises(ValueError, match="holds a MULDE, not a Other"):
        Other.load(tmp_path)


def test_clone_and_pickle(fitted: MULDE, rows: np.ndarray) -> None:
    assert not hasattr(clone(fitted), "network_")
    copied = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copied.score_samples(rows), fitted.score_samples(rows))


def test_progress_survives_clone_and_is_called(small: Small, rows: np.ndarray) -> None:
    looks: list[Look] = []
    clone(small(progress=looks.append)).fit(rows)
    assert (looks[-1].step, looks[-1].n_steps) == (30, 30)


class Pieces:
    """Rows that can only be read piece by piece."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values
        self.largest_read = 0

    @property
    def shape(self) -> tuple[int, int]:
        return self._values.shape  # type: ignore[return-value]

    def read(self, start: int, stop: int) -> np.ndarray:
        self.largest_read = max(self.largest_read, stop - start)
        return self._values[start:stop].astype(np.float32)


def test_rows_that_are_streamed_teach_the_same() -> None:
    rng = np.random.default_rng(0)
    x = (rng.choice([-2, 2], (80_000, 1)) + 0.5 * rng.normal(size=(80_000, 2))) * [1, 100]
    groups = np.repeat(np.arange(16), 5000)
    settings = {"widths": (64, 64), "max_steps": 150, "device": "cpu", "random_state": 0}
    pieces = Pieces(x)
    streamed = MULDE(**settings).fit(pieces, groups=groups)
    whole = MULDE(**settings).fit(x.astype(np.float32), groups=groups)
    assert pieces.largest_read <= 65_536
    np.testing.assert_allclose(streamed.mean_, whole.mean_, rtol=1e-5)
    assert streamed.held_out_losses_[-1, 1] == pytest.approx(whole.held_out_losses_[-1, 1], rel=0.02)
    points = rng.uniform(-4, 4, (500, 2)) * [1, 100]
    correlation = np.corrcoef(streamed.anomaly_score(points), whole.anomaly_score(points))[0, 1]
    assert correlation > 0.98


def test_streamed_rows_must_be_finite() -> None:
    x = np.zeros((70_000, 2))
    x[69_999, 1] = np.nan
    with pytest.raises(ValueError, match="row 69999, column 1"):
        MULDE(widths=(8,), max_steps=2).fit(Pieces(x))


@pytest.mark.parametrize("groups", [[0, 1], np.zeros((300, 1)), np.zeros(299)])
def test_groups_must_fit_the_rows(small: Small, rows: np.ndarray, groups: object) -> None:
    with pytest.raises(ValueError, match=r"groups have shape .* but there are 300 rows"):
        small().fit(rows, groups=groups)


def test_held_out_groups_are_not_learnt_from(small: Small) -> None:
    # Whatever group is held out, its rows lie where no other has any: what is learnt differs by the draw
    x = np.repeat(np.arange(10.0)[:, None], 30, axis=0) + 0.01 * np.random.default_rng(0).normal(
        size=(300, 1)
    )
    losses = {
        float(small(random_state=seed).fit(x, groups=np.repeat(np.arange(10), 30)).held_out_losses_[-1, 1])
        for seed in range(3)
    }
    assert len(losses) == 3


@pytest.mark.parametrize(
    ("n_features", "device", "expected"),
    [
        (1, "cpu", 64),
        (8, "cpu", 64),
        (9, "cpu", 256),
        (64, "cpu", 256),
        (65, "cpu", 512),
        (4096, "cpu", 1024),
        (2, "cuda", 4096),
    ],
)
def test_suitable_widths(n_features: int, device: str, expected: int) -> None:
    assert suitable_widths(n_features, torch.device(device)) == (expected, expected)


@pytest.mark.parametrize("n_features", [1, 34, 4096])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int16])
def test_any_width_and_number_type(n_features: int, dtype: type) -> None:
    x = (10 * np.random.default_rng(0).normal(size=(60, n_features))).astype(dtype)
    scores = MULDE(max_steps=3, widths=(32,), random_state=0, device="cpu").fit(x).anomaly_score(x)
    assert np.isfinite(scores).all()


def test_score_is_the_mean_log_likelihood(fitted: MULDE, rows: np.ndarray) -> None:
    assert fitted.score(rows) == pytest.approx(-fitted.anomaly_score(rows).mean())
    assert fitted.score(rows, np.zeros(len(rows))) == fitted.score(rows)


def test_a_grid_search_needs_no_scoring(rows: np.ndarray) -> None:
    detector = Mahalanobis(covariance_floor=1e-3)
    search = GridSearchCV(detector, {"covariance_floor": [1e-3, 1e3]}, cv=3).fit(rows)
    means = search.cv_results_["mean_test_score"]
    folds = KFold(3).split(rows)
    expected = [detector.fit(rows[train]).score(rows[test]) for train, test in folds]
    assert means[0] == pytest.approx(np.mean(expected))
    assert search.best_index_ == int(np.argmax(means))


def test_a_grid_search_over_networks(small: Callable[..., MULDE], rows: np.ndarray) -> None:
    search = GridSearchCV(small(), {"learning_rate": [1e-9, 2e-3]}, cv=2, error_score="raise").fit(rows)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert np.isfinite(search.best_estimator_.anomaly_score(rows)).all()
