"""Which frames of which video are abnormal."""

from __future__ import annotations

import csv
import difflib
import hashlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mulde.data.errors import InputError
from mulde.data.files import is_hidden, name_without_suffix, natural_key
from mulde.data.video import Video

logger = logging.getLogger(__name__)

T = TypeVar("T")
Interval = tuple[int, int]
"""The first abnormal frame and the one after the last: 0-based, half-open."""

CSV_HEADER = ["video", "start", "end"]
ARRAY_SUFFIXES = frozenset({".npy", ".txt"})


@dataclass(frozen=True, eq=False)
class Labels:
    """The abnormal frames of some videos, as intervals or frame by frame.

    A video that is not in here is unlabelled, which is not the same as normal throughout. Names are found
    with or without the suffix of a video file.
    """

    intervals: Mapping[str, tuple[Interval, ...]] = field(default_factory=dict)
    """By video name; () says that the whole video is normal. Intervals may overlap."""
    arrays: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    """By video name: (n_frames,) uint8, 1 = abnormal, 0 = normal."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "intervals", _by_plain_name(self.intervals))
        object.__setattr__(self, "arrays", _by_plain_name(self.arrays))
        for name in self.intervals.keys() & self.arrays.keys():
            raise InputError(f"video {name} is labelled by intervals and frame by frame: keep one")
        for name, intervals in self.intervals.items():
            for start, end in intervals:
                if not 0 <= start < end:
                    raise InputError(
                        f"labels for {name}: frames {start} to {end} (exclusive) are no interval"
                    )
        for name, array in self.arrays.items():
            if array.ndim != 1 or array.dtype != np.uint8 or np.any(array > 1):
                raise InputError(f"labels for {name}: expected one uint8, 0 or 1, a frame")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the labelled videos in natural order, without suffix."""
        return tuple(sorted((*self.intervals, *self.arrays), key=natural_key))

    @property
    def digest(self) -> str:
        """Short hash of the content, the same whatever order or kind of file it was read from."""
        total = hashlib.blake2b(digest_size=8)
        for name in sorted(self.names):
            if name in self.intervals:
                content = f"intervals {sorted(set(self.intervals[name]))}".encode()
            else:
                content = b"frames " + self.arrays[name].tobytes()
            total.update(f"{name}\0{len(content)}\0".encode() + content)
        return total.hexdigest()

    def has(self, name: str) -> bool:
        """Whether the video is labelled."""
        name = name_without_suffix(name)
        return name in self.intervals or name in self.arrays

    def frames(self, name: str, n_frames: int) -> NDArray[np.uint8]:
        """Give the label of every frame of a video.

        Args:
            name: The video's name.
            n_frames: How many of its frames decode.

        Returns:
            (n_frames,) uint8, 1 = abnormal. Frame-by-frame labels that are one longer lose the last, those
            that are one shorter repeat it (decoders differ by one frame at the end); a warning is logged.

        Raises:
            InputError: The video is not labelled, or its labels do not fit `n_frames`.
        """
        plain_name = name_without_suffix(name)
        if plain_name in self.intervals:
            return _frames_from_intervals(plain_name, self.intervals[plain_name], n_frames)
        if plain_name in self.arrays:
            return _frames_from_array(plain_name, self.arrays[plain_name], n_frames)
        raise InputError(f"no labels for video {name}{_nearest(name, self.names)}")

    def check_against(self, videos: Iterable[Video]) -> tuple[Video, ...]:
        """Check that all labels are for these videos, and give the videos without labels.

        Raises:
            InputError: There are labels for a video that is not among them; the text names similar ones.
        """
        videos = tuple(videos)
        known = {name_without_suffix(video.name) for video in videos}
        unknown = [name for name in self.names if name not in known]
        if unknown:
            more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
            raise InputError(
                f"labels for video {unknown[0]}{more}, which is not there{_nearest(unknown[0], known)}; "
                "correct the name, or take the label out"
            )
        return tuple(video for video in videos if not self.has(video.name))


def read_labels(path: Path) -> Labels:
    """Read labels from a CSV file of intervals, or from 0/1 a frame in .npy or .txt files.

    - CSV: header `video,start,end`, a row an interval, 0-based, end exclusive; empty start and end for a
      video that is normal throughout.
    - .npy or .txt: one value a frame, the file is named as the video. A folder is searched with its
      sub-folders.

    Raises:
        InputError: What was read is not that; the text names the file and the line.
    """
    path = Path(path)
    if path.is_dir():
        return Labels(arrays=_read_array_folder(path))
    if not path.is_file():
        raise InputError(f"labels {path} are not there: check the path")
    if path.suffix.lower() == ".csv":
        return Labels(intervals=_read_csv(path))
    if path.suffix.lower() in ARRAY_SUFFIXES:
        return Labels(arrays={path.stem: _read_array(path)})
    raise InputError(f"labels {path} are not .csv (video,start,end), .npy or .txt (0/1 a frame), or a folder")


def _by_plain_name(by_name: Mapping[str, T]) -> dict[str, T]:
    plain: dict[str, T] = {}
    for name, value in by_name.items():
        key = name_without_suffix(name)
        if key in plain:
            raise InputError(f"labels name video {key} twice, with and without a suffix: keep one")
        plain[key] = value
    return plain


def _nearest(name: str, known: Iterable[str]) -> str:
    """Give the end of a message that names the known names nearest to `name`."""
    known = sorted(known, key=natural_key)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or known[:3]
    return f"; the nearest are {', '.join(near)}" if near else ""


def _frames_from_intervals(name: str, intervals: tuple[Interval, ...], n_frames: int) -> NDArray[np.uint8]:
    last = max((end for _, end in intervals), default=0)
    if last > n_frames:
        raise InputError(
            f"labels for {name} reach frame {last}, but it has {n_frames} decoded frames: "
            "are they for another version of the video, or in other units?"
        )
    frames = np.zeros(n_frames, dtype=np.uint8)
    for start, end in intervals:
        frames[start:end] = 1
    return frames


def _frames_from_array(name: str, array: NDArray[np.uint8], n_frames: int) -> NDArray[np.uint8]:
    if abs(len(array) - n_frames) > 1 or len(array) == 0:
        raise InputError(
            f"labels for {name} are for {len(array)} frames, but it has {n_frames} decoded frames: "
            "are they for another version of the video?"
        )
    if len(array) != n_frames:
        logger.warning("labels for %s are for %d frames, %d are decoded", name, len(array), n_frames)
    fitted: NDArray[np.uint8] = np.pad(array, (0, 1), mode="edge")[:n_frames]
    return fitted


def _read_csv(path: Path) -> dict[str, tuple[Interval, ...]]:
    try:
        with path.open(
            encoding="utf-8-sig", newline=""
        ) as stream:  # -sig: spreadsheets write a byte-order mark
            reader = csv.reader(stream)
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is no CSV text in UTF-8 ({error}): save it as CSV UTF-8") from error
    rows = [(line, row) for line, row in rows if any(row)]
    if not rows or [cell.lower() for cell in rows[0][1]] != CSV_HEADER:
        found = ",".join(rows[0][1])[:80] if rows else "nothing"
        raise InputError(f"{path}:1: the first line must be {','.join(CSV_HEADER)}, found {found!r}")
    intervals: dict[str, list[Interval]] = {}
    for line, row in rows[1:]:
        name, found_interval = _parse_row(f"{path}:{line}", row)
        intervals.setdefault(name, []).extend(found_interval)
    return {name: tuple(found) for name, found in intervals.items()}


def _parse_row(where: str, row: list[str]) -> tuple[str, list[Interval]]:
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


def _read_array_folder(folder: Path) -> dict[str, NDArray[np.uint8]]:
    files: dict[str, Path] = {}
    for file in sorted(folder.rglob("*")):
        relative = file.relative_to(folder)
        if file.suffix.lower() not in ARRAY_SUFFIXES or any(is_hidden(part) for part in relative.parts):
            continue
        name = name_without_suffix(relative.with_suffix("").as_posix())
        if name in files:
            raise InputError(f"{files[name]} and {file} both label video {name}: keep one")
        files[name] = file
    if not files:
        raise InputError(
            f"labels folder {folder} holds no .npy or .txt file (0/1 a frame, named as the video)"
        )
    return {name: _read_array(file) for name, file in files.items()}


def _read_array(path: Path) -> NDArray[np.uint8]:
    try:
        if path.suffix.lower() == ".npy":
            values = np.asarray(np.load(path, allow_pickle=False))
        else:
            text = path.read_text(encoding="utf-8-sig").replace(",", " ")
            values = np.array([float(word) for word in text.split()])
        is_0_or_1 = bool(np.isin(values, (0, 1)).all())
    except (ValueError, EOFError, TypeError) as error:
        raise InputError(f"{path} is not 0/1 a frame ({error})") from error
    if not is_0_or_1 or values.size == 0 or values.size != max(values.shape, default=0):
        raise InputError(
            f"{path} must hold one 0 (normal) or 1 (abnormal) a frame, found shape {values.shape}"
        )
    return values.reshape(-1).astype(np.uint8)
