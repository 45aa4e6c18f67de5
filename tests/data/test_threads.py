"""OpenMP's threads wait as the user says, or briefly."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


@pytest.mark.parametrize("module", ["mulde.detector", "mulde.data.threads"])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"GOMP_SPINCOUNT": "20000", "KMP_BLOCKTIME": "0"}),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "ACTIVE"}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
    ],
)
def test_what_the_user_says_stays(module: str, given: dict[str, str], expected: dict[str, str]) -> None:
    call = "mulde.data.threads.wait_briefly(); " if module == "mulde.data.threads" else ""
    code = f"import os, sys, {module}; {call}print({{n: os.environ[n] for n in {NAMES} if n in os.environ}})"
    clean = {name: value for name, value in os.environ.items() if name not in NAMES}
    result = subprocess.run(
        [sys.executable, "-c", code], env={**clean, **given}, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == str(expected)
