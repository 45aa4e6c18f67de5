"""Read intervals from a table: which columns there are, their unit, and the names of events."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from mulde.data.errors import InputError
from mulde.data.files import name_without_suffix
from mulde.data.labels.labels import Interval, Labels, SecondsInterval
from mulde.data.labels.sheets import Row, Sheet
from mulde.data.spelling import printable

_VIDEO = frozenset({"video", "file", "filename", "video_name", "video_file", "clip"})
_START, _END = frozenset({"start", "begin", "from"}), frozenset({"end", "stop", "to"})
_UNITS: Mapping[str, str] = {
    **dict.fromkeys(("frame", "frames", "index", "number"), "frames"),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds", "time", "clock", "timestamp"), "seconds"),
}
_EVENT = ("event", "name", "label", "class", "category", "type", "anomaly", "description")

INTERVAL_HEADERS = "video,start,end (frames) or video,start_s,end_s (seconds or hh:mm:ss)"
"""For messages."""


@dataclass(frozen=True)
class IntervalColumns:
    """Where the cells of an interval are."""

    video: int
    start: int
    end: int
    unit: str
    """"frames" or "seconds"; "" where the header does not say, which means frames."""
    event: int | None = None
    """Where the name of the event is; None where there is no further column."""


@dataclass(frozen=True)
class _Found:
    frames: dict[str, list[Interval]] = field(default_factory=dict)
    seconds: dict[str, list[SecondsInterval]] = field(default_factory=dict)
    events: dict[str, dict[SecondsInterval, str]] = field(default_factory=dict)


def find_columns(sheet: Sheet) -> IntervalColumns | None:
    """Find the columns of a table of intervals; None where it is none.

    Frames are taken where both frames and seconds are there, as in a run's events.csv.
    """
    titles = [re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_") for title in sheet.header]
    video = next((i for i, title in enumerate(titles) if title in _VIDEO), None)
    if video is None:
        return None
    starts, ends = _edges(titles, _START), _edges(titles, _END)
    unit = next((unit for unit in ("frames", "", "seconds") if unit in starts and unit in ends), None)
    if unit is None:
        return None
    used = {video, *starts.values(), *ends.values()}
    further = [i for i in range(len(titles)) if i not in used and titles[i]]
    named = [titles.index(title) for title in _EVENT if title in titles]
    texts = [i for i in further if any(_is_text(sheet, row.cells[i]) for row in sheet.rows)]
    event = next((i for i in (*named, *texts) if i in further), None)
    return IntervalColumns(video, starts[unit], ends[unit], unit, event)


def read_intervals(sheet: Sheet, columns: IntervalColumns) -> Labels:
    """Read a row an interval; one without start and end is a video that is normal throughout.

    Raises:
        InputError: a row cannot be understood; the text names it.
    """
    found = _Found()
    for row in sheet.rows:
        _read_row(sheet, columns, row, found)
    return Labels(
        intervals={name: tuple(intervals) for name, intervals in found.frames.items()},
        seconds_intervals={name: tuple(intervals) for name, intervals in found.seconds.items()},
        event_names=found.events,
        may_be_seconds=columns.unit == "",
    )


def _read_row(sheet: Sheet, columns: IntervalColumns, row: Row, found: _Found) -> None:
    name, start_text, end_text = (row.cells[i] for i in (columns.video, columns.start, columns.end))
    in_seconds = columns.unit == "seconds"
    if not name:
        raise InputError(f"{row.where}: expected {','.join(sheet.header)}, found {','.join(row.cells)!r}")
    name = name_without_suffix(name)
    if in_seconds:
        found.seconds.setdefault(name, [])
    else:
        found.frames.setdefault(name, [])
    if start_text == end_text == "":
        return
    try:
        if in_seconds:
            start, end = sheet.seconds(start_text), sheet.seconds(end_text)
        else:
            start, end = sheet.whole(start_text), sheet.whole(end_text)
    except ValueError as error:
        raise InputError(
            f"{row.where}: start and end must be {_expected(in_seconds)} (or both empty), found "
            f"{start_text!r},{end_text!r}"
        ) from error
    if not 0 <= start < end < math.inf:
        over = "when it is over" if in_seconds else "the frame after the last abnormal one"
        raise InputError(
            f"{row.where}: {columns.unit or 'frames'} {start_text} to {end_text} are no interval: start "
            f"counts from 0, end is {over}"
        )
    if in_seconds:
        found.seconds[name].append((start, end))
    else:
        found.frames[name].append((int(start), int(end)))
    if columns.event is not None and row.cells[columns.event]:
        named = found.events.setdefault(name, {})
        text = printable(row.cells[columns.event])
        named[start, end] = f"{named[start, end]}, {text}" if (start, end) in named else text


def _expected(in_seconds: bool) -> str:
    if in_seconds:
        return "seconds, mm:ss or hh:mm:ss"
    return "whole frame numbers; times go under columns that say so, start_s and end_s"


def _edges(titles: list[str], words: frozenset[str]) -> dict[str, int]:
    """Find the columns of starts, or of ends, by their unit: ["video", "start_s"] -> {"seconds": 1}."""
    found: dict[str, int] = {}
    for i, title in enumerate(titles):
        parts = title.split("_")
        others = [part for part in parts if part not in words]
        if len(others) == len(parts) or len(others) > 2:
            continue
        units = {_UNITS.get(part) for part in others if part != "in"}
        if None not in units and len(units) <= 1:
            found.setdefault(next(iter(units), "") or "", i)
    return found


def _is_text(sheet: Sheet, cell: str) -> bool:
    try:
        sheet.seconds(cell)
    except ValueError:
        return cell != ""
    return False
