"""Tasks on a Ray cluster: the same function, on whatever machines there are.

What runs there needs the same packages, and the folders of videos and cache at the same paths.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Generic

from mulde.data.errors import InputError, require_package
from mulde.pipeline.executors.base import Outcome, R, T, Tick, Told, WorkerDiedError, WorkerStalledError
from mulde.pipeline.executors.settings import RaySettings

_POLL_SECONDS, _TELL_SECONDS = 0.2, 1.0
_START_SECONDS = 120.0
"""The least time that a task has until its first sign of life: a process starts, and loads libraries."""
_MOST_LOST = 3
"""So many times a task is started again whose process, or machine, is gone."""
_STORE_BYTES = 100 * 2**20  # results are small: features go to the cache


@dataclass(frozen=True)
class _Told:
    """What a task has said."""

    n_frames: int = 0
    n_expected: int = 0
    n_beats: int = 0
    detail: str = ""


class _Board:
    """An actor: what all tasks have said, by their number."""

    def __init__(self) -> None:
        self._told: dict[int, _Told] = {}

    def tell(self, slot: int, n_frames: int, n_expected: int, detail: str) -> None:
        n_beats = self._told.get(slot, _Told()).n_beats + 1
        self._told[slot] = _Told(n_frames, n_expected, n_beats, detail)

    def read(self) -> dict[int, _Told]:
        return self._told


@dataclass
class _Running(Generic[T, R]):
    """A task in the cluster."""

    task: T
    function: Callable[[T, Tick], R]
    slot: int
    submitted: float = field(default_factory=time.monotonic)
    n_beats: int = 0
    heard: float = 0.0
    is_stalled: bool = False


class RayPool:
    """Runs tasks on a Ray cluster and yields their outcomes as they come.

    What a process or machine was at that is gone is done again elsewhere; who says nothing for
    `stall_seconds` is stopped.
    """

    def __init__(self, workers: int, stall_seconds: float, capacity: int, settings: RaySettings) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray = require_package("ray", "ray")
        strategies = import_module("ray.util.scheduling_strategies")
        self._ray, self._workers, self._stall_seconds = ray, workers, stall_seconds
        self._is_ours = not ray.is_initialized()
        if self._is_ours:
            _connect(ray, settings.address)
        node = ray.get_runtime_context().get_node_id()
        here = strategies.NodeAffinitySchedulingStrategy(node, soft=False)
        # beside whoever asks it: it must not go with a machine that is lost
        self._board = ray.remote(_Board).options(num_cpus=0, scheduling_strategy=here).remote()
        self._run = ray.remote(_run).options(
            num_cpus=settings.cpus, num_gpus=settings.gpus, max_retries=_MOST_LOST
        )
        self._waiting: deque[_Running[Any, Any]] = deque()
        self._running: dict[Any, _Running[Any, Any]] = {}
        self._told: dict[int, _Told] = {}
        self._n_submitted = self._n_ended = 0
        self._asked = 0.0

    def __enter__(self) -> RayPool:
        return self

    def __exit__(self, *exception: object) -> None:
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._ray.kill(self._board)
        if self._is_ours:
            self._ray.shutdown()

    @property
    def n_frames_done(self) -> int:
        """Frames done by all tasks so far."""
        return sum(told.n_frames for told in self._told.values())

    @property
    def share_done(self) -> float:
        """Share of all tasks that is done, in [0, 1]; of those at work, the share of their frames."""
        told = [self._told.get(entry.slot, _Told()) for entry in self._running.values()]
        parts = sum(min(1.0, each.n_frames / each.n_expected) for each in told if each.n_expected)
        return (self._n_ended + parts) / self._n_submitted if self._n_submitted else 0.0

    @property
    def running(self) -> list[Told]:
        """What the tasks at work have told last, of those that have told anything."""
        at_work = [
            (entry, self._told[entry.slot]) for entry in self._running.values() if entry.slot in self._told
        ]
        return [Told(entry.task, told.n_frames, told.n_expected, told.detail) for entry, told in at_work]

    def submit(self, function: Callable[[T, Tick], R], task: T) -> None:
        """Queue a task."""
        self._waiting.append(_Running(task, function, self._n_submitted))
        self._n_submitted += 1

    def outcomes(self, on_poll: Callable[[], None] = lambda: None) -> Iterator[Outcome[Any, Any]]:
        """Yield outcomes until no task is left; tasks may be submitted meanwhile."""
        while self._running or self._waiting:
            self._start()
            ended, _ = self._ray.wait([*self._running], num_returns=1, timeout=_POLL_SECONDS)
            self._listen()
            on_poll()
            for reference in ended:
                entry = self._running.pop(reference)
                self._n_ended += 1
                yield self._outcome(reference, entry)

    def _start(self) -> None:
        while self._waiting and len(self._running) < self._workers:
            entry = self._waiting.popleft()
            folder = str(Path.cwd())
            reference = self._run.remote(entry.function, entry.task, entry.slot, self._board, folder)
            self._running[reference] = entry

    def _listen(self) -> None:
        """Ask what tasks have said, and stop those that say nothing any more."""
        now = time.monotonic()
        if now - self._asked < _TELL_SECONDS:
            return
        self._asked = now
        self._told = self._ray.get(self._board.read.remote())
        for reference, entry in self._running.items():
            n_beats = self._told.get(entry.slot, _Told()).n_beats
            if n_beats != entry.n_beats or not n_beats:  # one that waits for a free core says nothing yet
                entry.n_beats, entry.heard = n_beats, now
            elif now - entry.heard > max(self._stall_seconds, _START_SECONDS if n_beats == 1 else 0):
                entry.is_stalled = True
                self._ray.cancel(reference, force=True)

    def _outcome(self, reference: Any, entry: _Running[T, R]) -> Outcome[T, R]:
        errors = self._ray.exceptions
        seconds = time.monotonic() - entry.submitted
        try:
            return Outcome(entry.task, self._ray.get(reference), None, seconds)
        except errors.RayTaskError as error:  # raised by the task itself
            return Outcome(entry.task, None, getattr(error, "cause", None) or error, seconds)
        except errors.RayError as error:
            if entry.is_stalled:
                return Outcome(entry.task, None, WorkerStalledError("no progress for too long"), seconds)
            died = WorkerDiedError(f"the worker process, or its machine, is gone ({type(error).__name__})")
            return Outcome(entry.task, None, died, seconds)


def _connect(ray: Any, address: str) -> None:
    try:
        if address or os.environ.get("RAY_ADDRESS"):
            ray.init(address=address or None, log_to_driver=False, logging_level=logging.WARNING)
        else:
            ray.init(
                address="local",
                include_dashboard=False,
                object_store_memory=_STORE_BYTES,
                log_to_driver=False,
                logging_level=logging.WARNING,
            )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(
            f"no Ray cluster can be used at {address or os.environ.get('RAY_ADDRESS') or 'this machine'} "
            f"({error}): start one with `ray start --head`, and see `ray.address`"
        ) from None


def _run(function: Callable[[T, Tick], R], task: T, slot: int, board: Any, folder: str) -> R:
    """Run a task; in a process of the cluster."""
    os.chdir(folder)  # paths may be relative
    told = 0.0

    def tick(n_frames: int, n_expected: int | None = None, detail: str = "") -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= _TELL_SECONDS or n_frames == n_expected:
            told = now
            board.tell.remote(slot, n_frames, n_expected or 0, detail)

    tick(0)
    return function(task, tick)
