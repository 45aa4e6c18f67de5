"""The configurations: each loads; in those that follow the paper, each value says where it comes from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mulde.pipeline.config.load import load_config

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))
OURS = ("ped2-object",)
OF_THE_PAPER = [path for path in CONFIGS if path.stem not in OURS]
REPRODUCTION = Path(__file__).parents[1] / "docs" / "reproduction.md"


def test_a_file_for_each_cell_of_the_table() -> None:
    assert [path.stem for path in CONFIGS] == [
        "avenue-object",
        "ped2-object-paper",
        "ped2-object",
        "shanghaitech-frame",
        "shanghaitech-object",
        "ubnormal-frame",
        "ucf-crime-frame",
    ]
    text = REPRODUCTION.read_text(encoding="utf-8")
    assert all(f"configs/{path.name}" in text for path in CONFIGS)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_it_loads(path: Path) -> None:
    config = load_config(path)  # unknown keys and values that are not allowed are errors
    assert config.preset == path.stem.removesuffix("-paper").rpartition("-")[2]


@pytest.mark.parametrize("path", OF_THE_PAPER, ids=lambda path: path.stem)
def test_the_detector_is_the_papers(path: Path) -> None:
    config = load_config(path)
    assert config.detector.max_steps is None
    assert config.detector.beta == 0.1


@pytest.mark.parametrize("path", OF_THE_PAPER, ids=lambda path: path.stem)
def test_each_value_names_its_source(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    values = [line for line in lines if re.match(r"\s+\w+: *[^\s#]", line)]
    assert len(values) > 15
    for line in values:
        assert re.search(r"  # (paper|code|AI-VAD|our choice)\b", line), line
