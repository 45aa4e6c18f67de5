"""The package `mulde` itself: it loads at once, and what it offers is where it says."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import mulde
from mulde.data.errors import InputError
from mulde.data.version import mulde_version


def run_python(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
        timeout=120,
    )


def test_import_loads_no_library(tmp_path: Path) -> None:
    code = "import sys, mulde; print(sorted({'torch', 'numpy', 'cv2', 'av', 'pydantic'} & set(sys.modules)))"
    assert run_python("-c", code, folder=tmp_path).stdout.strip() == "[]"


def test_names_are_found_when_they_are_asked_for() -> None:
    assert mulde.__version__ == mulde_version()
    assert mulde.InputError is InputError
    assert {name for name in mulde.__all__ if getattr(mulde, name) is not None} == set(mulde.__all__)
    assert set(mulde.__all__) <= set(dir(mulde))


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'MULDI'"):
        mulde.MULDI  # noqa: B018


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after", ["", "mulde.data.rendered.render"], ids=["at once", "while it works"])
def test_an_interrupt_ends_the_command_in_one_sentence(number: int, after: str, tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "mulde", "demo"]  # tells of its first import

    def listen() -> None:  # a job in the background, as of CI, is made deaf to interrupts
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, preexec_fn=listen
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if (after or "mulde.pipeline.cli") in line:
                break
        process.send_signal(number)
        said = [line for line in process.stderr if not line.startswith("import time:")]
        code = process.wait(timeout=60)
    assert (code, "Traceback" in "".join(said)) == (130, False), said
    assert said[-1].startswith("mulde: interrupted; the same command goes on")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "interrupted",
    [
        """exec("os.kill(os.getpid(), {}); time.sleep(900)")""",  # as where a named tuple is made
        """
    try: os.kill(os.getpid(), {}); time.sleep(900)
    except BaseException: pass  # as a compiled module does while it is loaded
    time.sleep(900)  # longer than `run_python` waits: what waits is woken
""",
        """
    class Lock: pass  # as of a module that is being imported
    lock = Lock()
    kept = weakref.ref(lock, lambda _: (os.kill(os.getpid(), {}), time.sleep(900)))
    del lock
    time.sleep(900)
""",
    ],
    ids=["text", "swallowed", "ignored"],
)
def test_an_interrupt_while_modules_are_loaded_ends_with_the_same_exit_code(
    interrupted: str, number: int, tmp_path: Path
) -> None:
    (tmp_path / "interrupted.py").write_text(f"""
import os, signal, time, weakref
import mulde.__main__, mulde.pipeline.cli.main
def run(): {interrupted.format(int(number))}
signal.signal(signal.SIGINT, signal.default_int_handler)
mulde.pipeline.cli.main.main = run
mulde.__main__.main()
""")
    result = run_python("-m", "interrupted", folder=tmp_path)
    assert result.returncode == 130, result.stderr
    assert result.stderr == "mulde: interrupted; the same command goes on with what is not finished\n"


@pytest.mark.parametrize("module", ["mulde", "mulde.pipeline"])
def test_python_m_is_the_command(module: str, tmp_path: Path) -> None:
    result = run_python("-m", module, "--version", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == f"mulde, version {mulde_version()}"
    usage = run_python("-m", module, "--help", folder=tmp_path).stdout
    assert usage.startswith("Usage: mulde ")
