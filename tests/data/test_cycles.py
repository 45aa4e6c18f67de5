"""The search for cycles is spared, and goes on afterwards."""

from __future__ import annotations

import gc

import pytest

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
