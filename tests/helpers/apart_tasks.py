"""What the tests have done in a process of its own; a module of its own, since that process imports it."""

from __future__ import annotations

import ctypes
import os
import pickle
import stat
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mulde.data.errors import InputError


def size(path: Path) -> int:
    """Do what a good reader does."""
    return len(path.read_bytes())


def refuse(path: Path) -> int:
    """Refuse a file in one sentence."""
    raise InputError(f"{path} is refused")


def crash(path: Path) -> int:
    """Read what is not there, as a library in C does with some files."""
    return len(ctypes.string_at(0))


def hang(path: Path) -> int:
    """Never end."""
    while True:
        time.sleep(1)


def fill_memory(path: Path) -> int:
    """Take more memory than any file may."""
    return len(bytearray(2**40))


def say(path: Path) -> str:
    """Print, as libraries do."""
    os.write(1, b"a line that is no answer\n")
    return "answer"


def cells(path: Path) -> dict[str, NDArray[Any]]:
    """Return numbers of several kinds, and cells of them."""
    nested = np.empty((1, 2), object)
    nested[0, 0], nested[0, 1] = np.zeros((0, 3)), np.array(2.5)
    held = np.empty(2, object)
    held[0], held[1] = nested, np.arange(6, dtype=">i2").reshape(2, 3).T
    return {"numbers": np.arange(4, dtype=np.uint8), "held": held, "none": np.empty((0, 1), object)}


def unknown(path: Path) -> Any:
    """Return what is no plain data."""
    return path


def fail(path: Path) -> int:
    """Fail as nobody expects."""
    raise ZeroDivisionError(f"{path} is\nodd")


def take_over(path: Path) -> int:
    """Answer in place of the process what the file holds, as one would that has taken it over; never end."""
    content = path.read_bytes()
    for number in range(3, 20):
        try:
            if stat.S_ISFIFO(os.fstat(number).st_mode):
                os.write(number, content)
        except OSError:
            continue
    return hang(path)


def leave_a_child(path: Path) -> int:
    """End, but leave a process in a session of its own, which keeps the way of the answers open."""
    if os.fork() == 0:
        os.setsid()
        time.sleep(5)
    os._exit(0)


class _Runs:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)  # what pickle would call


def hostile_pickle(path: Path) -> bytes:
    """Return what makes a folder where it is read as pickle."""
    return pickle.dumps(_Runs(path))


def with_length(content: bytes, n_bytes: int | None = None) -> bytes:
    """Return what begins as an answer does."""
    return struct.pack("<Q", len(content) if n_bytes is None else n_bytes) + content
