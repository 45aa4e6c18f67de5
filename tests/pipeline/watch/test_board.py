"""What those who look at a camera are told: all that is recent, once, and no more than that."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mulde.data.video import RgbPicture
from mulde.pipeline.events.record import Threshold
from mulde.pipeline.watch import board
from mulde.pipeline.watch.board import Camera, Cursor
from mulde.pipeline.watch.scorer import ScoredFrame
from mulde.pipeline.watch.sources import Health
from mulde.pipeline.watch.watcher import View

THRESHOLD = Threshold(2.0, 1.5, 1.0, 3.0, is_extrapolated=True, text="")
OPENED = {"type": "opened", "video": "live", "size": [64, 48], "frames_per_second": 10.0}


def camera(health: Health | None = None, threshold: Threshold = THRESHOLD) -> Camera:
    return Camera("door", threshold, health or Health(), Path("watch"))


def frame(number: int, score: float) -> dict[str, Any]:
    return {"type": "frame", "frame": number, "time": number / 10, "score": score}


def began(start: int) -> dict[str, Any]:
    return {
        "type": "began", "start_frame": start, "start_s": start / 10, "start_clock": None, "score": 2.5,
        "alarm": True,
    }  # fmt: skip


def event(start: int, stop: int, **more: Any) -> dict[str, Any]:
    return {
        "type": "event", "video": "live", "start_frame": start, "start_s": start / 10, "stop_s": stop / 10,
        "start_clock": "2026-11-28T13:04:05+00:00", "score": 3.0, "alarm": True, "reason": "faster",
        "picture": f"pictures/{start}.jpg", **more,
    }  # fmt: skip


def test_before_anything_was_seen() -> None:
    news = camera().news(Cursor())
    assert news is not None
    assert (news["state"]["up"], news["state"]["score"], news["state"]["frames"]) == (False, None, 0)
    assert news["events"] == []
    assert not {"points", "view"} & set(news)


def test_each_is_told_once_what_is_new() -> None:
    door, early, late = camera(), Cursor(), Cursor()
    door.news(early)
    assert door.news(early) is None
    for record in (OPENED, *(frame(k, float(k)) for k in range(5))):
        door.put(record)
    news = door.news(early)
    assert news is not None
    # points are 0.2 s apart; the last one is not complete
    assert (news["points"], news["state"]["up"], news["state"]["score"]) == (
        [(0.0, 1.0), (0.2, 3.0)],
        True,
        4.0,
    )
    assert "events" not in news
    assert door.news(early) is None
    assert (door.news(late) or {})["points"] == news["points"]


def test_records_that_nobody_asks_for_change_nothing() -> None:
    door, cursor = camera(), Cursor()
    door.news(cursor)
    door.put({"type": "status", "n_frames": 3})
    assert door.news(cursor) is None


def test_an_event_goes_on_is_over_and_has_a_clip() -> None:
    door, cursor = camera(), Cursor()
    door.put(OPENED)
    told = []
    for record in (
        began(3),
        event(3, 9, clip="clips/3.mp4"),
        {"type": "clip", "clip": "clips/3.mp4", "error": ""},
    ):
        door.put(record)
        (shown,) = (door.news(cursor) or {})["events"]
        told.append((shown["id"], shown["when"], shown["to"], shown["clip"], door.file("clips/3.mp4")))
    assert told == [
        ("1-3", "0:00.3", None, "", None),
        ("1-3", "2026-11-28 13:04:05", 0.9, "", None),
        ("1-3", "2026-11-28 13:04:05", 0.9, "clips/3.mp4", Path("watch/clips/3.mp4")),
    ]
    assert (door.counts.n_events, door.counts.n_alarms) == (1, 1)


def test_the_clip_of_a_long_event_is_there_before_the_event_is_over() -> None:
    door, cursor = camera(), Cursor()
    for record in (OPENED, began(3), {"type": "clip", "clip": "clips/3.mp4", "error": ""}):
        door.put(record)
    door.put(event(3, 9, clip="clips/3.mp4"))
    assert (door.news(cursor) or {})["events"][0]["clip"] == "clips/3.mp4"


def test_a_clip_that_did_not_come_is_not_offered() -> None:
    door, cursor = camera(), Cursor()
    door.put(event(3, 9, clip="clips/3.mp4"))
    door.put({"type": "clip", "clip": "clips/3.mp4", "error": "the disk is full"})
    assert (door.news(cursor) or {})["events"][0]["clip"] == ""


@pytest.mark.parametrize("name", ["", ".", "../config.yaml", "/etc/passwd", "pictures/4.jpg", "events.jsonl"])
def test_no_other_file_is_given(name: str) -> None:
    door = camera()
    door.put(event(3, 9))
    door.put({**began(20)})  # has neither
    assert door.file("pictures/3.jpg") == Path("watch/pictures/3.jpg")
    assert door.file(name) is None


def test_what_is_kept_does_not_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "_MOST_EVENTS", 3)
    door = camera()
    for k in range(10_000):
        door.put(frame(k, 1.0))
        if k % 1000 == 0:
            door.put(event(k, k + 5))
    news = door.news(Cursor()) or {}
    assert len(news["points"]) == 2000
    assert [each["from"] for each in news["events"]] == [900.0, 800.0, 700.0]
    assert door.counts.n_events == 10


def test_footage_that_begins_again_goes_on_to_the_right() -> None:
    door = camera()
    for record in (OPENED, frame(0, 1.0), frame(10, 1.0), {"type": "closed"}):
        door.put(record)
    door.put({"type": "lost", "reason": "no answer", "next_try_seconds": 1.0})
    lost = door.news(Cursor()) or {}
    assert (lost["state"]["up"], lost["state"]["trouble"]) == (False, "Lost: no answer.")
    for record in (OPENED, frame(0, 1.5), frame(10, 1.5), began(0)):
        door.put(record)
    news = door.news(Cursor()) or {}
    assert news["points"] == [(0.0, 1.0), (1.0, 1.0), (1.0, None), (2.0, 1.5)]
    assert news["events"][0]["from"] == 2.0
    assert news["state"]["up"]


def test_counts_are_those_of_the_source() -> None:
    health = Health()
    door = camera(health)
    health.n_dropped, health.n_lost, health.seconds_behind = 7, 2, 0.25
    counts = door.counts
    assert (counts.n_dropped, counts.n_lost, counts.seconds_behind) == (7, 2, 0.25)


def test_the_rate_is_that_of_the_last_seconds_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(board.time, "monotonic", lambda: now[0])
    door = camera()
    for k in range(200):  # twenty seconds of ten frames a second
        now[0] += 0.1
        door.put(frame(k, 1.0))
    assert door.counts.frames_per_second == pytest.approx(10, abs=0.5)
    now[0] += 5  # nothing comes
    assert door.counts.frames_per_second < 10
    now[0] += 5
    assert door.counts.frames_per_second == 0


def view(boxes: list[list[float]], totals: list[float], size: tuple[int, int] = (64, 48)) -> View:
    picture = RgbPicture(np.full((size[1], size[0], 3), 90, np.uint8))
    box_xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    return View(ScoredFrame(3, 0.3, 1.0, 1.0), picture, box_xyxy, np.array(totals))


@pytest.mark.parametrize(
    ("boxes", "totals", "is_drawn"),
    [([], [], False), ([[10, 10, 40, 40]], [0.1], False), ([[10, 10, 40, 40]], [3.0], True)],
)
def test_the_picture_has_the_boxes_that_are_near_the_threshold(
    boxes: list[list[float]], totals: list[float], is_drawn: bool
) -> None:
    door = camera()
    assert door.picture() is None
    shown = view(boxes, totals)
    door.show(shown)
    jpeg = door.picture()
    assert jpeg is not None
    assert door.picture() is jpeg  # it is drawn once
    pixels = np.asarray(Image.open(io.BytesIO(jpeg))).astype(int)
    assert (np.ptp(pixels) > 50) == is_drawn
    assert np.ptp(shown.picture.to_rgb()) == 0  # what others hold was not drawn on
    assert (door.news(Cursor()) or {})["view"] == 1


def test_large_pictures_are_made_smaller_without_a_threshold_too() -> None:
    door = camera(threshold=Threshold(None, None, 1.0, 0.0, is_extrapolated=False, text=""))
    door.show(view([[100, 100, 900, 900]], [0.5], (1920, 1080)))
    assert Image.open(io.BytesIO(door.picture() or b"")).size == (960, 540)


def test_boxes_and_scores_belong_together() -> None:
    with pytest.raises(ValueError, match="boxes have"):
        view([[1, 2, 3, 4]], [])
