"""Batches: every row once an epoch, in an order that the seed alone decides."""

import numpy as np
import pytest
import torch

from mulde.detector.base import RowsOfArray
from mulde.detector.batches import Batches, RowsInMemory, RowsStreamed, derived_seed


def in_memory(n_rows: int, batch_size: int, seed: int = 0) -> Batches:
    return RowsInMemory(torch.arange(n_rows, dtype=torch.float32)[:, None], batch_size, seed)


def streamed(
    n_rows: int, batch_size: int, seed: int = 0, ranges: tuple[tuple[int, int], ...] = ()
) -> Batches:
    source = RowsOfArray(np.arange(n_rows, dtype=np.float32)[:, None])
    return RowsStreamed(
        source,
        ranges or ((0, n_rows),),
        lambda rows: rows,
        batch_size,
        seed,
        torch.device("cpu"),
        buffer_rows=1024,
    )


def epoch_of(batches: Batches, epoch: int, first: int = 0) -> list[list[float]]:
    return [batch[:, 0].tolist() for batch in batches.of_epoch(epoch, first)]


MAKERS = pytest.mark.parametrize("make", [in_memory, streamed])


@MAKERS
@pytest.mark.parametrize(("n_rows", "batch_size"), [(1, 8), (8, 8), (9, 8), (1000, 64), (5000, 64)])
def test_an_epoch_holds_every_row_once(make: type[Batches], n_rows: int, batch_size: int) -> None:
    batches = make(n_rows, batch_size)
    epoch = epoch_of(batches, 0)
    assert len(epoch) == batches.n_batches
    assert sorted(row for batch in epoch for row in batch) == list(range(n_rows))
    assert max(map(len, epoch)) <= 1.5 * batch_size


@MAKERS
def test_order_depends_on_seed_and_epoch(make: type[Batches]) -> None:
    batches = make(2000, 64)
    assert epoch_of(batches, 0) == epoch_of(make(2000, 64), 0)
    assert epoch_of(batches, 0) != epoch_of(batches, 1)
    assert epoch_of(batches, 0) != epoch_of(make(2000, 64, 1), 0)


@MAKERS
@pytest.mark.parametrize("step", [0, 1, 17, 40, 100])
def test_starting_later_gives_the_same_batches(make: type[Batches], step: int) -> None:
    whole = make(2000, 64).starting_at(0)
    for _ in range(step):
        next(whole)
    later = make(2000, 64).starting_at(step)
    for _ in range(5):
        (epoch, expected), (got_epoch, got) = next(whole), next(later)
        assert epoch == got_epoch
        torch.testing.assert_close(got, expected)


def test_streamed_rows_are_mixed_across_blocks() -> None:
    first = epoch_of(streamed(5000, 64), 0)[0]
    assert len({int(row) // 256 for row in first}) > 3


def test_only_the_given_ranges_are_streamed() -> None:
    rows = sorted(
        row for batch in epoch_of(streamed(5000, 64, ranges=((10, 300), (4000, 4001))), 0) for row in batch
    )
    assert rows == [*range(10, 300), 4000]


def test_seeds_differ_by_purpose_and_step() -> None:
    seeds = {
        derived_seed(seed, kind, index) for seed in range(5) for kind in range(4) for index in range(100)
    }
    assert len(seeds) == 2000
