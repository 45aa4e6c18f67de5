"""Read boxes and tracks that others made: CSV of many videos, or MOT text of one video each."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mulde.data.errors import InputError

_CORNERS = ("x1", "y1", "x2", "y2")
_NEEDED = ("video", "frame", *_CORNERS)
_OPTIONAL = ("score", "class", "track")
_MOT_COLUMNS = ("frame", "track", "x", "y", "width", "height", "score")
_LARGEST_WHOLE = 2.0**53  # float64 holds every whole number up to here

Columns = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class VideoBoxes:
    """The boxes of one video, by frame; those of one frame stay in the order of the file."""

    frame: NDArray[np.int64]
    """(n,) int64, 0-based, ascending."""
    box_xyxy: NDArray[np.float32]
    """(n, 4) float32, x1, y1, x2, y2 in pixels of the frame; may reach beyond the picture."""
    score: NDArray[np.float32]
    """(n,) float32, higher is surer; NaN where the file does not say."""
    class_name: NDArray[np.str_]
    """(n,) text; empty where the file does not say."""
    track: NDArray[np.int64]
    """(n,) int64; -1 for a box of no track."""

    def __post_init__(self) -> None:
        n = len(self.frame)
        others = (self.score, self.class_name, self.track)
        if self.box_xyxy.shape != (n, 4) or any(column.shape != (n,) for column in others):
            raise ValueError(f"{n} frames, boxes of shape {self.box_xyxy.shape}, or columns of other lengths")
        if (np.diff(self.frame) < 0).any():
            raise ValueError("frames must ascend")


_NO_BOXES = VideoBoxes(
    np.empty(0, np.int64),
    np.empty((0, 4), np.float32),
    np.empty(0, np.float32),
    np.empty(0, "U1"),
    np.empty(0, np.int64),
)


def read_boxes(path: Path) -> dict[str, VideoBoxes]:
    """Read the boxes of a file, or of a folder of MOT text, by the names of their videos.

    The content of a file says which format it has.

    CSV begins with a header: video,frame,x1,y1,x2,y2 and perhaps score, class, track; frames count from 0.
    MOT text begins with numbers: frame,track,x,y,width,height,score; frames count from 1, and the video is
    named as the file is. In a folder, each .txt is one video, and an empty one has no boxes.

    Raises:
        InputError: a file cannot be read, or a line holds no box.
    """
    if path.is_dir():
        files = sorted(path.glob("*.txt"))
        if not files:
            raise InputError(f"{path} holds no .txt: expected a folder with MOT text of one video each")
        return {file.stem: _read_mot(file) if file.stat().st_size else _NO_BOXES for file in files}
    first = _first_line(path)
    if "video" in first:
        return _read_csv(path, first)
    try:
        float(first[0])
    except ValueError:
        raise InputError(
            f"{path}, line 1: expected a header with {','.join(_NEEDED)}, or MOT text, which begins with a "
            "number"
        ) from None
    return {path.stem: _read_mot(path)}


def _first_line(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig") as stream:
            return [cell.strip() for cell in stream.readline().split(",")]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}): expected a text file of boxes") from None


def _read_csv(path: Path, header: list[str]) -> dict[str, VideoBoxes]:
    missing = [name for name in _NEEDED if name not in header]
    strange = [name for name in header if name not in (*_NEEDED, *_OPTIONAL)]
    if missing or strange or len({*header}) < len(header):
        raise InputError(
            f"{path}, line 1: the header is {','.join(header)}: expected each of {','.join(_NEEDED)} once, "
            f"and perhaps {', '.join(_OPTIONAL)}"
        )
    cells = _cells(path, 1, len(header))
    text = {name: cells[:, place] for place, name in enumerate(header)}
    n = len(cells)
    numbers = {name: _numbers(path, text[name], name, 1) for name in ("frame", *_CORNERS)}
    for name in ("score", "track"):
        values = np.where(text[name] == "", "nan", text[name]) if name in text else np.full(n, "nan")
        numbers[name] = _numbers(path, values, name, 1)
    numbers["track"] = np.where(np.isnan(numbers["track"]), -1, numbers["track"])
    names = text.get("class", np.full(n, ""))
    _check(path, numbers, 1)
    if (text["video"] == "").any():
        line = _line_numbers(path, 1)[int(np.argmax(text["video"] == ""))]
        raise InputError(f"{path}, line {line}: the video has no name")
    videos, which = np.unique(text["video"], return_inverse=True)
    order = np.lexsort((numbers["frame"], which))
    ends = np.cumsum(np.bincount(which, minlength=len(videos)))
    return {
        str(video): _picked(numbers, names, rows)
        for video, rows in zip(videos, np.split(order, ends[:-1]) if n else [], strict=True)
    }


def _read_mot(path: Path) -> VideoBoxes:
    n_columns = len(_first_line(path))
    if n_columns < 6:
        raise InputError(f"{path}, line 1: {n_columns} columns, expected {','.join(_MOT_COLUMNS)}")
    cells = _cells(path, 0, n_columns)
    columns = dict(zip(_MOT_COLUMNS, cells.T, strict=False))
    numbers = {name: _numbers(path, column, name, 0) for name, column in columns.items()}
    x, y = numbers.pop("x"), numbers.pop("y")
    corners = {"x1": x, "y1": y, "x2": x + numbers.pop("width"), "y2": y + numbers.pop("height")}
    numbers.setdefault("score", np.full(len(cells), np.nan))
    numbers["frame"] = numbers["frame"] - 1
    numbers = {**numbers, **corners}
    _check(path, numbers, 0)
    return _picked(numbers, np.full(len(cells), ""), np.argsort(numbers["frame"], kind="stable"))


def _cells(path: Path, n_header: int, n_columns: int) -> NDArray[np.str_]:
    """Return the lines below the header as text, (n, n_columns)."""
    try:
        with path.open(encoding="utf-8-sig") as stream:
            lines = [line for line in islice(stream, n_header, None) if line.strip()]
    except UnicodeDecodeError as error:
        raise InputError(f"{path} cannot be read ({error}): expected UTF-8") from None
    if not lines:
        return np.empty((0, n_columns), "U1")
    try:
        cells = np.loadtxt(lines, str, comments=None, delimiter=",", ndmin=2, quotechar='"')
        is_regular = cells.shape[1] == n_columns
    except ValueError:  # says which row, and not which line
        is_regular = False
    if not is_regular:
        widths = (len(row) for row in csv.reader(lines))
        row, width = next((at, width) for at, width in enumerate(widths) if width != n_columns)
        line = _line_numbers(path, n_header)[row]
        raise InputError(f"{path}, line {line}: {width} cells, where the first line has {n_columns}")
    return np.char.strip(cells)


def _numbers(path: Path, text: NDArray[np.str_], name: str, n_header: int) -> NDArray[np.float64]:
    try:
        return text.astype(np.float64)
    except ValueError:
        for row, cell in enumerate(text):
            try:
                float(cell)
            except ValueError:
                line = _line_numbers(path, n_header)[row]
                raise InputError(f"{path}, line {line}: {name} is {str(cell)!r}, no number") from None
        raise


def _check(path: Path, numbers: Columns, n_header: int) -> None:
    frame, track = numbers["frame"], numbers["track"]
    box = np.stack([numbers[name] for name in _CORNERS], axis=1)  # (n, 4)
    is_index = (frame >= 0) & (frame < _LARGEST_WHOLE) & (frame == np.floor(frame))
    is_track = (np.abs(track) < _LARGEST_WHOLE) & (track == np.floor(track))
    first = 0 if n_header else 1
    for wrong, why in (
        (~is_index, f"the frame must be a whole number from {first} on"),
        (~is_track, "the track must be a whole number"),
        (~(np.abs(box) < _LARGEST_WHOLE).all(axis=1), "the box must be finite"),
        ((box[:, 2:] <= box[:, :2]).any(axis=1), "the box has no size"),
    ):
        if wrong.any():
            line = _line_numbers(path, n_header)[int(np.argmax(wrong))]
            raise InputError(f"{path}, line {line}: {why}; lines of this kind: {int(wrong.sum())}")


def _picked(numbers: Columns, names: NDArray[np.str_], rows: NDArray[np.int64]) -> VideoBoxes:
    return VideoBoxes(
        numbers["frame"][rows].astype(np.int64),
        np.stack([numbers[name][rows] for name in _CORNERS], axis=1).astype(np.float32),
        numbers["score"][rows].astype(np.float32),
        names[rows],
        numbers["track"][rows].astype(np.int64),
    )


def _line_numbers(path: Path, n_header: int) -> list[int]:
    """Return the 1-based numbers of the lines below the header that are not empty."""
    with path.open(encoding="utf-8-sig") as stream:
        return [number for number, line in enumerate(stream, 1) if number > n_header and line.strip()]
