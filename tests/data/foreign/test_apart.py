from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import apart_tasks
import pytest

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
