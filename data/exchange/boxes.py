"""Read boxes and tracks that others made: CSV or COCO JSON of many videos, or MOT text of one video each."""

from __future__ import annotations

import csv
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mulde.data.boxes import NO_BOXES, VideoBoxes
from mulde.data.errors import InputError
from mulde.data.exchange.box_table import BYTES_A_CHARACTER, CORNERS, BoxTable
from mulde.data.exchange.coco import read_coco
from mulde.data.files import require_file
from mulde.data.foreign.limits import check_unpacked

_NEEDED = ("video", "frame", *CORNERS)
_OPTIONAL = ("score", "class", "track")
_MOT_COLUMNS = ("frame", "track", "x", "y", "width", "height", "score")


def read_boxes(path: Path, first_frame: int | None = None) -> dict[str, VideoBoxes]:
    """Read the boxes of a file, or of a folder of MOT text, by the names of their videos.

    The content of a file says which format it has.

    CSV begins with a header: video,frame,x1,y1,x2,y2 and perhaps score, class, track; frames count from 0.
    JSON is COCO's, of videos: see `mulde.data.exchange.coco`; frames count from 0.
    MOT text begins with numbers: frame,track,x,y,width,height,score; frames count from 1, and the video is
    named as the file is. In a folder, each .txt is one video, named with the sub-folders that it is in; an
    empty one has no boxes.

    Args:
        first_frame: the number that the file gives a video's first frame, where it is not the usual one.

    Raises:
        InputError: a file cannot be read, or a line holds no box.
    """
    if path.is_dir():
        files = sorted(path.rglob("*.txt"))
        if not files:
            raise InputError(f"{path} holds no .txt: expected a folder with MOT text of one video each")
        names = [file.relative_to(path).with_suffix("").as_posix() for file in files]
        return {
            name: _read_mot(file, first_frame) if file.stat().st_size else NO_BOXES
            for name, file in zip(names, files, strict=True)
        }
    require_file(path)
    first = _first_line(path)
    if first[0].startswith(("{", "[")):
        return read_coco(path, first_frame or 0)
    if "video" in first:
        return _read_csv(path, first, first_frame or 0)
    try:
        float(first[0])
    except ValueError:
        raise InputError(
            f"{path}, line 1: expected a header with {','.join(_NEEDED)}, MOT text, which begins with a "
            "number, or COCO's JSON"
        ) from None
    return {path.stem: _read_mot(path, first_frame)}


def _first_line(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig") as stream:
            return [cell.strip() for cell in stream.readline().split(",")]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}): expected a text file of boxes") from None


def _read_csv(path: Path, header: list[str], first_frame: int) -> dict[str, VideoBoxes]:
    missing = [name for name in _NEEDED if name not in header]
    strange = [name for name in header if name not in (*_NEEDED, *_OPTIONAL)]
    if missing or strange or len({*header}) < len(header):
        raise InputError(
            f"{path}, line 1: the header is {','.join(header)}: expected each of {','.join(_NEEDED)} once, "
            f"and perhaps {', '.join(_OPTIONAL)}"
        )
    cells = _cells(path, 1, len(header))
    text = {name: cells[:, place] for place, name in enumerate(header)}
    numbers = {name: _numbers(path, text[name], name, 1) for name in ("frame", *CORNERS)}
    for name in {"score", "track"} & text.keys():
        numbers[name] = _numbers(path, np.where(text[name] == "", "nan", text[name]), name, 1)
    names = text.get("class", np.full(len(cells), ""))
    table = BoxTable(numbers, names, first_frame, lambda row: _place(path, 1, row))
    table.check()
    if (text["video"] == "").any():
        raise InputError(f"{table.where(int(np.argmax(text['video'] == '')))}: the video has no name")
    videos, which = np.unique(text["video"], return_inverse=True)
    return table.by_video(videos.tolist(), which.astype(np.int64))


def _read_mot(path: Path, first_frame: int | None) -> VideoBoxes:
    n_columns = len(_first_line(path))
    if n_columns < 6:
        raise InputError(f"{path}, line 1: {n_columns} columns, expected {','.join(_MOT_COLUMNS)}")
    cells = _cells(path, 0, n_columns)
    columns = dict(zip(_MOT_COLUMNS, cells.T, strict=False))
    numbers = {name: _numbers(path, column, name, 0) for name, column in columns.items()}
    x, y = numbers.pop("x"), numbers.pop("y")
    numbers |= {"x1": x, "y1": y, "x2": x + numbers.pop("width"), "y2": y + numbers.pop("height")}
    first = 1 if first_frame is None else first_frame
    table = BoxTable(numbers, np.full(len(cells), ""), first, lambda row: _place(path, 0, row))
    table.check()
    return table.pick(np.arange(len(cells)))


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
        widest = max(len(cell) for row in csv.reader(lines) for cell in row)
    except csv.Error as error:  # more than 131072 characters
        raise InputError(f"{path} cannot be read ({error}): expected a text file of boxes") from None
    n_bytes = BYTES_A_CHARACTER * widest * len(lines) * n_columns
    check_unpacked(str(path), n_bytes, path.stat().st_size)
    try:
        cells = np.loadtxt(lines, str, comments=None, delimiter=",", ndmin=2, quotechar='"')
        is_regular = cells.shape[1] == n_columns
    except ValueError:  # says which row, and not which line
        is_regular = False
    if not is_regular:
        widths = (len(row) for row in csv.reader(lines))
        row, width = next((at, width) for at, width in enumerate(widths) if width != n_columns)
        raise InputError(
            f"{_place(path, n_header, row)}: {width} cells, where the first line has {n_columns}"
        )
    return np.char.strip(cells)


def _numbers(path: Path, text: NDArray[np.str_], name: str, n_header: int) -> NDArray[np.float64]:
    try:
        return text.astype(np.float64)
    except ValueError:
        for row, cell in enumerate(text):
            try:
                float(cell)
            except ValueError:
                place = _place(path, n_header, row)
                raise InputError(f"{place}: {name} is {str(cell)!r}, no number") from None
        raise


def _place(path: Path, n_header: int, row: int) -> str:
    """Return file and line, 1-based, of a row of those below the header that are not empty."""
    with path.open(encoding="utf-8-sig") as stream:
        lines = [number for number, line in enumerate(stream, 1) if number > n_header and line.strip()]
    return f"{path}, line {lines[row]}"
