"""Imports point one way: pipeline → extractors, detector → data; and the rooms inside each are packaged."""

from __future__ import annotations

import ast
import re
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


OPTION_OR_KEY = re.compile(
    r"(?<![\w-])--[a-z]|(?<![\w.])(extract|data|train|score|evaluate|report)\.[a-z]|`mulde "
)


def texts_of(path: Path) -> set[str]:
    """All texts in a file but docstrings."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    return {
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    }


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_only_the_pipeline_names_options_and_keys_of_the_configuration(folder: str) -> None:
    found = [(name, text) for name, path in modules_of(folder).items() for text in texts_of(path)]
    named = [(name, text) for name, text in found if OPTION_OR_KEY.search(text)]
    assert (folder == "pipeline") == bool(named), named


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


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_only_the_command_line_knows_of_a_terminal(folder: str) -> None:
    for name, path in modules_of(folder).items():
        if not name.startswith("mulde.pipeline.cli"):
            assert not {top.split(".")[0] for top in imports_of(path)} & {"rich", "click"}, path
            assert "print(" not in re.sub(r"\w+print\(", "", path.read_text(encoding="utf-8")), path


def circles(arrows: dict[str, set[str]]) -> list[set[str]]:
    """Give the sets of nodes that reach each other."""
    reached: dict[str, set[str]] = {}
    for start in arrows:
        seen: set[str] = set()
        todo = list(arrows[start])
        while todo:
            node = todo.pop()
            if node not in seen:
                seen.add(node)
                todo += arrows.get(node, ())
        reached[start] = seen
    return [{b for b in reached[a] if a in reached.get(b, ())} for a in sorted(arrows) if a in reached[a]]


@pytest.mark.parametrize("arrows, expected", [
    ({}, []),
    ({"a": {"b"}, "b": set()}, []),
    ({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}, [{"a", "b", "c"}] * 3),
])  # fmt: skip
def test_circles_are_found(arrows: dict[str, set[str]], expected: list[set[str]]) -> None:
    assert circles(arrows) == expected


def all_arrows() -> dict[str, set[str]]:
    modules = {name: path for folder in MAY_IMPORT for name, path in modules_of(folder).items()}
    return {name: {n for n in imports_of(path) if n in modules} - {name} for name, path in modules.items()}


def test_no_module_imports_itself_by_a_detour() -> None:
    assert circles(all_arrows()) == []


def room(module: str) -> str:
    """The sub-folder of a module, or the module itself where it stands in a top-level folder."""
    parts = module.split(".")
    return ".".join(parts[:3])


def test_no_arrow_runs_up_between_rooms() -> None:
    rooms: dict[str, set[str]] = {}
    for module, targets in all_arrows().items():
        rooms.setdefault(room(module), set()).update({room(t) for t in targets} - {room(module)})
    packages = {"mulde", *(f"mulde.{folder}" for folder in MAY_IMPORT)}
    assert circles({a: targets - packages for a, targets in rooms.items() if a not in packages}) == []


def test_every_folder_is_packaged() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    there = {
        ".".join(("mulde", *path.parent.relative_to(ROOT).parts))
        for folder in MAY_IMPORT
        for path in (ROOT / folder).rglob("*.py")
    }
    assert set(settings["tool"]["setuptools"]["packages"]) - {"mulde"} == there
    folders = [ROOT.joinpath(*name.split(".")[1:]) for name in there]
    tracked = subprocess.run(["git", "check-ignore", *folders], cwd=ROOT, capture_output=True, text=True)
    assert tracked.stdout == "", "git ignores code"
    assert all((folder / "__init__.py").exists() for folder in folders)
    assert all((ROOT / folder / "py.typed").exists() for folder in MAY_IMPORT)


def test_command_line_starts_without_the_heavy_libraries() -> None:
    heavy = "{'torch', 'numpy', 'h5py', 'av', 'cv2', 'decord', 'sklearn', 'matplotlib'}"
    code = f"import sys, mulde.pipeline.cli.main; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_page_of_the_architecture_names_every_room() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawing = page.split("## Rooms")[1].split("```")[1]
    for folder in MAY_IMPORT:
        block = drawing.split(f"{folder}/ ", 1)[1].split("\n\n")[0]
        rooms = {path.name for path in (ROOT / folder).iterdir() if (path / "__init__.py").exists()}
        assert [name for name in sorted(rooms) if not re.search(rf"\b{name}\b", block)] == []


def test_higher_floors_are_drawn_higher() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    lines = page.split("## Rooms")[1].split("```")[1].splitlines()
    floors: dict[str, int] = {}
    folder = ""
    for number, line in enumerate(lines):
        folder = line.split("/")[0] if line[:1].isalpha() else folder
        for name in re.findall(r"\w+", line[14:57]):
            floors.setdefault(f"mulde.{folder}.{name}", number)
    for module, targets in all_arrows().items():
        for target in targets:
            here, there = room(module), room(target)
            if (
                here != there
                and here in floors
                and there in floors
                and here.split(".")[1] == there.split(".")[1]
            ):
                assert floors[here] <= floors[there], f"{module} imports {target}"
