"""A cache in a folder: what its files are like."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mulde.data.cache.folders import FolderStorage


@pytest.mark.parametrize("names", [[], ["a"], ["gone", "cam/b", "a", "a"]])
def test_the_states_of_many_are_those_of_each(tmp_path: Path, names: list[str]) -> None:
    storage, home = FolderStorage(tmp_path), tmp_path / "velocity" / "key"
    (home / "cam").mkdir(parents=True)
    for name, size in (("a", 1), ("cam/b", 2)):
        (home / f"{name}.h5").write_bytes(b"x" * size)
        os.utime(home / f"{name}.h5", ns=(5, 7))
    assert storage.states(str(home), names) == [storage.state(f"{home}/{name}.h5") for name in names]
    assert storage.states(str(home), ["cam/b", "gone"]) == [(2, 7), None]
