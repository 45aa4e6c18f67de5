from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mulde.data.processes import is_alive


@pytest.mark.parametrize("pid", [0, -1, -2, 2**31, 2**70])
def test_other_numbers_are_no_processes(pid: int) -> None:
    assert not is_alive(pid)


def test_one_is_there_until_it_has_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert is_alive(os.getpid()) and is_alive(child.pid)
    assert child.stdin is not None
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has waited for it
    if Path("/proc/self/stat").exists():
        assert not is_alive(child.pid)
    child.wait()
    assert not is_alive(child.pid)
