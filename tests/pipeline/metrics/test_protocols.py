"""Tests of mulde.pipeline.metrics.protocols: what they do to scores, and what they say about it."""

from __future__ import annotations

import numpy as np
import pytest

from mulde.data.errors import InputError
from mulde.detector.frames import smooth
from mulde.pipeline.config.load import load_config
from mulde.pipeline.config.sections import Config
from mulde.pipeline.metrics.protocols import PROTOCOLS, Smoothing, find_protocol

SCORES = np.array([1.0, 5, 3, 2, 4, 0, 0, 9])
UNSMOOTHED = SCORES[::-1].copy()


@pytest.mark.parametrize("name", PROTOCOLS)
def test_no_frame_gives_no_score(name: str) -> None:
    assert PROTOCOLS[name].apply(np.empty(0), np.empty(0)).shape == (0,)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mulde", SCORES),
        ("unsmoothed", UNSMOOTHED),
        ("ai-vad", smooth(UNSMOOTHED, 3)),
        ("ai-vad-shanghaitech", smooth(UNSMOOTHED, 7)),
        ("causal", smooth(UNSMOOTHED, 3, causal=True)),
        ("per-video-minmax", SCORES / 9),
    ],
)
def test_scores_of_a_protocol(name: str, expected: np.ndarray) -> None:
    np.testing.assert_allclose(PROTOCOLS[name].apply(SCORES, UNSMOOTHED), expected)


@pytest.mark.parametrize("values", [[3.0, 3.0], [-1.7e308, 1.7e308, 0.0], [5e-324, 0.0]], ids=str)
def test_scaling_stays_finite(values: list[float]) -> None:
    scaled = PROTOCOLS["per-video-minmax"].apply(np.array(values), np.array(values))
    assert np.isfinite(scaled).all()
    assert scaled.min() == 0
    assert scaled.max() in (0, 1)


def test_scaling_is_right_for_scores_whose_difference_is_beyond_float64() -> None:
    huge = np.array([-1.7e308, 1.7e308, 0.0])
    np.testing.assert_array_equal(PROTOCOLS["per-video-minmax"].apply(huge, huge), [0.0, 1.0, 0.5])


@pytest.mark.parametrize(
    ("name", "configured", "text"),
    [
        ("mulde", Smoothing(5), "scores smoothed over time (Gaussian, σ = 5 frames)"),
        ("mulde", Smoothing(5, True), "scores smoothed over time (Gaussian over past frames, σ = 5 frames)"),
        ("mulde", Smoothing(0), "scores not smoothed"),
        ("mulde", None, "scores as given"),
        ("unsmoothed", None, "scores as given, smoothed before or not"),
        ("unsmoothed", Smoothing(5), "scores not smoothed"),
        ("ai-vad", Smoothing(5), "scores smoothed over time (Gaussian, σ = 3 frames)"),
        ("ai-vad", None, "scores as given, smoothed over time (Gaussian, σ = 3 frames)"),
        (
            "per-video-minmax",
            Smoothing(0),
            "scores not smoothed, then scaled to [0, 1] within each test video (uses the test scores: each "
            "video by its own lowest and highest)",
        ),
    ],
)
def test_text_of_a_protocol(name: str, configured: Smoothing | None, text: str) -> None:
    treatment = PROTOCOLS[name].describe(name, configured)
    assert (treatment.protocol, treatment.text) == (name, text)


def test_the_default_looks_at_nothing_of_the_test_set() -> None:
    assert find_protocol(Config().evaluate.protocol).uses_test_data == ""


def test_an_unknown_protocol_lists_the_known_ones_at_once() -> None:
    with pytest.raises(
        InputError, match=r"unknown protocol 'aivad': known are mulde \(.*uses the test scores"
    ):
        find_protocol("aivad")
    with pytest.raises(InputError, match=r"evaluate.protocol = 'aivad' is not allowed"):
        load_config(overrides=["evaluate.protocol=aivad"])
