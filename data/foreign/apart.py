"""Read somebody's file in a process of its own: libraries in C crash on some, and never end on others.

What that process answers is taken for data as well, since it has read the file: see `answers`.
"""

from __future__ import annotations

import atexit
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

from mulde.data.errors import InputError
from mulde.data.files import require_file
from mulde.data.foreign.answers import (
    AnswerError,
    Plain,
    RefusedError,
    encode_refusal,
    encode_result,
    read_answer,
    write_answer,
)
from mulde.data.foreign.limits import limit_bytes, most_unpacked

R = TypeVar("R", bound=Plain)

_one_at_a_time = threading.Lock()
_is_apart = False
"""Whether this is the process that reads."""

_LEAST_SECONDS, _BYTES_A_SECOND = 30.0, 2 * 2**20
"""Slower than any disk or network share that one would read features from."""
_START_SECONDS = 120.0
_BESIDES_BYTES = 2 * 2**30
"""What libraries take beside the content of a file, and its copies on the way."""
_HEADER_BYTES = 100 * 2**20
"""What an answer may take beside the arrays in it."""
_MOST_CHARACTERS = 1000
"""Of the text of an error."""


class _TooLateError(Exception):
    """There is no answer in time."""


def read_apart(function: Callable[[Path], R], path: Path) -> R:
    """Return what a function makes of a file, from a process that is ended where it takes too long.

    Args:
        function: of a module. It returns plain data, see `answers.Plain`.

    Raises:
        InputError: the file cannot be read, which the text says; or the process died, had to be ended, or
            gave no answer.
    """
    require_file(path)
    size_bytes = path.stat().st_size
    seconds = _LEAST_SECONDS + size_bytes / _BYTES_A_SECOND
    with _one_at_a_time:
        reader = _Reader.running()
        try:
            answer = reader.ask((function, path, seconds), seconds, _most_bytes(size_bytes))
        except RefusedError as error:
            raise InputError(str(error)[:_MOST_CHARACTERS]) from None
        except _TooLateError:
            told = f"cannot be read in {seconds:.0f} s: it is damaged, or made to hang"
            raise InputError(f"{path} {told}") from None
        except (EOFError, OSError):
            told = (
                f"ended the process that read it (exit code {reader.end()}): it is damaged, or made to do so"
            )
            raise InputError(f"{path} {told}") from None
        except MemoryError:
            raise InputError(f"{path} takes more memory than there is") from None
        except AnswerError as error:
            told = f"made the process that read it answer nonsense ({error}): it is not to be trusted"
            raise InputError(f"{path} {told[:_MOST_CHARACTERS]}") from None
    return cast(R, answer)


def is_apart() -> bool:
    """Whether this is the process that reads files of strangers, which may hang and crash."""
    return _is_apart


def _most_bytes(size_bytes: int) -> int:
    return most_unpacked(size_bytes) + _HEADER_BYTES


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
            start_new_session=True,  # what it starts ends with it, and Ctrl-C is for its owner
        )

    @classmethod
    def running(cls) -> _Reader:
        """Return the process, started if there is none.

        Raises:
            InputError: it cannot be started.
        """
        reader = cls._running
        # one of the process that we were forked from answers that
        if reader is not None and reader._owner == os.getpid() and reader._process.poll() is None:
            return reader
        try:
            cls._running = reader = cls()  # on a busy machine the first answer takes a while
            reader.ask((_started, Path(), 0.0), _START_SECONDS, _HEADER_BYTES)
        except (_TooLateError, AnswerError, RefusedError, EOFError, OSError) as error:
            raise InputError(
                f"the process that reads files of strangers cannot be started ({error}): try "
                f"{sys.executable} -c 'import {__name__}', and look whether there is memory left"
            ) from None
        return reader

    def ask(
        self, request: tuple[Callable[[Path], Plain], Path, float], seconds: float, most_bytes: int
    ) -> Plain:
        """Return the answer.

        Raises:
            RefusedError: the file is refused.
            AnswerError, EOFError, OSError: there is no answer. The process has been ended.
            _TooLateError: there is none in time. Likewise.
        """
        assert self._process.stdin is not None
        answers: queue.SimpleQueue[tuple[Plain, Exception | None]] = queue.SimpleQueue()
        # daemon, for it is not waited for: whoever holds the other end may keep it open for ever
        waiting = threading.Thread(
            target=_wait, args=(self._process.stdout, most_bytes, answers), daemon=True
        )
        is_answered = False
        try:
            pickle.dump((Path.cwd(), request), self._process.stdin)
            self._process.stdin.flush()
            waiting.start()
            result, error = answers.get(timeout=seconds)
            is_answered = error is None or isinstance(error, RefusedError)
        except queue.Empty:
            raise _TooLateError(f"no answer in {seconds:.0f} s") from None
        finally:
            if not is_answered:
                self.end()  # whose answer would be taken for that of the next file
        if error is not None:
            raise error
        return result

    def end(self) -> int:
        """End the process and what it has started; return its exit code."""
        if self._owner != os.getpid():
            return 0
        if hasattr(os, "killpg") and self._process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        if self._process.stdin is not None:
            with suppress(OSError):  # of what it has not taken
                self._process.stdin.close()
        return self._process.wait()


@atexit.register
def _end_running() -> None:
    if _Reader._running is not None:
        _Reader._running.end()


def _wait(stream: Any, most_bytes: int, answers: queue.SimpleQueue[tuple[Plain, Exception | None]]) -> None:
    try:
        answers.put((read_answer(stream, most_bytes), None))
    except Exception as error:
        answers.put((None, error))


def serve() -> None:
    """Answer requests from stdin until it is closed: what `_Reader` runs in its process."""
    global _is_apart
    _is_apart = True
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
        answer = _answer(function, path)
        if hasattr(signal, "alarm"):
            signal.alarm(0)
        write_answer(answers, answer)


def _answer(function: Callable[[Path], Plain], path: Path) -> bytes:
    try:
        return encode_result(function(path))
    except InputError as error:
        return encode_refusal(str(error))
    except MemoryError:
        return encode_refusal(f"{path} takes too much memory: it is damaged, or made to take it up")
    except Exception as error:
        told = " ".join(str(error).split())
        return encode_refusal(
            f"{path} cannot be read ({type(error).__name__}: {told}): it is damaged, or something else"
        )


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
