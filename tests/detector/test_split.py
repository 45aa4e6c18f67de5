"""What is held out: whole groups, about the share that was asked for, never what is learnt from."""

import numpy as np
import pytest

from mulde.detector.base import RowsOfArray
from mulde.detector.split import Split, split_rows


def split(n_rows: int, groups: np.ndarray | None = None, share: float = 0.1, seed: int = 0) -> Split:
    return split_rows(RowsOfArray(np.arange(n_rows, dtype=np.float32)[:, None]), groups, share, seed)


@pytest.mark.parametrize(("n_rows", "share"), [(2, 0.5), (99, 0.5), (1000, 0.0)])
def test_nothing_is_held_out(n_rows: int, share: float) -> None:
    found = split(n_rows, share=share)
    assert found.is_whole
    np.testing.assert_array_equal(found.indices(), np.arange(n_rows))


@pytest.mark.parametrize("n_rows", [100, 1000, 30_000])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_rows_are_learnt_from_or_held_out(n_rows: int, share: float) -> None:
    found = split(n_rows, share=share)
    assert found.held_out is not None
    learnt, held = found.indices(), found.held_out[:, 0].astype(int)
    assert not set(learnt) & set(held)
    n_held = n_rows - len(learnt)
    assert n_held == pytest.approx(share * n_rows, abs=257)
    assert len(held) == min(n_held, 8192)
    assert len(learnt) > 0


def test_groups_stay_together() -> None:
    groups = np.repeat(np.arange(20), np.arange(5, 105, 5))
    found = split(len(groups), groups)
    learnt = set(groups[found.indices()])
    assert found.held_out is not None
    held = set(groups[found.held_out[:, 0].astype(int)])
    assert not learnt & held
    assert learnt | held == set(range(20))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("sizes", "n_held"),
    [
        ([100, 100, 100, 100], 100),
        ([900, 50, 50], 100),
        ([500, 300, 200], 200),
        ([400, 320, 250, 10, 10, 10], 250),
    ],
)
def test_of_few_groups_one_is_held_out_as_a_whole(sizes: list[int], n_held: int, seed: int) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    found = split(len(groups), groups, seed=seed)
    assert found.held_out is not None
    learnt, held = groups[found.indices()], groups[found.held_out[:, 0].astype(int)]
    assert not set(learnt) & set(held)
    assert len(held) == n_held
    assert len(learnt) == sum(sizes) - n_held


def test_which_of_equal_groups_is_drawn() -> None:
    groups = np.repeat(np.arange(4), 100)
    found = [split(400, groups, seed=seed).held_out for seed in range(40)]
    assert {int(groups[int(held[0, 0])]) for held in found if held is not None} == {0, 1, 2, 3}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("is_mixed", [False, True])
@pytest.mark.parametrize("sizes", [[100, 100], [100, 0, 150], [300, 300, 300], [900, 10, 10], [970, 30]])
def test_where_groups_are_too_large_a_stretch_of_each_is_held_out(
    sizes: list[int], is_mixed: bool, seed: int
) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    if is_mixed:
        groups = np.random.default_rng(0).permutation(groups)
    found = split(len(groups), groups, seed=seed)
    assert found.held_out is not None
    held = found.held_out[:, 0].astype(int)
    assert not set(held) & set(found.indices())
    for group, size in enumerate(sizes):
        place = np.flatnonzero(np.isin(np.flatnonzero(groups == group), held))
        assert len(place) == round(0.1 * size)
        assert (np.diff(place) == 1).all()


def test_of_one_group_single_rows_are_held_out() -> None:
    found = split(300, np.zeros(300, np.int64))
    assert found.held_out is not None
    assert len(found.held_out) == 30
    assert (np.diff(found.held_out[:, 0]) > 1).any()


def test_the_seed_decides() -> None:
    one, same, other = (split(1000, seed=seed).indices() for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert set(one) != set(other)


@pytest.mark.parametrize("seed", range(12))
def test_one_long_video_among_short_ones_is_learnt_from(seed: int) -> None:
    groups = np.repeat(np.arange(12), [10_000, *[300] * 11])
    learnt = split(len(groups), groups, seed=seed).indices()
    assert 0 in groups[learnt]
    assert len(learnt) > 0.8 * len(groups)


@pytest.mark.parametrize("seed", range(12))
def test_groups_too_large_for_the_share_are_broken_up(seed: int) -> None:
    groups = np.repeat(np.arange(4), [10_000, 100, 100, 100])
    found = split(len(groups), groups, seed=seed)
    assert len(found.indices()) == pytest.approx(0.9 * len(groups), rel=0.03)
    assert set(groups[found.indices()]) == {0, 1, 2, 3}
