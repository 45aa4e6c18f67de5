"""The search for cycles is spared, and goes on afterwards."""

from __future__ import annotations

import gc

import pytest

from mulde.data import cycles
from mulde.data.cycles import no_cycles


def test_it_goes_on_afterwards() -> None:
    assert gc.isenabled()
    with pytest.raises(KeyError), no_cycles():
        assert not gc.isenabled()
        with no_cycles():
            pass
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("n_objects", "is_command", "is_looked_through"),
    [(0, True, True), (1000, False, True), (1000, True, False)],
)
def test_a_command_does_not_look_through_very_many_objects_again(
    monkeypatch: pytest.MonkeyPatch, n_objects: int, is_command: bool, is_looked_through: bool
) -> None:
    monkeypatch.setattr(cycles, "_VERY_MANY", 500)
    monkeypatch.setattr(cycles, "_is_command", False)
    if is_command:
        cycles.begin_command()
    gc.collect()
    before = gc.get_freeze_count()
    with no_cycles():
        made: list[list[object]] = [[] for _ in range(n_objects)]
    try:
        assert (gc.get_freeze_count() == before) is is_looked_through
        assert len(made) == n_objects
    finally:
        gc.unfreeze()
