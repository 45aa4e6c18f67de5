"""Do without the search for cycles of objects while very many are made that have none."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_VERY_MANY = 100_000
_is_command = False


def begin_command() -> None:
    """Say that this process ends with what it does now; whoever only uses the library keeps every search."""
    global _is_command
    _is_command = True


@contextmanager
def no_cycles() -> Iterator[None]:
    """Spare the search for cycles that nobody refers to: of very many videos, a quarter of the time.

    In a command, where very many objects were made, no later search looks through them either: they are a
    data set, which is there to the end.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            if _is_command and gc.get_count()[0] > _VERY_MANY:
                gc.freeze()
            gc.enable()
