"""Read features that were made elsewhere, from the forms in which people keep them.

A source is a folder with a file per video, one file for one video, one file with an array or a group per
video (as `mulde cache export` writes it), or one array for a whole split with the length of each clip. A file
holds a row per frame, or rows with a `frame` each, or (as AI-VAD has it) one array of objects per frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mulde.data.cache.entries import COLUMNS
from mulde.data.errors import InputError
from mulde.data.exchange.clip_lengths import read_clip_lengths, resolve_lengths
from mulde.data.exchange.exports import LOOKED_AT
from mulde.data.exchange.tables import (
    SUFFIXES,
    ForeignTable,
    holds_videos,
    read_table,
    read_videos,
)
from mulde.data.exchange.traits import UNKNOWN, FeatureTraits
from mulde.data.features import FeatureRows, is_without_measurement
from mulde.data.files import is_hidden, name_without_suffix, natural_key
from mulde.data.foreign.limits import check_unpacked
from mulde.data.spelling import spell

_LONGEST_BYTES = 200
"""Of a part of a name; file systems take 255, of which some are for suffixes and temporary names."""


@dataclass(frozen=True)
class ForeignSource:
    """Where features are, and what the files do not say themselves."""

    path: Path
    """A file, or a folder with a file per video."""
    names: tuple[str, ...] | None = None
    """Names of the videos in a whole split, in order; 01, 02, … if not given."""
    clip_lengths: Path | None = None
    """File with the frames of each video, or their running sums."""
    lengths: tuple[int, ...] | None = None
    """The frames of each video, in place of the file."""
    boxes: Path | None = None
    """File with a box for each row, in the form of the features."""
    allow_pickle: bool = False
    """Whether arrays of Python objects may be read: reading them can run any program."""


@dataclass(frozen=True)
class ForeignVideo:
    """The features of one video."""

    name: str
    rows: FeatureRows
    n_frames: int
    fps: float | None
    """None where the file does not say."""
    seconds: NDArray[np.float64] | None
    """(n_frames,) when each frame is shown; None where the file does not say."""
    source: Path
    """The file that they come from."""
    is_of_objects: bool
    """Whether rows are about objects, of which a frame can have several or none, and not about frames."""
    looked_at_per_second: float | None = None
    """About how many frames a second were looked for objects; None for all."""
    traits: FeatureTraits = UNKNOWN
    """As far as the file says."""


def read_foreign(source: ForeignSource) -> Iterator[ForeignVideo]:
    """Yield the videos of a source in natural order, one at a time.

    Raises:
        InputError: something cannot be used; the text names the file and the row or frame.
    """
    if source.path.is_dir():
        yield from _read_folder(source)
    elif not source.path.is_file():
        raise InputError(f"features {source.path} are not there: check the path")
    elif holds_videos(source.path):
        yield from _read_videos(source)
    else:
        yield from _read_whole(source)


def _read_folder(source: ForeignSource) -> Iterator[ForeignVideo]:
    for value, setting in ((source.names, "names"), (source.boxes, "boxes")):
        if value is not None:
            raise InputError(
                f"`{setting}` is for one file of a whole split: in a folder each file says it itself"
            )
    files = _files_in(source.path)
    names = [name_without_suffix(file.relative_to(source.path).with_suffix("").as_posix()) for file in files]
    _check_names(names)
    lengths: Sequence[int | None] = _lengths(source, None) or [None] * len(files)
    if len(lengths) != len(files):
        raise InputError(f"{len(lengths)} lengths are given, but {source.path} holds {len(files)} files")
    for file, name, length in zip(files, names, lengths, strict=True):
        yield _video(name, read_table(file, source.allow_pickle), length, file)


def _files_in(folder: Path) -> list[Path]:
    found = [
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not any(map(is_hidden, path.relative_to(folder).parts))
    ]
    if not found:
        raise InputError(f"{folder} holds no file of features ({', '.join(SUFFIXES)})")
    return sorted(found, key=lambda path: natural_key(path.relative_to(folder).as_posix()))


def _read_whole(source: ForeignSource) -> Iterator[ForeignVideo]:
    """Read one file: of one video, or of a whole split where lengths are given."""
    table = read_table(source.path, source.allow_pickle)
    if source.boxes is not None:
        table = _with_boxes(table, read_table(source.boxes, source.allow_pickle))
    n_frames = table.n_frames
    if n_frames is None and "frame" not in table.columns:
        n_frames = len(table.columns["features"])
    lengths = _lengths(source, n_frames)
    if lengths is None:
        names = source.names or (name_without_suffix(source.path.stem),)
        _check_names(names, 1, "one file without clip lengths is one video")
        yield _video(names[0], table, None, source.path)
        return
    if "frame" in table.columns:
        _check_range(table, _frame_numbers(table), sum(lengths))
    names = source.names or numbered(len(lengths))
    _check_names(names, len(lengths), f"there are {len(lengths)} clip lengths")
    first = 0
    for name, length in zip(names, lengths, strict=True):
        yield _video(name, _part(table, first, first + length), length, source.path)
        first += length


def numbered(n: int) -> tuple[str, ...]:
    """Return the names 01, 02, … of n videos, all of one width."""
    width = max(2, len(str(n)))
    return tuple(f"{index:0{width}d}" for index in range(1, n + 1))


def _lengths(source: ForeignSource, n_frames: int | None) -> list[int] | None:
    if source.lengths is not None:
        if source.clip_lengths is not None:
            raise InputError("give `clip_lengths` or `lengths`, not both")
        if min(source.lengths) < 1 or n_frames not in (None, sum(source.lengths)):
            told = "" if n_frames is None else f" and add up to {n_frames}, the frames in {source.path}"
            raise InputError(
                f"`lengths` add up to {sum(source.lengths)}: they must be at least 1 frame each{told}"
            )
        return list(source.lengths)
    if source.clip_lengths is None:
        return None
    where = f"clip lengths {source.clip_lengths}"
    return resolve_lengths(read_clip_lengths(source.clip_lengths), n_frames, where)


def _check_names(names: Sequence[str], n: int | None = None, reason: str = "") -> None:
    if n is not None and len(names) != n:
        raise InputError(f"{len(names)} video names are given, but {reason}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"two videos would be called {twice[0]}: names must differ")
    for name in names:
        if not name or name.startswith("/") or ".." in name.split("/"):
            raise InputError(f"{name!r} is no video name: give a relative path without '..'")
        if any(len(part.encode()) > _LONGEST_BYTES for part in name.split("/")):
            raise InputError(f"{name!r} is too long for the name of a file: shorten it")


def _part(table: ForeignTable, first: int, stop: int) -> ForeignTable:
    """Return the rows of the frames [first, stop), counted from its start."""
    rows = slice(first, stop)
    if "frame" in table.columns:
        rows = slice(*map(int, np.searchsorted(_frame_numbers(table), (first, stop))))
    columns = {name: values[rows] for name, values in table.columns.items() if name != "frame_seconds"}
    columns |= {name: columns[name] - first for name in ("frame", "start", "stop") if name in columns}
    return replace(table, columns=columns, n_frames=stop - first, first_row=rows.start, first_frame=first)


def _video(name: str, table: ForeignTable, length: int | None, source: Path) -> ForeignVideo:
    rows = _rows(table)
    n_frames = table.n_frames if length is None else length
    if "frame" not in table.columns:
        n_frames = len(rows) if n_frames is None else n_frames
        if n_frames != len(rows):
            raise InputError(
                f"{table.where} has {len(rows)} rows, one a frame, but {n_frames} frames are told"
            )
    if n_frames is None:
        raise InputError(
            f"{table.where}: how many frames has the video? Rows with `frame` do not tell: put n_frames into "
            "the file, or give `lengths` or `clip_lengths`"
        )
    if table.n_frames is not None and length is not None and table.n_frames != length:
        raise InputError(f"{table.where} is of {table.n_frames} frames, but its length is given as {length}")
    if n_frames < 0:
        raise InputError(f"{table.where} claims {n_frames} frames")
    check_unpacked(f"{table.where}: the times of {n_frames} frames", 8 * n_frames, rows.features.nbytes)
    _check_range(table, rows.frame, n_frames)
    fps = table.fps
    if fps is not None and not (np.isfinite(fps) and fps > 0):
        raise InputError(f"{table.where}: fps is {fps}, but must be above 0")
    rate = table.looked_at_per_second
    if rate is not None and not (np.isfinite(rate) and rate > 0):
        raise InputError(f"{table.where}: {LOOKED_AT} is {rate}, but must be above 0")
    has_several = bool((np.diff(rows.frame) == 0).any())
    return ForeignVideo(
        name, rows, n_frames, fps,
        _frame_seconds(table, n_frames),
        source,
        is_of_objects=table.is_of_objects or rows.box_xyxy is not None or has_several,
        looked_at_per_second=rate,
        traits=table.traits,
    )  # fmt: skip


def _frame_seconds(table: ForeignTable, n_frames: int) -> NDArray[np.float64] | None:
    """Return when each frame is shown, from the first on; None where the table does not say."""
    given = table.columns.get("frame_seconds")
    if given is None:
        return None
    if np.shape(given) != (n_frames,):
        raise InputError(f"{table.where}: frame_seconds has shape {np.shape(given)}, not ({n_frames},)")
    if np.asarray(given).dtype.kind not in "iuf":
        raise InputError(f"{table.where}: frame_seconds holds {np.asarray(given).dtype}, not numbers")
    seconds = np.asarray(given, np.float64)
    if not np.isfinite(seconds).all() or (np.diff(seconds) < 0).any():
        raise InputError(f"{table.where}: frame_seconds must be finite and must not go back")
    return seconds - seconds[:1]


def _check_range(table: ForeignTable, frame: NDArray[np.int64], n_frames: int) -> None:
    if len(frame) and not 0 <= frame[0] <= frame[-1] < n_frames:
        raise InputError(
            f"{table.where} has rows of frames {frame[0]} to {frame[-1]}, but there are {n_frames} frames, "
            "counted from 0"
        )


def _rows(table: ForeignTable) -> FeatureRows:
    """Check the columns of a table and return them as rows."""
    features = _features(table)
    n_rows = len(features)
    frame = _frame_numbers(table) if "frame" in table.columns else np.arange(n_rows)
    columns: dict[str, NDArray[Any]] = {}
    for name, shape, dtype in (
        ("box", (n_rows, 4), np.float32), ("start", (n_rows,), np.int64), ("stop", (n_rows,), np.int64),
    ):  # fmt: skip
        if name in table.columns:
            values = np.asarray(table.columns[name])
            if values.shape != shape or values.dtype.kind not in "iuf" or not np.isfinite(values).all():
                raise InputError(
                    f"{table.where}: {name} has shape {values.shape}, expected {shape} finite numbers"
                )
            columns[COLUMNS[name]] = values.astype(dtype)
    try:
        return FeatureRows(features, frame.astype(np.int64), **columns)
    except ValueError as error:
        raise InputError(f"{table.where}: {error}") from None


def _features(table: ForeignTable) -> NDArray[np.float32]:
    values = np.asarray(table.columns["features"])
    if values.ndim != 2 or values.dtype.kind not in "iufb" or not values.shape[1]:
        raise InputError(
            f"{table.where}: features have shape {values.shape} of {values.dtype}, not (rows, D) numbers"
        )
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused
        features: NDArray[np.float32] = values.astype(np.float32)
    wrong = np.flatnonzero(~np.isfinite(features).all(axis=1) & ~is_without_measurement(features))
    if len(wrong):
        at = f"row {table.first_row + wrong[0]}"
        if table.is_of_objects and "frame" in table.columns:
            at = f"an object of frame {table.first_frame + table.columns['frame'][wrong[0]]}"
        raise InputError(
            f"{table.where}: {at} holds NaN or infinite values (or beyond float32); only a row that is NaN "
            "as a whole is allowed, for an object without this measurement"
        )
    return features


def _frame_numbers(table: ForeignTable) -> NDArray[np.int64]:
    frame = np.asarray(table.columns["frame"])
    is_whole = (
        frame.dtype.kind in "iuf" and np.isfinite(frame).all() and np.array_equal(frame, np.floor(frame))
    )
    if frame.ndim != 1 or not is_whole:
        raise InputError(f"{table.where}: frame must hold a whole number per row, 0-based")
    wrong = np.flatnonzero(np.diff(frame.astype(np.int64)) < 0)
    if len(wrong):
        row = int(wrong[0]) + 1
        raise InputError(
            f"{table.where}: row {table.first_row + row} is of frame {int(frame[row])}, the row before of "
            f"frame {int(frame[row - 1])}: sort the rows by frame"
        )
    return frame.astype(np.int64)


def _with_boxes(table: ForeignTable, boxes: ForeignTable) -> ForeignTable:
    values = boxes.columns["features"]
    same_frames = "frame" not in boxes.columns or np.array_equal(
        boxes.columns["frame"], table.columns.get("frame", np.arange(len(table.columns["features"])))
    )
    if not same_frames or len(values) != len(table.columns["features"]):
        raise InputError(f"{boxes.where} and {table.where} differ in their number of objects in a frame")
    return replace(table, columns={**table.columns, "box": values})


def _read_videos(source: ForeignSource) -> Iterator[ForeignVideo]:
    for value, setting in (
        (source.names, "names"), (source.boxes, "boxes"), (source.lengths, "lengths"),
        (source.clip_lengths, "clip_lengths"),
    ):  # fmt: skip
        if value is not None:
            raise InputError(
                f"`{setting}` is not for {source.path}, which holds an array or a group per video"
            )
    for raw, table in read_videos(source.path):
        name = spell(raw)
        _check_names([name])
        yield _video(name, table, None, source.path)
