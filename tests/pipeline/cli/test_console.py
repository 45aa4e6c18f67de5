"""Progress in a log: a line now and then, with the time that is left."""

from __future__ import annotations

import logging

import pytest

from mulde.pipeline.cli import console
from mulde.pipeline.cli.console import Bars
from mulde.pipeline.progress import Tracked


@pytest.fixture()
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that the bars see, to be set."""
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    return now


def test_a_log_has_a_line_every_ten_seconds(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    logging.getLogger("mulde").propagate = True
    with Tracked(Bars(), "extract", 8, "videos") as tracked:
        for done, seconds in ((1, 105.0), (2, 110.0), (3, 119.0), (4, 120.0)):
            clock[0] = seconds
            tracked.update(done, "90 frames/s")
    assert [record.getMessage() for record in caplog.records] == [
        "extract: 2 of 8 videos  90 frames/s  about 30 s left",
        "extract: 4 of 8 videos  90 frames/s  about 20 s left",
    ]


def test_pieces_of_work_follow_each_other(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    logging.getLogger("mulde").propagate = True
    bars = Bars()
    for title in ("train velocity", "train direction"):
        with Tracked(bars, title, 2, "steps") as tracked:
            clock[0] += 11
            tracked.update(1)
    assert [record.getMessage() for record in caplog.records] == [
        "train velocity: 1 of 2 steps    about 11 s left",
        "train direction: 1 of 2 steps    about 11 s left",
    ]
