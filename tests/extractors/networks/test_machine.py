"""Batches: of any size, and halved where they do not fit."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from mulde.extractors.networks import machine as networks
from mulde.extractors.networks.machine import (
    Machine,
    NoRoomError,
    cut,
    on_loading,
    run_batches,
    signs_of_life,
)


@pytest.mark.parametrize(
    ("n_items", "batch_size", "sizes"), [(0, 4, []), (3, 4, [3]), (8, 4, [4, 4]), (9, 4, [4, 4, 1])]
)
def test_items_come_in_order_and_in_batches(n_items: int, batch_size: int, sizes: list[int]) -> None:
    batches = run_batches(list, cut(range(n_items), batch_size), "any")
    assert [len(batch) for batch in batches] == sizes
    assert [item for batch in batches for item in batch] == list(range(n_items))


def test_each_batch_is_a_sign_of_life() -> None:
    told: list[str] = []
    with signs_of_life(lambda: told.append("alive")):
        run_batches(list, cut(range(9), 4), "any")
    assert len(told) == 3
    run_batches(list, cut(range(9), 4), "any")
    assert len(told) == 3  # nobody listens any more


def test_batch_that_does_not_fit_is_halved_and_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "_fitting", {})
    tried: list[int] = []

    def run(batch: Sequence[int]) -> list[int]:
        tried.append(len(batch))
        if len(batch) > 3:
            raise torch.cuda.OutOfMemoryError("no room")
        return list(batch)

    batches = run_batches(run, cut(range(5), 8), "large")
    assert [item for batch in batches for item in batch] == list(range(5))
    assert tried == [5, 2, 2, 1]
    run_batches(run, cut(range(4), 8), "large")
    assert tried[4:] == [2, 2]  # 4 is not tried again


def test_item_that_does_not_fit_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "_fitting", {})

    def run(batch: Sequence[int]) -> list[int]:
        raise torch.cuda.OutOfMemoryError("no room")

    with pytest.raises(NoRoomError, match=r"huge does not fit into the GPU's memory, even for one item$"):
        run_batches(run, cut([1], 8), "huge")


def test_network_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(NoRoomError, match="vast does not fit"), on_loading("vast"):
        raise torch.cuda.OutOfMemoryError("no room")


def test_threads_are_set_when_a_device_is_asked_for() -> None:
    before = torch.get_num_threads()
    try:
        assert Machine("cpu", 1).torch_device() == torch.device("cpu")
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
