"""How the files of events are called."""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime
from itertools import count
from pathlib import Path


def name_of_event(
    folder: Path, below: str, when: datetime, frame: int, suffix: str, taken: Container[str] = ()
) -> str:
    """Return a name that no file has yet, BELOW/20261128T130405-FRAME.SUFFIX, relative to a folder.

    Short files may follow one another within a second, and have events at the same frame.

    Args:
        taken: names that are given, and of which there is no file yet.
    """
    stem = f"{below}/{when:%Y%m%dT%H%M%S}-{frame}"
    names = (f"{stem}{'' if number == 1 else f'-{number}'}{suffix}" for number in count(1))
    return next(name for name in names if name not in taken and not (folder / name).exists())
