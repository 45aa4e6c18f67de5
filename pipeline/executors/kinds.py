"""The executors by name; to add one, write a module beside this one and give it a line.

Nothing of them is imported before one is opened, so that the configuration can know them all.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Literal

from mulde.pipeline.executors.base import Executor
from mulde.pipeline.executors.settings import RaySettings

EXECUTORS = {"local": "local.LocalPool", "ray": "ray_cluster.RayPool"}
"""Module and class below `mulde.pipeline.executors`, by name."""

if TYPE_CHECKING:
    ExecutorName = str
else:
    ExecutorName = Literal[tuple(EXECUTORS)]  # what the configuration allows


def open_executor(
    name: str, workers: int, stall_seconds: float, capacity: int, ray: RaySettings | None = None
) -> Executor:
    """Start an executor.

    Args:
        name: a key of `EXECUTORS`.
        workers: tasks at a time.
        stall_seconds: without a sign of life for so long, a task is given up.
        capacity: the most tasks in its life.
        ray: what `ray` needs to know beside that.
    """
    module, _, kind = EXECUTORS[name].partition(".")
    more = (ray or RaySettings(),) if name == "ray" else ()
    executor: Executor = getattr(import_module(f"mulde.pipeline.executors.{module}"), kind)(
        workers, stall_seconds, capacity, *more
    )
    return executor
