"""How threads of OpenMP wait for work: hardly, before they sleep."""

from __future__ import annotations

import os

_SPINS = "20000"  # some microseconds: enough between two products of a small network, little beside others


def wait_briefly() -> None:
    """Have OpenMP's threads sleep soon after they have run out of work; before torch is loaded, or too late.

    By themselves they spin for milliseconds, and where other processes want the cores, each waits for threads
    that are not running: training then takes ten times as long. What the user has set stays.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = _SPINS  # libgomp's, which torch on Linux brings along
        os.environ.setdefault("KMP_BLOCKTIME", "0")  # libomp's, in milliseconds
