"""Imports point one way: pipeline → extractors, detector → data."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "data": {"data"},
    "extractors": {"extractors", "data"},
    "detector": {"detector", "data"},
    "pipeline": {"pipeline", "extractors", "detector", "data"},
}
FORBIDDEN_LIBRARIES = {
    "data": {"torch", "sklearn", "ultralytics"},
    "extractors": {"h5py", "av", "decord"},
    "detector": {"cv2", "av", "decord", "torchvision", "ultralytics", "h5py"},
    "pipeline": set(),
}


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_imports_point_one_way(folder: str) -> None:
    files = sorted((ROOT / folder).glob("*.py"))
    assert files
    for path in files:
        for name in imports_of(path):
            top, *rest = name.split(".")
            if top == "mulde":
                assert rest[0] in MAY_IMPORT[folder], f"{path} imports {name}"
            assert top not in FORBIDDEN_LIBRARIES[folder], f"{path} imports {name}"


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_folders_are_flat_and_typed(folder: str) -> None:
    modules = list((ROOT / folder).rglob("*.py"))
    assert all(path.parent == ROOT / folder for path in modules)
    assert (ROOT / folder / "py.typed").exists()


def test_command_line_starts_without_the_heavy_libraries() -> None:
    heavy = "{'torch', 'cv2', 'decord', 'sklearn', 'matplotlib'}"
    code = f"import sys, mulde.pipeline.cli; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
