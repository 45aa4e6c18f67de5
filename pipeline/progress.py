"""How far long work is: said by whoever does it to whoever listens; nobody does by default."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType


@dataclass(frozen=True)
class Status:
    """How far a piece of work is."""

    title: str
    """Such as "extract" or "train velocity"; pieces of work follow each other."""
    done: int
    total: int
    """How many of `unit` there are; may become known only on the way."""
    unit: str
    """Such as "videos" or "steps"."""
    detail: str = ""
    """A rate or a loss, in words."""
    share: float = 0.0
    """Share of the work that is done, in [0, 1], where some of the total is more work than the rest."""
    is_over: bool = False
    """Whether this is the last status of this piece of work, finished or not."""


Progress = Callable[[Status], None]
"""What listens to progress."""


def silent(status: Status) -> None:
    """Listen to nothing."""


class Tracked:
    """A piece of work that tells how far it is; as a context manager it says when it is over."""

    def __init__(self, progress: Progress, title: str, total: int, unit: str) -> None:
        self._progress = progress
        self._status = Status(title, 0, total, unit)

    def __enter__(self) -> Tracked:
        self._progress(self._status)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        last = self._status
        self._progress(
            Status(last.title, last.done, last.total, last.unit, last.detail, last.share, is_over=True)
        )

    def update(
        self, done: int, detail: str = "", *, share: float | None = None, total: int | None = None
    ) -> None:
        """Tell that `done` of the total are done.

        Args:
            share: of the work that is done, in [0, 1]; done / total if not given.
            total: where it is known only now.
        """
        total = self._status.total if total is None else total
        if share is None:
            share = done / total if total else 0.0
        self._status = Status(self._status.title, done, total, self._status.unit, detail, share)
        self._progress(self._status)
