"""What the tests have done in a process of its own; a module of its own, since that process imports it."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path

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
