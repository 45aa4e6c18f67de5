"""The site of the documentation: it builds without a warning, is complete, and loads nothing."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import click
import pytest

from mulde.pipeline.cli.main import cli
from mulde.pipeline.config.reference import reference

DOCS = Path(__file__).parents[1] / "docs"
NEEDED = ("furo", "myst_parser", "sphinx", "sphinx_click", "sphinx_copybutton")
ABSENT = [name for name in NEEDED if importlib.util.find_spec(name) is None]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(ABSENT), reason=f"{', '.join(ABSENT)} is not installed: pip install '.[docs]'"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site once, with every warning an error, and return its folder."""
    folder = tmp_path_factory.mktemp("site")
    options = ["--fail-on-warning", "--keep-going", "-q", "-d", str(folder / "doctrees")]
    command = [sys.executable, "-m", "sphinx", *options, str(DOCS), str(folder / "html")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return folder / "html"


class Loaded(HTMLParser):
    """What a page has a browser fetch by itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what is loaded; where links lead is for the reader to follow."""
        given = dict(attrs)
        self.urls += [given[name] or "" for name in ("src", "srcset", "poster", "data") if name in given]
        if tag == "link" and given.get("rel") not in ("next", "prev", "index", "search", "author"):
            self.urls.append(given.get("href") or "")
        self.urls += re.findall(r"url\(([^)]*)\)", given.get("style") or "")


def is_elsewhere(url: str) -> bool:
    return re.match(r"['\"]?(?:\w+:)?//", url) is not None


def test_what_is_loaded_is_seen() -> None:
    assert Loaded("").urls == []
    page = '<a href="https://a/"><img src="https://b/x.png"><link rel="stylesheet" href="//c/s.css">'
    page += '<link rel="next" href="e.html"><p style="background: url(d.png)">'
    assert Loaded(page).urls == ["https://b/x.png", "//c/s.css", "d.png"]
    assert [is_elsewhere(url) for url in ("https://a/", "//a/b", "a//b", "/a", "data:image/png;x//y")] == [
        True, True, False, False, False,
    ]  # fmt: skip


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        assert [url for url in Loaded(page.read_text(encoding="utf-8")).urls if is_elsewhere(url)] == [], page
    sheets = list(site.rglob("*.css"))
    assert sheets
    for sheet in sheets:
        text = sheet.read_text(encoding="utf-8")
        loaded = re.findall(r"url\(([^)]*)\)|@import\s+([^;]*)", text)
        assert [found for pair in loaded for found in pair if is_elsewhere(found)] == [], sheet


def test_every_setting_is_there_and_can_be_linked_to(site: Path) -> None:
    page = (site / "settings.html").read_text(encoding="utf-8")
    assert [name for name in reference() if f'id="confval-{name}"' not in page] == []


def all_commands(command: click.Command, name: str) -> Iterator[str]:
    yield name
    if isinstance(command, click.Group):
        for part, inner in command.commands.items():
            yield from all_commands(inner, f"{name}-{part}")


def test_every_command_is_there_with_its_options(site: Path) -> None:
    page = (site / "commands.html").read_text(encoding="utf-8")
    names = list(all_commands(cli, "mulde"))
    assert "mulde-cache-export" in names
    assert [name for name in names if f'id="{name}"' not in page] == []
    assert 'id="cmdoption-mulde-run-false-alarms-per-day"' in page


def test_formulas_are_drawn_by_the_browser_itself(site: Path) -> None:
    page = (site / "method.html").read_text(encoding="utf-8")
    assert page.count('<math xmlns="http://www.w3.org/1998/Math/MathML"') > 20
    assert "MathJax" not in page


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next((found for name in BROWSERS if (found := shutil.which(name))), None)


@pytest.mark.skipif(BROWSER is None, reason=f"none of {', '.join(BROWSERS)} is installed")
def test_pages_fit_a_phone_can_be_searched_and_ask_for_nothing(site: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    said, asked = [], []
    with playwright.sync_playwright() as api:
        browser = api.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        wide = []
        for file in sorted(site.glob("*.html")):
            page.goto(file.as_uri())
            if page.evaluate("document.documentElement.scrollWidth") > 390:
                wide.append(file.name)
        page.goto(f"{(site / 'search.html').as_uri()}?q=threshold")
        page.get_by_role("link", name="Events, alarms and the threshold").last.wait_for()
        browser.close()
    assert (said, wide) == ([], [])
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
