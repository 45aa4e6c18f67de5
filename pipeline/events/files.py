"""The events of a run on disk: events.csv and events.json, which hold the same, and the threshold."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from mulde.data.atomic import write_text
from mulde.data.errors import InputError
from mulde.pipeline.events.record import Event, Threshold
from mulde.pipeline.runs.folder import RunFolder

STAGE = "events"
"""The stage that writes them."""
COLUMNS = (
    "video", "start_frame", "stop_frame", "start_s", "stop_s", "start_clock", "peak_frame", "score",
    "x1", "y1", "x2", "y2", "stream", "reason",
)  # fmt: skip
"""Of events.csv, and the keys of each event in events.json."""


def write_events(run: RunFolder, events: Sequence[Event]) -> None:
    """Write both files; the events stand in them in the given order."""
    rows = [as_row(event) for event in events]
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)  # None becomes an empty cell
    write_text(run.events_json, json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    write_text(run.events, text.getvalue())


def read_events(run: RunFolder) -> tuple[Event, ...]:
    """Read the events of a run, in the order in which they were written: the strongest first.

    Raises:
        InputError: they are missing or damaged.
    """
    try:
        rows = json.loads(run.events_json.read_text(encoding="utf-8"))
        return tuple(_of_row(row) for row in rows)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _damaged("events", run.events_json, error) from None


def write_threshold(run: RunFolder, threshold: Threshold) -> None:
    """Write the threshold that the events and the column `alarm` of the score files go by."""
    write_text(run.threshold, json.dumps(asdict(threshold), indent=1, ensure_ascii=False) + "\n")


def read_threshold(run: RunFolder) -> Threshold:
    """Read the threshold that the events of a run go by.

    Raises:
        InputError: it is missing or damaged.
    """
    try:
        return Threshold(**json.loads(run.threshold.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise _damaged("the threshold", run.threshold, error) from None


def as_row(event: Event) -> dict[str, Any]:
    """Return an event by column, as plain JSON types; what is not known is None."""
    clock = event.start_clock
    cells = (
        event.video, event.start_frame, event.stop_frame, event.start_seconds, event.stop_seconds,
        None if clock is None else clock.isoformat(), event.peak_frame, event.score,
        *(event.box_xyxy or (None,) * 4), event.stream, event.reason,
    )  # fmt: skip
    return dict(zip(COLUMNS, cells, strict=True))


def _of_row(row: Mapping[str, Any]) -> Event:
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
