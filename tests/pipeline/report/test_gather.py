"""What the report reads of each video."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from mulde.data.labels.labels import Labels
from mulde.data.video import Video
from mulde.pipeline.events.record import Event
from mulde.pipeline.metrics.protocols import PROTOCOLS
from mulde.pipeline.report.gather import Gatherer, choose_videos, most_shown
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.scores import ScoredVideo, object_datasets, write_scores

N = 20
SECONDS = np.arange(N) / 10


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Two videos: scores that rise, and none at all."""
    run = RunFolder(tmp_path / "run")
    for name, n in (("door/a", N), ("empty", 0)):
        run.csv(name).parent.mkdir(parents=True, exist_ok=True)
        frame = np.arange(0, n, 2)
        streams = {"velocity": frame / 10.0, "place": np.zeros(frame.size)}
        datasets = object_datasets(frame, np.zeros((frame.size, 4), np.float32), streams, frame / 10.0)
        scores = np.arange(n) / 10
        video = ScoredVideo(
            name, scores, scores[::-1].copy(), SECONDS[:n], 10.0, ("damaged",), "every second"
        )
        write_scores(run, video, {**datasets, "looked_at": frame})
    return run


def gatherer(run: RunFolder, **changes: object) -> Gatherer:
    settings = {
        "events": (),
        "n_points": 1000,
        "n_events": 9,
        "n_pictures": 1,
        "frames_per_second": 25.0,
        **changes,
    }
    return Gatherer(run, **settings)  # type: ignore[arg-type]


def event(video: str = "door/a", start: int = 15, **changes: object) -> Event:
    return Event(video, start, 20, start / 10, 2.0, None, 19, 1.9, (1, 2, 9, 9), "velocity", "fast")


def test_a_video_without_frames(run: RunFolder) -> None:
    video = gatherer(run).read("empty", None)
    assert (video.seconds, video.curve.n_frames, video.abnormal) == (0.0, 0, None)


def test_what_is_drawn_of_a_video(run: RunFolder) -> None:
    video = gatherer(run).read("door/a", None)
    np.testing.assert_allclose(video.curve.score, np.arange(N) / 10)
    # looked at in every second frame, and in between what lies between
    np.testing.assert_allclose(video.curve.streams["velocity"], [*np.arange(19) / 10, 1.8])
    assert video.seconds == pytest.approx(2.0)
    assert video.warnings == ("damaged", "every second")
    assert (video.abnormal, video.normal, video.start_clock) == (None, None, None)


def test_labels_become_stretches_with_their_peaks(run: RunFolder) -> None:
    labels = Labels({"door/a": ((5, 8), (18, 20))}, event_names={"door/a": {(5, 8): "a fight"}})
    gathering = gatherer(run, labels=labels, protocol=PROTOCOLS["unsmoothed"])
    video = gathering.read("door/a", None)
    assert video.abnormal is not None
    assert video.normal is not None
    assert [(s.start_frame, s.stop_frame, s.peak_frame, s.score) for s in video.abnormal] == [
        (5, 8, 7, 0.7), (18, 20, 19, 1.9),
    ]  # fmt: skip
    assert (video.abnormal[1].start_seconds, video.abnormal[1].stop_seconds) == (1.8, pytest.approx(2.0))
    assert [(s.start_frame, s.stop_frame) for s in video.normal] == [(0, 5), (8, 18)]
    assert video.n_abnormal == 5
    assert video.labelled_events == ("a fight, frames 5 to 7",)
    rates = gathering.rates()
    assert rates is not None
    # by the unsmoothed scores, which fall: frame 19 is the lowest
    assert (rates.recall[-1], rates.precision[-1]) == (1.0, 5 / 20)
    assert rates.true_positive[np.searchsorted(rates.false_positive, 0.99)] < 1


def test_without_labels_there_are_no_rates(run: RunFolder) -> None:
    gathering = gatherer(run)
    gathering.read("door/a", None)
    assert gathering.rates() is None


def test_pictures_are_taken_of_the_strongest_events(
    run: RunFolder, tmp_path: Path, write_video: Callable[..., Path]
) -> None:
    path = write_video(tmp_path / "a.mp4", [np.full((48, 64, 3), 9 * k, np.uint8) for k in range(N)])
    events = (event(start=15), event(start=16), event("empty", 17))
    gathering = gatherer(run, events=events)
    began = datetime(2026, 3, 4, 12, 0, 13)
    video = gathering.read("door/a", Video("door/a", path, tmp_path), began)
    first, second, third = gathering.shown_events()
    assert first.stills is not None
    assert first.stills.peak.frame == 19
    assert (second.stills, second.picture_note, third.stills) == (None, "", None)
    assert video.start_clock == began


def test_without_events_the_highest_moments_are_shown(
    run: RunFolder, tmp_path: Path, write_video: Callable[..., Path]
) -> None:
    path = write_video(tmp_path / "a.mp4", [np.full((48, 64, 3), 9 * k, np.uint8) for k in range(N)])
    sources = {"door/a": Video("door/a", path, tmp_path)}
    gathering = gatherer(run, n_pictures=3)
    for name in ("door/a", "empty"):
        gathering.read(name, None)
    (moment,) = gathering.moments(sources)
    assert (moment.event.peak_frame, moment.event.score) == (19, 1.9)  # boxes of no size count for none
    assert moment.stills is not None
    assert gatherer(run, n_pictures=3).moments(sources) == []  # nothing was read


def test_moments_are_apart_and_the_highest_of_all_come_first(run: RunFolder) -> None:
    seconds = np.arange(2000) / 10
    scores = np.zeros(2000)
    scores[[100, 150, 700, 1500]] = 3.0, 2.9, 2.0, 4.0
    boxes = np.array([[0, 0, 9, 9], [1, 2, 30, 40]], np.float32)
    datasets = object_datasets(np.array([1502, 1502]), boxes, {}, np.array([1.0, 4.0]))
    write_scores(run, ScoredVideo("long", scores, scores, seconds, 10.0), datasets)
    gathering = gatherer(run, n_pictures=3)
    for name in ("door/a", "long"):
        gathering.read(name, None)
    found = [moment.event for moment in gathering.moments({})]
    assert [event.peak_frame for event in found] == [1502, 100, 700]  # the first where an object is near
    assert {event.video for event in found} == {"long"}
    assert [event.box_xyxy for event in found] == [(1, 2, 30, 40), None, None]


def test_a_video_that_is_gone_has_a_note_in_place_of_pictures(run: RunFolder, tmp_path: Path) -> None:
    gathering = gatherer(run, events=(event(),))
    gathering.read("door/a", Video("door/a", tmp_path / "gone.mp4", tmp_path))
    (shown,) = gathering.shown_events()
    assert shown.stills is None
    assert "gone.mp4 any more" in shown.picture_note


MANY = [f"v{index}" for index in range(501)]


@pytest.mark.parametrize(
    ("names", "events", "expected"),
    [
        ([], [], []),
        (MANY[:500], [MANY[3]], MANY[:500]),
        (MANY, [], MANY[:200]),
        (MANY, [MANY[-1], MANY[-1], MANY[7]], [*MANY[:199], MANY[-1]]),
        (MANY, MANY[301:], MANY[301:]),
        (MANY, [*MANY[:0:-1]], MANY[301:]),  # the weakest events are not named, nor are their videos
    ],
)
def test_which_videos_are_drawn(names: list[str], events: list[str], expected: list[str]) -> None:
    assert choose_videos(names, [event(name) for name in events]) == expected


@pytest.mark.parametrize(("n_videos", "n_named"), [(0, 500), (500, 500), (501, 200)])
def test_how_many_events_are_named(run: RunFolder, n_videos: int, n_named: int) -> None:
    events = [event(f"v{number}") for number in range(600)]
    gathering = gatherer(run, events=events, n_events=most_shown(n_videos))
    assert [shown.event for shown in gathering.shown_events()] == events[:n_named]


def test_what_is_not_drawn_is_measured(run: RunFolder) -> None:
    labels = Labels({"door/a": ((5, 8), (18, 20))})
    drawn, measured = gatherer(run, labels=labels), gatherer(run, labels=labels)
    for name in ("door/a", "empty"):  # of one there are no labels
        drawn.read(name, None)
        measured.measure(name)
    expected, rates = drawn.rates(), measured.rates()
    assert expected is not None and rates is not None
    np.testing.assert_array_equal(rates.true_positive, expected.true_positive)
