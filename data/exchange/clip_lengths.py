"""How many frames each video of a split has, where one array holds the rows of all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mulde.data.errors import InputError
from mulde.data.foreign.arrays import read_npy
from mulde.data.foreign.text import read_text


def read_clip_lengths(path: Path) -> NDArray[np.int64]:
    """Read whole numbers from a .npy file, or from text with blanks, commas or line ends between them.

    Raises:
        InputError: the file cannot be read, or holds anything else.
    """
    try:
        if path.suffix.lower() == ".npy":
            values = read_npy(path).reshape(-1)
        else:
            values = np.array([float(word) for word in read_text(path).replace(",", " ").split()])
    except InputError as error:
        raise InputError(f"clip lengths {error}") from None
    except ValueError as error:
        raise InputError(f"clip lengths {path} are no list of whole numbers ({error})") from None
    if values.dtype.kind not in "iuf" or not len(values) or not np.array_equal(values, np.floor(values)):
        raise InputError(f"clip lengths {path} must hold whole numbers, one a video")
    lengths: NDArray[np.int64] = values.astype(np.int64)
    return lengths


def resolve_lengths(values: Sequence[int] | NDArray[np.int64], n_frames: int | None, where: str) -> list[int]:
    """Return the length of each video from lengths, or from where each one ends in the whole.

    Args:
        values: lengths such as 180, 150, 120; or the sums 180, 330, 450 that AI-VAD keeps in
            `test_clip_lengths.npy`, with or without a 0 before them.
        n_frames: frames of the whole split, which tells the two apart; None where it is not known.
        where: where the values come from, for messages.

    Raises:
        InputError: they are neither, or could be both.
    """
    given = np.asarray(values, np.int64)
    ends = given[1:] if given[0] == 0 else given
    summed = np.diff(ends, prepend=0)
    can_be_plain = bool((given > 0).all()) and n_frames in (None, int(given.sum()))
    can_be_summed = bool(len(ends) and (summed > 0).all()) and n_frames in (None, int(given[-1]))
    if can_be_plain and can_be_summed and summed.tolist() != given.tolist():
        raise InputError(
            f"{where} could be lengths or their running sums, and the features do not tell: give the lengths "
            f"themselves, such as `lengths` {','.join(map(str, given[:3]))}…"
        )
    if can_be_plain:
        return [int(length) for length in given]
    if can_be_summed:
        return [int(length) for length in summed]
    told = "" if n_frames is None else f", but the features are of {n_frames} frames"
    raise InputError(
        f"{where} add up to {int(given.sum())} and end with {int(given[-1])}{told}: expected the frames of "
        "each video, or their running sums"
    )
