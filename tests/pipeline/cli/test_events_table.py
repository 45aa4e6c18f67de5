"""What is said of events where there are none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mulde.pipeline.cli.events_table import print_events
from mulde.pipeline.events.record import Threshold
from mulde.pipeline.stages.find_events import Found

MORE = "no events above a score of 1.500; score.false_alarms_per_day={} looks for less unusual ones"
CALIBRATED = Threshold(2.0, 1.5, 1.0, 30.0, False, "Alarms from 2 on.")
SHORT = Threshold(2.0, 1.5, 2.0, 0.2, True, "Alarms from 2 on.")
UNKNOWN = Threshold(None, None, 1.0, 0.0, False, "There is no threshold.")


@pytest.mark.parametrize(("threshold", "expected"), [
    (UNKNOWN, "no events"), (CALIBRATED, MORE.format(24)), (SHORT, MORE.format(240)),
    (replace(SHORT, false_alarms_per_day=5e5), MORE.format(1_000_000)),
])  # fmt: skip
def test_no_events(threshold: Threshold, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_events(Found((), threshold))
    assert " ".join(capsys.readouterr().out.split()) == " ".join(f"{expected} {threshold.text}".split())
