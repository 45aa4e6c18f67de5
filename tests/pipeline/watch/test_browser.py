"""The live page in a browser: it shows what is seen as it is seen, and nothing that is told does any harm."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsers import PHONE, WIDE, headless, needs_browser
from PIL import Image

from mulde.data.video import RgbPicture
from mulde.pipeline.events.record import Threshold
from mulde.pipeline.pictures.mp4 import open_mp4
from mulde.pipeline.watch.address import Listener, listening
from mulde.pipeline.watch.board import Camera
from mulde.pipeline.watch.scorer import ScoredFrame
from mulde.pipeline.watch.sources import Health
from mulde.pipeline.watch.watcher import View

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")
from mulde.pipeline.watch import board, server
from mulde.pipeline.watch.server import PageServer

pytestmark = needs_browser
TOKEN = "0123456789abcdef"
THRESHOLD = Threshold(2.0, 1.5, 1.0, 3.0, is_extrapolated=True, text="")
NAME, REASON = "<script>alert(1)</script> & 'gate'", "<img src=x onerror=alert(2)> faster"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with headless() as opened:
        yield opened


def picture(shade: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.full((180, 320, 3), shade, np.uint8)


def view(number: int) -> View:
    box = np.array([[40, 40, 90, 120]], np.float32)
    return View(
        ScoredFrame(number, number / 10, 1.0, 1.0), RgbPicture(picture(60 + number)), box, np.array([2.4])
    )


def frame(number: int, score: float) -> dict[str, Any]:
    return {"type": "frame", "frame": number, "time": number / 10, "score": score}


def began(start: int) -> dict[str, Any]:
    return {
        "type": "began", "start_frame": start, "start_s": start / 10, "score": 2.5, "alarm": True,
        "start_clock": "2026-11-28T13:04:05+00:00",
    }  # fmt: skip


def event(start: int) -> dict[str, Any]:
    return {
        **began(start), "type": "event", "stop_s": start / 10 + 1, "reason": REASON,
        "picture": "pictures/3.jpg", "clip": "clips/3.mp4",
    }  # fmt: skip


CLIP = {"type": "clip", "clip": "clips/3.mp4", "error": ""}


@pytest.fixture
def gate(tmp_path: Path) -> Camera:
    """A camera that has seen an event with picture and clip."""
    (tmp_path / "pictures").mkdir()
    Image.fromarray(picture(90)).save(tmp_path / "pictures" / "3.jpg")
    with open_mp4(tmp_path / "clips" / "3.mp4", 10) as writer:
        for k in range(20):
            writer.write(picture(5 * k), k / 10)
    camera = Camera(NAME, THRESHOLD, Health(), tmp_path)
    camera.put({"type": "opened", "video": "live"})
    for k in range(100):
        camera.put(frame(k, 1 + np.sin(k / 9)))
    for record in (event(20), CLIP):
        camera.put(record)
    camera.show(view(99))
    return camera


@contextmanager
def served(camera: Camera, text: str = "0", token: str | None = None) -> Iterator[Listener]:
    with listening(text, token) as listener, PageServer(listener, [camera]).running():
        yield listener


@contextmanager
def opened(
    browser: Any, listener: Listener, viewport: dict[str, int] = WIDE, **context: Any
) -> Iterator[Any]:
    """Open the page; nothing may be said on the console, and nothing may be asked of others."""
    page = browser.new_page(viewport=viewport, **context)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith(listener.url) else said.append(r.url))
    page.goto(
        f"{listener.url}?token={listener.token}" if listener.token else listener.url,
        wait_until="domcontentloaded",
    )
    page.locator(".picture").wait_for()
    yield page
    page.close()
    assert said == []


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_fits_and_is_accessible(
    browser: Any, gate: Camera, viewport: dict[str, int], scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    with served(gate) as listener, opened(browser, listener, viewport, color_scheme=scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        assert axe.Axe().run(page).response["violations"] == []
        page.locator(".shot").click()
        assert axe.Axe().run(page).response["violations"] == []


def test_it_shows_what_was_seen_as_text(browser: Any, gate: Camera) -> None:
    with served(gate) as listener, opened(browser, listener) as page:
        assert page.locator(".camera h2").text_content() == NAME
        assert page.locator(".state").text_content() == "watching"
        assert page.locator(".event .reason").text_content() == REASON
        assert page.locator(".event .when").text_content() == "2026-11-28 13:04:05alarm"
        assert page.locator("main script, main .reason *").count() == 0
        assert page.locator(".line").get_attribute("d").count("L") > 30
        assert page.locator(".level:not([hidden])").count() == 2
        assert page.locator(".spans rect").count() == 1
        assert page.locator(".label.alarm").text_content() == "alarm 2.00"
        assert "alarms from 2.00 on" in page.locator("svg").get_attribute("aria-label")


def test_what_is_seen_comes_by_itself(browser: Any, gate: Camera) -> None:
    with served(gate) as listener, opened(browser, listener) as page:
        page.locator(".shot").focus()
        before = page.locator(".picture").get_attribute("src")
        gate.put(frame(100, 2.75))
        gate.put(began(90))
        gate.show(view(100))
        page.get_by_text("goes on").wait_for()
        assert page.locator(".score .value").text_content() == "2.75"
        assert page.locator(".score .of").text_content() == "score: alarm"
        page.wait_for_function(f"() => document.querySelector('.picture').src.indexOf('{before}') < 0")
        assert page.locator(".event").count() == 2
        assert page.locator(".spans rect").count() == 2
        assert page.evaluate("document.activeElement.closest('.event').innerText").startswith("▶")
        gate.put(event(90))
        page.locator(".event").first.get_by_text("alarm").wait_for()
        gate.put({"type": "picture", "state": "frozen", "seconds": 3.0})
        page.get_by_text("the picture stands still").wait_for()
        gate.put({"type": "lost", "reason": "no answer", "next_try_seconds": 2.0})
        page.get_by_text("Lost: no answer.").wait_for()


def test_events_are_enlarged_with_mouse_and_keyboard(browser: Any, gate: Camera) -> None:
    gate.put({**event(40), "clip": ""})
    with served(gate) as listener, opened(browser, listener) as page:
        dialog = page.locator("dialog")
        page.locator(".shot").first.click()  # the newest, which has no clip
        assert dialog.locator("h2").text_content() == f"{NAME} · 2026-11-28 13:04:05"
        assert dialog.locator(".reason").text_content() == REASON
        assert dialog.locator("img").is_visible()
        page.keyboard.press("Enter")  # on the button that closes it
        assert not dialog.is_visible()
        page.locator(".shot").nth(1).focus()
        page.keyboard.press("Enter")
        assert dialog.locator("video").is_visible()
        page.wait_for_function("() => document.querySelector('video').readyState >= 2")
        assert page.evaluate("document.querySelector('video').duration") == pytest.approx(2, abs=0.1)
        page.keyboard.press("Escape")
        assert not dialog.is_visible()
        assert page.evaluate("document.activeElement.className") == "shot"


def test_of_many_events_a_few_are_shown_unasked(browser: Any, gate: Camera) -> None:
    for k in range(12):
        gate.put(event(30 + 4 * k))
    with served(gate) as listener, opened(browser, listener) as page:
        page.get_by_role("button", name="Show all 13").click()
        assert page.locator(".event:visible").count() == 13
        page.get_by_role("button", name="Show fewer").click()
        assert page.locator(".event:visible").count() == 8


@pytest.mark.slow
def test_a_connection_that_was_lost_is_found_again(browser: Any, gate: Camera) -> None:
    page = browser.new_page()
    with served(gate) as listener:
        page.goto(listener.url, wait_until="domcontentloaded")
        page.get_by_text("Connected").wait_for()
        n_points = page.locator(".line").get_attribute("d").count("L")
    page.get_by_text("The connection is lost").wait_for()
    with served(gate, str(listener.port)):
        page.get_by_text("Connected").wait_for()
        page.locator(".line").wait_for()
        assert page.locator(".line").get_attribute("d").count("L") == n_points
    page.close()


def test_a_line_that_is_cut_is_noticed(browser: Any, gate: Camera, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_QUIET_STEPS", 10**6)  # nothing comes any more,
    monkeypatch.setattr(board, "_RATE_SECONDS", 1e9)  # not even a new rate
    with served(gate) as listener:
        page = browser.new_page()
        page.clock.install()
        page.goto(listener.url, wait_until="domcontentloaded")
        page.locator(".picture").wait_for()
        page.clock.fast_forward(8_000)  # of 15 s; the real clock runs on
        assert page.get_by_text("Connected").is_visible()
        page.clock.fast_forward(8_000)
        page.get_by_text("The connection is lost").wait_for()
        page.clock.fast_forward(3_000)
        page.get_by_text("Connected").wait_for()
        page.close()


def test_the_token_does_not_stay_in_the_address(browser: Any, gate: Camera) -> None:
    with served(gate, "localhost:0", TOKEN) as listener, opened(browser, listener) as page:
        assert page.url == listener.url
        assert TOKEN not in page.evaluate("document.cookie")
        page.reload(wait_until="domcontentloaded")
        page.locator(".picture").wait_for()


def test_nothing_was_seen_yet(browser: Any, tmp_path: Path) -> None:
    with served(Camera("door", THRESHOLD, Health(), tmp_path)) as listener:
        page = browser.new_page()
        page.goto(listener.url, wait_until="domcontentloaded")
        page.get_by_text("waiting for the source").wait_for()
        assert page.get_by_text("No picture yet").is_visible()
        assert page.get_by_text("Nothing unusual so far.").is_visible()
        page.close()
