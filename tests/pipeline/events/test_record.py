"""Events check themselves, and say when they were."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from mulde.pipeline.events.record import Event, Threshold, alarms_among, time_in_video

GOOD: dict[str, Any] = {
    "video": "gate/a", "start_frame": 10, "stop_frame": 20, "start_seconds": 1.0, "stop_seconds": 2.0,
    "start_clock": None, "peak_frame": 12, "score": 3.5, "box_xyxy": (1.0, 2.0, 30.0, 40.0),
    "stream": "velocity", "reason": "faster than anything seen here",
}  # fmt: skip


@pytest.mark.parametrize("changes", [
    {"video": ""},
    {"stop_frame": 10},
    {"peak_frame": 9},
    {"peak_frame": 20},
    {"start_frame": -1},
    {"stop_seconds": 1.0},
    {"stop_seconds": float("inf")},
    {"score": float("nan")},
    {"box_xyxy": (1.0, 2.0, 1.0, 3.0)},
    {"box_xyxy": (1.0, 2.0, float("nan"), 3.0)},
])  # fmt: skip
def test_what_cannot_be_an_event_is_refused(changes: dict[str, Any]) -> None:
    Event(**GOOD)
    with pytest.raises(ValueError):
        Event(**{**GOOD, **changes})


@pytest.mark.parametrize("n_alarms, n_events, text", [
    (0, 0, "none of them an alarm"),
    (0, 1, "no alarm"),
    (1, 1, "an alarm"),
    (0, 2, "none of them an alarm"),
    (1, 2, "1 of them an alarm"),
    (2, 2, "2 of them alarms"),
])  # fmt: skip
def test_alarms_among_events_agree_in_number(n_alarms: int, n_events: int, text: str) -> None:
    assert alarms_among(n_alarms, n_events) == text


@pytest.mark.parametrize("seconds, text", [
    (0.0, "0:00.0"),
    (4.25, "0:04.2"),
    (59.96, "1:00.0"),
    (724.2, "12:04.2"),
    (3723.44, "1:02:03.4"),
])  # fmt: skip
def test_time_in_a_video(seconds: float, text: str) -> None:
    assert time_in_video(seconds) == text


def test_the_clock_counts_where_it_is_known() -> None:
    assert Event(**GOOD).when == "0:01.0"
    clock = datetime(2026, 11, 28, 13, 4, 5, 900_000, tzinfo=timezone.utc)
    assert Event(**{**GOOD, "start_clock": clock}).when == "2026-11-28 13:04:05"


@pytest.mark.parametrize("changes", [
    {"score": float("inf")},
    {"listed_score": 2.1},
    {"listed_score": None},
    {"false_alarms_per_day": 0.0},
    {"normal_hours": -1.0},
])  # fmt: skip
def test_what_cannot_be_a_threshold_is_refused(changes: dict[str, Any]) -> None:
    good: dict[str, Any] = {
        "score": 2.0, "listed_score": 2.0, "false_alarms_per_day": 1.0, "normal_hours": 30.0,
        "is_extrapolated": False, "text": "",
    }  # fmt: skip
    Threshold(**good)
    nothing = Threshold(**{**good, "score": None, "listed_score": None})
    assert [Threshold(**good).is_alarm(score) for score in (1.9, 2.0)] == [False, True]
    assert not nothing.is_alarm(1e9)
    with pytest.raises(ValueError):
        Threshold(**{**good, **changes})
