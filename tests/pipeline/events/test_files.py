"""Files of events: what is written reads back, in the columns that were promised."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

import pytest

from mulde.data.errors import InputError
from mulde.pipeline.events.files import as_row, read_events, read_threshold, write_events, write_threshold
from mulde.pipeline.events.record import Event, Threshold
from mulde.pipeline.runs.folder import RunFolder

PROMISED = (
    "video,start_frame,stop_frame,start_s,stop_s,start_clock,peak_frame,score,x1,y1,x2,y2,stream,reason"
)
EVENTS = (
    Event("a", 3, 9, 0.12, 0.36, None, 5, 1 / 3, None, "", "unlike anything seen here"),
    Event(
        'gate, "north"/é', 0, 1, 0.0, 0.04, datetime(2026, 11, 28, 1, 2, 3, tzinfo=timezone.utc),
        0, 7.25, (0.5, 1.0, 20.25, 40.0), "velocity", "faster, by far",
    ),
    Event("b", 0, 1, 0.0, 0.04, datetime(2026, 11, 28, 1, 2, 3, 500_000), 0, 7.0, None, "frame", "x"),
)  # fmt: skip


@pytest.mark.parametrize("n_events", [0, 1, 3])
def test_events_read_back(n_events: int, tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    write_events(run, EVENTS[:n_events])
    assert read_events(run) == EVENTS[:n_events]


def test_both_files_have_the_promised_columns(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    write_events(run, EVENTS)
    assert (tmp_path / "events.csv").read_text(encoding="utf-8").splitlines()[0] == PROMISED
    with (tmp_path / "events.csv").open(encoding="utf-8", newline="") as stream:
        cells = list(csv.DictReader(stream))
    rows = json.loads((tmp_path / "events.json").read_text(encoding="utf-8"))
    assert [list(row) for row in rows] == [PROMISED.split(",")] * 3
    in_csv = [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]
    assert in_csv == cells


def test_the_threshold_reads_back(tmp_path: Path) -> None:
    written = Threshold(2.5, 2.0, 1.0, 0.25, is_extrapolated=True, text="a, b")
    write_threshold(RunFolder(tmp_path), written)
    assert read_threshold(RunFolder(tmp_path)) == written


@pytest.mark.parametrize(
    "changed",
    [
        {"video": ["a"]}, {"start_frame": 3.5}, {"start_frame": False}, {"stop_frame": 10**400},
        {"peak_frame": None}, {"start_s": "0"}, {"score": 10**400}, {"score": float("nan")}, {"x2": 10**400},
        {"x1": "a"}, {"reason": 5}, {"stream": None}, {"start_clock": 5}, {"start_clock": "today"},
    ],
)  # fmt: skip
def test_an_event_of_other_types_is_none(changed: dict[str, object], tmp_path: Path) -> None:
    row = {**as_row(EVENTS[1]), **changed}
    (tmp_path / "events.json").write_text(json.dumps([row]), encoding="utf-8")
    with pytest.raises(InputError, match=r"events\.json.*mulde score"):
        read_events(RunFolder(tmp_path))


@pytest.mark.parametrize(
    "changed", [{"text": 5}, {"is_extrapolated": "perhaps"}, {"score": 10**400}, {"normal_hours": 10**400}]
)
def test_a_threshold_of_other_types_is_none(changed: dict[str, object], tmp_path: Path) -> None:
    known = asdict(Threshold(2.5, 2.0, 1.0, 0.25, is_extrapolated=True, text=""))
    (tmp_path / "threshold.json").write_text(json.dumps({**known, **changed}), encoding="utf-8")
    with pytest.raises(InputError, match=r"threshold\.json.*mulde score"):
        read_threshold(RunFolder(tmp_path))


@pytest.mark.parametrize("text", [None, "", "[{}]", "3", '[{"video": "a"}]'])
def test_damage_is_named_with_a_way_out(text: str | None, tmp_path: Path) -> None:
    for read, name in ((read_events, "events.json"), (read_threshold, "threshold.json")):
        if text is not None:
            (tmp_path / name).write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=f"{name}.*mulde score"):
            read(RunFolder(tmp_path))
