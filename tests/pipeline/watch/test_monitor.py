"""What Prometheus is told, read by its own parser."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("prometheus_client")
from prometheus_client.parser import text_string_to_metric_families

from mulde.pipeline.events.record import Threshold
from mulde.pipeline.watch.board import Camera
from mulde.pipeline.watch.monitor import Monitor
from mulde.pipeline.watch.sources import Health

KNOWN = Threshold(2.0, 1.5, 1.0, 3.0, is_extrapolated=True, text="")
UNKNOWN = Threshold(None, None, 1.0, 0.0, is_extrapolated=False, text="")
ALWAYS = {
    "mulde_frames_scored_total": 0.0,
    "mulde_frames_dropped_total": 0.0,
    "mulde_source_lost_total": 0.0,
    "mulde_events_total": 0.0,
    "mulde_alarms_total": 0.0,
    "mulde_source_up": 0.0,
}


def numbers(*cameras: Camera) -> dict[str, dict[str, float]]:
    """What is told, by camera and name."""
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(Monitor(cameras).text().decode()):
        assert family.documentation
        for sample in family.samples:
            found.setdefault(sample.labels["camera"], {})[sample.name] = sample.value
    return found


def test_no_camera() -> None:
    assert numbers() == {}


def test_before_anything_was_seen_nothing_is_made_up() -> None:
    assert numbers(Camera("door", UNKNOWN, Health(), Path())) == {"door": ALWAYS}


def test_cameras_have_numbers_of_their_own() -> None:
    health = Health(n_dropped=7, n_lost=2, seconds_behind=0.25)
    name = 'a "gate"\\ of\nmine'
    gate, door = Camera(name, KNOWN, health, Path()), Camera("door", KNOWN, Health(), Path())
    gate.put({"type": "opened", "video": "live"})
    for k in range(3):
        gate.put({"type": "frame", "frame": k, "time": k / 10, "score": 1.0 + k})
    for start, is_alarm in ((3, True), (30, False)):
        gate.put({
            "type": "event", "start_frame": start, "start_s": 0.3, "stop_s": 0.9, "start_clock": None,
            "score": 3.0, "alarm": is_alarm,
        })  # fmt: skip
    assert numbers(gate, door) == {
        name: {
            "mulde_frames_scored_total": 3.0,
            "mulde_frames_dropped_total": 7.0,
            "mulde_source_lost_total": 2.0,
            "mulde_events_total": 2.0,
            "mulde_alarms_total": 1.0,
            "mulde_source_up": 1.0,
            "mulde_seconds_behind": 0.25,
            "mulde_score": 3.0,
            "mulde_threshold": 2.0,
        },
        "door": {**ALWAYS, "mulde_threshold": 2.0},
    }
    gate.put({"type": "closed"})
    assert numbers(gate)[name]["mulde_source_up"] == 0.0
