"""The executors by name; to add one, write a module beside this one and give it a line.

Nothing of them is imported before one is opened, so that the configuration can know them all.
"""

from __future__ import annotations

import math
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from mulde.pipeline.executors.base import Computation, Executor
from mulde.pipeline.executors.in_process import InProcess
from mulde.pipeline.executors.settings import RaySettings

EXECUTORS = {"local": "local.LocalPool", "ray": "ray_cluster.RayPool"}
"""Module and class below `mulde.pipeline.executors`, by name."""

MOST_IN_A_CLUSTER = 10_000
"""Tasks that are given to a cluster at a time, which starts as many as it has room for."""

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
    more = (ray or RaySettings(),) if name == "ray" else ()
    executor: Executor = _find(name)(workers, stall_seconds, capacity, *more)
    return executor


def _find(name: str) -> Any:
    module, _, kind = EXECUTORS[name].partition(".")
    return getattr(import_module(f"mulde.pipeline.executors.{module}"), kind)


def open_computation(name: str, workers: int | None, ray: RaySettings | None = None) -> Computation:
    """Start what runs tasks that learn or score: they use all of a machine, and may say nothing for long.

    Args:
        name: a key of `EXECUTORS`; with `local` they run in this process, one after the other.
        workers: tasks at a time on a cluster; None for as many as there is room for.
        ray: what `ray` needs to know beside that.
    """
    if name == "local":
        return InProcess()
    pool: Computation = _find(name)(workers or MOST_IN_A_CLUSTER, math.inf, 0, ray or RaySettings())
    return pool
