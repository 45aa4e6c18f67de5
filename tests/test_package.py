"""The package `mulde` itself: it loads at once, and what it offers is where it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import mulde
from mulde.data.errors import InputError
from mulde.data.version import mulde_version


def run_python(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=folder, check=False
    )


def test_import_loads_no_library(tmp_path: Path) -> None:
    code = "import sys, mulde; print(sorted({'torch', 'numpy', 'cv2', 'av', 'pydantic'} & set(sys.modules)))"
    assert run_python("-c", code, folder=tmp_path).stdout.strip() == "[]"


def test_names_are_found_when_they_are_asked_for() -> None:
    assert mulde.__version__ == mulde_version()
    assert mulde.InputError is InputError
    assert {name for name in mulde.__all__ if getattr(mulde, name) is not None} == set(mulde.__all__)
    assert set(mulde.__all__) <= set(dir(mulde))


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'MULDI'"):
        mulde.MULDI  # noqa: B018


@pytest.mark.parametrize("module", ["mulde", "mulde.pipeline"])
def test_python_m_is_the_command(module: str, tmp_path: Path) -> None:
    result = run_python("-m", module, "--version", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == f"mulde, version {mulde_version()}"
    usage = run_python("-m", module, "--help", folder=tmp_path).stdout
    assert usage.startswith("Usage: mulde ")
