import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from mulde.detector.calibration import Calibration, fuse, log_tail

LEAST = norm.ppf(0.9995) ** 2 / 4  # two-sided 99.9 % of a Gaussian, its energy at noise scale 1


@pytest.mark.parametrize(
    ("training", "low", "high"),
    [
        ([5.0], 5, 5 + LEAST),
        ([5.0] * 100, 5, 5 + LEAST),
        ([5.0] * 9999 + [70.0], 5, 5 + LEAST),  # one outlier decides nothing
        ([5.0, 6.0], 5, 5 + LEAST),  # rows that hardly differ
        (np.arange(1001), 0, 999),
        ([-2e9, -1e9], -2e9, -1e9 - 1e6),
        ([1e30, 1e30], 1e30, np.nextafter(1e30, np.inf)),
    ],
)
def test_fit(training: list[float], low: float, high: float) -> None:
    calibration = Calibration.fit(training)
    assert (calibration.low, calibration.high) == pytest.approx((low, high), rel=1e-3)
    assert calibration.low < calibration.high


@pytest.mark.parametrize(
    ("score", "linear", "log"),
    [
        (10, 0, 0),  # training minimum
        (15, 0.5, 0.5),
        (20, 1, 1),  # 99.9 % quantile
        (10 + 10 * np.e, np.e, 2),
        (10 + 10e5, 1e5, 1 + np.log(1e5)),
        (5, -0.5, -0.5),  # below the training minimum
        (10 - 10e5, -1e5, -1 - np.log(1e5)),
    ],
)
def test_call(score: float, linear: float, log: float) -> None:
    assert Calibration(10, 20, 12)([score]) == pytest.approx([linear])
    assert log_tail([linear]) == pytest.approx([log])


def test_what_was_not_measured_is_as_usual_as_training_was() -> None:
    training = np.random.default_rng(0).gamma(2, 3, 1000)
    calibration = Calibration.fit(training)
    assert calibration.unmeasured == pytest.approx(calibration(training).mean())
    assert calibration.unmeasured == pytest.approx(calibration([training.mean()])[0])


def test_no_scores_stay_no_scores() -> None:
    assert Calibration(0, 1, 0.2)([]).shape == (0,)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1), st.lists(st.floats(-1e12, 1e12), min_size=2))
def test_order_is_kept_and_scores_stay_finite(training: list[float], scores: list[float]) -> None:
    calibrated = Calibration.fit(training)(sorted(scores))
    for values in (calibrated, log_tail(calibrated)):
        assert np.isfinite(values).all()
        assert (np.diff(values) >= 0).all()


@pytest.mark.parametrize(("scores", "message"), [([], "at least one"), ([1, np.nan], "score 1 is nan")])
def test_fit_refuses(scores: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Calibration.fit(scores)


@pytest.mark.parametrize(("low", "high"), [(1, 1), (2, 1), (np.nan, 1), (0, np.inf)])
def test_range_must_be_a_range(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="finite low < high"):
        Calibration(low, high, low)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_call_refuses_what_is_not_finite(bad: float) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        Calibration(0, 1, 0.2)([0.5, bad])


@pytest.mark.parametrize(
    ("streams", "total", "highest"),
    [
        ([[]], [], []),
        ([[1, 2]], [1, 2], [1, 2]),
        ([[1, 2], [3, -4], [-5, -6]], [-1, -8], [3, 2]),
    ],
)
def test_fuse(streams: list[list[float]], total: list[float], highest: list[float]) -> None:
    np.testing.assert_array_equal(fuse(streams), total)
    np.testing.assert_array_equal(fuse(streams, "max"), highest)


@pytest.mark.parametrize(("streams", "message"), [([], "at least one"), ([[1], [1, 2]], "same rows")])
def test_fuse_refuses(streams: list[list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fuse(streams)


def test_where_frames_have_several_objects_their_highest_scores_decide() -> None:
    rng = np.random.default_rng(0)
    scores, frame = rng.normal(0, 10, 40_000), np.repeat(np.arange(400), 100)
    by_row, by_frame = Calibration.fit(scores), Calibration.fit(scores, frame=frame)
    highest = scores.reshape(400, 100).max(axis=1)
    assert by_frame.high == pytest.approx(np.quantile(highest, 0.99))
    assert by_frame.high > by_row.high
    assert (by_frame.low, by_frame.mean) == (by_row.low, by_row.mean)
    shuffled = rng.permutation(len(scores))
    assert Calibration.fit(scores[shuffled], frame=frame[shuffled] * 7 - 3).high == by_frame.high


def test_each_score_has_a_frame() -> None:
    with pytest.raises(ValueError, match="frames"):
        Calibration.fit([1.0, 2.0, 3.0], frame=[1, 2])
