import inspect
import pickle
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from mulde.detector import DETECTORS, MULDE, PAPER, Detector, load_detector
from mulde.detector.base import RowsOfArray
from mulde.detector.rows import iterate
from mulde.detector.settings import SETTINGS

QUICK = {"widths": (16, 16), "max_steps": 20, "device": "cpu"}


def build(kind: str, **changes: Any) -> Detector:
    """A detector of a kind that is fitted in a fraction of a second."""
    network = QUICK if "widths" in DETECTORS[kind]._get_param_names() else {}
    return DETECTORS[kind](**{**network, "random_state": 0, **changes})


@parametrize_with_checks([build(kind) for kind in DETECTORS if kind != "mulde"])
def test_scikit_learn_contract(estimator: Detector, check: Callable[[Detector], None]) -> None:
    check(estimator)


@pytest.mark.parametrize("kind", DETECTORS)
def test_settings_are_arguments_with_the_same_defaults(kind: str) -> None:
    arguments = inspect.signature(DETECTORS[kind]).parameters
    for field in fields(SETTINGS[kind]):
        assert arguments[field.name].default == field.default


def test_every_kind_has_settings() -> None:
    assert list(SETTINGS) == list(DETECTORS)
    assert PAPER.keys() <= {field.name for field in fields(SETTINGS["mulde"])}


@pytest.mark.parametrize("kind", DETECTORS)
def test_a_detector_of_any_kind_is_loaded(kind: str, rows: np.ndarray, tmp_path: Path) -> None:
    detector = build(kind, n_whitened=2).fit(rows)
    detector.save(tmp_path, description={"stream": "velocity"})
    loaded = load_detector(tmp_path, expect={"stream": "velocity"}, device="cpu")
    assert type(loaded) is type(detector)
    for other in (loaded, pickle.loads(pickle.dumps(detector))):
        np.testing.assert_array_equal(other.anomaly_score(rows), detector.anomaly_score(rows))
        assert other.offset_ == detector.offset_


def test_loading_refuses_other_features_and_unknown_kinds(rows: np.ndarray, tmp_path: Path) -> None:
    class Other(MULDE):
        pass

    Other(**QUICK).fit(rows).save(tmp_path, description={"stream": "velocity"})
    with pytest.raises(ValueError, match="fitted on stream 'velocity', but was given stream 'pose'"):
        load_detector(tmp_path, expect={"stream": "pose"})
    with pytest.raises(ValueError, match="holds a Other, but known are MULDE, MSMA"):
        load_detector(tmp_path)


@pytest.mark.parametrize("kind", DETECTORS)
@pytest.mark.parametrize(
    "X",
    [
        np.zeros((2, 1)),
        np.ones((40, 3)),
        np.repeat([[1.0, 2.0], [3.0, 4.0]], 20, axis=0),
        np.c_[np.arange(10.0), np.full(10, 7.0)],
        np.random.default_rng(0).normal(size=(3, 300)),
        np.random.default_rng(0).normal(size=(50, 3)).astype(np.float16),
    ],
    ids=["two zeros", "constant", "duplicates", "a constant feature", "few rows", "float16"],
)
def test_poor_rows_give_finite_scores(kind: str, X: np.ndarray) -> None:
    detector = build(kind).fit(X)
    for test in (X, X + 1, X.astype(np.float64) + 1e12):
        assert np.isfinite(detector.anomaly_score(test)).all()
    assert np.isfinite(detector.training_scores(X)).all()


@pytest.mark.parametrize("kind", DETECTORS)
def test_outliers_have_higher_scores(kind: str) -> None:
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(2000, 4))
    changes = {"max_steps": 150, "widths": (64, 64)} if kind in ("mulde", "msma", "single_scale") else {}
    detector = build(kind, **changes).fit(normal)
    test = np.r_[rng.normal(size=(300, 4)), 2.5 * rng.normal(size=(300, 4))]
    assert roc_auc_score(np.repeat([0, 1], 300), detector.anomaly_score(test)) > 0.85


@pytest.mark.parametrize("kind", DETECTORS)
def test_rows_of_one_feature_that_are_equal_have_one_score(kind: str, rows: np.ndarray) -> None:
    detector = build(kind).fit(rows[:, :1])
    x = np.tile(np.array([[0.5], [-1.0], [0.5], [np.float32(0.1)], [-1.0]]), (3, 1))
    each = [float(detector.anomaly_score(row[None])[0]) for row in x]
    np.testing.assert_allclose(detector.anomaly_score(x), each, rtol=1e-5, atol=1e-5)
    assert len(set(detector.anomaly_score(x).tolist())) == 3


@pytest.mark.parametrize("is_in_memory", [True, False])
@pytest.mark.parametrize("kind", DETECTORS)
def test_training_scores_of_some_rows(
    kind: str, is_in_memory: bool, rows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Source(RowsOfArray):
        """Another type, so that it is not recognised as one in memory."""

    monkeypatch.setattr(iterate, "__defaults__", (64,))  # rows a read: there are several
    rows = np.r_[rows, np.full((1, rows.shape[1]), 1e6)]  # which is left out
    given = rows if is_in_memory else Source(rows)
    groups = np.arange(len(rows)) // 40
    detector = build(kind).fit(given, groups=groups)
    scores = detector.training_scores(given, groups=groups)
    assert scores.shape == (len(rows) - 1,)
    for of in ([], [0], [3, 70, 71, len(rows) - 2], range(len(rows) - 1)):
        some = detector.training_scores(given, groups=groups, of=np.array([*of], np.int64))
        np.testing.assert_allclose(some, scores[[*of]], rtol=1e-12)


@pytest.mark.parametrize("kind", DETECTORS)
def test_a_source_of_rows_is_as_good_as_an_array(kind: str, rows: np.ndarray) -> None:
    class Source(RowsOfArray):
        """Another type, so that it is not recognised as one in memory."""

    detector, streamed = build(kind).fit(rows), build(kind).fit(Source(rows))
    assert streamed.training_scores(Source(rows)).shape == (len(rows),)
    if kind in ("knn", "gmm", "mahalanobis"):  # others draw other batches
        np.testing.assert_array_equal(streamed.anomaly_score(rows), detector.anomaly_score(rows))


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("knn", {"k": 0}),
        ("gmm", {"n_components": 0}),
        ("gmm", {"covariance_floor": 0.0}),
        ("mahalanobis", {"covariance_floor": -1.0}),
        ("single_scale", {"sigma": 0.0}),
        ("msma", {"n_scales": 0}),
    ],
)
def test_bad_arguments_are_named(kind: str, change: dict[str, Any], rows: np.ndarray) -> None:
    (name,) = change
    with pytest.raises(ValueError, match=f"^{name} is .*but must be"):
        build(kind, **change).fit(rows)
