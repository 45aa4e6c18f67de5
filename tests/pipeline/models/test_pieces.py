"""Footage is cut into pieces that are left out of learning together."""

from __future__ import annotations

import numpy as np
import pytest

from mulde.pipeline.models.pieces import cut_into_pieces, is_left_out


@pytest.mark.parametrize("lengths, n_folds, expected", [
    ([], 2, []),
    ([0], 2, []),
    ([5], 2, [(0, 0, 5, 0)]),  # seconds: too short to cut
    ([30, 30, 30, 30], 2, [(0, 0, 30, 0), (1, 0, 30, 1), (2, 0, 30, 0), (3, 0, 30, 1)]),
    ([40, 5], 2, [(0, 0, 10, 0), (0, 10, 20, 1), (0, 20, 30, 0), (0, 30, 40, 1), (1, 0, 5, 0)]),
    ([30], 5, [(0, 0, 10, 0), (0, 10, 20, 1), (0, 20, 30, 2)]),  # blocks of 10 s at least
])  # fmt: skip
def test_table(lengths: list[int], n_folds: int, expected: list[tuple[int, ...]]) -> None:
    pieces = cut_into_pieces([np.arange(n, dtype=float) for n in lengths], n_folds)
    assert [(p.video, p.start, p.stop, p.fold) for p in pieces] == expected


def test_all_frames_are_covered_once_and_folds_are_about_equal() -> None:
    seconds = [np.arange(n) / 25 for n in (25_000, 100, 7_000, 3_000)]
    pieces = cut_into_pieces(seconds, 3)
    for video, times in enumerate(seconds):
        spans = [(p.start, p.stop) for p in pieces if p.video == video]
        assert [frame for span in spans for frame in range(*span)] == list(range(len(times)))
    sizes = [sum(p.stop - p.start for p in pieces if p.fold == fold) for fold in range(3)]
    assert max(sizes) < 1.8 * min(sizes)


def test_what_lies_close_to_a_piece_is_not_learnt_from() -> None:
    seconds = [np.arange(40, dtype=float), np.arange(5, dtype=float)]
    pieces = cut_into_pieces(seconds, 2)  # blocks of 10 s of the first
    video, frame = np.repeat([0, 1], [40, 5]), np.concatenate([np.arange(40), np.arange(5)])
    left_out = is_left_out(pieces, 1, video, frame)
    expected = {*range(8, 21), *range(28, 40)}  # two seconds on either side
    assert set(frame[left_out & (video == 0)]) == expected
    assert not left_out[video == 1].any()
