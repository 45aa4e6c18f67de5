"""The score files of a run: a CSV of frames and an HDF5 file of what they were made from, for each video."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mulde.data.atomic import replacing, write_text
from mulde.data.errors import InputError
from mulde.data.times import mean_rate
from mulde.detector import interpolate_frames, max_over_objects
from mulde.pipeline.runs.folder import RunFolder

_SMOOTHED, _UNSMOOTHED = "frame_score", "frame_score_unsmoothed"
_FRAME, _BOX, _OBJECT_SCORE, _TOTAL = "frame", "box", "object_score", "total"
_LOOKED_AT, _ROW = "looked_at", "row"


@dataclass(frozen=True)
class ScoredVideo:
    """The frame scores of a video; higher = more anomalous."""

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

    @property
    def frames_per_second(self) -> float:
        """By the frames' own times; where there is one frame only, what the file claims."""
        return mean_rate(self.seconds) or self.fps

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
    """(N,), their sum."""


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


def write_scores(run: RunFolder, video: ScoredVideo, datasets: Mapping[str, NDArray[Any]]) -> None:
    """Write both files of a video.

    Args:
        datasets: what the scores were made from, by name in the HDF5 file.
    """
    write_text(run.csv(video.name), to_csv(video))
    with replacing(run.objects(video.name)) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["fps"] = video.fps
        file.attrs["warnings"] = json.dumps(video.warnings)
        file.attrs["interpolation"] = video.note
        file[_SMOOTHED], file[_UNSMOOTHED] = video.scores, video.unsmoothed
        for dataset, values in datasets.items():
            file[dataset] = values


def read_scores(run: RunFolder, name: str) -> ScoredVideo:
    """Read the frame scores of a video back.

    Raises:
        InputError: they are missing or damaged.
    """
    path = run.csv(name)
    try:
        columns = np.loadtxt(path, delimiter=",", skiprows=1, usecols=(1, 2), dtype=np.float64, ndmin=2)
        with h5py.File(run.objects(name), "r") as file:
            unsmoothed = file[_UNSMOOTHED][()]
            fps, warnings = float(file.attrs["fps"]), tuple(json.loads(file.attrs["warnings"]))
            note = str(file.attrs.get("interpolation", ""))
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise _damaged(path, error) from None
    if len(columns) != len(unsmoothed):
        raise InputError(f"{path} has {len(columns)} rows, but {len(unsmoothed)} frames were scored")
    seconds, scores = columns.reshape(-1, 2).T
    return ScoredVideo(name, scores, unsmoothed, seconds, fps, warnings, note)


def read_objects(run: RunFolder, name: str) -> ScoredObjects | None:
    """Read the scored objects of a video; None where whole frames were scored, or objects without boxes.

    Raises:
        InputError: they are missing or damaged.
    """
    path = run.objects(name)
    try:
        with h5py.File(path, "r") as file:
            if _BOX not in file:
                return None
            scores = {stream: values[()] for stream, values in file[_OBJECT_SCORE].items()}
            return ScoredObjects(file[_FRAME][()], file[_BOX][()], scores, scores.pop(_TOTAL))
    except (OSError, KeyError) as error:
        raise _damaged(path, error) from None


def read_datasets(run: RunFolder, name: str) -> dict[str, NDArray[Any]]:
    """Read what the scores of a video were made from, by name in its HDF5 file.

    Raises:
        InputError: it is missing or damaged.
    """
    found: dict[str, NDArray[Any]] = {}

    def keep(dataset: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset) and dataset not in (_SMOOTHED, _UNSMOOTHED):
            found[dataset] = item[()]

    try:
        with h5py.File(run.objects(name), "r") as file:
            file.visititems(keep)
    except OSError as error:
        raise _damaged(run.objects(name), error) from None
    return found


def read_stream_scores(run: RunFolder, name: str, n_frames: int) -> dict[str, NDArray[np.float64]]:
    """Return the highest score of each stream in each frame of a video, (n_frames,) by name.

    Frames that were not looked at have what lies between their neighbours.

    Raises:
        InputError: the file is missing or damaged.
    """
    datasets = read_datasets(run, name)
    looked_at = datasets.get(_LOOKED_AT)
    curves: dict[str, NDArray[np.float64]] = {}
    for dataset, values in datasets.items():
        group, _, rest = dataset.partition("/")
        if group == _OBJECT_SCORE and rest != _TOTAL:
            highest = max_over_objects(values, datasets[_FRAME], n_frames, nothing=0.0)
            curves[rest] = highest if looked_at is None else _between(highest[looked_at], looked_at, n_frames)
        elif group == _ROW and rest.endswith("/score"):
            stream = rest.removesuffix("/score")
            curves[stream] = _between(values, datasets[f"{_ROW}/{stream}/frame"], n_frames)
    return curves


def read_objects_per_frame(run: RunFolder, name: str) -> float | None:
    """Return how many objects a frame that was looked at has on average; None where frames are whole.

    Raises:
        InputError: the file is missing or damaged.
    """
    path = run.objects(name)
    try:
        with h5py.File(path, "r") as file:
            if _FRAME not in file:
                return None
            n_frames = len(file[_LOOKED_AT if _LOOKED_AT in file else _SMOOTHED])
            return len(file[_FRAME]) / n_frames if n_frames else None
    except (OSError, KeyError) as error:
        raise _damaged(path, error) from None


def read_looked_at(run: RunFolder, name: str) -> NDArray[np.int64] | None:
    """Read the frames of a video in which objects were looked for, in order; None for all of them.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        with h5py.File(run.objects(name), "r") as file:
            return file[_LOOKED_AT][()] if _LOOKED_AT in file else None
    except OSError as error:
        raise _damaged(run.objects(name), error) from None


def _between(values: NDArray[np.float64], frames: NDArray[np.int64], n_frames: int) -> NDArray[np.float64]:
    return interpolate_frames(values, frames, np.arange(n_frames), nothing=0.0)


def to_csv(video: ScoredVideo) -> str:
    """Return frame, time and score of each frame, as the CSV file has them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["frame", "time", "score"])
    for index, (second, value) in enumerate(zip(video.seconds, video.scores, strict=True)):
        # repr of a float is the shortest text that reads back as the same number
        writer.writerow([index, f"{second:.6f}", repr(float(value))])
    return text.getvalue()


def _damaged(path: object, error: Exception) -> InputError:
    return InputError(f"scores {path} are missing or damaged ({error}): run `mulde score` again")
