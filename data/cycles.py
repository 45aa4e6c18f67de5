"""Do without the search for cycles of objects while very many are made that have none."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_VERY_MANY = 100_000


@contextmanager
def no_cycles() -> Iterator[None]:
    """Spare the search for cycles that nobody refers to: of very many videos, a quarter of the time.

    Where very many objects were made, no later search looks through them and what was there before: they are
    a data set, which is there to the end.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            if gc.get_count()[0] > _VERY_MANY:
                gc.freeze()
            gc.enable()
