"""What a reader of the report sees, and what the page must not hold."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from collections.abc import Sequence
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mulde.data.sealed import seal
from mulde.data.spelling import printable
from mulde.pipeline.events.record import Event, Threshold
from mulde.pipeline.metrics.alarms import AlarmCount
from mulde.pipeline.metrics.events import runs
from mulde.pipeline.metrics.measure import VideoScores, evaluate_frames
from mulde.pipeline.metrics.protocols import PROTOCOLS, Smoothing
from mulde.pipeline.metrics.settings import EvaluateConfig
from mulde.pipeline.pictures.stills import EventStills, Still
from mulde.pipeline.report.curves import reduce_curve
from mulde.pipeline.report.page import render_report, thin, write_report
from mulde.pipeline.report.records import (
    Rates,
    ReportEvent,
    ReportRun,
    ReportScene,
    ReportVideo,
    Stretch,
)
from mulde.pipeline.runs.folder import Failure

JPEG = b"\xff\xd8\xff\xe0 not a picture, but the page does not look inside \xff\xd9"
FEW = EvaluateConfig(n_resamples=20)
HOSTILE = "<script>alert(1)</script>\"'&</title></script>\u2028"


class Page(HTMLParser):
    """The tags of a page, its ids, what it refers to, its data, and its text outside of style and script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.classes: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.styled: list[str] = []
        self.blocks: dict[str, list[str]] = {"style": [], "script": []}
        self.text = ""
        self._inside: list[str] = []
        self.feed(html)
        self.data = json.loads(self.blocks["script"][0])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._inside.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name == "class":
                self.classes += (value or "").split()
            if name in ("src", "href", "xlink:href", "srcset", "action", "data", "formaction", "poster"):
                self.references.append(value or "")
            if name == "style" or name.startswith("on"):
                self.styled.append(f"{tag} {name}")

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        inside = self._inside[-1] if self._inside else ""
        if inside in self.blocks:
            self.blocks[inside].append(data)
        else:
            self.text += f" {data}"

    @property
    def words(self) -> str:
        """The text with single spaces."""
        return " ".join(self.text.split())


def stretches(labels: np.ndarray, value: int, scores: np.ndarray) -> tuple[Stretch, ...]:
    return tuple(
        Stretch(a, b, a / 10, b / 10, a, a / 10, float(scores[a:b].max()))
        for a, b in runs(labels == value).tolist()
    )


def make_video(
    name: str = "Test001", n_frames: int = 60, *, labelled: bool = True, **changes: Any
) -> ReportVideo:
    """Return a video at 10 frames a second; the frames from a third to a half are abnormal."""
    rng = np.random.default_rng(n_frames)
    labels = np.zeros(n_frames, dtype=np.uint8)
    labels[n_frames // 3 : n_frames // 2] = 1
    scores = changes.pop("scores", rng.random(n_frames) + labels)
    streams = changes.pop("streams", {})
    curve = reduce_curve(scores, np.arange(n_frames) / 10, streams, changes.pop("n_points", 1000))
    return ReportVideo(
        name,
        curve,
        n_frames / 10,
        stretches(labels, 1, scores) if labelled else None,
        stretches(labels, 0, scores) if labelled else None,
        **changes,
    )


def make_event(video: str = "Test001", start: int = 20, stop: int = 30, **changes: Any) -> Event:
    event = Event(
        video, start, stop, start / 10, stop / 10, None, min(start + 2, stop - 1), 1.9,
        (4.0, 5.0, 24.0, 45.0), "velocity", "faster than anything seen here",
    )  # fmt: skip
    return dataclasses.replace(event, **changes)


def make_shown(event: Event, *, pictured: bool = True) -> ReportEvent:
    if not pictured:
        return ReportEvent(event)
    stills = [Still(event.peak_frame + k, (event.peak_frame + k) / 10, JPEG, (360, 240)) for k in (-2, 0, 2)]
    return ReportEvent(event, EventStills(stills[1], tuple(stills)))


def make_run(videos: Sequence[ReportVideo] = (), **changes: Any) -> ReportRun:
    run = ReportRun(
        "night-shift", "motion", "two folders", "2026-03-04", {"mulde": "0.1.0"}, videos,
        threshold=Threshold(1.5, 1.5, 1.0, 2.0, False, "Alarms from 1.5 on: once a day."),
    )  # fmt: skip
    return dataclasses.replace(run, **changes)


def make_metrics(**changes: Any) -> Any:
    labels = np.repeat(np.array([0, 1, 0], dtype=np.uint8), 20)
    scores = np.random.default_rng(0).random(60) + labels
    videos = [VideoScores(f"{name}/1", scores, labels, name, 10.0) for name in ("door", "yard")]
    return evaluate_frames(videos, unsmoothed=videos, settings=FEW, **changes)


def read(run: ReportRun) -> Page:
    return Page(render_report(run))


# --- From nothing upwards ---


def test_a_run_without_videos() -> None:
    page = read(make_run())
    assert "no scored videos" in page.text
    assert {"happened", "timeline", "curves"}.isdisjoint(page.ids)
    assert page.data["videos"] == []


@pytest.mark.parametrize("n_frames", [0, 1, 2])
def test_the_shortest_videos(n_frames: int) -> None:
    page = read(make_run([make_video(n_frames=n_frames)]))
    assert ("No frame of this video was decoded" in page.text) == (n_frames == 0)
    assert page.tags.count("article") == 1
    assert page.classes.count("chart") == (n_frames > 0)


@pytest.mark.parametrize("constant", [0.0, -3.5, 1e30])
def test_constant_scores(constant: float) -> None:
    page = read(make_run([make_video(scores=np.full(60, constant))]))
    assert page.data["axis"]["low"] < page.data["axis"]["high"]


def test_without_events_the_page_says_what_was_highest() -> None:
    page = read(make_run([make_video(scores=np.linspace(0, 1.25, 60))]))
    assert "Nothing stood out in 1 video, 6.0 s of footage." in page.words
    assert "No score reaches 1.5, from which on events are listed. The highest score is 1.25." in page.words
    assert "gallery" not in page.classes


def test_without_events_the_highest_moments_are_shown() -> None:
    moment = make_shown(make_event(start=20, stop=21, reason="", stream="", score=1.25))
    page = read(make_run([make_video(scores=np.linspace(0, 1.25, 60))], moments=[moment]))
    assert "Nothing stood out" in page.words
    assert "These are the highest moments:" in page.words
    assert "score 1.25 · frame 20" in page.words
    assert "1 event" not in page.words
    assert page.data["videos"][0]["events"] == []
    assert len(page.data["events"]) == 1


def test_of_very_many_videos_it_is_said_that_some_are_shown() -> None:
    page = read(make_run([make_video("a")], n_more_videos=99_999))
    assert "Nothing stood out in 100\u202f000 videos, of which 1 are shown." in page.text
    assert "scores/ has 99\u202f999 more" in page.text
    assert "scores/" not in read(make_run([make_video("a")])).text


def test_without_a_threshold_nothing_is_called_quiet() -> None:
    page = read(make_run([make_video()], threshold=None))
    assert "Nothing stood out" not in page.words
    assert "There is no threshold" in page.words
    assert page.data["threshold"] is None
    assert "of-threshold" not in page.classes


def test_without_labels_nothing_of_labels_is_shown() -> None:
    page = read(make_run([make_video(labelled=False)], events=[make_shown(make_event())]))
    assert "There are no labels" in page.text
    for word in ("AUC", "ROC", "abnormal", "false alarms"):
        assert word not in page.text.replace("once a day", "")
    assert page.data["videos"][0]["abnormal"] == []


def test_a_video_without_labels_among_labelled_ones() -> None:
    page = read(make_run([make_video("a"), make_video("b", labelled=False)]))
    assert page.words.count("not labelled") == 1


# --- What happened ---


def test_events_come_first_with_picture_time_reason_and_strip() -> None:
    events = [make_event("b", score=2.5), make_event("a", start=40, stop=50)]
    page = read(make_run([make_video("a"), make_video("b")], events=[make_shown(e) for e in events]))
    assert (
        "2 events in all 2 videos, 12 s of footage. The strongest: 0:02.0 in b, faster than anything seen"
        in page.words
    )
    gallery = page.words.split("What happened")[-1].split("Timeline")[0]
    assert "Alarms from 1.5 on: once a day." in gallery
    assert re.search(
        r"0:02\.0 b faster than anything seen here score 2\.5 · 1\.0 s · frames 20 to 29", gallery
    )
    assert page.tags.count("img") == 2 * (1 + 3)
    assert page.classes.count("now") == 2
    assert [event["index"] for event in page.data["events"]] == [1, 0]


def test_alarms_are_told_from_events_that_are_none() -> None:
    threshold = Threshold(2.0, 1.5, 1.0, 2.0, True, "Alarms from 2 on.")
    events = [make_event(score=2.5), make_event(start=40, stop=50, score=1.75)]
    shown = [make_shown(events[0]), make_shown(events[1], pictured=False)]
    run = make_run([make_video()], events=shown, threshold=threshold)
    page = read(run)
    assert "2 events, 1 of them an alarm, in 1 video" in page.words
    assert page.data["videos"][0]["events"] == [[2.0, 3.0, True], [4.0, 5.0, False]]
    assert (page.data["threshold"], page.data["listed"]) == (2.0, 1.5)
    assert page.classes.count("notice") == page.classes.count("alarm") == 2
    assert {"of-alarms", "of-events", "of-listed"} <= {*page.classes}
    only = read(dataclasses.replace(run, events=shown[:1]))
    assert "of-events" not in only.classes
    none = read(dataclasses.replace(run, events=shown[1:]))
    assert "1 event, no alarm, in 1 video" in none.words


def test_the_box_stands_where_it_was() -> None:
    html = render_report(make_run([make_video()], events=[make_shown(make_event())]))
    assert '<svg viewBox="0 0 360 240"' in html
    assert '<rect class="box" x="4.0" y="5.0" width="20.0" height="40.0"/>' in html
    whole = render_report(make_run([make_video()], events=[make_shown(make_event(box_xyxy=None))]))
    assert '<rect class="box"' not in whole


def test_wall_clock_where_it_is_known() -> None:
    start = datetime(2026, 3, 4, 21, 55, 2)
    event = make_event(start_clock=datetime(2026, 3, 4, 21, 55, 4))
    page = read(make_run([make_video(start_clock=start)], events=[make_shown(event)]))
    assert "2026-03-04 21:55:04" in page.words
    assert "2026-03-04 21:55 · 6.0 s" in page.words
    assert page.data["videos"][0]["clock"] == (21 * 60 + 55) * 60 + 2


def test_events_without_pictures_are_rows() -> None:
    events = [make_shown(make_event()), make_shown(make_event(start=40, stop=50), pictured=False)]
    note = ReportEvent(make_event(start=52, stop=54), picture_note="the video is gone")
    page = read(make_run([make_video()], events=[*events, note], n_more_events=7, n_more_alarms=6))
    assert "2 more events" in page.words
    assert "1 of the strongest has no picture because the video is gone." in page.words
    assert "7 weaker events are in events.csv only" in page.words
    assert {"event-1", "event-2", "event-3"} <= {*page.ids}
    assert "10 events, 9 of them alarms, in 1 video" in page.words


# --- Timeline and curves ---


def test_every_video_has_a_row_and_a_curve() -> None:
    page = read(make_run([make_video("a"), make_video("cam2/b", n_frames=1500)]))
    assert {"#video-1", "#video-2"} <= set(page.references)
    assert page.tags.count("article") == 2
    assert "1\u202f500 frames" in page.text


def bars(html: str) -> list[list[float]]:
    """Left edge and width of each track, event and labelled stretch of the timeline."""
    rows = re.findall(r'class="(?:track|alarm|notice|truth)" x="([\d.]+)" y="\d+" width="([\d.]+)"', html)
    return [[float(left), float(width)] for left, width in rows]


def test_the_timeline_is_to_scale() -> None:
    event = make_shown(make_event("b", 30, 45))
    html = render_report(make_run([make_video("a", 120), make_video("b", 60)], events=[event]))
    # a: its track, its label; b: its track, its label, its event
    expected = [[0, 1000], [333.3, 166.7], [0, 500], [166.7, 83.3], [250, 125]]
    np.testing.assert_allclose(bars(html), expected, atol=0.1)
    assert "0:12" in Page(html).words


def test_videos_of_very_different_lengths_have_scales_of_their_own() -> None:
    page = render_report(make_run([make_video("a", 9000), *(make_video(c, 60) for c in "bcd")]))
    assert [width for left, width in bars(page) if left == 0] == [1000] * 4
    assert "Each video has the whole width" in page


def test_short_events_of_long_videos_can_be_seen() -> None:
    event = make_shown(make_event("a", 8999, 9000), pictured=False)
    left, width = bars(render_report(make_run([make_video("a", 9000, labelled=False)], events=[event])))[-1]
    assert (left + width, width) == (1000, 3)


def test_one_video_with_huge_scores_does_not_flatten_the_others() -> None:
    videos = [make_video(name) for name in "abc"]
    huge = make_video("d", scores=np.linspace(0, 1e5, 60))
    page = read(make_run([*videos, huge]))
    assert "logarithmic" in page.text
    assert page.data["axis"]["width"] is not None
    assert "logarithmic" not in read(make_run(videos)).text


def test_the_threshold_is_inside_the_axis() -> None:
    page = read(make_run([make_video(scores=np.linspace(0, 1, 60))]))
    assert page.data["axis"]["high"] > page.data["threshold"] == 1.5


def test_streams_warnings_failures_and_named_labels_are_shown() -> None:
    video = make_video(
        scores=np.eye(1, 60, 45)[0],
        streams={"velocity": np.ones(60), "place": np.zeros(60)},
        warnings=("2 damaged packets",),
        labelled_events=("a fight, frames 20 to 29",),
    )
    page = read(make_run([video], failures=[Failure("Test002", "extract", "no video stream")]))
    for words in ("2 damaged packets", "a fight, frames 20 to 29", "no video stream", "frame 45 (0:04)"):
        assert words in page.text
    assert "1 video could not be finished" in page.words
    assert page.tags.count("input") == 2


def test_long_videos_are_said_to_be_reduced() -> None:
    page = read(make_run([make_video(n_frames=5000, n_points=1000)]))
    assert "lowest and the highest score of neighbouring frames" in page.text
    assert "neighbouring" not in read(make_run([make_video()])).text


# --- For researchers ---


def test_metrics_with_protocols_and_intervals() -> None:
    metrics = make_metrics()
    page = read(make_run([make_video()], metrics=metrics))
    for number in metrics.numbers:
        assert (number.title in page.words.replace(metrics.per_scene_protocol, "")) == (
            number.value is not None
        )
        if number.value is not None:
            assert number.protocol in page.words
            assert f"{100 * number.value:.1f}\u202f%" in page.text
    interval = metrics["micro_auc"].interval
    assert interval is not None
    assert f"95 %: {100 * interval.low:.1f}\u202f% to {100 * interval.high:.1f}\u202f%" in page.text
    assert "20 bootstrap resamples of the 2 videos" in page.words
    assert "2 of 2" in page.words
    assert "Cameras" in page.words
    assert "unsmoothed 100.0\u202f%" in page.text


def test_false_alarms_promised_and_observed() -> None:
    alarms = AlarmCount(
        1.0, True, 1.5, 0, 2.0, 0.0, 0.0, 44.3, 3, 4, "A false alarm is an alarm without one."
    )
    metrics = dataclasses.replace(make_metrics(), alarms=alarms)
    words = read(make_run([make_video()], metrics=metrics)).words
    assert (
        "0 in 2 h of normal test footage once a day, not supported by the footage "
        "never never to 1.8 times an hour" in words
    )
    assert "3 of 4" in words
    assert "promised" not in read(make_run([make_video()], metrics=make_metrics())).words


def test_a_protocol_that_uses_the_test_set_is_marked() -> None:
    treatment = PROTOCOLS["per-video-minmax"].describe("per-video-minmax", Smoothing(3))
    text = read(make_run([make_video()], metrics=make_metrics(treatment=treatment))).text
    assert "This protocol uses the test scores" in text
    assert text.count("(uses the test scores") > 5


@pytest.mark.parametrize("is_evaluated", [True, False])
def test_what_must_not_be_taken_for_a_result_is_marked(is_evaluated: bool) -> None:
    run = make_run([make_video()], metrics=make_metrics() if is_evaluated else None)
    assert "Caution" not in read(run).text
    words = read(dataclasses.replace(run, caution="numbers <mean> nothing")).words
    assert "Caution : numbers <mean> nothing." in words.split("What happened")[0]


def test_scores_that_were_not_evaluated_say_so() -> None:
    run = make_run([make_video()], no_metrics_reason="These were not evaluated")
    assert "These were not evaluated." in read(run).text


def test_roc_and_precision_are_drawn_from_few_points() -> None:
    x = np.linspace(0, 1, 10_000)
    page = read(make_run([make_video()], rates=Rates(x, np.sqrt(x), x, 1 - x / 2)))
    (fpr, tpr), (recall, precision) = page.data["rates"]["roc"], page.data["rates"]["pr"]
    assert len(fpr) == len(tpr) == len(recall) == len(precision) == 500
    np.testing.assert_allclose(tpr, np.sqrt(fpr), atol=3e-3)
    np.testing.assert_allclose(precision, 1 - np.array(recall) / 2, atol=1e-4)
    assert page.data["rates"]["abnormal"] == pytest.approx(10 / 60)
    assert read(make_run([make_video()])).data["rates"] is None


def test_thinning_keeps_short_curves() -> None:
    rates = Rates(np.array([0, 0, 1.0]), np.array([0, 1.0, 1]), np.array([0.5, 1]), np.array([1.0, 1]))
    for field in dataclasses.fields(Rates):
        np.testing.assert_array_equal(getattr(thin(rates), field.name), getattr(rates, field.name))


def test_worst_false_alarms_and_misses() -> None:
    scores = np.zeros(60)
    scores[5], scores[25], scores[50] = 3.0, 1.25, 2.0  # normal, abnormal, normal
    words = read(make_run([make_video(scores=scores)])).words
    alarms, misses = words.split("Highest scores of normal stretches")[1].split("Lowest peaks of labelled")
    assert re.findall(r"Test001 \d:\d\d \d+ ([\d.]+)", alarms) == ["3", "2"]
    assert re.findall(r"Test001 \d:\d\d \d+ ([\d.]+)", misses.split("All videos")[0]) == ["1.25"]


def test_what_the_scene_was_learnt_to_be_and_how_the_run_was_made() -> None:
    scene = ReportScene("", (JPEG,), ("Objects are 20 px tall.",))
    page = read(
        make_run([make_video()], scenes=[scene], configuration="detector: <b>", stage_seconds={"train": 75.0})
    )
    assert "Objects are 20 px tall." in page.text
    assert page.tags.count("img") == 1
    assert "detector: <b>" in page.text
    assert "Train 1 min 15 s" in page.words


# --- What the page must not hold ---


def test_names_and_messages_are_escaped() -> None:
    video = make_video(
        HOSTILE, warnings=(HOSTILE,), labelled_events=(HOSTILE,), streams={HOSTILE: np.ones(60)}
    )
    event = make_event(HOSTILE, reason=HOSTILE, stream=HOSTILE)
    run = make_run(
        [video], name=HOSTILE, preset=HOSTILE, data=HOSTILE, date=HOSTILE, caution=HOSTILE,
        no_metrics_reason=HOSTILE, versions={HOSTILE: HOSTILE}, configuration=HOSTILE,
        failures=[Failure(HOSTILE, HOSTILE, HOSTILE)],
        scenes=[ReportScene(HOSTILE, (JPEG,), (HOSTILE,))],
        stage_seconds={HOSTILE: 1.0}, threshold=Threshold(1.5, 1.5, 1.0, 2.0, False, HOSTILE),
        events=[
            make_shown(event), make_shown(event, pictured=False), ReportEvent(event, picture_note=HOSTILE)
        ],
    )  # fmt: skip
    html = render_report(run)
    page = Page(html)
    assert "<script>alert" not in html
    assert page.tags.count("script") == 2
    assert printable(HOSTILE) in page.text
    assert page.data["events"][0]["reason"] == HOSTILE


def test_control_characters_are_spelt_out() -> None:
    html = render_report(make_run([make_video("a\x1b[31m\x9b")], name="run\x07", events=[]))
    assert "a%1B[31m" in html
    assert "run%07" in html
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", html)


def test_nothing_is_loaded_from_elsewhere_and_the_policy_forbids_it() -> None:
    html = render_report(
        make_run([make_video(), make_video("b")], events=[make_shown(make_event())], metrics=make_metrics())
    )
    page = Page(html)
    assert page.references
    assert all(reference.startswith(("#", "data:image/jpeg;")) for reference in page.references)
    assert not {"link", "iframe", "object", "embed", "form", "base"} & set(page.tags)
    assert page.styled == []  # the policy would leave them without effect
    style, script = page.blocks["style"][0], page.blocks["script"][1]
    assert "url(" not in style
    assert "@import" not in style
    policy = html.split('http-equiv="Content-Security-Policy" content="')[1].split('"')[0]
    policy = policy.replace("&#39;", "'")
    for text in (style, script):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_the_licence_of_the_library_comes_with_it() -> None:
    script = read(make_run()).blocks["script"][1]
    assert "Copyright (c) 2022 Leon Sorokin" in script
    assert "Permission is hereby granted" in script


def test_ids_are_unique_and_references_have_a_target() -> None:
    events = [make_shown(make_event(name)) for name in "abc"]
    page = read(
        make_run([make_video(name) for name in "abc"], events=events, failures=[Failure("d", "e", "f")])
    )
    assert len(page.ids) == len(set(page.ids))
    assert {target[1:] for target in page.references if target.startswith("#")} <= set(page.ids)


def test_equal_input_gives_an_equal_page() -> None:
    run = make_run([make_video(), make_video("b")], versions={"a": "1", "b": "2"})
    assert render_report(dataclasses.replace(run, versions={"b": "2", "a": "1"})) == render_report(run)


# --- The file and the records ---


def test_write_report_replaces_the_page_and_leaves_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "report"
    path = write_report(make_run(), folder)
    run = make_run([make_video("späti/Ωmega")])
    assert write_report(run, folder) == path == folder / "index.html"
    assert path.read_bytes() == seal(render_report(run).encode())
    assert [entry.name for entry in folder.iterdir()] == ["index.html"]


def test_rates_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        Rates(np.zeros(3), np.zeros(3), np.zeros(2), np.zeros(3))
