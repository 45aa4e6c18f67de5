"""Footage is scored by detectors that did not learn it: what is left out, and what is too little."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mulde.pipeline.config.sections import ScoreConfig
from mulde.pipeline.models.fit import NotLearnableError, StreamRows
from mulde.pipeline.models.leave_out import Footage, cut_footage, score_left_out
from mulde.pipeline.models.pieces import cut_into_pieces


@pytest.mark.parametrize("lengths, folds", [([], ()), ([5], ()), ([30, 30], (0, 1)), ([30], (0, 1))])
def test_one_piece_has_nothing_to_be_left_out_of(lengths: list[int], folds: tuple[int, ...]) -> None:
    pieces = cut_into_pieces([np.arange(n, dtype=float) for n in lengths], 2)
    assert Footage((), (), tuple(pieces)).folds == folds


def test_of_no_videos_there_is_nothing() -> None:
    footage = cut_footage([], 2)
    assert (footage.folds, footage.fuse({}, ScoreConfig())) == ((), [])


def test_videos_and_times_belong_together() -> None:
    with pytest.raises(ValueError, match="0 videos have times of 1"):
        Footage((), (np.zeros(3),), ())


@pytest.mark.parametrize("n_left", [0, 1])
def test_what_is_left_can_be_too_little(n_left: int) -> None:
    pieces = cut_into_pieces([np.arange(30, dtype=float)] * 2, 2)
    groups = np.array([0] * 20 + [1] * n_left)
    rows = StreamRows("velocity", np.zeros((len(groups), 3), np.float32), groups,
                      np.arange(len(groups)) % 20, None, True, 0.0, None)  # fmt: skip
    with pytest.raises(NotLearnableError, match=f"there are {n_left} rows of velocity"):
        score_left_out([], [replace(piece, fold=piece.video) for piece in pieces], 0, rows, pytest.fail)
