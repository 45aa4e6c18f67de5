"""What fuzzing by coverage keeps, and that it starts; how much it finds takes hours to tell."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

HOURS = Path(__file__).parent / "hours.py"


@pytest.fixture(scope="module")
def hours() -> dict[str, Any]:
    return runpy.run_path(str(HOURS))


def test_it_says_what_it_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], hours: dict[str, Any]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(HOURS), "--only", "nothing"])
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(SystemExit) as ended:
        hours["main"]()
    assert ended.value.code == 2
    assert "no such kinds: ['nothing']; there are labels-intervals, " in capsys.readouterr().err


def test_the_smallest_input_of_a_defect_is_kept(hours: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "found").mkdir()
    for content in (b"long", b"a", b"abc"):
        hours["keep"](tmp_path, "KeyError-ab", content, f"of {content!r}")
    assert (tmp_path / "found" / "KeyError-ab").read_bytes() == b"a"
    assert (tmp_path / "found" / "KeyError-ab.txt").read_text() == "of b'a'"


def test_the_table_adds_up(hours: dict[str, Any], tmp_path: Path) -> None:
    hours["write_table"](["entry"], tmp_path)
    assert len((tmp_path / "table.txt").read_text().splitlines()) == 1
    for name in ("corpus", "found"):
        (tmp_path / "entry" / name).mkdir(parents=True)
    (tmp_path / "entry" / "corpus" / "one").touch()
    for n_inputs in (100, 200):
        hours["add"](tmp_path / "entry", {"inputs": n_inputs, "cpu_seconds": 1.5})
    hours["keep"](tmp_path / "entry", "KeyError-ab", b"a", "")
    hours["write_table"](["entry"], tmp_path)
    assert (tmp_path / "table.txt").read_text().splitlines()[1].split() == [
        "entry",
        "300",
        "3",
        "1",
        "0",
        "1",
    ]


def test_defects_are_told_apart_by_where_they_are(hours: dict[str, Any]) -> None:
    names = set()
    for error in (KeyError("a"), KeyError("b"), ValueError("a")):
        names.add(hours["_name_of"](error))
    assert len(names) == 2
