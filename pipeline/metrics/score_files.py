"""Read frame scores that others made: a file per video, or one .npz with an array per video."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mulde.data.errors import InputError
from mulde.data.files import is_hidden, name_without_suffix, natural_key
from mulde.data.foreign.arrays import open_npz, read_npy
from mulde.data.labels.sheets import Row, Sheet, read_sheet
from mulde.data.times import mean_rate
from mulde.pipeline.metrics.video_scores import check_finite

_FORMS = (
    "a folder with a .csv (frame,time,score, or a column of scores alone) or .npy file per video, named as "
    "the video, or one .npz with an array per video"
)


@dataclass(frozen=True)
class ScoreFile:
    """The scores of one video as somebody wrote them; raises ValueError where they cannot be used."""

    name: str
    scores: NDArray[np.float64]
    """(T,), one a frame, finite, higher = more anomalous."""
    fps: float | None = None
    """Frames a second, from the column `time`; None where there is none."""
    seconds: NDArray[np.float64] | None = None
    """(T,) when each frame is shown, from the column `time`, counted from the first."""

    def __post_init__(self) -> None:
        if self.scores.ndim != 1 or self.scores.size == 0:
            raise ValueError(f"{self.name}: expected one score per frame, found shape {self.scores.shape}")
        check_finite(self.name, self.scores)


def read_score_files(path: Path) -> tuple[ScoreFile, ...]:
    """Read all scores below a folder, sub-folders included, or in an .npz file, in natural order of names.

    Raises:
        InputError: there are none, two are for one video, or one cannot be used; the text names it.
    """
    if path.is_dir():
        found = [
            _read(file, _name(file.relative_to(path)), _READERS[file.suffix.lower()]) for file in _files(path)
        ]
    elif path.suffix.lower() == ".npz" and path.is_file():
        found = _read_npz(path)
    elif path.exists():
        raise InputError(f"scores {path} cannot be used: give {_FORMS}")
    else:
        raise InputError(f"scores {path} are not there: check the path")
    if not found:
        raise InputError(f"{path} holds no scores: give {_FORMS}")
    names = [file.name for file in found]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{path} holds scores of video {twice} twice: keep one")
    return tuple(sorted(found, key=lambda file: natural_key(file.name)))


def _files(folder: Path) -> list[Path]:
    return [
        file
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in _READERS and not any(map(is_hidden, file.relative_to(folder).parts))
    ]


def _name(relative: Path) -> str:
    return name_without_suffix(relative.with_suffix("").as_posix())


def _read(file: Path, name: str, read: Callable[[Path, str], ScoreFile]) -> ScoreFile:
    try:
        return read(file, name)
    except (OSError, ValueError) as error:
        raise InputError(f"scores {file} cannot be used ({error}): give {_FORMS}") from None


def _read_npy(file: Path, name: str) -> ScoreFile:
    return ScoreFile(name, _one_row(read_npy(file)))


def _read_npz(file: Path) -> list[ScoreFile]:
    try:
        with open_npz(file) as archive:
            arrays = {name: archive.read(name) for name in archive.names}
        return [ScoreFile(name_without_suffix(name), _one_row(array)) for name, array in arrays.items()]
    except ValueError as error:
        raise InputError(f"scores {file} cannot be used ({error}): give {_FORMS}") from None


def _one_row(array: NDArray[np.generic]) -> NDArray[np.float64]:
    if array.dtype.kind not in "iuf":
        raise ValueError(f"expected numbers, found {array.dtype}")
    # (T, 1) and (1, T) are one row of scores, (T, 2) is not
    return (array.ravel() if array.size == max(array.shape, default=0) else array).astype(np.float64)


def _read_csv(file: Path, name: str) -> ScoreFile:
    sheet = read_sheet(file)
    header = [title.lower() for title in sheet.header]
    if "score" not in header:
        if len(header) > 1:
            raise ValueError("several columns, and no header that calls one of them score")
        cells = [*sheet.header, *(row.cells[0] for row in sheet.rows)]
        return ScoreFile(name, np.array([sheet.number(cell) for cell in cells]))
    columns = {
        title: np.array([_number(sheet, row, header.index(title)) for row in sheet.rows])
        for title in ("frame", "time", "score")
        if title in header
    }
    if "frame" in columns and not np.array_equal(columns["frame"], np.arange(len(sheet.rows))):
        raise ValueError("the column frame must count from 0 without gaps: a score for every frame is needed")
    seconds = columns.get("time")
    from_first = None if seconds is None or not seconds.size else seconds - seconds[0]
    return ScoreFile(name, columns["score"], mean_rate(seconds), from_first)


def _number(sheet: Sheet, row: Row, column: int) -> float:
    try:
        return sheet.number(row.cells[column])
    except ValueError:
        line, found = row.where.rpartition(":")[2], row.cells[column] or "nothing"
        raise ValueError(f"line {line}: {sheet.header[column]} is {found}, which is no number") from None


_READERS: dict[str, Callable[[Path, str], ScoreFile]] = {".csv": _read_csv, ".npy": _read_npy}
