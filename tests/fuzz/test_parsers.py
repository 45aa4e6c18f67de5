"""Whatever a file of a stranger holds, reading it works or ends in one sentence; never in a traceback.

Each case is a whole file with mutations: of its bytes, and of values in HDF5, JSON and archives. A few are
tried whenever tests run; `make fuzz` tries more, MULDE_FUZZ_EXAMPLES of each; `hours.py` goes by coverage.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import fuzz_readers
import pytest
from fuzz_kinds import KINDS
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mulde.data.foreign import apart

FEW = int(os.environ.get("MULDE_FUZZ_EXAMPLES", "10"))


@pytest.fixture(scope="module", autouse=True)
def _impatient() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apart, "_LEAST_SECONDS", 120.0)  # what the readers import takes a while
        apart.read_apart(fuzz_readers.read, Path(__file__))
        patch.setattr(apart, "_LEAST_SECONDS", 15.0)
        yield


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def put(work: Path, kind: str, content: bytes) -> Path:
    """Write a file, and what lies beside it, into a folder that is named after the kind."""
    folder = work / kind
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, its in KINDS[kind].files(KINDS[kind].file, content).items():
        (folder / name).write_bytes(its)
    return folder / KINDS[kind].file


@pytest.mark.parametrize("kind", KINDS)
def test_whole_files_are_read(work: Path, kind: str) -> None:
    """What is refused at the door tests nothing behind it."""
    for content in KINDS[kind].whole():
        assert apart.read_apart(fuzz_readers.read_whole, put(work, kind, content)) == ""


quickly = settings(
    max_examples=FEW,
    deadline=None,
    derandomize=FEW <= 10,  # an ordinary run of the tests is the same every time
    database=None,
    phases=[Phase.generate],  # what has failed is short enough
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("kind", KINDS)
@quickly
@given(data=st.data())
def test_changed_files(work: Path, kind: str, data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from(KINDS[kind].whole()))
    content = data.draw(st.one_of(change(whole) for change in KINDS[kind].changes))
    # in a process of its own: a library that crashes must not end the tests
    defect = apart.read_apart(fuzz_readers.read, put(work, kind, content))
    assert defect == "", f"{content[:2000]!r}"
