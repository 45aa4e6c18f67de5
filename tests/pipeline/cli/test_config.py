"""`mulde config`."""

from __future__ import annotations

import json

import pytest
import yaml
from click.testing import CliRunner

from mulde.data.errors import InputError
from mulde.pipeline.cli.config import config
from mulde.pipeline.config.load import load_config
from mulde.pipeline.config.reference import reference


def listed(*arguments: str) -> str:
    result = CliRunner().invoke(config, arguments, catch_exceptions=False)
    return result.output


def test_everything_is_listed() -> None:
    text = listed()
    assert all(f"\n{name}=" in f"\n{text}" for name in reference())
    assert "detector.beta=0.1    # a number ≥ 0\n    Weight of the regulariser" in text


def test_some_are_chosen_by_group_and_by_name() -> None:
    names = [line.split("=")[0] for line in listed("train", "detector.k").splitlines() if "    # " in line]
    assert names == ["detector.k", "train.by", "train.memory_gb", "train.folds", "train.marked"]


def test_a_wrong_name_is_an_error_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"called detektor: did you mean detector\?"):
        listed("detektor")


def test_json_holds_the_same() -> None:
    entries = json.loads(listed("--json"))
    assert [entry["name"] for entry in entries] == list(reference())
    assert entries[0].keys() == {"name", "default", "allowed", "meaning"}


def test_what_is_printed_can_be_given() -> None:
    lines = [
        line.split("    # ")[0] for line in listed("score", "extract.boxes").splitlines() if "    # " in line
    ]
    assert len(lines) > 10
    assert load_config(overrides=lines) == load_config()
    without = [line for line in lines if yaml.safe_load(line.split("=", 1)[1]) is None]
    assert without == [
        "extract.boxes.windows.least_novelty=null",  # not looked for
        "score.n_overlapping=null",  # as the boxes are
    ]
