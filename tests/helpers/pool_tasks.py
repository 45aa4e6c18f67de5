"""Tasks for the pool's tests; a module of its own, since worker processes import it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from mulde.pipeline.executors.base import Tick


def square(task: int, tick: Tick) -> int:
    """Do what a good task does."""
    tick(task)
    return task * task


def fail(task: int, tick: Tick) -> int:
    """Raise."""
    raise ValueError(f"task {task}")


def die(task: int, tick: Tick) -> int:
    """End the process, as a crashing decoder does."""
    os._exit(11)


def leave(task: int, tick: Tick) -> int:
    """End the process without a word, as some libraries do."""
    os._exit(0)


def slow_to_start(task: int, tick: Tick) -> int:
    """Take long until the first step, as loading networks does."""
    time.sleep(2.5)
    tick(1)
    return task


def stall(task: int, tick: Tick) -> int:
    """Make one step and then none, as a decoder that spins does."""
    tick(1)
    time.sleep(600)
    return 0


def slow_but_alive(task: int, tick: Tick) -> int:
    """Take long, but go on."""
    for step in range(8):
        time.sleep(0.25)
        tick(step + 1, 8)
    return 1


def leave_a_trace(task: str, tick: Tick) -> None:
    """Write into the file `task` for as long as this goes on, half a minute at most."""
    for step in range(300):
        tick(step)
        Path(task).write_text(str(step))
        time.sleep(0.1)
