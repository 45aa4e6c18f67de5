"""What an executor is: it takes tasks, runs them somewhere, and yields how each ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from mulde.data.errors import InputError

R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")


class Tick(Protocol):
    """Called by a task now and then; every call is a sign of life."""

    def __call__(self, n_frames: int, n_expected: int | None = None, detail: str = "") -> None:
        """Tell how many frames, steps or rows are done, of how many if that is known, and more in words."""


@dataclass(frozen=True)
class Told:
    """What a task at work has told last."""

    task: Any
    n_done: int
    n_expected: int
    """0 where that is not known."""
    detail: str
    """In words."""


@dataclass(frozen=True)
class Outcome(Generic[T, R]):
    """How a task ended: with a result, or with an error."""

    task: T
    result: R | None
    error: BaseException | None
    seconds: float

    def required(self, what: str) -> R:
        """Return the result, without which nothing can go on.

        Args:
            what: the task was, for whoever reads that it was lost.

        Raises:
            BaseException: that of the task.
            InputError: the machine that it ran on is gone.
        """
        if isinstance(self.error, WorkerDiedError):
            raise InputError(f"{what}: {self.error}; the same command goes on with what is missing")
        if self.error is not None:
            raise self.error
        assert self.result is not None
        return self.result


class WorkerStalledError(Exception):
    """A worker made no progress for too long and was stopped."""


class WorkerDiedError(Exception):
    """A worker process ended in the middle of its task."""


class Runner(Protocol):
    """Runs one function call per task; a context manager that ends what it has started."""

    def submit(self, function: Callable[[T, Tick], R], task: T) -> None:
        """Queue a task; both can be sent to another process."""

    def outcomes(self, on_poll: Callable[[], None] = lambda: None) -> Iterator[Outcome[Any, Any]]:
        """Yield outcomes as they come until no task is left; tasks may be submitted meanwhile."""

    def __enter__(self: S) -> S: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Computation(Runner, Protocol):
    """Runs tasks that learn or score, a few that take long."""

    @property
    def running(self) -> list[Told]:
        """What the tasks at work have told last, of those that have told anything."""


class Executor(Runner, Protocol):
    """Runs a task for each of many videos.

    One that gives no sign of life for too long, or whose worker dies, ends with an error; others go on.
    """

    @property
    def n_frames_done(self) -> int:
        """Frames done by all tasks so far."""

    @property
    def share_done(self) -> float:
        """Share of all frames that are done, in [0, 1]."""
