"""When a recording began: dates in names, patterns, and what files say of themselves."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import av
import numpy as np
import pytest

from mulde.data.decode.tags import read_tags
from mulde.data.recorded import clock_in_name, clock_in_tags, compile_pattern
from mulde.data.video import Video

NOON = datetime(2026, 11, 28, 13, 4, 5)


@pytest.mark.parametrize("name, expected", [
    ("", None),
    ("gate", None),
    ("20261128_130405", NOON),
    ("VID_20261128_130405", NOON),
    ("2026-11-28 13.04.05", NOON),
    ("cam1/2026-11-28/13-04-05", NOON),
    ("20261128T130405Z", NOON),
    ("gate_2026-11-28_13-04-05_part2", NOON),
    ("2026-11-28", None),  # a day is no time
    ("20261328_130405", None),  # no such month
    ("720261128130405", None),  # a number, not a date
    ("20261328_130405/20261128_130405", NOON),
])  # fmt: skip
def test_common_forms(name: str, expected: datetime | None) -> None:
    assert clock_in_name(name) == expected


@pytest.mark.parametrize("name, pattern, expected", [
    ("gate 28.11.26 13h04", "%d.%m.%y %Hh%M", NOON.replace(second=0)),
    ("06-08", "%d-%H", datetime(1900, 1, 6, 8)),
    ("cam (3) Nov 28 2026", "%b %d %Y", datetime(2026, 11, 28)),
    ("20261128_130405", "%d.%m.%Y", None),
    ("35.11.2026", "%d.%m.%Y", None),
    ("9999", "%Y", None),
])  # fmt: skip
def test_patterns(name: str, pattern: str, expected: datetime | None) -> None:
    assert clock_in_name(name, pattern) == expected


@pytest.mark.parametrize("pattern, message", [
    ("gate", "no part of a date"), ("%Y%q", "%q is not known"), ("%Y%Y", "twice")
])  # fmt: skip
def test_what_is_no_pattern_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compile_pattern(pattern)


@pytest.mark.parametrize("tags, expected", [
    ({}, None),
    ({"creation_time": "2026-11-28T13:04:05.000000Z"}, NOON.replace(tzinfo=timezone.utc)),
    ({"creation_time": "1904-01-01T00:00:00.000000Z"}, None),  # a camera without a clock
    ({"creation_time": "yesterday"}, None),
    (
        {
            "creation_time": "2026-11-28T12:04:05Z",
            "com.apple.quicktime.creationdate": "2026-11-28T13:04:05+0100",
        },
        NOON.replace(tzinfo=timezone(timedelta(hours=1))),
    ),
    ({"DATE": "2026"}, None),
    ({"date": "9999-12-31T23:59:59"}, None),  # what comes after it has no date
])  # fmt: skip
def test_what_files_say(tags: dict[str, str], expected: datetime | None) -> None:
    assert clock_in_tags(tags) == expected


def test_tags_are_read_from_real_files(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        container.metadata["creation_time"] = "2026-11-28T13:04:05Z"
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 32
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert clock_in_tags(read_tags(Video("a", path, tmp_path))) == NOON.replace(tzinfo=timezone.utc)
    for other in (tmp_path, tmp_path / "none.mp4"):
        assert read_tags(Video("b", other, tmp_path)) == {}
