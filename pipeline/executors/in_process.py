"""Tasks in this process, one after the other: for what uses all of a machine by itself."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from mulde.pipeline.executors.base import Outcome, R, T, Tick, Told


class InProcess:
    """Runs tasks where it is, and yields their outcomes as they come."""

    def __init__(self) -> None:
        self.running: list[Told] = []
        """What the task at work has told last; empty before it has told anything."""
        self._waiting: deque[tuple[Callable[[Any, Tick], Any], Any]] = deque()

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *exception: object) -> None:
        self._waiting.clear()

    def submit(self, function: Callable[[T, Tick], R], task: T) -> None:
        """Queue a task."""
        self._waiting.append((function, task))

    def outcomes(self, on_poll: Callable[[], None] = lambda: None) -> Iterator[Outcome[Any, Any]]:
        """Yield outcomes until no task is left; tasks may be submitted meanwhile."""
        while self._waiting:
            function, task = self._waiting.popleft()
            yield self._run(function, task, on_poll)

    def _run(self, function: Callable[[T, Tick], R], task: T, on_poll: Callable[[], None]) -> Outcome[T, R]:
        def tick(n_frames: int, n_expected: int | None = None, detail: str = "") -> None:
            self.running = [Told(task, n_frames, n_expected or 0, detail)]
            on_poll()

        started = time.monotonic()
        try:
            return Outcome(task, function(task, tick), None, time.monotonic() - started)
        except Exception as error:
            return Outcome(task, None, error, time.monotonic() - started)
        finally:
            self.running = []
