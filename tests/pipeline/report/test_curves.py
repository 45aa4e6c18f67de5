"""Curves are reduced without losing a peak, and come out of their encoding as they went in."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from numpy.typing import NDArray

from mulde.pipeline.report.curves import Curve, encode, n_points, outline, reduce_curve


def curve_of(scores: NDArray[np.float64], n_most: int = 1000, **streams: NDArray[np.float64]) -> Curve:
    return reduce_curve(scores, np.arange(scores.size) / 25, streams, n_most)


def decode(text: str, kind: str) -> NDArray[np.float64]:
    return np.frombuffer(base64.b64decode(text), kind).astype(np.float64)


@pytest.mark.parametrize("n_frames", [0, 1, 2, 999, 1000])
def test_short_curves_stay_whole(n_frames: int) -> None:
    scores = np.random.default_rng(0).random(n_frames)
    curve = curve_of(scores)
    np.testing.assert_array_equal(curve.score, scores)
    np.testing.assert_array_equal(curve.frame, np.arange(n_frames))
    assert curve.peak == (None if n_frames == 0 else scores.argmax())


@pytest.mark.parametrize("n_frames", [1001, 1999, 123_457])
def test_long_curves_keep_their_extremes_where_they_were(n_frames: int) -> None:
    scores = np.random.default_rng(0).random(n_frames)
    scores[n_frames // 3], scores[-1] = 9.0, -4.0
    curve = curve_of(scores, velocity=scores * 2)
    assert 900 < curve.frame.size <= 1000
    assert (np.diff(curve.frame) > 0).all()
    np.testing.assert_array_equal(curve.score, scores[curve.frame])
    assert curve.peak is not None
    assert (curve.frame[curve.peak], curve.score.max()) == (n_frames // 3, 9.0)
    assert (curve.frame[-1], curve.score.min()) == (n_frames - 1, -4.0)
    # each stretch of 500 has its own lowest and highest, by a naive twin
    starts = np.arange(500) * n_frames // 500
    expected = {
        int(start + part.argmax()) for start, part in zip(starts, np.split(scores, starts[1:]), strict=True)
    }
    assert expected <= set(curve.frame.tolist())
    assert curve.streams["velocity"].max() == 18.0


def test_streams_have_the_highest_of_their_stretch() -> None:
    scores = np.zeros(40)
    stream = np.zeros(40)
    stream[13] = 5.0  # not where the score is highest
    curve = curve_of(scores, 8, place=stream)
    assert curve.streams["place"][(curve.frame >= 10) & (curve.frame < 20)].tolist() == [5.0]
    assert curve.streams["place"].sum() == 5.0


@pytest.mark.parametrize("n_frames", [0, 1, 7, 5000])
@pytest.mark.parametrize("is_even", [True, False])
def test_encoding(n_frames: int, is_even: bool) -> None:
    rng = np.random.default_rng(1)
    steps = np.full(n_frames, 0.04) if is_even else rng.uniform(0.02, 2, n_frames)
    seconds = np.cumsum(steps) - (steps[0] if n_frames else 0)
    scores = rng.normal(3, 2, n_frames)
    curve = reduce_curve(scores, seconds, {"a": scores / 7}, 1000)
    block = encode(curve)
    part = block["score"]
    np.testing.assert_allclose(
        part["low"] + part["step"] * decode(part["data"], "<u2"), curve.score, atol=2e-4
    )
    assert [stream["name"] for stream in block["streams"]] == ["a"]
    assert (block["frames"] is None) == (n_frames <= 1000)
    if block["frames"]:
        np.testing.assert_array_equal(decode(block["frames"], "<u4"), curve.frame)
    times = block["times"]
    if "rate" in times:
        assert is_even
        shown = times["first"] + np.arange(n_frames) / times["rate"]
    else:
        shown = decode(times["ms"], "<u4") / 1000
    np.testing.assert_allclose(shown, curve.seconds, atol=6e-4)


def test_an_outline_has_the_highest_of_each_stretch() -> None:
    scores = np.zeros(1000)
    scores[777] = 3.0
    seconds, highest = outline(curve_of(scores), 10)
    assert highest.tolist() == [0, 0, 0, 0, 0, 0, 0, 3, 0, 0]
    assert seconds[7] == 700 / 25
    assert outline(curve_of(np.empty(0)), 10)[0].size == 0


def test_a_page_has_a_bounded_number_of_points() -> None:
    assert [n_points(n) for n in (0, 1, 100, 10_000)] == [120_000, 120_000, 1200, 800]


@pytest.mark.parametrize(
    ("scores", "message"), [(np.zeros(3), "do not match"), (np.full(2, np.nan), "NaN or infinite")]
)
def test_what_does_not_fit_is_refused(scores: NDArray[np.float64], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Curve(5, np.arange(2), np.zeros(2), scores)
