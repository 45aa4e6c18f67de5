"""Layout `xd_violence`: XD-Violence as published, videos named after their labels, and annotations.txt.

`Bad.Boys.1995__#01-11-55_01-12-40_label_G-B2-B6.mp4` is violent in three ways, `…_label_A.mp4` is normal.
`annotations.txt` has a line a violent test video: `name start end start end …`, frames counted at 24 a
second. Where counting starts is not written down; as in the authors' own script, `start` is taken as 0-based
and `end` as exclusive. Normal test videos are not in it: a folder with annotated videos is the test set, all
others are for training. XD-Violence has no one-class protocol of its own; here one learns from the
training videos that are labelled A.
"""

from __future__ import annotations

import re
from pathlib import Path

from mulde.data.errors import InputError
from mulde.data.files import is_video_file, name_without_suffix
from mulde.data.foreign.text import read_text
from mulde.data.labels.labels import Interval, Labels
from mulde.data.layouts.common import (
    MANY_CAMERAS,
    find_root,
    find_roots,
    make_videos,
    name_some,
    require_videos,
    walk,
)
from mulde.data.layouts.dataset import Dataset, Layout
from mulde.data.layouts.published import PUBLISHED
from mulde.data.video import Video

ANNOTATIONS = "annotations.txt"
_LABEL = r".*_label_(A|(B\d|G|0)(-(B\d|G|0))*)"
_DEPTH = 2
_LOOKS_FOR = f"{ANNOTATIONS}, and videos named …_label_A.mp4 or …_label_B1-0-0.mp4, the test videos apart"


def read_annotations(path: Path) -> dict[str, tuple[Interval, ...]]:
    """Read the intervals by video name: "name_label_B1-0-0 12 40 80 95" -> ((12, 40), (80, 95)).

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
            bounds = [int(word) for word in words[1:]]
            intervals = tuple(zip(bounds[::2], bounds[1::2], strict=True))
            if any(not 0 <= start < end for start, end in intervals):
                raise ValueError(bounds)
        except ValueError as error:
            raise InputError(f"{path}:{number}: expected `name start end …`, found {line!r}") from error
        name = name_without_suffix(words[0])
        by_name[name] = (*by_name.get(name, ()), *intervals)
    return by_name


def _has_layout(folder: Path) -> bool:
    return (folder / ANNOTATIONS).is_file() and any(_is_labelled(path) for path in walk(folder, _DEPTH))


def _is_labelled(path: Path) -> bool:
    return is_video_file(path) and re.fullmatch(_LABEL, path.stem) is not None


def _recognise(root: Path) -> bool:
    return bool(find_roots(root, _has_layout))


def _read(root: Path) -> Dataset:
    root = find_root(root, _has_layout, "xd_violence", _LOOKS_FOR)
    notes: list[str] = []
    files = [path for path in walk(root, _DEPTH) if _is_labelled(path)]
    intervals = read_annotations(root / ANNOTATIONS)
    test_folders = {path.parent for path in files if path.stem in intervals}
    test = make_videos([path for path in files if path.parent in test_folders], root)
    training = [path for path in files if path.parent not in test_folders]
    require_videos(test, root, f"video that {ANNOTATIONS} names")
    if not training:
        raise InputError(
            f"{root} has all its videos in {name_some([f.name for f in test_folders])}: put the test videos "
            "into a folder of their own, for nothing else tells normal test videos from normal training ones"
        )
    normal = make_videos([path for path in training if _is_normal(path.stem)], root)
    require_videos(normal, root, "training video named …_label_A.mp4")
    return Dataset(
        name="xd_violence",
        normal=normal,
        test=test,
        labels=_label(test, intervals, notes),
        notes=tuple(notes),
        protocol=f"one-class, which is not the set's own protocol: {len(training) - len(normal)} violent "
        f"training videos are left out; {MANY_CAMERAS}",
        published=PUBLISHED["xd_violence"],
    )


def _label(test: tuple[Video, ...], intervals: dict[str, tuple[Interval, ...]], notes: list[str]) -> Labels:
    labels = Labels(
        intervals={
            video.name: intervals.get(video.path.stem, ())
            for video in test
            if video.path.stem in intervals or _is_normal(video.path.stem)
        },
        clip_intervals=True,
    )
    stems = {video.path.stem for video in test}
    missing = [name for name in intervals if name not in stems]
    if missing:
        notes.append(f"{len(missing)} of {len(intervals)} annotated videos are missing: {name_some(missing)}")
    unlabelled = [video.name for video in labels.check_against(test)]
    if unlabelled:
        notes.append(f"{len(unlabelled)} violent test videos are not annotated: {name_some(unlabelled)}")
    return labels


def _is_normal(stem: str) -> bool:
    return stem.endswith("_label_A")


LAYOUT = Layout(looks_for=f"{_LOOKS_FOR}, in the folder or one below", recognise=_recognise, read=_read)
