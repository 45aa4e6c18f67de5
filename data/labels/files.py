"""Read labels from files: CSV of intervals, 0/1 per frame, CSV of regions."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mulde.data.errors import InputError
from mulde.data.files import is_hidden, name_without_suffix
from mulde.data.foreign.arrays import read_npy
from mulde.data.foreign.text import read_text
from mulde.data.labels.deferred import Deferred
from mulde.data.labels.interval_sheets import INTERVAL_HEADERS, find_columns, read_intervals
from mulde.data.labels.labels import FrameArray, Interval, Labels
from mulde.data.labels.regions import NO_TRACK, Regions
from mulde.data.labels.sheets import SHEET_SUFFIXES, Row, Sheet, read_sheet

REGION_HEADER = ["video", "frame", "x1", "y1", "x2", "y2"]
"""`track` may follow."""
ARRAY_SUFFIXES = frozenset({".npy", ".txt"})
LABELS_CSV, LABELS_TSV, REGIONS_CSV = "labels.csv", "labels.tsv", "regions.csv"

_MOST = 2**53
"""Numbers of frames and tracks are below; so far whole numbers are exact in every format."""

_RegionRow = tuple[int, float, float, float, float, int]


def read_labels(path: Path) -> Labels:
    """Read labels from a CSV file, from 0/1 per frame in .npy or .txt files, or from a folder of these.

    - CSV with header `video,start,end`: a row an interval in frames, 0-based, end exclusive; empty start and
      end for a video that is normal throughout. Under `start_s`, `end_s` or the like they are seconds, mm:ss
      or hh:mm:ss from the first frame on. The name of an event may stand in a further column.
    - CSV with header `video,frame,x1,y1,x2,y2` and perhaps `track`: a row an abnormal region; frame
      0-based, x and y in pixels, half-open; regions of one object share a track number. Frames with a region
      are abnormal; a row with the name alone is a video that is normal throughout.
    Semicolons and tabs (.tsv) do as well as commas.
    - .npy or .txt: one value per frame, the file is named as the video. A folder is searched with its
      sub-folders.
    - A folder with labels.csv or regions.csv, or with regions.csv and .npy or .txt files: regions come from
      regions.csv, and frames from the others where there are any.

    Raises:
        InputError: What was read is not that; the text names the file and the line.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path)
    if not path.is_file():
        raise InputError(f"labels {path} are not there: check the path")
    if path.suffix.lower() in SHEET_SUFFIXES:
        return _read_csv(path)
    if path.suffix.lower() in ARRAY_SUFFIXES:
        return Labels(arrays={path.stem: read_frame_array(path)})
    raise InputError(
        f"labels {path} are not .csv or .tsv (video,start,end or video,frame,x1,y1,x2,y2), .npy or .txt (0/1 "
        "a frame), or a folder of these; save a sheet as CSV"
    )


def read_frame_array(path: Path) -> FrameArray:
    """Read one label per frame from an .npy file or from text, with blanks, commas or lines between.

    Raises:
        InputError: It is not 0/1 per frame.
    """
    try:
        if path.suffix.lower() == ".npy":
            values = read_npy(path)
        else:
            values = np.array([float(word) for word in read_text(path).replace(",", " ").split()])
    except ValueError as error:  # an InputError among them
        raise InputError(f"{path} is not 0/1 per frame ({error})") from error
    return to_frame_array(values, str(path))


def to_frame_array(values: NDArray[np.generic], source: str) -> FrameArray:
    """Check that values are 0/1 per frame, in a row or a column, and give (n_frames,) uint8.

    Args:
        source: Where they come from, for the message.

    Raises:
        InputError: They are not.
    """
    try:
        is_0_or_1 = bool(np.isin(values, (0, 1)).all())
    except TypeError as error:
        raise InputError(f"{source} is not 0/1 per frame ({error})") from error
    if not is_0_or_1 or values.size == 0 or values.size != max(values.shape, default=0):
        raise InputError(
            f"{source} must hold one 0 (normal) or 1 (abnormal) a frame, found shape {values.shape}"
        )
    return values.reshape(-1).astype(np.uint8)


def _read_csv(path: Path) -> Labels:
    sheet = read_sheet(path)
    if _is_of_regions(sheet):
        by_video = _read_regions(sheet)
        return Labels(
            intervals={name: _frames_with_regions(found) for name, found in by_video.items()},
            region_sources=_as_sources(path, by_video),
        )
    columns = find_columns(sheet)
    if columns is not None:
        return read_intervals(sheet, columns)
    found = sheet.delimiter.join(sheet.header)[:80] or "nothing"
    raise InputError(
        f"{sheet.where}: the first line must be {INTERVAL_HEADERS} or {','.join(REGION_HEADER)}[,track], "
        f"found {found!r}"
    )


def _read_folder(folder: Path) -> Labels:
    labels_csv, labels_tsv, regions_csv = (folder / name for name in (LABELS_CSV, LABELS_TSV, REGIONS_CSV))
    if labels_tsv.is_file():
        if labels_csv.is_file():
            raise InputError(f"{labels_csv} and {labels_tsv} are both labels: keep one")
        labels_csv = labels_tsv
    array_files = _find_array_files(folder)
    if labels_csv.is_file() and array_files:
        raise InputError(
            f"{labels_csv} and {next(iter(array_files.values()))} are both labels: keep one kind"
        )
    if not array_files and not labels_csv.is_file() and not regions_csv.is_file():
        raise InputError(
            f"labels folder {folder} holds no .npy or .txt file (0/1 per frame, named as the video), "
            f"no {LABELS_CSV} or {LABELS_TSV} and no {REGIONS_CSV}"
        )
    if not regions_csv.is_file():
        if array_files:
            return Labels(arrays={name: read_frame_array(file) for name, file in array_files.items()})
        return _read_csv(labels_csv)
    regions = _read_csv(regions_csv)
    if not regions.region_sources and not regions.intervals:
        raise InputError(f"{regions_csv} holds no row: list a region a row, or take it away")
    frames = _read_csv(labels_csv) if labels_csv.is_file() else regions
    arrays = {name: read_frame_array(file) for name, file in array_files.items()}
    if arrays:
        return Labels(arrays=arrays, region_sources=regions.region_sources)
    return replace(frames, region_sources=regions.region_sources)


def _find_array_files(folder: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for file in sorted(folder.rglob("*")):
        relative = file.relative_to(folder)
        if file.suffix.lower() not in ARRAY_SUFFIXES or any(is_hidden(part) for part in relative.parts):
            continue
        name = name_without_suffix(relative.with_suffix("").as_posix())
        if name in files:
            raise InputError(f"{files[name]} and {file} both label video {name}: keep one")
        files[name] = file
    return files


def _is_of_regions(sheet: Sheet) -> bool:
    return {*REGION_HEADER} <= {title.lower() for title in sheet.header}


def _read_regions(sheet: Sheet) -> dict[str, list[_RegionRow]]:
    titles = [title.lower() for title in sheet.header]
    columns = [titles.index(title) for title in REGION_HEADER]
    track = titles.index("track") if "track" in titles else None
    by_video: dict[str, list[_RegionRow]] = {}
    for row in sheet.rows:
        name, *cells = (row.cells[i] for i in columns)
        if not name or (any(cells) and not cells[-1]):
            raise InputError(f"{row.where}: expected {','.join(sheet.header)}, found {','.join(row.cells)!r}")
        found = by_video.setdefault(name_without_suffix(name), [])
        if any(cells):
            found.append(_parse_region(sheet, row, cells, "" if track is None else row.cells[track]))
    return by_video


def _parse_region(sheet: Sheet, row: Row, cells: list[str], track_text: str) -> _RegionRow:
    where = row.where
    try:
        frame = sheet.whole(cells[0])
        x1, y1, x2, y2 = (float(np.float32(sheet.number(cell))) for cell in cells[1:])
        track = sheet.whole(track_text) if track_text else NO_TRACK
    except ValueError as error:
        raise InputError(f"{where}: expected numbers, whole ones for frame and track ({error})") from error
    if not (0 <= frame < _MOST and NO_TRACK <= track < _MOST):
        raise InputError(f"{where}: frame and track count from 0, found {cells[0]!r} and {track_text!r}")
    # not ">=": a comparison with NaN is false
    if not (0 <= x1 < x2 < np.inf and 0 <= y1 < y2 < np.inf):
        raise InputError(
            f"{where}: {x1:g},{y1:g},{x2:g},{y2:g} is no box: x1 < x2 and y1 < y2 in pixels, from 0 on"
        )
    return frame, x1, y1, x2, y2, track


def _frames_with_regions(rows: list[_RegionRow]) -> tuple[Interval, ...]:
    """Join the frames that have a region: 3, 4, 4, 7 -> ((3, 5), (7, 8))."""
    intervals: list[Interval] = []
    for frame in sorted({row[0] for row in rows}):
        if intervals and intervals[-1][1] == frame:
            intervals[-1] = intervals[-1][0], frame + 1
        else:
            intervals.append((frame, frame + 1))
    return tuple(intervals)


def _as_sources(path: Path, by_video: dict[str, list[_RegionRow]]) -> dict[str, Deferred[Regions]]:
    return {
        name: Deferred((path,), partial(Regions.from_rows, rows)) for name, rows in by_video.items() if rows
    }
