"""Layout `folder`: a folder of normal videos, one of test videos, and labels if there are any."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from mulde.data.errors import InputError
from mulde.data.files import is_hidden, name_without_suffix
from mulde.data.labels.files import read_labels
from mulde.data.labels.labels import Labels
from mulde.data.layouts.common import name_some
from mulde.data.layouts.dataset import Dataset, Layout
from mulde.data.layouts.find_videos import find_all
from mulde.data.spelling import counted, spell
from mulde.data.video import Video

NORMAL_NAMES = ("normal", "training", "train")
TEST_NAMES = ("test", "testing")
LABEL_NAMES = ("labels.csv", "labels.tsv", "labels")


def open_folders(
    normal: Path | Sequence[Path], test: Path | Sequence[Path] = (), labels: Path | None = None
) -> Dataset:
    """Make a data set of files and folders of videos.

    Args:
        normal: videos of what is usual, to learn from: a file, a folder, or several of them.
        test: videos to score; none where something is only to be learnt.
        labels: of the test videos, see `read_labels`; None where there are none.

    Raises:
        InputError: A path cannot be used, or the labels cannot be read or are for other videos.
    """
    normal, test = _several(normal), _several(test)
    found_normal, found_test = find_all(normal), find_all(test)
    normal_videos, test_videos = found_normal.videos, found_test.videos
    found = None if labels is None else read_labels(labels)
    notes = [
        *_note_overlap(normal_videos, test_videos),
        *(f"normal videos: {note}" for note in found_normal.notes),
        *(f"test videos: {note}" for note in found_test.notes),
    ]
    if found is not None:
        notes += _note_unlabelled(found.check_against(test_videos), len(test_videos), found)
    return Dataset(
        name=_name(normal, test), normal=normal_videos, test=test_videos, labels=found, notes=tuple(notes)
    )


def _several(paths: Path | Sequence[Path]) -> tuple[Path, ...]:
    return (Path(paths),) if isinstance(paths, str | Path) else tuple(map(Path, paths))


def _name(normal: Sequence[Path], test: Sequence[Path]) -> str:
    parents = {path.resolve().parent for path in (*normal, *test)}
    whole = (*test, *normal)[0].resolve()
    # data/ped2/training, data/ped2/testing -> ped2; folders that lie apart -> the name of the first to score
    common = spell(next(iter(parents)).name) if len(parents) == 1 and test else ""
    return common or name_without_suffix(whole.name)


def _note_overlap(normal: tuple[Video, ...], test: tuple[Video, ...]) -> list[str]:
    tested = {_file(video.path) for video in test}
    both = [video.name for video in normal if _file(video.path) in tested]
    if not both:
        return []
    what = "is a test video" if len(both) == 1 else "are test videos"
    return [f"{len(both)} of {counted(len(normal), 'normal video')} {what} too: {name_some(both)}"]


def _file(path: Path) -> tuple[int, int] | Path:
    """Return what tells a file or folder from all others, whatever links lead to it."""
    try:
        stat = os.stat(path)  # noqa: PTH116  # of a hundred thousand videos, it counts
    except OSError:  # extraction reports it
        return path
    return stat.st_dev, stat.st_ino


def _note_unlabelled(unlabelled: tuple[Video, ...], n_videos: int, labels: Labels) -> list[str]:
    if not unlabelled:
        return []
    names = name_some([video.name for video in unlabelled])
    how = "a file of zeros" if labels.arrays else f"a line `{unlabelled[0].name},,`"
    n = len(unlabelled)
    what = "has no labels, so it is" if n == 1 else "have no labels, so they are"
    return [
        f"{n} of {counted(n_videos, 'test video')} {what} not evaluated: {names}; "
        f"{how} says that nothing happened"
    ]


def _find_one(root: Path, names: tuple[str, ...]) -> Path | None:
    """Return the entry of `root` with one of these names, in any case; None where there is none.

    Raises:
        InputError: there are several.
    """
    found = sorted(p for p in root.iterdir() if p.name.lower() in names and not is_hidden(p.name))
    if len(found) > 1:
        raise InputError(f"{root} holds {' and '.join(p.name for p in found)}: which is meant? Keep one")
    return found[0] if found else None


def _recognise(root: Path) -> bool:
    entries = {p.name.lower() for p in root.iterdir() if p.is_dir()}
    return bool(entries & set(NORMAL_NAMES)) and bool(entries & set(TEST_NAMES))


def _read(root: Path) -> Dataset:
    normal, test = _find_one(root, NORMAL_NAMES), _find_one(root, TEST_NAMES)
    if normal is None or test is None:
        missing = NORMAL_NAMES if normal is None else TEST_NAMES
        raise InputError(f"{root} has no folder {'/ or '.join(missing)}/: layout folder needs it")
    return open_folders(normal, test, _find_one(root, LABEL_NAMES))


LAYOUT = Layout(
    looks_for="normal/ (or training/, train/) beside test/ (or testing/), perhaps with labels.csv, "
    "labels.tsv or labels/",
    recognise=_recognise,
    read=_read,
)
