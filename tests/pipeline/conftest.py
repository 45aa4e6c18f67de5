"""A small rendered scene, and the command line in this process."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mulde.data.rendered.render import render_scene
from mulde.pipeline.cli.main import main


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str


RunCli = Callable[..., Result]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> RunCli:
    """Give a function that runs a command in an empty folder and returns its exit code and output."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    def run(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["mulde", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capfd.readouterr()
        assert isinstance(stop.value.code, int)
        return Result(stop.value.code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def scene_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of three normal and two test clips, rendered once; not to be changed."""
    root = tmp_path_factory.mktemp("scene")
    render_scene(root, size=(160, 120), n_normal=3, n_test=2, seconds=4.0, fps=10, seed=1)
    return root


@pytest.fixture
def scene(scene_once: Path, tmp_path: Path) -> Path:
    """A copy of the data set that a test may change."""
    root = tmp_path / "scene"
    shutil.copytree(scene_once, root)
    return root
