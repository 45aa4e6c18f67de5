"""Whether a process of this machine is still there."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def is_alive(pid: int) -> bool:
    """Whether a process works, and was not only not waited for yet; no other number is one."""
    if not 0 < pid < 2**31:  # others name groups of processes, or none
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # one that was killed but not waited for yet
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True
