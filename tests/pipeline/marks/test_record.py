"""The list of events that are marked as normal: what it holds, and what else it means."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from mulde.data.errors import InputError
from mulde.pipeline.events.record import Event
from mulde.pipeline.marks.record import (
    Mark,
    ToldEvent,
    event_id,
    is_marked,
    marks_digest,
    marks_of,
    read_marks,
    watched_hours,
    write_marks,
)
from mulde.pipeline.runs.folder import RunFolder

CLOCK = datetime(2026, 11, 28, 13, 4, 5, tzinfo=timezone.utc)
TOLD = ToldEvent("door:3", "door", "/v/door.mp4", "", 10.0, 14.0, None, 1.5, "faster", "/v/door.mp4", 1800.0)


def mark(**changes: object) -> Mark:
    return Mark(replace(TOLD, **changes), "2026-11-29T08:00:00+00:00")


@pytest.mark.parametrize("marks", [[], [mark()], [mark(), mark(id="door:9", start_clock=CLOCK.isoformat())]])
def test_they_read_back(marks: list[Mark], tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    write_marks(run, [mark()])
    write_marks(run, marks)
    assert list(read_marks(run)) == marks
    assert run.normal_list.exists() == bool(marks)


@pytest.mark.parametrize("change", [
    lambda text: text.replace("door.mp4", "gate.mp4"),
    lambda text: text[:-9],
    lambda text: json.dumps({"marks": [{"marked_at": ""}]}),
    lambda text: json.dumps({}),
])  # fmt: skip
def test_a_list_that_was_changed_is_said(change, tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    write_marks(run, [mark()])
    run.normal_list.write_text(change(run.normal_list.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(InputError, match=r"normal\.json is damaged .* mark the events again"):
        read_marks(run)


@pytest.mark.parametrize(("changes", "message"), [
    ({"stop_seconds": 10.0}, "is no stretch"),
    ({"start_seconds": -1.0}, "is no stretch"),
    ({"watched_seconds": 0.0}, "hold no event"),
])  # fmt: skip
def test_events_check_themselves(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TOLD, **changes)


@pytest.mark.parametrize(("clock", "is_live", "expected"), [
    (None, False, "door:3"),
    (CLOCK, False, "door:3"),
    (None, True, "door:3"),
    (CLOCK, True, "door:20261128T130405-3"),
])  # fmt: skip
def test_ids(clock: datetime | None, is_live: bool, expected: str) -> None:
    event = Event("door", 3, 9, 0.3, 0.9, clock, 5, 1.8, None, "", "")
    assert event_id(event, is_live=is_live) == expected


@pytest.mark.parametrize(("start", "stop", "peak", "stretches", "expected"), [
    (10.0, 14.0, 12.0, [], False),
    (10.0, 14.0, 12.0, [(10.0, 14.0)], True),
    (9.0, 14.0, 12.0, [(10.0, 14.0)], True),  # a lower threshold
    (11.0, 12.0, 11.5, [(10.0, 14.0)], True),  # a higher one
    (10.0, 30.0, 12.0, [(10.0, 14.0)], False),  # most of it was never seen
    (10.0, 16.0, 15.0, [(10.0, 14.0)], False),  # what is most unusual was not
    (10.0, 18.0, 12.0, [(10.0, 13.0), (12.0, 14.0)], True),  # half, counted once
    (10.0, 18.1, 12.0, [(10.0, 13.0), (12.0, 14.0)], False),
    (14.0, 15.0, 14.0, [(10.0, 14.0)], False),
])  # fmt: skip
def test_what_is_told_again(
    start: float, stop: float, peak: float, stretches: list[tuple[float, float]], expected: bool
) -> None:
    event = Event("door", 0, 9, start, stop, None, 5, 1.8, None, "", "")
    marks = [mark(start_seconds=a, stop_seconds=b) for a, b in stretches]
    assert is_marked(marks, event, peak) == expected


def test_marks_are_of_one_file() -> None:
    marks = [mark(), mark(source="/other/door.mp4"), mark(source="")]
    assert marks_of(marks, Path("/v/door.mp4")) == marks[:1]
    assert marks_of([], Path("/v/door.mp4")) == []


@pytest.mark.parametrize(("marks", "hours"), [
    ([], 0.0),
    ([mark()], 0.5),
    ([mark(), mark(id="door:9", watched_seconds=900.0)], 0.5),
    ([mark(), mark(footage="2026-11-28", watched_seconds=7200.0)], 2.5),
])  # fmt: skip
def test_footage_is_counted_once(marks: list[Mark], hours: float) -> None:
    assert watched_hours(marks) == hours


def test_a_digest_is_of_what_is_marked_and_not_of_when() -> None:
    again = Mark(TOLD, "later")
    other = mark(stop_seconds=15.0)
    assert marks_digest([mark()]) == marks_digest([again])
    assert marks_digest([mark(), other]) == marks_digest([other, again])
    assert len({marks_digest([]), marks_digest([mark()]), marks_digest([other])}) == 3
