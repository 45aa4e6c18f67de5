"""The contract of stages: what is wanted is compared with what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.stages.stage import WHOLE, RunStage, Situation, Work, name_again


class Notes(RunStage[None]):
    """A stage with a text file for each unit."""

    name = "notes"

    def wanted(self, situation: Situation) -> dict[str, str | None]:
        return {}

    def is_there(self, run: RunFolder, unit: str) -> bool:
        return (run.folder / f"{unit}.txt").exists()

    def run(self, situation: Situation) -> None:
        return None


@pytest.mark.parametrize(
    ("wanted", "made", "there", "todo", "current", "stale"),
    [
        ({}, {}, "", "", "", ""),
        ({"a": "1"}, {}, "", "a", "", ""),
        ({"a": "1"}, {"a": "1"}, "a", "", "a", ""),
        ({"a": "1"}, {"a": "1"}, "", "a", "", ""),  # remembered, but somebody deleted it
        ({"a": "1"}, {}, "a", "a", "", "a"),  # there, but nobody knows what from
        ({"a": "2"}, {"a": "1"}, "a", "a", "", "a"),
        ({"a": None}, {"a": "1"}, "a", "a", "", "a"),  # earlier stages decide
        ({"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2"}, "ab", "bc", "a", "b"),
    ],
)
def test_table(
    wanted: dict[str, str | None],
    made: dict[str, str],
    there: str,
    todo: str,
    current: str,
    stale: str,
    tmp_path: Path,
) -> None:
    run = RunFolder(tmp_path)
    run.remember("notes", made)
    for unit in there:
        (tmp_path / f"{unit}.txt").touch()
    note = f"1 video again, made from something else than now: {stale}" if stale else ""
    if None in wanted.values():
        note = "again if what earlier stages make is another than it was"
    if gone := "".join(unit for unit in wanted if unit in made and unit not in there):
        note += ("; " if note else "") + f"1 video again, gone or damaged: {gone}"
    assert Notes().compare(run, wanted) == Work("notes", tuple(todo), tuple(current), tuple(stale), note)


@pytest.mark.parametrize(
    ("units", "named"),
    [
        ((), ""),
        ((WHOLE,), ""),
        (("a", "b"), "2 videos .*: a, b$"),
        ((*"abcd",), "4 .*: a, b, c …$"),
    ],
)
def test_what_is_done_again_is_named(units: tuple[str, ...], named: str) -> None:
    assert re.match(named or "$", name_again(units))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"notes": {"": 3}}', '{"notes": "x"}'])
def test_a_state_that_cannot_be_read_has_everything_made_again(content: str, tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text(content)
    run = RunFolder(tmp_path)
    assert run.fingerprints("notes") == {}
    run.remember("notes", {WHOLE: "1"})
    assert run.fingerprint("notes") == "1"
