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


@pytest.mark.parametrize(("n_objects", "is_looked_through"), [(0, True), (1000, False)])
def test_very_many_objects_are_not_looked_through_again(
    monkeypatch: pytest.MonkeyPatch, n_objects: int, is_looked_through: bool
) -> None:
    monkeypatch.setattr(cycles, "_VERY_MANY", 500)
    gc.collect()
    with no_cycles():
        made: list[list[object]] = [[] for _ in range(n_objects)]
    try:
        assert (gc.get_freeze_count() == 0) is is_looked_through
        assert len(made) == n_objects
    finally:
        gc.unfreeze()
