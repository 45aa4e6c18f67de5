"""Reasons say which stream it was and which way it deviated."""

from __future__ import annotations

import numpy as np
import pytest

from mulde.pipeline.events.reasons import PHRASES, Usual, in_words, phrase, stand_out


def usual(*mean: float, scale: float = 0.5) -> Usual:
    return Usual(np.array(mean), np.full(len(mean), scale))


@pytest.mark.parametrize("stream, row, learnt, words", [
    ("velocity", [1.9], usual(0.5), "faster than is usual here: 1.9 heights of an object a second"),
    ("velocity", [0.1], usual(0.5), "slower than is usual here"),
    ("velocity", [0.1, 0.3], usual(0.5, 0.5), "moves in an unusual way"),
    ("direction", [-1.0, 0.0], usual(0.6, 0.0), "moves to the left, against the usual direction"),
    ("direction", [-1.0, 0.0], usual(0.1, 0.0), "moves to the left in an unusual way"),
    ("direction", [0.0, 1.0], usual(0.6, 0.0), "moves down in an unusual way"),
    ("direction", [0.7, -0.7], usual(0.0, 0.0), "moves up to the right in an unusual way"),
    ("direction", [1.7, -1.7], usual(0.0, 0.0), "moves up to the right unusually fast"),
    ("direction", [-9.0, 0.0], usual(0.6, 0.0), "moves to the left, against the usual direction"),
    ("direction", [0.05, 0.0], usual(0.6, 0.0), "hardly moves"),
    ("place", [3.0, 4.0, 0.0, 0.01], usual(0, 0, 0, 0), "stands where nothing usually stands"),
    ("place", [3.0, 4.0, 0.0, -1.0], usual(0, 0, 0, 0), "moves up where that is unusual"),
    ("stillness", [0.9], usual(0.0), "appeared, and stays where it is"),
    ("texture", [5.0], usual(0.5), "looks unlike anything that was seen in this place"),
    ("track", [1.9, 0.1], usual(0.5, 0.0), "faster than is usual here: 1.9 heights of an object a second"),
    ("track", [0.6, np.log(2)], usual(0.5, 0.0), "grows by 100% a second"),
    ("track", [0.6, np.log(0.5)], usual(0.5, 0.0), "shrinks by 50% a second"),
    ("shape", [np.log(3), 0.1], usual(np.log(0.5), 0.0), "wider than is usual here: 3.0 heights"),
    ("shape", [np.log(0.5), -1.0], usual(np.log(0.5), 0.0), "lower than is usual here: 0.4 heights"),
    ("my_stream", [0.9], usual(0.0), "my_stream is unusual"),
])  # fmt: skip
def test_table(stream: str, row: list[float], learnt: Usual, words: str) -> None:
    assert phrase(stream, np.array(row), learnt).startswith(words)


def test_what_was_not_measured_is_named_all_the_same() -> None:
    for stream in PHRASES:
        assert phrase(stream, None, usual(0.0))


@pytest.mark.parametrize("scores, expected", [
    ({"a": 0.2, "b": 0.3}, ["b"]),  # nothing stands out, and the first is named
    ({"a": 3.0, "b": 1.2}, ["a"]),
    ({"a": 3.0, "b": 1.7}, ["a", "b"]),
    ({"a": 3.0, "b": 2.9, "c": 2.8}, ["a", "b"]),
])  # fmt: skip
def test_streams_that_stand_out(scores: dict[str, float], expected: list[str]) -> None:
    assert stand_out(scores, dict.fromkeys(scores, 0.1)) == expected


def test_what_is_usual_for_a_stream_counts() -> None:
    assert stand_out({"a": 0.95, "b": 0.9}, {"a": 0.9, "b": 0.1}) == ["b"]


def test_the_noise_scale_stands_with_the_first() -> None:
    assert in_words(["x", "y"], 0.3333) == "x (noise scale 0.33); y"
    assert in_words(["x"], None) == "x"
