"""How several cameras are made ready, and end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mulde.data.errors import InputError
from mulde.pipeline.cli.watch import _all_ready
from mulde.pipeline.runs.folder import RunFolder

_log = logging.getLogger("mulde.pipeline.watch")


@dataclass
class Standing:
    """Stands for a camera that is watched."""

    name: str
    folder: RunFolder
    all_end: threading.Barrier
    did: list[str] = field(default_factory=list)

    @contextmanager
    def ready(self) -> Iterator[None]:
        self.did.append("ready")
        try:
            yield
        finally:
            self.all_end.wait(20)  # breaks where one ends after the other
            _log.warning("records wait")
            self.did.append("ended")


def make(names: list[str], folder: Path) -> list[Standing]:
    all_end = threading.Barrier(max(1, len(names)))
    return [Standing(name, RunFolder(folder / name), all_end) for name in names]


@pytest.mark.parametrize("names", [[], [""], ["a"], ["a", "b", "ab"]])
def test_all_end_side_by_side_and_each_log_has_its_last_words(names: list[str], tmp_path: Path) -> None:
    standing = make(names, tmp_path)
    with _all_ready(standing):
        assert [each.did for each in standing] == [["ready"]] * len(names)
    for each in standing:
        assert each.did == ["ready", "ended"]
        assert each.folder.log.read_text(encoding="utf-8").count("records wait") == 1
    with _all_ready(make(names, tmp_path)):  # nothing is held any more
        pass


def test_where_one_is_held_by_others_the_rest_is_let_go(tmp_path: Path) -> None:
    first, second = make(["a", "b"], tmp_path)
    first.all_end = threading.Barrier(1)
    with second.folder.held():
        with pytest.raises(InputError, match="another mulde"), _all_ready([first, second]):
            pytest.fail("it is held")
        assert first.did == ["ready", "ended"]
        assert second.did == []
        with first.folder.held():
            pass
