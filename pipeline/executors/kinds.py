"""The executors by name; to add one, write a module beside this one and give it a line."""

from __future__ import annotations

from collections.abc import Callable

from mulde.pipeline.executors.base import Executor
from mulde.pipeline.executors.local import LocalPool

EXECUTORS: dict[str, Callable[[int, float, int], Executor]] = {"local": LocalPool}


def open_executor(name: str, workers: int, stall_seconds: float, capacity: int) -> Executor:
    """Start an executor.

    Args:
        name: a key of `EXECUTORS`.
        workers: tasks at a time.
        stall_seconds: without a sign of life for so long, a task is given up.
        capacity: the most tasks in its life.
    """
    return EXECUTORS[name](workers, stall_seconds, capacity)
