"""Events of live footage: what was marked as normal is hidden from beginning to end, or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mulde.data.video import Video
from mulde.pipeline.events.find import Rule
from mulde.pipeline.marks.record import Mark, ToldEvent
from mulde.pipeline.watch import happenings
from mulde.pipeline.watch.happenings import Beginning, Happening, LiveEvents, WatchedPiece
from mulde.pipeline.watch.scorer import Look, ScoredFrame

RULE = Rule(least_seconds=0.3, merge_gap_seconds=1.0, release=1.0, usual=0.0)


def mark(start: float, stop: float) -> Mark:
    told = ToldEvent("gate:0", "gate", "/gate.mp4", "", start, stop, None, 2.0, "because", "/gate.mp4", 60.0)
    return Mark(told, "2026-11-28T13:04:05+00:00")


def told(marks: list[Mark], seconds_around: float = 0.0) -> list[Beginning | Happening]:
    """What is told of an event from 3 to 8 s, whose highest score is at 5 s."""
    video = Video("gate", Path("/gate.mp4"), Path("/"), "")
    piece = WatchedPiece(video, None, True, "/gate.mp4", 0.0, marks)
    events = LiveEvents(piece, {}, 1.0, RULE, seconds_around, 10.0)
    said: list[Beginning | Happening] = []
    for frame, seconds in enumerate(np.arange(0, 12, 0.1)):
        score = (3.0 if abs(seconds - 5) < 0.05 else 2.0) if 3 <= seconds < 8 else 0.0
        said += events.push(
            [ScoredFrame(frame, float(seconds), score, score)],
            [Look(frame, {}, {}, score, None)],
            [frame],
            0.1,
            {},
        )
    return [*said, *events.finish()]


@pytest.fixture(autouse=True)
def _without_detectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(happenings, "find_cause", lambda *_: None)


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ([], [Beginning, Happening]),
        ([mark(3.0, 8.0)], []),
        ([mark(3.6, 8.0)], []),  # with another threshold or model it begins a little earlier
        ([mark(4.5, 8.0)], [Beginning, Happening]),  # who was told of the beginning is told of the end
        ([mark(2.0, 4.0)], [Happening]),  # another thing happened after what was marked
    ],
)
def test_what_was_marked_is_not_told(marks: list[Mark], expected: list[type]) -> None:
    assert [type(each) for each in told(marks)] == expected


@pytest.mark.parametrize(("seconds_around", "n_frames"), [(0.0, 50), (0.1, 55), (0.2, 60)])
def test_what_smoothing_spreads_is_kept_with_an_event(seconds_around: float, n_frames: int) -> None:
    """A spread before it, and four after."""
    _, over = told([], seconds_around)
    assert isinstance(over, Happening)
    assert over.excerpt is not None
    assert len(over.excerpt.rows.seconds) == n_frames
