"""Processes killed at any moment leave whole files, and the same command comes to the same numbers."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from small_run import Place

from mulde.data.cache.care import find_damage
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.stages.care import find_run_damage

N_KILLS = int(os.environ.get("MULDE_KILLS", "4"))
"""50 is worth a try."""
LONGEST_SECONDS = float(os.environ.get("MULDE_LONGEST_SECONDS", "8"))
"""Until a kill; each run goes on from the one before, and so all stages have their turn."""


@pytest.mark.slow
def test_kills_at_any_moment(data: Path, tmp_path: Path) -> None:
    whole = Place(tmp_path / "whole", data)
    subprocess.run(whole.command, check=True, capture_output=True)
    expected = whole.numbers()
    killed = Place(tmp_path / "killed", data)
    random_seconds = random.Random(0)
    n_kills, n_finished, reached = 0, 0, dict[str, int]()
    is_finished = False
    while n_kills < N_KILLS or not is_finished:
        with subprocess.Popen(
            killed.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        ) as process:
            try:
                seconds = random_seconds.uniform(0.1, LONGEST_SECONDS)
                _, told = process.communicate(timeout=seconds if n_kills < N_KILLS else None)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                _, told = process.communicate()
                n_kills += 1
                stage = (told.decode().strip().splitlines() or ["start"])[-1].split()[0].rstrip(":")
                reached[stage] = reached.get(stage, 0) + 1
        assert damage_of(killed) == []
        is_finished = process.returncode == 0
        if is_finished:
            assert killed.numbers() == expected
            n_finished += 1
            shutil.rmtree(killed.root)
        else:
            assert process.returncode == -signal.SIGKILL, told.decode()
    sys.stdout.write(f"{n_kills} kills, {n_finished} runs finished; last said before a kill: {reached}\n")


def damage_of(place: Place) -> list[str]:
    """Return what cannot be read, or is not what was written; what was left half written is none of it."""
    found = []
    if place.cache.exists():
        found += [item.reason for item in find_damage(place.cache).items if item.is_damaged]
        found += find_damage(place.cache).left
    if (place.run / "state.json").exists():
        damage = find_run_damage(RunFolder(place.run))
        found += [*damage.left, *(item.reason for item in damage.items if item.is_damaged)]
    return found
