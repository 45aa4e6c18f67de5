"""The score files of a run: a CSV of frames and an HDF5 file of what they were made from, for each video."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mulde.data.atomic import encode, replacing, write_bytes
from mulde.data.errors import InputError
from mulde.data.files import sizes_and_times
from mulde.data.foreign.hdf5 import open_plain, own_dataset, own_group, read_array
from mulde.data.foreign.text import parse_json
from mulde.data.harmless import require_harmless
from mulde.data.hdf5 import new_hdf5, open_to_write
from mulde.data.sealed import ChangedError, check, digest
from mulde.detector import interpolate_frames, max_over_objects
from mulde.pipeline.runs.folder import RunFolder

_SMOOTHED, _UNSMOOTHED = "frame_score", "frame_score_unsmoothed"
_CSV_CHECKSUM = "csv_checksum"  # a CSV file has no place for its own
_FRAME, _BOX, _OBJECT_SCORE, _TOTAL = "frame", "box", "object_score", "total"
_LOOKED_AT, _ROW, _SCORE = "looked_at", "row", "score"
_OF_DAMAGE = (OSError, ValueError, LookupError, AttributeError, TypeError, OverflowError, RuntimeError)
"""What h5py raises, and what is done with values that are others than expected."""
_WRITTEN = "score_files"
"""In the state of a run: sizes and times of both files, by video."""


@dataclass(frozen=True)
class ScoredVideo:
    """What the score files of a run hold of the frames of a video; higher = more anomalous."""

    name: str
    scores: NDArray[np.float64]
    """(T,) after smoothing."""
    unsmoothed: NDArray[np.float64]
    """(T,)"""
    seconds: NDArray[np.float64]
    """(T,), when each frame is shown, from the first one on."""
    fps: float
    """Frames per second, as the file claims."""
    warnings: tuple[str, ...] = ()
    """What decoding found."""
    note: str = ""
    """Which frames have no row of their own, if any; they have interpolated scores."""

    def __post_init__(self) -> None:
        if not self.scores.shape == self.unsmoothed.shape == self.seconds.shape:
            raise ValueError(
                f"{self.name}: {self.scores.shape} scores, {self.unsmoothed.shape} unsmoothed and "
                f"{self.seconds.shape} times differ in shape"
            )


@dataclass(frozen=True)
class ScoredObjects:
    """The objects of a video with their scores; higher = more anomalous."""

    frame: NDArray[np.int64]
    """(N,), the 0-based frame of each."""
    box_xyxy: NDArray[np.float32]
    """(N, 4) in pixels."""
    streams: Mapping[str, NDArray[np.float64]]
    """(N,) each, calibrated, by name."""
    total: NDArray[np.float64]
    """(N,), their sum or maximum, each bent beyond 1 unless `log_tail` is off; of windows, see
    `ScoreConfig.n_overlapping`."""

    def __post_init__(self) -> None:
        _require_boxes(self.box_xyxy, self.frame)
        if any(values.shape != self.frame.shape for values in (*self.streams.values(), self.total)):
            raise ValueError(f"the scores of {self.frame.shape} objects are not as many")


@dataclass(frozen=True)
class RowsBehind:
    """The rows that the frame scores of a video were made from; higher = more anomalous."""

    frame: Mapping[str, NDArray[np.int64]]
    """(N,) by stream, the 0-based frame of each row, never decreasing."""
    scores: Mapping[str, NDArray[np.float64]]
    """(N,) by stream, calibrated."""
    total: NDArray[np.float64] | None
    """(N,), the total where rows are of objects, row i of each stream the same one; None of whole frames."""
    box_xyxy: NDArray[np.float32] | None
    """(N, 4) in pixels, of objects; None where there are none."""

    def __post_init__(self) -> None:
        for stream, values in self.scores.items():
            if values.ndim != 1 or values.shape != self.frame[stream].shape:
                raise ValueError(f"{stream} has scores {values.shape} of frames {self.frame[stream].shape}")
        n_rows = {values.shape for values in self.scores.values()}
        if self.total is not None and n_rows - {self.total.shape}:
            raise ValueError(f"{self.total.shape} objects have scores {sorted(n_rows)}")
        if self.box_xyxy is not None and self.total is not None:
            _require_boxes(self.box_xyxy, self.total)


def _require_boxes(box_xyxy: NDArray[np.float32], objects: NDArray[Any]) -> None:
    if objects.ndim != 1 or box_xyxy.shape != (len(objects), 4):
        raise ValueError(f"{objects.shape} objects have boxes {box_xyxy.shape}")


def object_datasets(
    frame: NDArray[np.int64],
    box_xyxy: NDArray[np.float32] | None,
    streams: Mapping[str, NDArray[np.float64]],
    total: NDArray[np.float64],
) -> dict[str, NDArray[Any]]:
    """Return what a video's HDF5 file holds of its objects, by name."""
    boxes = {} if box_xyxy is None else {_BOX: box_xyxy}
    scores = {f"{_OBJECT_SCORE}/{name}": values for name, values in {**streams, _TOTAL: total}.items()}
    return {_FRAME: frame, **boxes, **scores}


def row_datasets(
    stream: str,
    frame: NDArray[np.int64],
    scores: NDArray[np.float64],
    spans: Mapping[str, NDArray[np.int64]],
) -> dict[str, NDArray[Any]]:
    """Return what a video's HDF5 file holds of the rows of a stream of whole frames or clips, by name.

    Args:
        spans: of clips, "start" and "stop"; empty otherwise.
    """
    return {
        f"{_ROW}/{stream}/{name}": part for name, part in {_FRAME: frame, _SCORE: scores, **spans}.items()
    }


def write_scores(run: RunFolder, video: ScoredVideo, datasets: Mapping[str, NDArray[Any]]) -> None:
    """Write both files of a video as `write_score_files` does, and keep what they are like."""
    write_score_files(run, video, datasets)
    note_written(run, video.name)


def write_score_files(run: RunFolder, video: ScoredVideo, datasets: Mapping[str, NDArray[Any]]) -> None:
    """Write both files of a video; whether frames alarm is not known yet, see `write_alarms`.

    The state of the run is left alone: of several processes one has to `note_written`.

    Args:
        datasets: what the scores were made from, by name in the HDF5 file.
    """
    run.require_inside(run.csv(video.name).parent)
    table = encode(to_csv(video))
    run.objects(video.name).unlink(missing_ok=True)  # it has the checksum of the table of before
    write_bytes(run.csv(video.name), table)
    with new_hdf5(run.objects(video.name), libver="earliest") as file:
        file.attrs[_CSV_CHECKSUM] = digest(table)
        file.attrs["fps"] = video.fps
        file.attrs["warnings"] = json.dumps(video.warnings)
        file.attrs["interpolation"] = video.note
        file[_SMOOTHED], file[_UNSMOOTHED] = video.scores, video.unsmoothed
        for dataset, values in datasets.items():
            file[dataset] = values


def note_written(run: RunFolder, *names: str) -> None:
    """Keep what both score files of videos are like now that they are whole."""
    run.remember(_WRITTEN, _states(run, names))


def _states(run: RunFolder, names: Iterable[str]) -> dict[str, str]:
    """Return what both score files of videos are like, where both are there, in one text for each."""
    names, folder = tuple(names), str(run.scores)
    states = zip(sizes_and_times(folder, names, ".csv"), sizes_and_times(folder, names, ".h5"), strict=True)
    return {
        name: f"{table[0]} {table[1]} {objects[0]} {objects[1]}"
        for name, (table, objects) in zip(names, states, strict=True)
        if table and objects
    }


def those_whole(run: RunFolder, names: Iterable[str]) -> set[str]:
    """Return the videos whose score files are both there and are what was written.

    They are read only where their sizes or times have changed since: all that read scores look again.
    """
    written = run.fingerprints(_WRITTEN)
    states = _states(run, names)
    return {name for name, state in states.items() if state == written.get(name) or _is_whole(run, name)}


def with_scores(run: RunFolder, names: Iterable[str]) -> list[str]:
    """Return the videos, in order, of which there is a CSV file."""
    names = tuple(names)
    states = sizes_and_times(str(run.scores), names, ".csv")
    return [name for name, state in zip(names, states, strict=True) if state]


def _is_whole(run: RunFolder, name: str) -> bool:
    try:
        _check(run, name)
    except (OSError, InputError):
        return False
    return True


def has_checksum(path: Path) -> bool:
    """Read the CSV file of a video in full; return whether the file beside it has its checksum.

    Raises:
        ChangedError: the checksum is not that of the content.
    """
    beside = path.with_name(f"{path.stem}.h5")
    try:
        with _open_objects(beside) as file:
            known = file.attrs.get(_CSV_CHECKSUM)
    except _OF_DAMAGE:  # that one is damaged, or of something else
        return False
    if known is not None:
        _compare(known, path, path.read_bytes())
    return known is not None


def _compare(known: object, path: Path, table: bytes) -> None:
    """Raise ChangedError where the checksum that lies beside a CSV file is not that of its content."""
    if not isinstance(known, str) or known != digest(table):
        raise ChangedError(f"{path} was changed after it was written")


def check_objects(path: Path) -> str | None:
    """Read the HDF5 file of a video in full; return what is wrong with it, or None."""
    try:
        with _open_objects(path) as file:
            _read(file, _UNSMOOTHED)
    except _OF_DAMAGE as error:
        return str(_damaged(path, error))
    return None


def _check(run: RunFolder, name: str) -> None:
    """Read both score files of a video in full.

    Raises:
        InputError: they are missing or damaged, or not of one another.
    """
    with open_scores(run, name) as files:
        files.read_table()


class ScoreFiles:
    """Both score files of a video, opened together for whoever reads several things of them.

    What is damaged raises InputError when it is reached.
    """

    def __init__(self, run: RunFolder, name: str, file: h5py.File) -> None:
        self._name, self._file = name, file
        self._csv, self._path = run.csv(name), run.objects(name)

    def read_table(self) -> bytes:
        """Return the content of the CSV file, which is the one that the other was written with."""
        with _naming(self._csv):
            own_dataset(self._file, _UNSMOOTHED)  # else it is whole, but of something else
            content, known = self._csv.read_bytes(), self._file.attrs.get(_CSV_CHECKSUM)
            if known is not None:
                _compare(known, self._csv, content)
            return content

    def scores(self) -> ScoredVideo:
        """Return the frame scores."""
        table, file = self.read_table(), self._file
        with _naming(self._csv):
            lines = table.decode("utf-8").splitlines()[1:]
            columns = np.loadtxt(lines, delimiter=",", usecols=(1, 2), ndmin=2) if lines else np.empty((0, 2))
            unsmoothed = _read(file, _UNSMOOTHED).astype(np.float64)
            fps, warnings = float(file.attrs["fps"]), tuple(map(str, parse_json(file.attrs["warnings"])))
            note = str(file.attrs.get("interpolation", ""))
            if unsmoothed.ndim != 1 or not fps > 0:
                raise ValueError(f"{unsmoothed.shape} scores at {fps} frames per second")
        if len(columns) != len(unsmoothed):
            raise InputError(f"{self._csv} has {len(columns)} rows, but {len(unsmoothed)} frames were scored")
        seconds, scores = columns.reshape(-1, 2).T
        return ScoredVideo(self._name, scores, unsmoothed, seconds, fps, warnings, note)

    def objects(self) -> ScoredObjects | None:
        """Return the scored objects; None where whole frames were scored, or objects without boxes."""
        with _naming(self._path):
            if _BOX not in self._file:
                return None
            streams = _read_all(own_group(self._file, _OBJECT_SCORE))
            total = streams.pop(_TOTAL)
            return ScoredObjects(_read(self._file, _FRAME), _read(self._file, _BOX), streams, total)

    def rows_behind(self) -> RowsBehind:
        """Return the rows that the scores were made from."""
        file = self._file
        with _naming(self._path):
            if _OBJECT_SCORE in file:
                scores = _read_all(own_group(file, _OBJECT_SCORE))
                total, frame = scores.pop(_TOTAL), _read(file, _FRAME)
                boxes = _read(file, _BOX) if _BOX in file else None
                return RowsBehind(dict.fromkeys(scores, frame), scores, total, boxes)
            rows = own_group(file, _ROW) if _ROW in file else {}
            return RowsBehind(
                {stream: _read(own_group(rows, stream), _FRAME) for stream in rows},
                {stream: _read(own_group(rows, stream), _SCORE) for stream in rows},
                None,
                None,
            )

    def stream_scores(self, position: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Return the highest score of each stream in each frame, (n_frames,) by name.

        Frames that were not looked at have what lies between their neighbours.

        Args:
            position: (n_frames,), where each frame is in time, see `mulde.data.times.positions`.
        """
        behind, looked_at, n_frames = self.rows_behind(), self.looked_at(), len(position)
        curves = {}
        with _naming(self._path):  # of frames that the video does not have, or that are none
            for stream, scores in behind.scores.items():
                frame = behind.frame[stream]
                if behind.total is not None:  # of objects: a frame that was looked at may have none
                    highest = max_over_objects(scores, frame, n_frames, nothing=0.0)
                    frame = np.arange(n_frames) if looked_at is None else looked_at
                    scores = highest[frame]
                curves[stream] = interpolate_frames(scores, position[frame], position, nothing=0.0)
        return curves

    def objects_per_frame(self) -> float | None:
        """Return how many objects a frame that was looked at has on average; None where frames are whole."""
        file = self._file
        with _naming(self._path):
            if _FRAME not in file:
                return None
            n_frames = len(file[_LOOKED_AT if _LOOKED_AT in file else _SMOOTHED])
            return len(file[_FRAME]) / n_frames if n_frames else None

    def looked_at(self) -> NDArray[np.int64] | None:
        """Return the frames in which objects were looked for, in order; None for all of them."""
        with _naming(self._path):
            return _read(self._file, _LOOKED_AT) if _LOOKED_AT in self._file else None


@contextmanager
def open_scores(run: RunFolder, name: str) -> Iterator[ScoreFiles]:
    """Open the score files of a video.

    Raises:
        InputError: they are missing or damaged.
    """
    with ExitStack() as stack:
        with _naming(run.objects(name)):
            file = stack.enter_context(_open_objects(run.objects(name)))
        yield ScoreFiles(run, name, file)


def read_scores(run: RunFolder, name: str) -> ScoredVideo:
    """Read the frame scores of a video back.

    Raises:
        InputError: they are missing or damaged.
    """
    with open_scores(run, name) as files:
        return files.scores()


def read_objects(run: RunFolder, name: str) -> ScoredObjects | None:
    """Read the scored objects of a video; None where whole frames were scored, or objects without boxes.

    Raises:
        InputError: they are missing or damaged.
    """
    with open_scores(run, name) as files:
        return files.objects()


def read_rows_behind(run: RunFolder, name: str) -> RowsBehind:
    """Read the rows that the scores of a video were made from.

    Raises:
        InputError: they are missing or damaged.
    """
    with open_scores(run, name) as files:
        return files.rows_behind()


def read_looked_at(run: RunFolder, name: str) -> NDArray[np.int64] | None:
    """Read the frames of a video in which objects were looked for, in order; None for all of them.

    Raises:
        InputError: the file is missing or damaged.
    """
    with open_scores(run, name) as files:
        return files.looked_at()


def read_datasets(run: RunFolder, name: str) -> dict[str, NDArray[Any]]:
    """Read what the scores of a video were made from, by name in its HDF5 file.

    Raises:
        InputError: it is missing or damaged.
    """
    names: list[str] = []

    def keep(dataset: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset) and dataset not in (_SMOOTHED, _UNSMOOTHED):
            names.append(dataset)

    try:
        with _open_objects(run.objects(name)) as file:
            file.visititems(keep)
            return {dataset: _read(file, dataset) for dataset in names}
    except _OF_DAMAGE as error:
        raise _damaged(run.objects(name), error) from None


def write_alarms(run: RunFolder, video: ScoredVideo, is_alarm: NDArray[np.bool_] | None) -> None:
    """Write the CSV file of a video again, with which of its frames (T,) are of an alarm, if that is news.

    Args:
        is_alarm: None where that cannot be told.
    """
    table, path, beside = encode(to_csv(video, is_alarm)), run.csv(video.name), run.objects(video.name)
    if path.read_bytes() == table:
        return
    require_harmless(beside)
    with replacing(beside) as temporary:  # a kill in between is found, and the video scored again
        shutil.copyfile(beside, temporary)
        with open_to_write(temporary, "r+") as file:
            file.attrs[_CSV_CHECKSUM] = digest(table)
        write_bytes(path, table)
    note_written(run, video.name)


def to_csv(video: ScoredVideo, is_alarm: NDArray[np.bool_] | None = None) -> str:
    """Return frame, time, score and alarm (1 or 0, "" while it is not known) of each frame, as the file has
    them.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["frame", "time", "score", "alarm"])
    alarms = [""] * len(video.scores) if is_alarm is None else is_alarm.astype(int).tolist()
    for index, (second, value, alarm) in enumerate(zip(video.seconds, video.scores, alarms, strict=True)):
        # repr of a float is the shortest text that reads back as the same number
        writer.writerow([index, f"{second:.6f}", repr(float(value)), alarm])
    return text.getvalue()


@contextmanager
def _open_objects(path: Path) -> Iterator[h5py.File]:
    """Open the HDF5 file of a video for reading.

    Raises:
        InputError: it is damaged, as its checksum tells, or holds what mulde writes none of.
        OSError: it cannot be read.
    """
    check(path)
    require_harmless(path)
    with open_plain(path) as file:
        yield file


def _read(group: h5py.Group, name: str) -> NDArray[Any]:
    return read_array(own_dataset(group, name))


def _read_all(group: h5py.Group) -> dict[str, NDArray[Any]]:
    return {name: _read(group, name) for name in group}


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Have what goes wrong with the score files of a video say which of them it is, and the way out."""
    try:
        yield
    except _OF_DAMAGE as error:
        raise _damaged(path, error) from None


def _damaged(path: object, error: Exception) -> InputError:
    if isinstance(error, ChangedError):
        return InputError(f"{error}: run `mulde score` again")
    return InputError(f"scores {path} are missing or damaged ({error}): run `mulde score` again")
