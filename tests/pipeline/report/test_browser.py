"""The report in a browser: it opens alone and quietly, and works with mouse, keyboard and on a phone."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsers import PHONE, WIDE, headless, needs_browser
from PIL import Image

from mulde.pipeline.events.record import Event, Threshold
from mulde.pipeline.metrics.alarms import AlarmCount
from mulde.pipeline.metrics.measure import Metrics, VideoScores, evaluate_frames
from mulde.pipeline.metrics.settings import EvaluateConfig
from mulde.pipeline.pictures.stills import EventStills, Still
from mulde.pipeline.report.curves import reduce_curve
from mulde.pipeline.report.page import write_report
from mulde.pipeline.report.records import Rates, ReportEvent, ReportRun, ReportVideo, Stretch
from mulde.pipeline.runs.folder import Failure

pytestmark = needs_browser


def jpeg(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (36, 24), (shade, shade, shade)).save(file, "JPEG")
    return file.getvalue()


def still(frame: int) -> Still:
    return Still(frame, frame / 10, jpeg(20 + frame), (360, 240))


def event(video: str, start: int, score: float) -> ReportEvent:
    peak = start + 4
    record = Event(
        video, start, start + 10, start / 10, start / 10 + 1, None, peak, score, (100.0, 80.0, 140.0, 180.0),
        "velocity", "faster than anything seen here",
    )  # fmt: skip
    strip = tuple(still(peak + step) for step in (-4, -2, 0, 2, 4))
    return ReportEvent(record, EventStills(strip[2], strip))


def video(name: str) -> ReportVideo:
    scores = 1 + np.sin(np.arange(200) / 9)
    streams = {"velocity": scores / 2, "place": scores / 3}
    stretch = Stretch(20, 40, 2.0, 4.0, 25, 2.5, 1.9)
    return ReportVideo(
        name, reduce_curve(scores, np.arange(200) / 10, streams, 1000), 20.0, (stretch,), (stretch,)
    )


def metrics() -> Metrics:
    labels = np.repeat(np.array([0, 1, 0], np.uint8), 20)
    scores = np.random.default_rng(0).random(60) + labels
    videos = [VideoScores(name, scores, labels, name, 10.0) for name in "ab"]
    alarms = AlarmCount(1.0, True, 1.2, 0, 2.0, 0.0, 0.0, 44.3, 3, 4, "What is counted.")
    return replace(evaluate_frames(videos, settings=EvaluateConfig(n_resamples=20)), alarms=alarms)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ramp = np.linspace(0, 1, 20)
    run = ReportRun(
        "<night> & 'day'", "motion", "two folders", "2026-03-04",
        videos=[video("a</script><b>"), video("b")],
        events=[event("a</script><b>", 20, 2.0), event("b", 100, 1.5)],
        threshold=Threshold(1.2, 1.2, 1.0, 2.0, False, "Alarms from 1.2 on."),
        rates=Rates(ramp, np.sqrt(ramp), ramp, 1 - ramp / 2), metrics=metrics(),
        failures=[Failure("broken", "extract", "no video stream")],
        configuration="seed: 0\n",
    )  # fmt: skip
    return write_report(run, tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with headless() as opened:
        yield opened


@contextmanager
def opened(browser: Any, report: Path, viewport: dict[str, int] = WIDE, **context: Any) -> Iterator[Any]:
    """Open the page; nothing may be said on the console, and nothing may be asked of a network."""
    page = browser.new_page(viewport=viewport, **context)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url) if request.url[:4] == "http" else None)
    page.goto(report.as_uri())
    yield page
    page.close()
    assert said == []


def wait_for_charts(page: Any, n_charts: int) -> None:
    page.locator("#research").scroll_into_view_if_needed()
    page.locator(".chart[role=slider]").nth(n_charts - 1).wait_for()


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_fits_and_is_accessible(
    browser: Any, report: Path, viewport: dict[str, int], scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    with opened(browser, report, viewport, color_scheme=scheme) as page:
        wait_for_charts(page, 2)
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert axe.Axe().run(page).response["violations"] == []
        page.locator(".shot").first.click()
        assert axe.Axe().run(page).response["violations"] == []


def test_events_are_enlarged_with_mouse_and_keyboard(browser: Any, report: Path) -> None:
    with opened(browser, report) as page:
        dialog = page.locator("dialog")
        page.locator(".shot").first.click()
        assert dialog.locator("h2").text_content() == "1 · 0:02.0 · a</script><b>"
        assert dialog.locator(".stage rect.box").count() == 1
        page.keyboard.press("b")
        assert dialog.locator(".stage rect.box").count() == 0
        page.keyboard.press("ArrowRight")
        assert dialog.locator("h2").text_content() == "2 · 0:10.0 · b"
        assert dialog.get_by_label("Next event").is_disabled()
        page.keyboard.press("Escape")
        assert not dialog.is_visible()
        page.locator(".shot").nth(1).focus()
        page.keyboard.press("Enter")
        assert dialog.is_visible()
        before = dialog.locator(".stage img").get_attribute("src")
        dialog.locator(".strip button").first.click()
        assert dialog.locator(".stage img").get_attribute("src") != before
        dialog.get_by_text("Show in the curve").click()
        assert not dialog.is_visible()
        assert page.evaluate("document.activeElement.dataset.video") == "1"
        assert "frame 104" in page.locator("#video-2 output").text_content()


def test_curves_are_walked_and_zoomed_with_keyboard_buttons_and_mouse(browser: Any, report: Path) -> None:
    with opened(browser, report) as page:
        wait_for_charts(page, 2)
        chart, output = page.locator("#video-1 .chart"), page.locator("#video-1 output")
        chart.focus()
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        assert "frame 1 " in output.text_content()
        assert "frame 1," in chart.get_attribute("aria-valuetext")
        page.locator("#video-1").get_by_label("place").check()
        chart.focus()
        page.keyboard.press("ArrowRight")
        assert re.search(r"score [\d.]+ · place [\d.]+", output.text_content())

        ink = "() => document.querySelector('#video-1 canvas').toDataURL()"
        whole = page.evaluate(ink)
        page.keyboard.press("+")
        page.wait_for_function(f"before => ({ink})() !== before", arg=whole)
        page.keyboard.press("0")
        page.wait_for_function(f"before => ({ink})() === before", arg=whole)
        page.locator("#video-1 [data-zoom=in]").click()
        page.wait_for_function(f"before => ({ink})() !== before", arg=whole)
        page.locator("#video-1 [data-zoom=all]").click()
        box = page.locator("#video-1 .u-over").bounding_box()
        page.mouse.move(box["x"] + 100, box["y"] + 50)
        page.mouse.down()
        page.mouse.move(box["x"] + 300, box["y"] + 60, steps=3)
        page.mouse.up()
        page.wait_for_function(f"before => ({ink})() !== before", arg=whole)


def test_the_theme_is_switched_and_curves_follow(browser: Any, report: Path) -> None:
    with opened(browser, report, color_scheme="light") as page:
        wait_for_charts(page, 2)
        ground = "() => getComputedStyle(document.body).backgroundColor"
        ink = "() => document.querySelector('#video-1 canvas').toDataURL()"
        light, drawn = page.evaluate(ground), page.evaluate(ink)
        page.get_by_role("button", name="Theme").click()  # light
        assert page.evaluate(ground) == light
        page.get_by_role("button", name="Theme").click()  # dark
        assert page.evaluate(ground) != light
        page.wait_for_function(f"before => ({ink})() !== before", arg=drawn)


def test_what_is_folded_away_unfolds(browser: Any, report: Path) -> None:
    with opened(browser, report) as page:
        page.get_by_text("ROC and precision").click()
        page.locator("#roc canvas").wait_for()
        page.locator("#pr canvas").wait_for()
        page.get_by_text("All videos as a table").click()
        page.get_by_role("button", name="Video", exact=True).click()
        assert page.locator("table.sortable th[aria-sort=ascending]").count() == 1


def test_without_scripts_pictures_and_words_are_there(browser: Any, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert page.locator(".shot img").first.is_visible()
    assert not page.get_by_role("button", name="Theme").is_visible()
    context.close()
