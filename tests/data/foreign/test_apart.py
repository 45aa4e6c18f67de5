from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import apart_tasks
import numpy as np
import pytest
from safetensors.numpy import save

from mulde.data.cache.entries import verify_apart
from mulde.data.errors import InputError
from mulde.data.foreign import apart
from mulde.data.foreign.apart import read_apart
from mulde.data.foreign.rehearse import rehearse
from mulde.data.labels.matlab import read_variables


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.h5"
    path.write_bytes(b"12345")
    return path


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not there"):
        read_apart(apart_tasks.size, tmp_path / "a")
    with pytest.raises(InputError, match="is no file"):
        read_apart(apart_tasks.size, tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")
    with pytest.raises(InputError, match="is no file"):
        read_apart(apart_tasks.size, tmp_path / "a")


def test_result_and_refusal_come_back(file: Path) -> None:
    assert read_apart(apart_tasks.size, file) == 5
    assert read_apart(apart_tasks.say, file) == "answer"
    with pytest.raises(InputError, match=r"a\.h5 is refused"):
        read_apart(apart_tasks.refuse, file)


def test_crash_and_hang_end_in_one_sentence_and_the_next_file_is_read(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"a\.h5 ended the process that read it \(exit code -"):
        read_apart(apart_tasks.crash, file)
    assert read_apart(apart_tasks.size, file) == 5
    monkeypatch.setattr(apart, "_LEAST_SECONDS", 1.0)
    with pytest.raises(InputError, match=r"a\.h5 cannot be read in 1 s"):
        read_apart(apart_tasks.hang, file)
    monkeypatch.undo()
    assert read_apart(apart_tasks.size, file) == 5


def test_numbers_and_cells_come_back_as_they_are(file: Path) -> None:
    sent, found = apart_tasks.cells(file), read_apart(apart_tasks.cells, file)
    assert list(found) == list(sent)
    np.testing.assert_array_equal(found["numbers"], sent["numbers"], strict=True)
    assert found["held"].shape == (2,) and found["held"][0].shape == (1, 2)
    assert found["held"][0][0, 0].shape == (0, 3) and found["held"][0][0, 1] == 2.5
    assert found["held"][1].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert found["none"].shape == (0, 1) and found["none"].dtype == object


@pytest.mark.parametrize(
    ("task", "message"),
    [(apart_tasks.unknown, "TypeError: .*Path is no plain data"), (apart_tasks.fail, "ZeroDivisionError: ")],
)
def test_what_is_no_answer_is_a_refusal(file: Path, task: Callable[[Path], int], message: str) -> None:
    with pytest.raises(InputError, match=rf"a\.h5 cannot be read \({message}"):
        read_apart(task, file)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: b"", "cannot be read in 1 s"),
        (lambda path: b"\1\2", "cannot be read in 1 s"),
        (apart_tasks.hostile_pickle, "answer nonsense"),
        (lambda path: apart_tasks.with_length(apart_tasks.hostile_pickle(path)), "answer nonsense"),
        (lambda path: b"\xff" * 1000, "where .* are the most"),
        (lambda path: apart_tasks.with_length(b"", 2**62), "where .* are the most"),
        (lambda path: apart_tasks.with_length(b"", 2**20), "cannot be read in 1 s"),
        (lambda path: apart_tasks.with_length(b"\xff" * 200), "answer nonsense"),
        (lambda path: apart_tasks.with_length(save({})), "answer nonsense"),
        (lambda path: _answer("[" * 100_000), "answer nonsense"),
        (lambda path: _answer('{"result": [1]}'), "answer nonsense"),
        (lambda path: _answer('{"arrays": {"a": {"array": "0"}}}'), "answer nonsense"),
        (lambda path: _answer('{"arrays": {"a": {"cells": [], "shape": [1, 1]}}}'), "answer nonsense"),
        (lambda path: _answer('{"arrays": {"a": ' + '{"shape": [1], "cells": [' * 20), "answer nonsense"),
    ],
)
def test_a_process_that_is_taken_over_has_nothing_run_here(
    file: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], bytes], message: str
) -> None:
    read_apart(apart_tasks.size, file)  # the process is there
    monkeypatch.setattr(apart, "_LEAST_SECONDS", 1.0)
    made = file.with_name("made")
    file.write_bytes(make(made))
    with pytest.raises(InputError, match=message):
        read_apart(apart_tasks.take_over, file)
    assert not made.exists()
    monkeypatch.undo()
    assert read_apart(apart_tasks.size, file) == file.stat().st_size


def _answer(tree: str) -> bytes:
    return apart_tasks.with_length(save({}, metadata={"tree": tree}))


def test_the_answer_of_a_process_that_is_taken_over_is_of_the_right_kind(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart._Reader, "ask", lambda *arguments: "text\x1b[2J")
    assert verify_apart(file) == "text%1B[2J"
    with pytest.raises(InputError, match="holds no variables"):
        read_variables(file)


def test_a_process_that_cannot_be_started(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart._Reader, "_running", None)
    monkeypatch.setattr(sys, "executable", "/bin/true" if Path("/bin/true").exists() else sys.executable)
    if sys.executable != "/bin/true":
        pytest.skip("there is no program that ends at once")
    with pytest.raises(InputError, match="cannot be started"):
        read_apart(apart_tasks.size, file)
    monkeypatch.undo()
    assert read_apart(apart_tasks.size, file) == 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_what_the_process_has_started_holds_nobody_up(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_apart(apart_tasks.size, file)
    monkeypatch.setattr(apart, "_LEAST_SECONDS", 1.0)
    with pytest.raises(InputError, match="cannot be read in 1 s"):
        read_apart(apart_tasks.leave_a_child, file)
    monkeypatch.undo()
    assert read_apart(apart_tasks.size, file) == 5


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is bounded on Linux only")
def test_memory_is_bounded(file: Path) -> None:
    with pytest.raises(InputError, match="takes too much memory"):
        read_apart(apart_tasks.fill_memory, file)


def test_a_script_without_a_guard_is_not_run_twice(file: Path) -> None:
    code = (
        "print('once'); from pathlib import Path; import apart_tasks\n"
        "from mulde.data.foreign.apart import read_apart\n"
        f"print(read_apart(apart_tasks.size, Path({str(file)!r})))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-"], input=code, capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.split() == ["once", "5"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "read"), [("segfault.mat", read_variables), ("hangs.h5", rehearse), ("hangs.h5", verify_apart)]
)
def test_files_that_crash_or_hang_libraries(
    shared_folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, read: Callable[[Path], str | None]
) -> None:
    path = shared_folder / "cases" / "hostile" / name
    if not path.exists():
        pytest.skip(f"{path} is not there")
    monkeypatch.setattr(apart, "_LEAST_SECONDS", 4.0)
    try:
        told = read(path)
    except InputError as error:
        told = str(error)
    assert name in str(told)


def test_an_answer_that_finds_no_memory_here(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(stream: object, most_bytes: int) -> None:
        raise MemoryError

    read_apart(apart_tasks.size, file)
    monkeypatch.setattr(apart, "read_answer", fail)
    with pytest.raises(InputError, match=r"a\.h5 takes more memory than there is"):
        read_apart(apart_tasks.size, file)
    monkeypatch.undo()
    assert read_apart(apart_tasks.size, file) == 5


def test_a_process_for_which_there_is_no_room(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart._Reader, "_running", None)
    monkeypatch.setattr(sys, "executable", str(file.parent / "nothing"))
    with pytest.raises(InputError, match=r"cannot be started .*No such file"):
        read_apart(apart_tasks.size, file)
