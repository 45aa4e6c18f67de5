"""The events of a run on disk: events.csv and events.json, which hold the same, and the threshold."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter

from mulde.data.errors import InputError
from mulde.data.foreign.text import parse_json
from mulde.pipeline.events.record import Event, Threshold
from mulde.pipeline.runs.folder import RunFolder

STAGE = "events"
"""The stage that writes them."""
_WHOLE, _NUMBER, _MAYBE = (int,), (int, float), (int, float, type(None))
_KINDS = {
    "video": (str,), "start_frame": _WHOLE, "stop_frame": _WHOLE, "start_s": _NUMBER, "stop_s": _NUMBER,
    "start_clock": (str, type(None)), "peak_frame": _WHOLE, "score": _NUMBER, "x1": _MAYBE, "y1": _MAYBE,
    "x2": _MAYBE, "y2": _MAYBE, "stream": (str,), "reason": (str,),
}  # fmt: skip
COLUMNS = tuple(_KINDS)
"""Of events.csv, and the keys of each event in events.json."""
_MOST_FRAMES = 2**53
_THRESHOLD = TypeAdapter(Threshold)


def write_events(run: RunFolder, events: Sequence[Event]) -> None:
    """Write both files; the events stand in them in the given order."""
    rows = [as_row(event) for event in events]
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)  # None becomes an empty cell
    run.keep_text(run.events_json.name, json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    run.keep_text(run.events.name, text.getvalue())


def read_events(run: RunFolder) -> tuple[Event, ...]:
    """Read the events of a run, in the order in which they were written: the strongest first.

    Raises:
        InputError: they are missing or damaged.
    """
    try:
        return _parse(run.kept_text(run.events_json.name))
    except (OSError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise _damaged("events", run.events_json, error) from None


def events_if_any(run: RunFolder) -> tuple[Event, ...]:
    """Read the events of a run, the strongest first; none where nobody has looked for any.

    Raises:
        InputError: they are damaged.
    """
    return read_events(run) if run.events_json.exists() else ()


def write_threshold(run: RunFolder, threshold: Threshold) -> None:
    """Write the threshold that the events and the column `alarm` of the score files go by."""
    run.keep_text(run.threshold.name, json.dumps(asdict(threshold), indent=1, ensure_ascii=False) + "\n")


def read_threshold(run: RunFolder) -> Threshold:
    """Read the threshold that the events of a run go by.

    Raises:
        InputError: it is missing or damaged.
    """
    try:
        return _THRESHOLD.validate_python(parse_json(run.kept_text(run.threshold.name)))
    except (OSError, ValueError, OverflowError) as error:
        raise _damaged("the threshold", run.threshold, error) from None


def threshold_if_any(run: RunFolder) -> Threshold | None:
    """Read the threshold that the events of a run go by; None where nobody has looked for any.

    Raises:
        InputError: it is damaged.
    """
    return read_threshold(run) if run.threshold.exists() else None


def as_row(event: Event) -> dict[str, Any]:
    """Return an event by column, as plain JSON types; what is not known is None."""
    clock = event.start_clock
    cells = (
        event.video, event.start_frame, event.stop_frame, event.start_seconds, event.stop_seconds,
        None if clock is None else clock.isoformat(), event.peak_frame, event.score,
        *(event.box_xyxy or (None,) * 4), event.stream, event.reason,
    )  # fmt: skip
    return dict(zip(COLUMNS, cells, strict=True))


@lru_cache(maxsize=1)
def _parse(text: str) -> tuple[Event, ...]:
    """Return the events of a file; a report asks for them twice, and there may be ten thousand."""
    return tuple(map(_of_row, parse_json(text)))


def _of_row(row: Mapping[str, Any]) -> Event:
    for name, kinds in _KINDS.items():  # not with pydantic, which takes no names that are not UTF-8
        if type(row[name]) not in kinds:  # what JSON gives; true and false are no numbers
            raise TypeError(f"{name} is {row[name]!r}")
    if row["stop_frame"] > _MOST_FRAMES:
        raise ValueError(f"no video has {row['stop_frame']} frames")
    box = tuple(row[name] for name in ("x1", "y1", "x2", "y2"))
    clock = row["start_clock"]
    return Event(
        row["video"],
        row["start_frame"],
        row["stop_frame"],
        row["start_s"],
        row["stop_s"],
        None if clock is None else datetime.fromisoformat(clock),
        row["peak_frame"],
        row["score"],
        None if None in box else (box[0], box[1], box[2], box[3]),
        row["stream"],
        row["reason"],
    )


def _damaged(what: str, path: object, error: Exception) -> InputError:
    return InputError(f"{what} {path} are missing or damaged ({error}): run `mulde score` again")
