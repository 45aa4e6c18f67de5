"""Layout `ucf_crime`: UCF-Crime as published, class folders of videos and two lists, wherever unpacked.

`Anomaly_Train.txt` lists the training videos with their class folders; read one-class: learn from the normal
ones. `Temporal_Anomaly_Annotation_for_Testing_Videos.txt` has a line a test video with two intervals, frames
1-based and inclusive, -1 for none:

    Abuse028_x264.mp4  Abuse  165  240  -1  -1

Archives differ in the folders' names (`Training-Normal-Videos-Part-1` for `Training_Normal_Videos_Anomaly`),
so videos are found by name, without suffix, which some copies have in capitals. Intervals that reach beyond
the last decoded frame end there.
"""

from __future__ import annotations

import os
from pathlib import Path

from mulde.data.errors import InputError
from mulde.data.files import is_video_file, name_without_suffix
from mulde.data.foreign.text import read_text
from mulde.data.labels.labels import Interval, Labels
from mulde.data.layouts.common import MANY_CAMERAS, make_videos, name_some, require_videos, walk
from mulde.data.layouts.dataset import Dataset, Layout
from mulde.data.layouts.published import PUBLISHED
from mulde.data.video import Video

ANNOTATIONS = ("Temporal_Anomaly_Annotation_for_Testing_Videos.txt", "Temporal_Anomaly_Annotation.txt")
TRAINING_LIST = "Anomaly_Train.txt"
_DEPTH = 3
"""How many folders below the root the lists and videos may lie, beyond the first."""
_LOOKS_FOR = f"{ANNOTATIONS[0]}, {TRAINING_LIST} and videos such as Abuse/Abuse028_x264.mp4"


def read_annotations(path: Path) -> dict[str, tuple[Interval, ...]]:
    """Read the intervals of the test videos by name: "a.mp4  Abuse  165  240  -1  -1" -> a: ((164, 240),).

    Lines of one video add up.

    Raises:
        InputError: A line cannot be understood; the text names it.
    """
    by_name: dict[str, tuple[Interval, ...]] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        try:
            file, _, *bounds = words
            name, intervals = name_without_suffix(file), _parse_bounds([int(word) for word in bounds])
            by_name[name] = (*by_name.get(name, ()), *intervals)
        except ValueError as error:
            raise InputError(
                f"{path}:{number}: expected `Abuse028_x264.mp4  Abuse  165  240  -1  -1`, found {line!r}"
            ) from error
    return by_name


def _parse_bounds(bounds: list[int]) -> tuple[Interval, ...]:
    if not bounds or len(bounds) % 2:
        raise ValueError(bounds)
    pairs = [pair for pair in zip(bounds[::2], bounds[1::2], strict=True) if pair != (-1, -1)]
    intervals = tuple((max(first - 1, 0), last) for first, last in pairs)
    if any(first < 0 for first, _ in pairs) or any(start >= end for start, end in intervals):
        raise ValueError(bounds)
    return intervals


def _find(root: Path, names: tuple[str, ...]) -> Path | None:
    return next((entry for entry in walk(root, _DEPTH) if entry.name in names), None)


def _recognise(root: Path) -> bool:
    return _find(root, ANNOTATIONS) is not None


def _read(root: Path) -> Dataset:
    annotations = _find(root, ANNOTATIONS)
    if annotations is None:
        raise InputError(f"{root} does not have layout ucf_crime: it looks for {_LOOKS_FOR}")
    notes: list[str] = []
    files = _index_videos(root, notes)
    training_list = _find(root, (TRAINING_LIST,))
    # names must not depend on whether the folder or one above was given
    root = Path(os.path.commonpath([annotations.parent, *(path.parent for path in files.values())]))
    intervals = read_annotations(annotations)
    test = _pick(root, files, list(intervals), "test", notes)
    require_videos(test, root, f"video that {annotations.name} names")
    normal, protocol = _open_training(root, files, training_list, test, notes)
    require_videos(normal, root, "normal training video")
    return Dataset(
        name="ucf_crime",
        normal=normal,
        test=test,
        labels=Labels(
            intervals={video.name: intervals[_name(video.path)] for video in test}, clip_intervals=True
        ),
        notes=tuple(notes),
        protocol=f"{protocol}; {MANY_CAMERAS}",
        published=PUBLISHED["ucf_crime"],
    )


def _index_videos(root: Path, notes: list[str]) -> dict[str, Path]:
    """Find all videos by name; of twins the one that is not among those for event recognition."""
    files: dict[str, Path] = {}
    twins = []
    videos = [path for path in walk(root, _DEPTH + 1) if is_video_file(path)]
    # the 50 normal videos for event recognition are copies of others
    for path in sorted(videos, key=lambda path: "event" in path.parent.name.lower()):
        kept = files.setdefault(_name(path), path)
        if kept is not path and "event" not in path.parent.name.lower():
            twins.append(path.relative_to(root).as_posix())
    if twins:
        notes.append(f"{len(twins)} videos are there twice, one each is used; not {name_some(twins)}")
    return files


def _name(path: Path) -> str:
    return name_without_suffix(path.name)


def _pick(
    root: Path, files: dict[str, Path], names: list[str], split: str, notes: list[str]
) -> tuple[Video, ...]:
    missing = [name for name in names if name not in files]
    if missing:
        notes.append(f"{len(missing)} of {len(names)} {split} videos are missing: {name_some(missing)}")
    return make_videos([files[name] for name in names if name in files], root)


def _open_training(
    root: Path, files: dict[str, Path], listed: Path | None, test: tuple[Video, ...], notes: list[str]
) -> tuple[tuple[Video, ...], str]:
    """Give the normal training videos: those of the list, or without it those in folders of that name."""
    if listed is None:
        notes.append(f"{TRAINING_LIST} is not there: the training videos are told by their folders")
        tested = {video.path for video in test}
        paths = [p for p in files.values() if p not in tested and _is_normal_training(p.parent.name)]
        return make_videos(paths, root), "one-class: abnormal training videos are left out"
    lines = [line.strip().replace("\\", "/") for line in read_text(listed).splitlines()]
    names = [(folder, name) for folder, _, name in (line.rpartition("/") for line in lines) if name]
    normal = [name_without_suffix(name) for folder, name in names if "normal" in (folder or name).lower()]
    protocol = f"one-class: {len(names) - len(normal)} abnormal training videos are left out"
    return _pick(root, files, normal, "normal training", notes), protocol


def _is_normal_training(folder: str) -> bool:
    return "normal" in folder.lower() and "train" in folder.lower()


LAYOUT = Layout(looks_for=f"{_LOOKS_FOR}, in the folder or below", recognise=_recognise, read=_read)
