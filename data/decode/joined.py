"""Find recordings that were joined to a file byte by byte and that FFmpeg does not read."""

from __future__ import annotations

import mmap
from pathlib import Path

_BEGIN_WITH_A_HEADER = frozenset({"mp4", "matroska", "flv", "asf"})
"""FFmpeg's names of the containers whose header is at the beginning, once, and has a constant start."""
_START_BYTES = 8


def unread_bytes(path: Path, containers: frozenset[str], end_byte: int) -> int:
    """Return how many bytes another recording has that begins at `end_byte` or later; 0 where there is none.

    It is recognised by the bytes with which the file itself begins.

    Args:
        containers: FFmpeg's names of the container.
        end_byte: where the last packet that was read ends, from the start of the file.
    """
    if not containers & _BEGIN_WITH_A_HEADER or end_byte <= 0:
        return 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.find(content[:_START_BYTES], end_byte)
        return 0 if start < 0 else len(content) - start
