"""The scores of normal footage by detectors that did not learn from it, and their form on disk."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mulde.data.atomic import replacing
from mulde.data.cache.store import digest_of
from mulde.data.errors import InputError
from mulde.data.foreign.text import parse_json
from mulde.data.times import positions_of
from mulde.detector.settings import Fusion
from mulde.pipeline.config.sections import ScoreConfig
from mulde.pipeline.models.fuse import smooth_frames, to_frames

FORMAT_VERSION = 1
_HEADER, _FORMAT, _FPS, _MODEL, _DIGEST = "held_out", "format_version", "fps", "model", "digest"
_BENT, _AVERAGED, _FUSION, _WATCHED = "are_bent", "n_averaged", "fusion", "watched_hours"


@dataclass(frozen=True)
class HeldOutPiece:
    """A stretch of normal footage and its scores; higher = more anomalous."""

    seconds: NDArray[np.float64]
    """(T,), the times of its frames."""
    fps: float
    """Frames per second where the times do not tell."""
    looked_at: NDArray[np.int64]
    """(K,), the frames that were looked at, in order."""
    fused: NDArray[np.float32]
    """(K,), the scores there, not smoothed."""
    is_bent: bool = True
    """Whether each stream was bent before, see `log_tail`."""
    n_averaged: int = 1
    """How many scores that of an object was the mean of."""
    fusion: Fusion = "sum"
    """How streams were put together."""

    def __post_init__(self) -> None:
        if self.seconds.ndim != 1 or not np.isfinite(self.seconds).all() or (np.diff(self.seconds) < 0).any():
            raise ValueError("the times of its frames are no rising numbers")
        if self.looked_at.ndim != 1 or self.looked_at.shape != self.fused.shape:
            raise ValueError(f"{self.looked_at.shape} frames have {self.fused.shape} scores")
        if self.looked_at.dtype.kind != "i" or (np.diff(self.looked_at) < 0).any():
            raise ValueError("frames looked at are no rising whole numbers")
        if self.looked_at.size and not 0 <= self.looked_at[0] <= self.looked_at[-1] < len(self.seconds):
            raise ValueError(f"frames looked at are not among the {len(self.seconds)} of the piece")
        if self.fused.dtype.kind != "f" or np.isnan(self.fused).any():
            raise ValueError("some scores are no numbers")
        if self.n_averaged < 1:
            raise ValueError(f"a mean of {self.n_averaged} scores cannot be")
        if self.fusion not in get_args(Fusion):
            raise ValueError(f"streams cannot be put together by {self.fusion}")
        if not 0 <= self.fps < math.inf:
            raise ValueError(f"{self.fps} frames per second cannot be")

    def is_made_by(self, settings: ScoreConfig) -> bool:
        """Whether its scores were put together as those of test videos are."""
        given = settings.log_tail, settings.fusion, settings.n_averaged
        return (self.is_bent, self.fusion, self.n_averaged) == given

    def smoothed(self, settings: ScoreConfig) -> NDArray[np.float64]:
        """Return scores of all frames (T,), made as those of test videos are."""
        position = positions_of(self.seconds, self.fps)
        unsmoothed = to_frames(self.fused.astype(np.float64), self.looked_at, position)
        return smooth_frames(unsmoothed, self.seconds, self.fps, settings)


def save_held_out(
    path: Path, pieces: Sequence[HeldOutPiece], model: str, *, watched_hours: float | None = None
) -> None:
    """Write the pieces, and the digest of the model that they belong to.

    Args:
        watched_hours: how much footage was watched to find them, if they were picked from some.
    """
    arrays = {}
    for index, piece in enumerate(pieces):
        arrays[f"{index}/seconds"] = np.ascontiguousarray(piece.seconds)
        arrays[f"{index}/looked_at"] = np.ascontiguousarray(piece.looked_at)
        arrays[f"{index}/fused"] = np.ascontiguousarray(piece.fused)
    header = {
        _FORMAT: str(FORMAT_VERSION),
        _MODEL: model,
        _FPS: json.dumps([piece.fps for piece in pieces]),
        _BENT: json.dumps([piece.is_bent for piece in pieces]),
        _AVERAGED: json.dumps([piece.n_averaged for piece in pieces]),
        _FUSION: json.dumps([piece.fusion for piece in pieces]),
    }
    if watched_hours is not None:
        header[_WATCHED] = json.dumps(watched_hours)
    header[_DIGEST] = _digest_of(header, arrays)
    with replacing(path) as temporary:
        # one entry: safetensors writes several in any order, and equal scores are to be equal files
        save_file(arrays, temporary, metadata={_HEADER: json.dumps(header)})


def load_held_out(path: Path, model: str) -> list[HeldOutPiece] | None:
    """Read the pieces back; None where there are none for a model, as of older ones.

    Args:
        model: its digest.

    Raises:
        InputError: the file is damaged or from a later version.
    """
    with _opened(path) as opened:
        if opened is None or opened[1][_MODEL] != model:
            return None
        file, header = opened
        arrays = _read_arrays(path, file, header)
        rates = parse_json(header[_FPS])
        are_bent = parse_json(header[_BENT]) if _BENT in header else [False] * len(rates)
        n_averaged = parse_json(header[_AVERAGED]) if _AVERAGED in header else [1] * len(rates)
        fusions = parse_json(header[_FUSION]) if _FUSION in header else ["sum"] * len(rates)
        return [
            HeldOutPiece(
                arrays[f"{index}/seconds"],
                float(fps),
                arrays[f"{index}/looked_at"],
                arrays[f"{index}/fused"],
                is_bent=is_bent,
                n_averaged=int(n),
                fusion=fusion,
            )
            for index, (fps, is_bent, n, fusion) in enumerate(
                zip(rates, are_bent, n_averaged, fusions, strict=True)
            )
        ]


def load_watched_hours(path: Path) -> float:
    """Return how much footage was watched to find the pieces in a file that `load_held_out` reads.

    Raises:
        InputError: the file is damaged or from a later version.
    """
    with _opened(path) as opened:
        hours = 0.0 if opened is None else float(parse_json(opened[1][_WATCHED]))
        if not 0 <= hours < math.inf:
            raise ValueError(f"{hours} hours cannot be")
        return hours


def check_held_out(path: Path) -> None:
    """Read all pieces, of whatever model.

    Raises:
        InputError: the file is damaged or from a later version.
    """
    with _opened(path) as opened:
        if opened is not None:
            _read_arrays(path, *opened)


def held_out_digest(path: Path, model: str) -> str | None:
    """Return a hash of the pieces, without reading them; None where there are none for a model.

    Raises:
        InputError: the file is damaged or from a later version.
    """
    with _opened(path) as opened:
        return None if opened is None or opened[1][_MODEL] != model else str(opened[1][_DIGEST])


def _read_arrays(path: Path, file: Any, header: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
    if (
        _digest_of({name: said for name, said in header.items() if name != _DIGEST}, arrays)
        != header[_DIGEST]
    ):
        raise InputError(f"{path} was changed after it was written: run `mulde train` again")
    return arrays


def _digest_of(header: Mapping[str, str], arrays: Mapping[str, NDArray[Any]]) -> str:
    contents = sorted([name, hashlib.sha256(array.tobytes()).hexdigest()] for name, array in arrays.items())
    return digest_of([dict(sorted(header.items())), contents])


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Mapping[str, str]] | None]:
    """Open the file with its header; None where there is none."""
    if not path.exists():
        yield None
        return
    try:
        with safe_open(path, "numpy") as file:
            header = parse_json((file.metadata() or {})[_HEADER])
            version = int(header[_FORMAT])
            if version > FORMAT_VERSION:
                raise InputError(
                    f"{path} has format version {version}, this mulde reads {FORMAT_VERSION}: upgrade"
                )
            yield file, header
    except InputError:
        raise
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{path} is damaged ({error}): delete it and run `mulde train` again") from None
