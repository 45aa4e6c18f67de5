"""Read somebody's file in a process of its own: libraries in C crash on some, and never end on others."""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from typing import Any, TypeVar

from mulde.data.errors import InputError
from mulde.data.files import require_file
from mulde.data.foreign.limits import limit_bytes

R = TypeVar("R")

_one_at_a_time = threading.Lock()

_LEAST_SECONDS, _BYTES_A_SECOND = 30.0, 2 * 2**20
"""Slower than any disk or network share that one would read features from."""
_START_SECONDS = 120.0
_BESIDES_BYTES = 2 * 2**30
"""What libraries take beside the content of a file, and its copies on the way."""


def read_apart(function: Callable[[Path], R], path: Path) -> R:
    """Return what a function makes of a file, from a process that is ended where it takes too long.

    Args:
        function: of a module. What it returns must be picklable; what it raises is raised here.

    Raises:
        InputError: the process died, or had to be ended.
    """
    require_file(path)
    seconds = _LEAST_SECONDS + path.stat().st_size / _BYTES_A_SECOND
    with _one_at_a_time:
        reader = _Reader.running()
        try:
            outcome = reader.ask((function, path, seconds), seconds)
        except FutureTimeoutError:
            told = f"cannot be read in {seconds:.0f} s: it is damaged, or made to hang"
            raise InputError(f"{path} {told}") from None
        except (EOFError, OSError, pickle.UnpicklingError):
            told = (
                f"ended the process that read it (exit code {reader.end()}): it is damaged, or made to do so"
            )
            raise InputError(f"{path} {told}") from None
    if isinstance(outcome, BaseException):
        raise outcome
    result: R = outcome
    return result


class _Reader:
    """The process that reads, one file after the other; it is started again where it was ended.

    It is a plain subprocess: one of multiprocessing's would run the user's own script a second time.
    """

    _running: _Reader | None = None

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._process = subprocess.Popen(  # noqa: S603  # ourselves
            [sys.executable, "-c", f"from {__name__} import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self._waiting = ThreadPoolExecutor(1)

    @classmethod
    def running(cls) -> _Reader:
        reader = cls._running
        # one of the process that we were forked from answers that
        if reader is None or reader._owner != os.getpid() or reader._process.poll() is not None:
            cls._running = reader = cls()
            atexit.register(reader.end)
            reader.ask((_started, Path(), 0.0), _START_SECONDS)  # on a busy machine this takes a while
        return reader

    def ask(self, request: tuple[Callable[[Path], Any], Path, float], seconds: float) -> Any:
        """Return the answer; TimeoutError and EOFError where there is none."""
        assert self._process.stdin is not None and self._process.stdout is not None
        pickle.dump((Path.cwd(), request), self._process.stdin)
        self._process.stdin.flush()
        answer = self._waiting.submit(pickle.load, self._process.stdout)
        try:
            return answer.result(seconds)
        except (FutureTimeoutError, KeyboardInterrupt):
            self.end()  # whose answer would be taken for that of the next file
            raise

    def end(self) -> int:
        """End the process; return its exit code."""
        if self._owner != os.getpid():
            return 0
        self._process.kill()
        code = self._process.wait()
        self._waiting.shutdown(wait=True)
        return code


def serve() -> None:
    """Answer requests from stdin until it is closed: what `_Reader` runs in its process."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    while True:
        try:
            folder, (function, path, seconds) = pickle.load(sys.stdin.buffer)  # noqa: S301  # from our own parent
        except EOFError:
            return
        os.chdir(folder)  # which paths are relative to
        if seconds:
            _bound_memory(path.stat().st_size)
        if seconds and hasattr(signal, "alarm"):
            signal.alarm(int(2 * seconds))  # nobody else ends it where the parent was killed
        try:
            outcome = function(path)
        except MemoryError:
            outcome = InputError(f"{path} takes too much memory: it is damaged, or made to take it up")
        except Exception as error:
            outcome = error
        if hasattr(signal, "alarm"):
            signal.alarm(0)
        pickle.dump(outcome, answers)
        answers.flush()


def _started(path: Path) -> None:
    """Answer that the process is there."""


def _bound_memory(file_bytes: int) -> None:
    """Let this process take a few times what may be unpacked, or what the file holds."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        most = pages * resource.getpagesize() + _BESIDES_BYTES + 3 * max(limit_bytes(), file_bytes)
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (most if hard < 0 else min(most, hard), hard))
    except (ImportError, OSError, ValueError):  # not on this system
        return
