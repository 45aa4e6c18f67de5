"""What annotations allow, checked and said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from annotated_types import Ge, Gt, Le, Lt, MinLen, MultipleOf
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mulde.data.ranges import describe, is_allowed, misfits

SHARE = Annotated[float, Ge(0), Lt(1)]
STEPS = Annotated[int, Ge(1)] | None
WIDTHS = Annotated[Sequence[Annotated[int, Ge(1)]], MinLen(1)] | Literal["auto"]
SIZE = Annotated[int, Ge(64), MultipleOf(32)]


@pytest.mark.parametrize(
    ("hint", "allowed", "refused"),
    [
        (str, ["", "a"], [1, None, b"a"]),
        (bool, [True, False], [0, 1, None, "true"]),
        (int, [0, -1, np.int64(3)], [1.0, True, "1", None]),
        (float, [0.5, 1, np.float32(2), float("nan")], ["1", None, False]),
        (Path, [Path("a")], ["a", None]),
        (SHARE, [0, 0.0, 0.999], [1, -0.1, float("nan"), float("inf"), None]),
        (Annotated[float, Gt(0), Le(1)], [1, 1e-9], [0, 1.1]),
        (STEPS, [None, 1, 10**9], [0, -1, 2.5]),
        (WIDTHS, ["auto", [1], (8, 8)], ["a", "", [], [0], [8, "8"], 8, None]),
        (SIZE, [64, 96], [32, 65]),
        (Literal["a", "b"], ["a"], ["c", None, 1]),
        (dict[str, Any], [{}, {"a": 1}], [[], None]),
    ],
)
def test_values(hint: Any, allowed: list[Any], refused: list[Any]) -> None:
    assert [value for value in allowed if not is_allowed(value, hint)] == []
    assert [value for value in refused if is_allowed(value, hint)] == []


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (bool, "true or false"),
        (int, "a whole number"),
        (SHARE, "a number in [0, 1)"),
        (Annotated[float, Gt(0), Le(1)], "a number in (0, 1]"),
        (Annotated[float, Gt(0)], "a number > 0"),
        (Annotated[float, Le(1)], "a number ≤ 1"),
        (STEPS, "None or a whole number ≥ 1"),
        (WIDTHS, "auto or a list of at least 1, each a whole number ≥ 1"),
        (SIZE, "a whole number ≥ 64 divisible by 32"),
        (Literal["a", "b"], "one of a, b"),
        (tuple[str, ...], "a list, each text"),
        (tuple[Path, ...] | Path | None, "None or a path or a list, each a path"),
        (Path | None, "None or a path"),
    ],
)
def test_words(hint: Any, words: str) -> None:
    assert describe(hint) == words


def test_none_is_called_as_asked() -> None:
    assert describe(STEPS, none="null") == "null or a whole number ≥ 1"


@given(value=st.one_of(st.none(), st.integers(-3, 3), st.floats(-3, 3), st.booleans(), st.text(max_size=2)))
@pytest.mark.parametrize("hint", [SHARE, STEPS, SIZE, Annotated[int, Gt(-1), Le(2)]])
def test_it_agrees_with_pydantic(hint: Any, value: Any) -> None:
    try:
        TypeAdapter(hint).validate_python(value, strict=True)
        expected = True
    except ValidationError:
        expected = False
    assert is_allowed(value, hint) == expected


def test_misfits_are_named() -> None:
    class Settings:
        share: SHARE = 0.0
        steps: STEPS = 1

    assert list(misfits(Settings, Settings())) == []
    given = SimpleNamespace(share=2.0, steps=0)
    assert list(misfits(Settings, given)) == [
        ("share", 2.0, "a number in [0, 1)"),
        ("steps", 0, "None or a whole number ≥ 1"),
    ]
