"""Linking: boxes of one object keep their number, whatever it does that objects do."""

from __future__ import annotations

import numpy as np
import pytest

from mulde.extractors.boxes.linking import Linker


def linked(frames: list[list[list[float]]], rate: float = 10.0, seconds_lost: float = 0.5) -> list[list[int]]:
    linker = Linker(seconds_lost)
    boxes = [np.array(each, np.float32).reshape(-1, 4) for each in frames]
    return [linker.link(t / rate, each).tolist() for t, each in enumerate(boxes)]


def person(x: float, y: float = 0.0) -> list[float]:
    return [x, y, x + 10, y + 30]


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([], []),
        ([[], []], [[], []]),
        ([[person(0)], [person(2)], [person(4)]], [[0], [0], [0]]),
        # in another order, and a new one
        (
            [[person(0), person(50)], [person(52), person(2)], [person(90), person(4)]],
            [[0, 1], [1, 0], [2, 0]],
        ),
        # faster than its width in each step, which plain overlap loses
        ([[person(12 * t)] for t in range(6)], [[0]] * 6),
        # two that meet and pass each other
        ([[person(9 * t), person(63 - 9 * t, 4)] for t in range(8)], [[0, 1]] * 8),
        # seen again within half a second, where it would be by then
        ([[person(5 * t)] for t in range(4)] + [[]] * 4 + [[person(40)]], [[0]] * 4 + [[]] * 4 + [[0]]),
        # and after more than that it is another
        ([[person(0)]] + [[]] * 5 + [[person(0)]], [[0]] + [[]] * 5 + [[1]]),
        # far off is another from the start
        ([[person(0)], [person(60)]], [[0], [1]]),
        # the same box twice is two
        ([[person(0), person(0)]] * 2, [[0, 1]] * 2),
    ],
)
def test_tracks(frames: list[list[list[float]]], expected: list[list[int]]) -> None:
    assert linked(frames) == expected


def test_consecutive_frames_are_linked_however_far_apart() -> None:
    assert linked([[person(0)], [person(3)], [person(6)]], rate=0.5) == [[0], [0], [0]]
    assert linked([[person(0)], [], [person(6)]], rate=0.5) == [[0], [], [1]]


def test_overlaps_are_weighed_together() -> None:
    """The best pair first would leave the other box without a track."""
    first, second = linked([[person(0), person(9)], [person(6), person(16)]])
    assert first == second == [0, 1]
