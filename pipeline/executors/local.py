"""A pool of worker processes that survives stuck and dying decoders: one task per video."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any, Generic

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from mulde.pipeline.executors.base import Outcome, R, T, Tick, WorkerDiedError, WorkerStalledError

_POLL_SECONDS = 0.05
_START_SECONDS = 60.0
"""The least time that a task has until its first sign of life: it may load libraries before."""
_GONE_SECONDS = 1.0  # the result of a worker that has ended may still be on its way
# In a worker: frames done, frames expected, signs of life and the process, by task; shared without a lock
# that a kill could keep
_progress: Any = None


class LocalPool:
    """Runs tasks in worker processes and yields their outcomes as they come.

    A worker that reports no progress for `stall_seconds` is killed; the other workers go on.
    """

    def __init__(self, workers: int, stall_seconds: float, capacity: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._stall_seconds = stall_seconds
        self._done = context.RawArray(ctypes.c_longlong, max(1, capacity))
        self._expected = context.RawArray(ctypes.c_longlong, max(1, capacity))
        self._beats = context.RawArray(ctypes.c_longlong, max(1, capacity))
        self._pids = context.RawArray(ctypes.c_longlong, max(1, capacity))
        self._pool = ProcessPool(
            max_workers=workers,
            context=context,
            initializer=_take_progress,
            initargs=[(self._done, self._expected, self._beats, self._pids)],
        )
        self._running: list[_Running[Any, Any]] = []
        self._n_submitted = 0

    def __enter__(self) -> LocalPool:
        return self

    def __exit__(self, *exception: object) -> None:
        if exception[0] is not None:
            self._pool.stop()
        else:
            self._pool.close()
        self._pool.join()

    @property
    def n_frames_done(self) -> int:
        """Frames done by all tasks so far."""
        return sum(self._done[: self._n_submitted])

    @property
    def share_done(self) -> float:
        """Share of all frames that are done, in [0, 1]; of tasks that have not begun, as many are expected as
        the others have on average.
        """
        running = {entry.slot for entry in self._running}
        done = self._done[: self._n_submitted]
        totals = {slot: n for slot, n in enumerate(done) if n and slot not in running}
        totals |= {slot: max(self._expected[slot], done[slot]) for slot in running if self._expected[slot]}
        if not totals:
            return 0.0
        n_unknown = len(running - totals.keys())
        return sum(done[slot] for slot in totals) / (sum(totals.values()) * (1 + n_unknown / len(totals)))

    def submit(self, function: Callable[[T, Tick], R], task: T) -> None:
        """Queue a task; at most `capacity` in the life of the pool."""
        slot = self._n_submitted
        self._n_submitted += 1
        with _deaf_children():
            future = self._pool.schedule(_run, args=[function, task, slot])
        self._running.append(_Running(task, future, slot))

    def outcomes(self, on_poll: Callable[[], None] = lambda: None) -> Iterator[Outcome[Any, Any]]:
        """Yield outcomes until no task is left; tasks may be submitted meanwhile."""
        while self._running:
            on_poll()
            ended = [entry for entry in self._running if entry.future.done()]
            for entry in ended:
                self._running.remove(entry)
                yield entry.outcome()
            self._give_up_lost()
            if not ended:
                time.sleep(_POLL_SECONDS)

    def _give_up_lost(self) -> None:
        """Cancel tasks that make no progress, and those whose worker has ended without a word."""
        workers = {child.pid for child in multiprocessing.active_children()}
        for entry in self._running:
            n_beats, pid = self._beats[entry.slot], self._pids[entry.slot]
            allowed = self._stall_seconds if n_beats else max(self._stall_seconds, _START_SECONDS)
            if entry.idle_seconds(n_beats) > allowed:
                entry.lost = WorkerStalledError("no progress for too long")
            elif entry.gone_seconds(is_gone=pid != 0 and pid not in workers) > _GONE_SECONDS:
                # pebble tells of those only whose exit code is not 0
                entry.lost = WorkerDiedError("the worker process ended in the middle (exit code 0)")
            if entry.lost is not None:
                entry.future.cancel()  # pebble ends the process that runs it


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Have threads and processes that are started here hear no Ctrl-C, from their first instruction on.

    It is the owner's to end them: a worker that is still loading Python would print a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # it would unblock what is blocked here
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Running(Generic[T, R]):
    """A task in the pool, and when it last made progress."""

    def __init__(self, task: T, future: ProcessFuture, slot: int) -> None:
        self.task, self.future, self.slot = task, future, slot
        self.lost: WorkerStalledError | WorkerDiedError | None = None
        """Why it was given up."""
        self._gone_since: float | None = None
        self._started: float | None = None
        self._last_beats, self._last_change = -1, 0.0

    def idle_seconds(self, n_beats: int) -> float:
        now = time.monotonic()
        if not self.future.running():
            return 0.0
        if self._started is None:
            self._started = now
        if n_beats != self._last_beats:
            self._last_beats, self._last_change = n_beats, now
        return now - self._last_change

    def gone_seconds(self, *, is_gone: bool) -> float:
        """Return for how long the process that runs the task has been gone; 0 where it is there."""
        if not is_gone or not self.future.running():
            self._gone_since = None
            return 0.0
        if self._gone_since is None:
            self._gone_since = time.monotonic()
        return time.monotonic() - self._gone_since

    def outcome(self) -> Outcome[T, R]:
        seconds = 0.0 if self._started is None else time.monotonic() - self._started
        try:
            return Outcome(self.task, self.future.result(), None, seconds)
        except CancelledError:
            return Outcome(self.task, None, self.lost or WorkerStalledError("cancelled"), seconds)
        except ProcessExpired as error:
            died = WorkerDiedError(f"the worker process died (exit code {error.exitcode})")
            return Outcome(self.task, None, died, seconds)
        except Exception as error:
            return Outcome(self.task, None, error, seconds)


def _take_progress(progress: tuple[Sequence[int], Sequence[int], Sequence[int], Sequence[int]]) -> None:
    global _progress
    _progress = progress


def _run(function: Callable[[T, Tick], R], task: T, slot: int) -> R:
    parent = os.getppid()
    done, expected, beats, pids = _progress
    pids[slot] = os.getpid()

    def tick(n_frames: int, n_expected: int | None = None, detail: str = "") -> None:
        if os.getppid() != parent:
            os._exit(1)  # whoever wanted the result was killed; what is half written is not believed anyway
        done[slot], expected[slot] = n_frames, n_expected or 0
        beats[slot] += 1

    return function(task, tick)
