"""What docs/python.md shows is run, as a reader would run it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from mulde.data.rendered.render import render_scene

PAGE = Path(__file__).parents[1] / "docs" / "python.md"


def test_examples_of_the_python_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 4
    scene = tmp_path / "scene"
    render_scene(scene, size=(160, 120), n_normal=2, n_test=2, seconds=4.0, fps=10, seed=1)
    monkeypatch.chdir(tmp_path)
    (scene / "normal").rename("quiet_days")
    (scene / "test").rename("last_week")
    shutil.copy(sorted(Path("last_week").iterdir())[0], "camera7.mp4")
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert Path("camera7.png").stat().st_size > 1000
    assert Path("out/scores/camera7.csv").exists()
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "micro_auc" in printed.out
    assert len(printed.out.splitlines()) == 3
