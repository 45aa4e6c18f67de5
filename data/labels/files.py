"""Read labels from files: CSV of intervals, 0/1 a frame, CSV of regions."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mulde.data.errors import InputError
from mulde.data.files import is_hidden, name_without_suffix
from mulde.data.labels.deferred import Deferred
from mulde.data.labels.labels import FrameArray, Interval, Labels
from mulde.data.labels.regions import NO_TRACK, Regions

CSV_HEADER = ["video", "start", "end"]
REGION_HEADER = ["video", "frame", "x1", "y1", "x2", "y2"]
"""`track` may follow."""
ARRAY_SUFFIXES = frozenset({".npy", ".txt"})
LABELS_CSV, REGIONS_CSV = "labels.csv", "regions.csv"

_Row = tuple[int, list[str]]
"""A row of a CSV file, with the number of its line."""
_RegionRow = tuple[int, float, float, float, float, int]


def read_labels(path: Path) -> Labels:
    """Read labels from a CSV file, from 0/1 a frame in .npy or .txt files, or from a folder of these.

    - CSV with header `video,start,end`: a row an interval, 0-based, end exclusive; empty start and end for a
      video that is normal throughout.
    - CSV with header `video,frame,x1,y1,x2,y2` and perhaps `track`: a row an abnormal region; frame
      0-based, x and y in pixels, half-open; regions of one object share a track number. Frames with a region
      are abnormal; a row with the name alone is a video that is normal throughout.
    - .npy or .txt: one value a frame, the file is named as the video. A folder is searched with its
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
    if path.suffix.lower() == ".csv":
        return _read_csv(path)
    if path.suffix.lower() in ARRAY_SUFFIXES:
        return Labels(arrays={path.stem: read_frame_array(path)})
    raise InputError(
        f"labels {path} are not .csv (video,start,end or video,frame,x1,y1,x2,y2), .npy or .txt (0/1 a "
        "frame), or a folder of these"
    )


def read_frame_array(path: Path) -> FrameArray:
    """Read one label a frame from an .npy file or from text, with blanks, commas or lines between.

    Raises:
        InputError: It is not 0/1 a frame.
    """
    try:
        if path.suffix.lower() == ".npy":
            values = np.asarray(np.load(path, allow_pickle=False))
        else:
            text = path.read_text(encoding="utf-8-sig").replace(",", " ")
            values = np.array([float(word) for word in text.split()])
    except (ValueError, EOFError, TypeError) as error:
        raise InputError(f"{path} is not 0/1 a frame ({error})") from error
    return to_frame_array(values, str(path))


def to_frame_array(values: NDArray[np.generic], source: str) -> FrameArray:
    """Check that values are 0/1 a frame, in a row or a column, and give (n_frames,) uint8.

    Args:
        source: Where they come from, for the message.

    Raises:
        InputError: They are not.
    """
    try:
        is_0_or_1 = bool(np.isin(values, (0, 1)).all())
    except TypeError as error:
        raise InputError(f"{source} is not 0/1 a frame ({error})") from error
    if not is_0_or_1 or values.size == 0 or values.size != max(values.shape, default=0):
        raise InputError(
            f"{source} must hold one 0 (normal) or 1 (abnormal) a frame, found shape {values.shape}"
        )
    return values.reshape(-1).astype(np.uint8)


def _read_csv(path: Path) -> Labels:
    rows = _csv_rows(path)
    header = [cell.lower() for cell in rows[0][1]] if rows else []
    if header == CSV_HEADER:
        return Labels(intervals=_read_intervals(path, rows[1:]))
    if header in (REGION_HEADER, [*REGION_HEADER, "track"]):
        by_video = _read_regions(path, rows)
        return Labels(
            intervals={name: _frames_with_regions(found) for name, found in by_video.items()},
            region_sources=_as_sources(path, by_video),
        )
    found = ",".join(rows[0][1])[:80] if rows else "nothing"
    raise InputError(
        f"{path}:1: the first line must be {','.join(CSV_HEADER)} or {','.join(REGION_HEADER)}[,track], "
        f"found {found!r}"
    )


def _read_folder(folder: Path) -> Labels:
    labels_csv, regions_csv = folder / LABELS_CSV, folder / REGIONS_CSV
    array_files = _find_array_files(folder)
    if labels_csv.is_file() and array_files:
        raise InputError(
            f"{labels_csv} and {next(iter(array_files.values()))} are both labels: keep one kind"
        )
    if not array_files and not labels_csv.is_file() and not regions_csv.is_file():
        raise InputError(
            f"labels folder {folder} holds no .npy or .txt file (0/1 a frame, named as the video), "
            f"no {LABELS_CSV} and no {REGIONS_CSV}"
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
    return Labels(
        intervals={} if arrays else frames.intervals, arrays=arrays, region_sources=regions.region_sources
    )


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


def _csv_rows(path: Path) -> list[_Row]:
    try:
        with path.open(
            encoding="utf-8-sig", newline=""
        ) as stream:  # -sig: spreadsheets write a byte-order mark
            reader = csv.reader(stream)
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is no CSV text in UTF-8 ({error}): save it as CSV UTF-8") from error
    return [(line, row) for line, row in rows if any(row)]


def _read_intervals(path: Path, rows: list[_Row]) -> dict[str, tuple[Interval, ...]]:
    intervals: dict[str, list[Interval]] = {}
    for line, row in rows:
        name, found = _parse_interval(f"{path}:{line}", row)
        intervals.setdefault(name, []).extend(found)
    return {name: tuple(found) for name, found in intervals.items()}


def _parse_interval(where: str, row: list[str]) -> tuple[str, list[Interval]]:
    if len(row) != len(CSV_HEADER) or not row[0]:
        raise InputError(f"{where}: expected video,start,end, found {','.join(row)!r}")
    name = name_without_suffix(row[0])
    if row[1] == row[2] == "":
        return name, []
    try:
        start, end = int(row[1]), int(row[2])
    except ValueError as error:
        raise InputError(
            f"{where}: start and end must be whole frame numbers (or both empty), found {row[1]!r},{row[2]!r}"
        ) from error
    if not 0 <= start < end:
        raise InputError(
            f"{where}: frames {start} to {end} are no interval: start counts from 0, end is the frame after "
            "the last abnormal one"
        )
    return name, [(start, end)]


def _read_regions(path: Path, rows: list[_Row]) -> dict[str, list[_RegionRow]]:
    n_cells = len(rows[0][1])
    by_video: dict[str, list[_RegionRow]] = {}
    for line, row in rows[1:]:
        where = f"{path}:{line}"
        if len(row) != n_cells or not row[0]:
            raise InputError(f"{where}: expected {','.join(rows[0][1])}, found {','.join(row)!r}")
        found = by_video.setdefault(name_without_suffix(row[0]), [])
        if any(row[1:]):
            found.append(_parse_region(where, row))
    return by_video


def _parse_region(where: str, row: list[str]) -> _RegionRow:
    try:
        frame = int(row[1])
        x1, y1, x2, y2 = (float(cell) for cell in row[2:6])
        track = int(row[6]) if len(row) > 6 and row[6] else NO_TRACK
    except ValueError as error:
        raise InputError(f"{where}: expected numbers, whole ones for frame and track ({error})") from error
    if frame < 0 or track < NO_TRACK:
        raise InputError(f"{where}: frame and track count from 0, found frame {frame} and track {track}")
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
