"""What the user sees: log lines, progress on a terminal, and a log file in the run."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from mulde.data.atomic import make_folder, writing
from mulde.data.spelling import printable
from mulde.pipeline.progress import Status


class _SafeConsole(Console):
    """A console that no file name can give orders to, and no name begins a line of."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)


class _SafeFormatter(logging.Formatter):
    """Formats a record as one line, whatever the names in it hold, and perhaps a traceback."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, info: Any) -> str:  # noqa: N802  # logging's name
        return printable(super().formatException(info), keep="\n")


# A file or a pipe has no width of its own: 80 columns would break paths and sentences.
_WIDTH = None if sys.stdout is not None and sys.stdout.isatty() else 200
# emoji=False: a file may be called ":x:.mp4"
stdout = _SafeConsole(highlight=False, soft_wrap=True, emoji=False, width=_WIDTH)
stderr = _SafeConsole(stderr=True, highlight=False, soft_wrap=True, emoji=False)

_PROGRESS_LINE_SECONDS = 10.0
_log = logging.getLogger(__name__)


def print_json(value: object) -> None:
    """Print JSON for programs."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    click.echo(text.encode("utf-8", "backslashreplace"))  # what is no Unicode becomes an escape of JSON


def set_up_logging(level: int) -> None:
    """Send log records of at least `level` to stderr, as plain lines."""
    handler: logging.Handler
    if stderr.is_terminal:  # lines go above the bar
        handler = RichHandler(console=stderr, show_time=False, show_level=False, show_path=False)
    else:
        handler = logging.StreamHandler()
    handler.setLevel(level)
    handler.setFormatter(_SafeFormatter())
    root = logging.getLogger("mulde")
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG)
    root.propagate = False


class _PatientFileHandler(logging.FileHandler):
    """Writes a log for as long as there is room for it; says once that there is none."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        if isinstance(sys.exc_info()[1], OSError):
            logging.getLogger("mulde").removeHandler(self)
            _log.warning("%s cannot be written any more (%s)", self.baseFilename, sys.exc_info()[1])
        else:
            super().handleError(record)


@contextmanager
def log_to_file(path: Path, *, thread: str = "") -> Iterator[None]:
    """Append log records to a file as well.

    Args:
        thread: only what a thread of this name says, or one whose name begins with it and a space, or a
            record whose `extra` names it as `thread_meant`.

    Raises:
        WriteError: the disk is full, or the folder may not be written.
    """
    make_folder(path.parent)
    with writing(path.parent):
        handler = _PatientFileHandler(path, encoding="utf-8")
    if thread:
        handler.addFilter(lambda record: _is_of(record, thread))
    handler.setFormatter(_SafeFormatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger("mulde")
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        with suppress(OSError):  # what is left of the last lines has no room
            handler.close()


def _is_of(record: logging.LogRecord, thread: str) -> bool:
    name: str = getattr(record, "thread_meant", record.threadName) or ""
    return name == thread or name.startswith(f"{thread} ")


class Bars:
    """Shows progress: a bar with rate and time left on a terminal, a line now and then in a log."""

    def __init__(self) -> None:
        self._title = ""
        self._bar: Progress | None = None
        self._started = self._last_line = 0.0

    def __call__(self, status: Status) -> None:
        """Show how far a piece of work is."""
        if self._bar is None or status.title != self._title:
            self._begin(status)
        assert self._bar is not None
        self._bar.update(
            self._bar.task_ids[0],
            total=status.total,
            completed=status.share * status.total,
            done=status.done,
            detail=status.detail,
        )
        now = time.monotonic()
        if status.is_over:
            self._bar.stop()
            self._bar = None
        elif not stderr.is_terminal and now - self._last_line >= _PROGRESS_LINE_SECONDS:
            self._last_line = now
            _log.info(
                "%s: %d of %d %s  %s%s",
                status.title, status.done, status.total, status.unit, status.detail,
                self._left(status.share, now),
            )  # fmt: skip

    def _begin(self, status: Status) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._title, self._started = status.title, time.monotonic()
        self._last_line = self._started
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn(
                "{task.fields[done]}/{task.total} {task.fields[unit]}  {task.fields[detail]}", markup=False
            ),
            TimeRemainingColumn(),
            console=stderr,
            transient=True,
            disable=not stderr.is_terminal or not _log.isEnabledFor(logging.INFO),
        )
        self._bar.add_task(status.title, total=status.total, done=0, unit=status.unit, detail="")
        self._bar.start()

    def _left(self, share: float, now: float) -> str:
        if not share:
            return ""
        seconds = (now - self._started) * (1 / share - 1)
        return f"  about {seconds:.0f} s left"
