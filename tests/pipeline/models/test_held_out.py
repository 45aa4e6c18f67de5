"""Scores of footage that was left out: on disk, and by detectors that did not learn it."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from mulde.data.errors import InputError
from mulde.pipeline.config.sections import ScoreConfig
from mulde.pipeline.models.held_out import (
    HeldOutPiece,
    _digest_of,
    held_out_digest,
    load_held_out,
    load_watched_hours,
    save_held_out,
)

PIECES = [
    HeldOutPiece(np.arange(5) / 10, 10.0, np.array([0, 2, 4]), np.array([0, 0.5, 3], np.float32)),
    HeldOutPiece(
        np.zeros(1), 25.0, np.zeros(0, np.int64), np.zeros(0, np.float32), n_averaged=10, fusion="max"
    ),
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
        for name in ("seconds", "fps", "looked_at", "fused", "is_bent", "n_averaged", "fusion"):
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


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fps", "[" * 100_000), ("fps", "[1e999, 1]"), ("fps", f"[1{'0' * 400}, 1]"), ("fps", "[10]"),
        ("fps", "{}"), ("are_bent", "5"), ("fusion", "5"),
        ("format_version", float("inf")), ("watched_hours", "[" * 100_000),
        ("watched_hours", "{}"), ("watched_hours", "NaN"), ("watched_hours", f"1{'0' * 400}"),
    ],
)  # fmt: skip
def test_a_header_of_others_is_not_believed(name: str, said: object, tmp_path: Path) -> None:
    path = tmp_path / "held_out.safetensors"
    save_held_out(path, PIECES, "abc", watched_hours=1.0)
    assert load_watched_hours(path) == 1.0
    with safe_open(path, "numpy") as file:
        header = {**json.loads(file.metadata()["held_out"]), name: said}
    header["digest"] = _digest_of({n: text for n, text in header.items() if n != "digest"}, load_file(path))
    save_file(load_file(path), path, metadata={"held_out": json.dumps(header)})
    with pytest.raises(InputError, match="is damaged"):
        (load_watched_hours if name == "watched_hours" else partial(load_held_out, model="abc"))(path)


@pytest.mark.parametrize("changes", [
    {"fused": np.zeros(2, np.float32)},
    {"looked_at": np.array([0, 2, 5])},
    {"looked_at": np.array([-1, 2, 4])},
    {"looked_at": np.array([0, 3, 2])},
    {"looked_at": np.array([0.0, 2, 4])},
    {"looked_at": np.array([[0], [2], [4]]), "fused": np.zeros((3, 1), np.float32)},
    {"fused": np.array([0, np.nan, 3], np.float32)},
    {"seconds": np.array([0, 1, 2, 3, np.nan])},
    {"seconds": np.arange(5)[::-1]},
    {"seconds": np.zeros((5, 2))},
    {"seconds": np.array(5.0)},
    {"fps": np.nan},
    {"fps": -1.0},
    {"n_averaged": 0},
    {"fusion": "product"},
])  # fmt: skip
def test_pieces_check_themselves(changes: dict[str, np.ndarray]) -> None:
    good = {name: getattr(PIECES[0], name) for name in ("seconds", "fps", "looked_at", "fused")}
    with pytest.raises(ValueError):
        HeldOutPiece(**{**good, **changes})


def test_frames_are_scored_as_those_of_test_videos_are() -> None:
    settings = ScoreConfig(smoothing_sigma_seconds=0)
    np.testing.assert_allclose(PIECES[0].smoothed(settings), [0, 0.25, 0.5, 1.75, 3])
    assert PIECES[0].smoothed(ScoreConfig())[-1] < 3
