"""Tests of mulde.pipeline.report.page: what a reader of the page sees, and what the page must not hold."""

from __future__ import annotations

import base64
import dataclasses
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

from mulde.data.sealed import seal
from mulde.data.times import mean_rate
from mulde.pipeline.metrics.measure import VideoScores, evaluate_frames
from mulde.pipeline.metrics.protocols import PROTOCOLS, Smoothing
from mulde.pipeline.metrics.settings import EvaluateConfig
from mulde.pipeline.report.page import ReportFailure, ReportRun, ReportVideo, render_report, write_report

JPEG = b"\xff\xd8\xff\xe0 not a picture, but the page does not look inside \xff\xd9"
FEW = EvaluateConfig(n_resamples=20)
HOSTILE = "<script>alert(1)</script>\"'&"


class Page(HTMLParser):
    """The tags of a page, its ids, what it refers to, and its text outside of style and script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.classes: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.text = ""
        self._inside: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._inside.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name == "class":
                self.classes += (value or "").split()
            if name in ("src", "href", "xlink:href", "srcset", "action", "data"):
                self.references.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self._inside[-1:]):
            self.text += f" {data}"


def make_video(name: str = "Test001", n_frames: int = 60, **changes: Any) -> ReportVideo:
    rng = np.random.default_rng(n_frames)
    labels = np.zeros(n_frames, dtype=np.uint8)
    labels[n_frames // 3 : n_frames // 2] = 1
    video = ReportVideo(
        name, rng.random(n_frames) + labels, rng.random(n_frames) + labels, labels, np.arange(n_frames) / 10
    )
    return dataclasses.replace(video, **changes)


def make_run(videos: Sequence[ReportVideo] = (), **changes: Any) -> ReportRun:
    """Return a run of the videos, measured where all of them are labelled."""
    labelled = [
        VideoScores(v.name, v.scores, v.labels, v.name.rpartition("/")[0], mean_rate(v.seconds))
        for v in videos
        if v.labels is not None
    ]
    raw = [
        VideoScores(v.name, v.unsmoothed, v.labels, v.name.rpartition("/")[0], mean_rate(v.seconds))
        for v in videos
        if v.labels is not None
        if v.unsmoothed is not None
    ]
    is_measured = labelled and len(raw) == len(labelled)
    metrics = evaluate_frames(labelled, unsmoothed=raw, settings=FEW) if is_measured else None
    run = ReportRun("night-shift", "motion", "two folders", "2026-03-04", {"mulde": "0.1.0"}, videos, metrics)
    return dataclasses.replace(run, **changes)


# --- From nothing upwards ---


def test_a_run_without_videos() -> None:
    page = Page(render_report(make_run()))
    assert "no scored videos" in page.text
    assert "no labels" in page.text
    assert "svg" not in page.tags


@pytest.mark.parametrize("n_frames", [0, 1, 2])
def test_the_shortest_videos(n_frames: int) -> None:
    page = Page(render_report(make_run([make_video(n_frames=n_frames)])))
    assert ("No frame of this video was decoded" in page.text) == (n_frames == 0)
    assert page.tags.count("article") == 1


@pytest.mark.parametrize("constant", [0.0, -3.5, 1e30])
def test_constant_scores(constant: float) -> None:
    scores = np.full(20, constant)
    assert "smoothed" in Page(render_report(make_run([make_video(n_frames=20, scores=scores)]))).classes


def test_without_labels_there_is_neither_roc_nor_auc_and_the_page_says_so() -> None:
    page = Page(render_report(make_run([make_video(labels=None)])))
    assert "no labels" in page.text
    assert "ROC" not in page.text
    assert "AUC" not in page.text
    assert "labels" not in page.classes
    assert "smoothed" in page.classes


def test_labels_of_one_class_give_reasons() -> None:
    page = Page(render_report(make_run([make_video(labels=np.zeros(60, dtype=np.uint8))])))
    assert "not defined: no test frame is labelled abnormal" in page.text
    assert "labels hold one kind only" in page.text


def test_a_video_without_labels_among_labelled_ones() -> None:
    page = Page(render_report(make_run([make_video("a"), make_video("b", labels=None)])))
    assert "not labelled" in page.text


# --- What a reader looks for ---


def test_header_metrics_and_protocols() -> None:
    run = make_run([make_video()])
    assert run.metrics is not None
    text = Page(render_report(run)).text
    for words in ("night-shift", "motion", "two folders", "2026-03-04", "mulde 0.1.0"):
        assert words in text
    for number in run.metrics.numbers:
        assert number.title in text
        assert number.protocol in text
        if number.value is None:
            assert f"not defined: {number.reason}" in text
        else:
            assert f"{100 * number.value:.1f}\u202f%" in text


def test_intervals_and_how_they_were_made() -> None:
    run = make_run([make_video("a"), make_video("b", n_frames=90)])
    assert run.metrics is not None
    interval = run.metrics["micro_auc"].interval
    assert interval is not None
    text = Page(render_report(run)).text
    assert f"95 %: {100 * interval.low:.1f}\u202f% to {100 * interval.high:.1f}\u202f%" in text
    assert "20 bootstrap resamples of the 2 videos" in text


def test_events_with_their_curve() -> None:
    page = Page(render_report(make_run([make_video()])))
    assert "Events found" in page.text
    assert "1 of 1" in page.text
    assert "events" in page.classes
    without = Page(render_report(make_run([make_video(seconds=None)])))
    assert "No events were counted: the frame rate of 1 videos is not known" in without.text


def test_several_scenes_have_a_table() -> None:
    several = Page(
        render_report(make_run([make_video("door/1"), make_video("yard/1"), make_video("yard/2")]))
    )
    assert "scenes" in several.ids
    assert "door" in several.text
    assert "scenes" not in Page(render_report(make_run([make_video("door/1")]))).ids


def test_a_protocol_that_uses_the_test_set_is_marked() -> None:
    video = make_video()
    assert video.labels is not None
    treatment = PROTOCOLS["per-video-minmax"].describe("per-video-minmax", Smoothing(3))
    scores = [VideoScores(video.name, video.scores, video.labels)]
    text = Page(
        render_report(make_run([video], metrics=evaluate_frames(scores, treatment=treatment, settings=FEW)))
    ).text
    assert "This protocol uses the test scores" in text
    assert text.count("(uses the test scores") > 5


@pytest.mark.parametrize("metrics", [{}, {"metrics": None}], ids=["evaluated", "not evaluated"])
def test_what_must_not_be_taken_for_a_result_is_marked(metrics: dict[str, None]) -> None:
    run = make_run([make_video()], **metrics)
    assert "Caution" not in Page(render_report(run)).text
    text = Page(render_report(dataclasses.replace(run, caution="numbers <mean> nothing"))).text
    head, _, rest = text.partition("Metrics")
    assert " ".join(head.split()).endswith("Caution : numbers <mean> nothing.")
    assert "Caution" not in rest


def test_scores_that_were_not_evaluated_say_so() -> None:
    run = make_run([make_video()], metrics=None, no_metrics_reason="These were not evaluated")
    assert "These were not evaluated: scores only." in Page(render_report(run)).text


def test_every_video_has_a_row_that_leads_to_its_curve() -> None:
    page = Page(render_report(make_run([make_video("a"), make_video("cam2/b", n_frames=1500)])))
    assert {"#video-1", "#video-2"} <= set(page.references)
    assert page.tags.count("article") == 2
    assert "1\u202f500" in page.text


def test_curves_stand_over_shaded_label_intervals() -> None:
    labels = np.zeros(60, dtype=np.uint8)
    labels[[10, 11, 12, 30]] = 1
    html = render_report(make_run([make_video(labels=labels)]))
    shading = re.search(r'<g class="labels">(.*?)</g>', html, re.DOTALL)
    assert shading is not None
    assert shading[1].count("<path") == 2
    assert "var(--label)" in shading[1]
    assert html.index('<g class="labels">') < html.index('<g class="unsmoothed">', html.index("<article"))


def test_shading_covers_its_frames() -> None:
    labels = np.zeros(100, dtype=np.uint8)
    labels[25:50] = 1
    article = render_report(make_run([make_video(n_frames=100, labels=labels)])).split("<article")[1]
    shaded = _horizontal_span(re.search(r'class="labels">\s*<path d="([^"]*)"', article))
    curve = _horizontal_span(re.search(r'class="smoothed">\s*<path d="([^"]*)"', article))
    frame_width = (curve[1] - curve[0]) / 99
    expected = [curve[0] + (25 - 0.5) * frame_width, curve[0] + (50 - 0.5) * frame_width]
    np.testing.assert_allclose(shaded, expected, atol=0.3)


def _horizontal_span(path: re.Match[str] | None) -> tuple[float, float]:
    assert path is not None
    x = [float(point) for point in re.findall(r"[ML] (-?[\d.]+)", path[1])]
    return min(x), max(x)


def test_warnings_failures_and_times_are_shown() -> None:
    video = make_video(
        scores=np.eye(1, 60, 45)[0], warnings=("2 damaged packets", "shorter than its header says")
    )
    run = make_run([video], failures=[ReportFailure("Test002", "extract", "no video stream")])
    text = Page(render_report(run)).text
    assert "2 damaged packets" in text
    assert "shorter than its header says" in text
    assert "no video stream" in text
    assert "frame 45 (0:04)" in text


def test_a_missing_picture_has_its_reason() -> None:
    page = Page(render_report(make_run([make_video(picture_note="no picture: the video is gone")])))
    assert "no picture: the video is gone" in page.text
    assert "img" not in page.tags


def test_a_thumbnail_is_embedded() -> None:
    html = render_report(make_run([make_video(thumbnail_jpeg=JPEG), make_video("b")]))
    assert html.count("<img") == 1
    encoded = re.search(r'src="data:image/jpeg;base64,([^"]*)"', html)
    assert encoded is not None
    assert base64.b64decode(encoded[1]) == JPEG


def test_one_video_with_huge_scores_does_not_flatten_the_others() -> None:
    videos = [make_video(name) for name in "abc"]
    huge = make_video("d", scores=videos[0].scores * 1e5)
    html = render_report(make_run([*videos, huge]))
    assert "logarithmic" in html
    assert "logarithmic" not in render_report(make_run(videos))
    curve = re.search(r'class="smoothed">\s*<path d="([^"]*)"', html.split("<article")[1])
    assert curve is not None
    y = [float(point) for point in re.findall(r"[ML] -?[\d.]+ (-?[\d.]+)", curve[1])]
    assert max(y) - min(y) > 5  # points of the 180 that the plot is high; 0.001 on a linear axis


# --- What the page must not hold ---


def test_names_and_messages_are_escaped() -> None:
    video = make_video(HOSTILE, warnings=(HOSTILE,), thumbnail_jpeg=JPEG)
    failure = ReportFailure(HOSTILE, HOSTILE, HOSTILE)
    run = make_run([video], name=HOSTILE, preset=HOSTILE, data=HOSTILE, date=HOSTILE)
    html = render_report(dataclasses.replace(run, versions={HOSTILE: HOSTILE}, failures=[failure]))
    assert "<script>alert" not in html
    assert Page(html).tags.count("script") == 1
    assert HOSTILE in Page(html).text


def test_nothing_is_loaded_from_elsewhere() -> None:
    html = render_report(make_run([make_video(thumbnail_jpeg=JPEG), make_video("b")]))
    page = Page(html)
    assert page.references
    assert all(reference.startswith(("#", "data:image/jpeg;")) for reference in page.references)
    assert "://" not in html
    assert "@import" not in html
    assert not {"link", "iframe", "object", "embed"} & set(page.tags)
    assert all(target.startswith("#") for target in re.findall(r"url\((.*?)\)", html))


def test_ids_are_unique_and_references_have_a_target() -> None:
    html = render_report(make_run([make_video(name) for name in "abc"]))
    page = Page(html)
    assert len(page.ids) == len(set(page.ids))
    targets = [*page.references, *re.findall(r"url\((.*?)\)", html)]
    assert {target[1:] for target in targets if target.startswith("#")} <= set(page.ids)


def test_equal_input_gives_an_equal_page_whatever_the_users_style(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run([make_video(), make_video("b")], versions={"a": "1", "b": "2"})
    page = render_report(run)
    monkeypatch.setitem(mpl.rcParams, "axes.grid", True)
    monkeypatch.setitem(mpl.rcParams, "lines.linestyle", "--")
    assert render_report(dataclasses.replace(run, versions={"b": "2", "a": "1"})) == page
    assert mpl.rcParams["lines.linestyle"] == "--"


@pytest.mark.parametrize("labels", ["interval", "flickering"])
def test_a_long_video_stays_small_and_keeps_its_peak(labels: str) -> None:
    video = make_video(n_frames=100_000)
    assert video.labels is not None
    video.scores[77_777] = 9.0
    if labels == "flickering":
        video.labels[::2] = 1
        video.labels[1::2] = 0
    html = render_report(make_run([video]))
    empty = render_report(make_run())
    roc_bytes = len(html.split('id="roc"')[1].split('id="curves"')[0])
    assert len(html) - len(empty) - roc_bytes < 60_000
    assert "frame 77\u202f777" in html


# --- The file and the records ---


def test_write_report_replaces_the_page_and_leaves_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "report"
    path = write_report(make_run(), folder)
    run = make_run([make_video("späti/Ωmega")])
    assert write_report(run, folder) == path == folder / "index.html"
    assert path.read_bytes() == seal(render_report(run).encode())
    assert [entry.name for entry in folder.iterdir()] == ["index.html"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": np.zeros((60, 1))}, r"Test001: scores have shape \(60, 1\)"),
        ({"labels": np.zeros(59, dtype=np.uint8)}, r"Test001: labels \(59,\) do not match scores \(60,\)"),
        ({"unsmoothed": np.zeros(61)}, "Test001: unsmoothed scores"),
        ({"scores": np.full(60, np.nan)}, "Test001: 60 of 60 scores are NaN"),
        ({"unsmoothed": np.full(60, np.inf)}, "Test001: 60 of 60 scores are NaN or infinite"),
        ({"thumbnail_jpeg": b"\x89PNG"}, "Test001: the thumbnail is not a JPEG"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_arrays_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_video(**changes)
