"""The folder of a run: its lock, what it remembers, and what it does not believe."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from mulde.data.errors import InputError
from mulde.pipeline.runs.folder import Failure, RunFolder

FAILURE = Failure("a", "extract", "cut short", "/videos/a.mp4")


def test_nothing_is_remembered_at_first(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert (run.fingerprints("score"), run.failures(), run.left_over()) == ({}, [], [])
    assert not run.knows("failures.json")
    assert not run.was_changed("failures.json")


def test_times_that_are_none_are_not_known(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.stage_seconds() == {}
    run.remember_seconds("train", 1.5)
    run.remember("seconds", {"score": "x", "report": "nan", "extract": "-1", "events": "1e999"})
    assert run.stage_seconds() == {"train": 1.5}


def test_what_is_remembered_comes_back(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.remember("score", {"b": "2", "a": "1"})
    run.remember("score", {"b": "3"})
    assert run.fingerprints("score") == {"a": "1", "b": "3"}


def test_a_changed_state_is_not_believed(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.remember("score", {"a": "1"})
    run.state.write_text(run.state.read_text().replace('"1"', '"2"'))
    assert run.fingerprints("score") == {}


def test_a_state_of_before_is_read(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.state.write_text(json.dumps({"score": {"a": "1"}}))
    assert run.fingerprints("score") == {"a": "1"}


def test_changed_failures_are_not_believed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = RunFolder(tmp_path)
    for failures in ([FAILURE, FAILURE], [FAILURE]):
        run.record_failures("extract", failures)
        assert run.failures() == failures
    path = tmp_path / "failures.json"
    path.write_text(path.read_text().replace("/videos", "/vidfos"))
    assert run.was_changed("failures.json")
    with caplog.at_level(logging.WARNING):
        assert run.failures() == []
    assert "failures.json was changed after it was written" in caplog.text
    run.record_failures("extract", [FAILURE])
    assert run.failures() == [FAILURE]


def test_failures_of_before_are_read(tmp_path: Path) -> None:
    (tmp_path / "failures.json").write_text(json.dumps([vars(FAILURE)]))
    assert RunFolder(tmp_path).failures() == [FAILURE]


def test_a_folder_is_held_by_one_process(tmp_path: Path) -> None:
    script = (
        "import pathlib, sys\n"
        "from mulde.pipeline.runs.folder import RunFolder\n"
        "with RunFolder(pathlib.Path(sys.argv[1])).held():\n"
        "    print('mine', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    run = RunFolder(tmp_path / "run")
    with subprocess.Popen(
        [sys.executable, "-c", script, str(run.folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"mine\n"
        with pytest.raises(InputError, match=r"another mulde works in .*run: wait .*--out"), run.held():
            pass
        other.kill()
    with run.held():  # a lock does not outlive its process
        pass


def test_what_a_killed_process_left_goes(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    left = [tmp_path / ".state.json.0123.tmp", run.scores / "cam" / ".a.csv.0123.tmp"]
    kept = [run.scores / "cam" / "a.csv", tmp_path / "new" / ".state.json.0123.tmp", tmp_path / "notes.tmp"]
    for path in (*left, *kept):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    assert sorted(run.left_over()) == sorted(left)
    with run.held():
        assert [path.exists() for path in left] == [False, False]
    assert all(path.exists() for path in kept)  # another run in it may be at work


WAYS_OUT = ("state.jsonl", "state.json", "run.log", "outbox", "clips", "scores", "tensorboard", ".lock")


@pytest.mark.parametrize("name", WAYS_OUT)
def test_nothing_is_written_or_deleted_through_links_out_of_the_run(tmp_path: Path, name: str) -> None:
    run, outside = RunFolder(tmp_path / "run"), tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / ".theirs.tmp").touch()
    (outside / "file").touch()
    run.folder.mkdir()
    (run.folder / name).symlink_to(outside / ("file" if "." in name else ""))
    for use in (run.require_writable, run.held().__enter__):
        with pytest.raises(InputError, match=rf"{name} is a link out of the run, to {outside}"):
            use()
    assert (outside / "file").read_bytes() == b""
    assert (outside / "deep" / ".theirs.tmp").exists()


def test_links_within_a_run_are_followed(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    (tmp_path / "kept").mkdir()
    run.scores.symlink_to(tmp_path / "kept")
    with run.held():
        run.require_writable()


def test_a_journal_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    run, outside = RunFolder(tmp_path / "run"), tmp_path / "profile"
    run.remember("score", {f"{index:05d}": "0" * 64 for index in range(2000)})
    outside.touch()
    run.journal.symlink_to(outside)
    with pytest.raises(InputError, match="a file in it is a link"):
        run.remember("score", {"$(true)": "1"})
    assert outside.read_bytes() == b""


def test_a_large_state_is_not_written_again_for_each_video(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.remember("score", {f"{index:05d}": "0" * 64 for index in range(2000)})
    before = run.state.read_bytes()
    for index in range(20):
        run.remember("score", {f"{index:05d}": "1"})
    run.keep_text("events.json", "[]")
    run.keep_text("events.json", "[1]")
    assert run.state.read_bytes() == before
    assert run.journal.stat().st_size < len(before) / 10
    assert set(run.fingerprints("score").values()) == {"0" * 64, "1"}
    assert run.fingerprint("score", "00019") == "1"
    assert run.kept_text("events.json") == "[1]"
    for _ in range(2):
        run.remember("score", {f"{index:05d}": "2" * 64 for index in range(2000)})
    run.remember("score", {"00000": "3"})  # by now it is less to write all
    assert not run.journal.exists()
    assert run.state.read_bytes() != before
    assert (run.fingerprint("score", "00000"), run.fingerprint("score", "00001")) == ("3", "2" * 64)
    assert run.kept_text("events.json") == "[1]"


def test_a_line_that_is_cut_short_or_was_changed_is_not_believed(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.remember("score", {f"{index:05d}": "0" * 64 for index in range(2000)})
    for name in ("a", "b", "c"):
        run.remember("score", {name: "1"})
    lines = run.journal.read_bytes().splitlines()
    run.journal.write_bytes(lines[0] + b"\n" + lines[1].replace(b'"1"', b'"9"') + b"\n" + lines[2][:-5])
    assert [run.fingerprint("score", name) for name in ("a", "b", "c")] == ["1", None, None]
    run.remember("score", {"d": "1"})  # the line that was cut off does not swallow it
    assert [run.fingerprint("score", name) for name in ("a", "c", "d")] == ["1", None, "1"]


def test_a_large_state_that_is_damaged_is_written_anew(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.remember("score", {f"{index:05d}": "0" * 64 for index in range(2000)})
    run.state.write_bytes(run.state.read_bytes()[:-10])
    run.remember("score", {"a": "1"})
    assert run.fingerprints("score") == {"a": "1"}
