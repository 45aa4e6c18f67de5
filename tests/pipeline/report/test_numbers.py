"""Numbers as people read them."""

from __future__ import annotations

import pytest

from mulde.pipeline.report import numbers


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min"), (125, "2 min 5 s"),
        (3599.6, "1 h"), (3720, "1 h 2 min"), (86_400, "24 h"),
    ],
)  # fmt: skip
def test_durations(seconds: float, expected: str) -> None:
    assert numbers.duration(seconds) == expected


@pytest.mark.parametrize(("seconds", "expected"), [(0, "0:00"), (59.9, "0:59"), (3723, "1:02:03")])
def test_clocks(seconds: float, expected: str) -> None:
    assert numbers.clock(seconds) == expected


def test_shares_counts_and_scores() -> None:
    assert [numbers.percent(value) for value in (None, 0.8734)] == ["–", "87.3\u202f%"]
    assert [numbers.count(value) for value in (0, 40_791)] == ["0", "40\u202f791"]
    assert [numbers.score(value) for value in (None, 1.2345, 123.4)] == ["–", "1.23", "123"]
