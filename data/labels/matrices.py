"""Read the .mat files of labels that go round for UCSD and Avenue; there are two kinds, of the same names.

The community's `ped1.mat`, `ped2.mat` and `avenue.mat` hold `gt`, a cell a test clip, each 2×k: the first and
the last frame of k abnormal intervals, 1-based, inclusive. AI-VAD's `avenue.mat` holds '01' … '21', each 0/1
a frame.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mulde.data.errors import InputError
from mulde.data.labels.files import to_frame_array
from mulde.data.labels.labels import FrameArray, Interval
from mulde.data.labels.matlab import read_cells, read_variables

_MOST_DIGITS = 10


def read_label_matrix(path: Path) -> tuple[dict[int, tuple[Interval, ...]], dict[int, FrameArray]]:
    """Give intervals, or labels of frames, by the number of the clip, from 1 on; one of the two is empty.

    Raises:
        InputError: The file is neither kind.
    """
    variables = read_variables(path)
    if "gt" in variables:
        return dict(enumerate(read_clip_intervals(path), start=1)), {}
    arrays = {
        int(name): to_frame_array(values, f"{path}: {name}")
        for name, values in variables.items()
        if name.isdecimal() and len(name) < _MOST_DIGITS
    }
    if not arrays:
        raise InputError(
            f"{path} holds neither gt (a cell a clip) nor variables 01, 02 … (0/1 per frame), but "
            f"{', '.join(sorted(variables)) or 'nothing'}"
        )
    return {}, arrays


def read_clip_intervals(path: Path) -> list[tuple[Interval, ...]]:
    """Read `gt` of ped2.mat and its like: [[5, 140], [90, 200]], 1-based inclusive -> ((4, 90), (139, 200)).

    Raises:
        InputError: It is not that.
    """
    return [_parse_cell(f"{path}: clip {k}", cell) for k, cell in enumerate(read_cells(path, "gt"), start=1)]


def _parse_cell(where: str, cell: NDArray[np.generic]) -> tuple[Interval, ...]:
    if cell.size == 0:
        return ()
    values = cell.reshape(2, -1) if cell.size == 2 else cell  # a single interval may lie as a row
    if values.ndim != 2 or len(values) != 2 or values.dtype.kind not in "iuf":
        raise InputError(f"{where}: expected first and last frames as 2×k numbers, found shape {cell.shape}")
    # a comparison with NaN is false
    if not ((values[0] >= 1) & (values[1] >= values[0]) & (values[1] < 2**53)).all():
        raise InputError(
            f"{where}: expected frames from 1 on, the last not before the first: {values.tolist()}"
        )
    return tuple((int(first) - 1, int(last)) for first, last in values.T)
