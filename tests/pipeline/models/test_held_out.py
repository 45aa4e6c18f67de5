"""Scores of footage that was left out: on disk, and by detectors that did not learn it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mulde.data.errors import InputError
from mulde.pipeline.config.sections import ScoreConfig
from mulde.pipeline.models.held_out import HeldOutPiece, held_out_digest, load_held_out, save_held_out

PIECES = [
    HeldOutPiece(np.arange(5) / 10, 10.0, np.array([0, 2, 4]), np.array([0, 0.5, 3], np.float32)),
    HeldOutPiece(np.zeros(1), 25.0, np.zeros(0, np.int64), np.zeros(0, np.float32)),
]


@pytest.mark.parametrize("n_pieces", [0, 1, 2])
def test_they_read_back(n_pieces: int, tmp_path: Path) -> None:
    path = tmp_path / "held_out.safetensors"
    save_held_out(path, PIECES[:n_pieces], "abc")
    pieces = load_held_out(path, "abc")
    assert pieces is not None
    assert len(pieces) == n_pieces
    assert (load_held_out(path, "of another model"), held_out_digest(path, "abd")) == (None, None)
    for piece, written in zip(pieces, PIECES, strict=False):
        for name in ("seconds", "fps", "looked_at", "fused", "is_bent"):
            np.testing.assert_array_equal(getattr(piece, name), getattr(written, name))


def test_a_digest_tells_them_apart(tmp_path: Path) -> None:
    digests = set()
    other = replace(PIECES[0], fused=PIECES[0].fused + 1)
    for pieces in ([], PIECES, PIECES, PIECES[:1], [other, PIECES[1]], [replace(other, fps=9.0), PIECES[1]]):
        save_held_out(tmp_path / "held_out.safetensors", pieces, "abc")
        digests.add(held_out_digest(tmp_path / "held_out.safetensors", "abc"))
    assert len(digests) == 5


def test_older_models_have_none_and_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "held_out.safetensors"
    assert (load_held_out(path, "abc"), held_out_digest(path, "abc")) == (None, None)
    save_held_out(path, PIECES, "abc")
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError, match=r"held_out\.safetensors is damaged .* `mulde train`"):
        load_held_out(path, "abc")


@pytest.mark.parametrize("changes", [
    {"fused": np.zeros(2, np.float32)},
    {"looked_at": np.array([0, 2, 5])},
    {"looked_at": np.array([-1, 2, 4])},
])  # fmt: skip
def test_pieces_check_themselves(changes: dict[str, np.ndarray]) -> None:
    good = {name: getattr(PIECES[0], name) for name in ("seconds", "fps", "looked_at", "fused")}
    with pytest.raises(ValueError):
        HeldOutPiece(**{**good, **changes})


def test_frames_are_scored_as_those_of_test_videos_are() -> None:
    settings = ScoreConfig(smoothing_sigma_seconds=0)
    np.testing.assert_allclose(PIECES[0].smoothed(settings), [0, 0.25, 0.5, 1.75, 3])
    assert PIECES[0].smoothed(ScoreConfig())[-1] < 3
