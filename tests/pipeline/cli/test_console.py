"""Progress in a log: a line now and then, with the time that is left."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.markup import escape
from rich.table import Table

from mulde.pipeline.cli import console
from mulde.pipeline.cli.console import Bars
from mulde.pipeline.progress import Tracked
from tests.pipeline.conftest import RunCli


@pytest.fixture()
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that the bars see, to be set."""
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    return now


def test_a_log_has_a_line_every_ten_seconds(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with Tracked(Bars(), "extract", 8, "videos") as tracked:
        for done, seconds in ((1, 105.0), (2, 110.0), (3, 119.0), (4, 120.0)):
            clock[0] = seconds
            tracked.update(done, "90 frames/s")
    assert [record.getMessage() for record in caplog.records] == [
        "extract: 2 of 8 videos  90 frames/s  about 30 s left",
        "extract: 4 of 8 videos  90 frames/s  about 20 s left",
    ]


def test_pieces_of_work_follow_each_other(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bars = Bars()
    for title in ("train velocity", "train direction"):
        with Tracked(bars, title, 2, "steps") as tracked:
            clock[0] += 11
            tracked.update(1)
    assert [record.getMessage() for record in caplog.records] == [
        "train velocity: 1 of 2 steps    about 11 s left",
        "train direction: 1 of 2 steps    about 11 s left",
    ]


@pytest.mark.parametrize("is_terminal", [False, True])
def test_no_name_gives_orders_to_a_terminal(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown = io.StringIO()
    safe = console._SafeConsole(file=shown, force_terminal=is_terminal, color_system=None, width=200)
    monkeypatch.setattr(console, "stderr", safe)
    name = os.fsdecode(b"[red]x\xff\x1b[2J\n.mp4")
    console.set_up_logging(logging.INFO)
    handler = logging.getLogger("mulde").handlers[0]
    if not is_terminal:
        assert isinstance(handler, logging.StreamHandler)
        handler.stream = shown
    with console.log_to_file(tmp_path / "run.log"):
        logging.getLogger("mulde.data").warning("%s cannot be read", name)
    table = Table()
    table.add_row(escape(name))
    safe.print(table)
    safe.print(f"mulde: {name}", markup=False)
    text = shown.getvalue()
    assert "\x1b[2J" not in text
    assert text.count("[red]x%FF%1B[2J") == 3
    assert (tmp_path / "run.log").read_text(encoding="utf-8").count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [["\x1b[2Jx"], ["--\x1b[2Jx"], ["score", "--model", "\x1b[2Jx\n", "a.mp4"]]
)
def test_arguments_that_are_wrong_give_no_orders(cli: RunCli, arguments: list[str]) -> None:
    result = cli(*arguments)
    assert result.code == 2
    assert "x" in result.err  # some versions of click take out all that is an order
    assert "\x1b" not in result.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_output_that_has_no_room_is_one_sentence() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "mulde", "config"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "no room left where output" in done.stderr


def test_output_that_is_closed_is_no_error() -> None:
    command = f'exec "{sys.executable}" -m mulde config --json >&-'
    done = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, "")
