"""Settings as they are typed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mulde.pipeline.config.dotted import flat, in_yaml
from mulde.pipeline.config.load import parse_yaml


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, {}),
        ({"seed": 3}, {"seed": 3}),
        ({"extract": {}}, {"extract": {}}),
        (
            {"extract": {"rate": 5, "boxes": {"finder": "yolo"}}, "seed": 3},
            {"extract.rate": 5, "extract.boxes.finder": "yolo", "seed": 3},
        ),
    ],
)
def test_whole_names(values: dict[str, Any], expected: dict[str, Any]) -> None:
    assert flat(values) == expected
    assert flat(values, "a.") == {f"a.{name}": value for name, value in expected.items()}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (0.5, "0.5"),
        ("all", "all"),
        ("", "''"),
        ("10", "'10'"),
        ((), "[]"),
        (("velocity", "pose"), "[velocity, pose]"),
        ({"beta": 1}, "{beta: 1}"),
    ],
)
def test_a_value_is_written_as_it_is_read(value: object, text: str) -> None:
    assert in_yaml(value) == text
    assert parse_yaml(text) == (list(value) if isinstance(value, tuple) else value)


def test_a_path_is_written_as_text() -> None:
    assert in_yaml(Path("a/b")) == "a/b"
