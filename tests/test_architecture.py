"""Imports point one way: pipeline → extractors, detector → data; and the rooms inside each are packaged."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

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


def modules_of(folder: str) -> dict[str, Path]:
    """Every module in a top-level folder and the rooms below it, by the name that it installs as."""
    found = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(("mulde", *parts)).removesuffix(".__init__")] = path
    return found


def imports_of(path: Path) -> set[str]:
    """Modules that a file imports, wherever in it; `from package import name` counts as package.name too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_imports_point_one_way(folder: str) -> None:
    modules = modules_of(folder)
    assert modules
    for path in modules.values():
        for name in imports_of(path):
            top, *rest = name.split(".")
            if top == "mulde" and rest:
                assert rest[0] in MAY_IMPORT[folder], f"{path} imports {name}"
            assert top not in FORBIDDEN_LIBRARIES[folder], f"{path} imports {name}"


def test_every_folder_is_packaged() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    there = {
        ".".join(("mulde", *path.parent.relative_to(ROOT).parts))
        for folder in MAY_IMPORT
        for path in (ROOT / folder).rglob("*.py")
    }
    assert set(settings["tool"]["setuptools"]["packages"]) - {"mulde"} == there
    assert all((ROOT / folder / "py.typed").exists() for folder in MAY_IMPORT)


def test_command_line_starts_without_the_heavy_libraries() -> None:
    heavy = "{'torch', 'cv2', 'decord', 'sklearn', 'matplotlib'}"
    code = f"import sys, mulde.pipeline.cli.main; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
