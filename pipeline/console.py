"""What the user sees: log lines, progress on a terminal, and a log file in the run."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

# A file or a pipe has no width of its own: 80 columns would break paths and sentences.
_WIDTH = None if sys.stdout.isatty() else 200
# emoji=False: a file may be called ":x:.mp4"
stdout = Console(highlight=False, soft_wrap=True, emoji=False, width=_WIDTH)
stderr = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)

_PROGRESS_LINE_SECONDS = 10.0
_log = logging.getLogger(__name__)


def set_up_logging(level: int) -> None:
    """Send log records of at least `level` to stderr, as plain lines."""
    handler: logging.Handler
    if stderr.is_terminal:  # lines go above the bar
        handler = RichHandler(console=stderr, show_time=False, show_level=False, show_path=False)
    else:
        handler = logging.StreamHandler()
    handler.setLevel(level)
    root = logging.getLogger("mulde")
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG)
    root.propagate = False


@contextmanager
def log_to_file(path: Path) -> Iterator[None]:
    """Append log records to a file as well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger("mulde")
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()


class Bar:
    """Progress of one stage: a bar with rate and time left on a terminal, a line now and then in a log."""

    def __init__(self, title: str, total: int, unit: str) -> None:
        self._title, self._total, self._unit = title, total, unit
        self._started = self._last_line = time.monotonic()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[done]}/{task.total} {task.fields[unit]}  {task.fields[detail]}"),
            TimeRemainingColumn(),
            console=stderr,
            transient=True,
            disable=not stderr.is_terminal or not _log.isEnabledFor(logging.INFO),
        )
        self._task = self._progress.add_task(title, total=total, done=0, unit=unit, detail="")

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def update(self, done: int, detail: str = "", share: float | None = None) -> None:
        """Show that `done` of the total are done, with a rate or a loss beside it.

        Args:
            share: of the work that is done, in [0, 1], where some of the total are more work than others; it
                tells the time that is left.
        """
        if share is None:
            share = done / self._total if self._total else 0.0
        self._progress.update(self._task, completed=share * self._total, done=done, detail=detail)
        now = time.monotonic()
        if not stderr.is_terminal and now - self._last_line >= _PROGRESS_LINE_SECONDS:
            self._last_line = now
            _log.info(
                "%s: %d of %d %s  %s%s",
                self._title, done, self._total, self._unit, detail, self._left(share, now),
            )  # fmt: skip

    def of(self, done: int, total: int, detail: str = "") -> None:
        """Show that `done` of `total` are done, where the total is known only now."""
        self._total = total
        self._progress.update(self._task, total=total)
        self.update(done, detail)

    def _left(self, share: float, now: float) -> str:
        if not share:
            return ""
        seconds = (now - self._started) * (1 / share - 1)
        return f"  about {seconds:.0f} s left"
