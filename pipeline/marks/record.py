"""Which events were marked as normal: a list in the folder of the run, for people to read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from mulde.data.cache.store import digest_of
from mulde.data.errors import InputError
from mulde.data.sealed import read_json, write_json
from mulde.data.video import Video
from mulde.pipeline.events.record import Event, time_in_video
from mulde.pipeline.runs.folder import RunFolder

_MARKS = "marks"
_LEAST_SHARE = 0.5
_FOLDER_CHARACTERS = 16


@dataclass(frozen=True)
class ToldEvent:
    """An event that was told of, and the footage that it is from."""

    id: str
    """VIDEO:START_FRAME; of live footage, whose frames count anew, with the time of day in front of it."""
    video: str
    source: str
    """The absolute path of the file; "" of live footage."""
    scene: str
    """The camera, where the run knows of several."""
    start_seconds: float
    """From the first frame of the video on."""
    stop_seconds: float
    start_clock: str | None
    """ISO 8601; None if not known."""
    score: float
    """When it was told of; higher = more anomalous."""
    reason: str
    footage: str
    """What was watched: the file, or when watching began; marks of one share their watched time."""
    watched_seconds: float
    """How much of that footage had been watched when the event was over; of a scored file all of it."""

    def __post_init__(self) -> None:
        if not 0 <= self.start_seconds < self.stop_seconds < math.inf:
            raise ValueError(f"{self.id}: {self.start_seconds} s to {self.stop_seconds} s is no stretch")
        if not 0 < self.watched_seconds < math.inf:
            raise ValueError(f"{self.id}: {self.watched_seconds} s of footage hold no event")
        if not math.isfinite(self.score):
            raise ValueError(f"{self.id}: the score {self.score} is not finite")
        if self.start_clock is not None:
            datetime.fromisoformat(self.start_clock)

    @property
    def folder_name(self) -> str:
        """How the folder of its rows is called."""
        return digest_of([self.id, self.source])[:_FOLDER_CHARACTERS]

    @property
    def when(self) -> str:
        """By the clock if that is known, else in the video."""
        if self.start_clock is not None:
            return datetime.fromisoformat(self.start_clock).strftime("%Y-%m-%d %H:%M:%S")
        return time_in_video(self.start_seconds)


@dataclass(frozen=True)
class Mark:
    """An event that was marked as normal."""

    event: ToldEvent
    marked_at: str
    """ISO 8601."""


def event_id(event: Event, *, is_live: bool = False) -> str:
    """Return what an event is called: VIDEO:START_FRAME; live, VIDEO:20261128T130405-START_FRAME."""
    if is_live and event.start_clock is not None:
        return f"{event.video}:{event.start_clock:%Y%m%dT%H%M%S}-{event.start_frame}"
    return f"{event.video}:{event.start_frame}"


def told_of(
    event: Event, video: Video, footage: str, watched_seconds: float, *, is_live: bool = False
) -> ToldEvent:
    """Return an event with the footage that it is from.

    Args:
        footage: what was watched, see `ToldEvent`.
        watched_seconds: how much of that.
        is_live: whether the video is no file.
    """
    return ToldEvent(
        event_id(event, is_live=is_live),
        event.video,
        "" if is_live else str(video.path.absolute()),
        video.scene,
        event.start_seconds,
        event.stop_seconds,
        None if event.start_clock is None else event.start_clock.isoformat(),
        event.score,
        event.reason,
        footage,
        watched_seconds,
    )


_TYPE = TypeAdapter(list[dict[str, Any]])
_EVENT = TypeAdapter(ToldEvent)


def told_event(row: Mapping[str, Any]) -> ToldEvent:
    """Return an event from plain JSON types.

    Raises:
        ValueError: it is none.
    """
    return _EVENT.validate_python(row)


def read_marks(run: RunFolder) -> tuple[Mark, ...]:
    """Return the marks of a run in the order in which they were made; none where there is no list.

    Raises:
        InputError: the list is damaged.
    """
    try:
        rows = _TYPE.validate_python(read_json(run.normal_list)[_MARKS])
        return tuple(Mark(told_event(row), str(row.pop("marked_at"))) for row in rows)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{run.normal_list} is damaged ({reason}): restore it, or delete it and mark the events again"
        ) from None


def write_marks(run: RunFolder, marks: Sequence[Mark]) -> None:
    """Write the list; it is there only while there are marks."""
    if not marks:
        run.normal_list.unlink(missing_ok=True)
        return
    rows = [{"marked_at": mark.marked_at, **asdict(mark.event)} for mark in marks]
    write_json(run.normal_list, {_MARKS: rows}, indent=1)


def marks_digest(marks: Iterable[Mark]) -> str:
    """Return a hash of which events are marked, whenever that was done."""
    return digest_of(sorted(digest_of(asdict(mark.event)) for mark in marks))


def marks_of(marks: Iterable[Mark], source: Path) -> list[Mark]:
    """Return the marks in one file, or folder of images; live footage is never seen again."""
    path = str(source.absolute())
    return [mark for mark in marks if mark.event.source == path]


def is_marked(marks: Iterable[Mark], event: Event, peak_seconds: float) -> bool:
    """Whether an event is one that was marked: its peak is, and at least half of its time.

    With another threshold or model an event of the same thing is longer or shorter, or joined with another.

    Args:
        marks: those in the file of the event.
        peak_seconds: when the highest score is.
    """
    marks = list(marks)
    if not any(mark.event.start_seconds <= peak_seconds < mark.event.stop_seconds for mark in marks):
        return False
    return covered_seconds(marks, event.start_seconds, event.stop_seconds) >= _LEAST_SHARE * event.n_seconds


def covered_seconds(marks: Iterable[Mark], start: float, stop: float) -> float:
    """Return how much of a stretch of time is marked, in seconds."""
    total, until = 0.0, start
    for mark in sorted(marks, key=lambda mark: mark.event.start_seconds):
        first, last = max(until, mark.event.start_seconds), min(stop, mark.event.stop_seconds)
        if last > first:
            total, until = total + last - first, last
    return total


def watched_hours(marks: Iterable[Mark]) -> float:
    """Return how much footage was watched to find the marked events.

    Of each file or session it counts up to the last event that was marked: so far somebody has looked.
    """
    longest: dict[str, float] = {}
    for mark in marks:
        footage = mark.event.footage
        longest[footage] = max(longest.get(footage, 0.0), mark.event.watched_seconds)
    return sum(longest.values()) / 3600
