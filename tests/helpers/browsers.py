"""A browser that is installed, for tests of pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
_PATH = next(filter(None, map(shutil.which, _NAMES)), None)
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
needs_browser = pytest.mark.skipif(_PATH is None, reason=f"none of {', '.join(_NAMES)} is installed")


@contextmanager
def headless() -> Iterator[Any]:
    """Give a browser that draws on no screen; skip where nothing drives one."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as api:
        opened = api.chromium.launch(executable_path=_PATH, args=list(_OPTIONS))
        yield opened
        opened.close()
