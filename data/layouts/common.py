"""What several layouts do alike: look one folder down, list clips, name what is missing."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from mulde.data.errors import InputError
from mulde.data.files import is_hidden, is_video_file, list_images, name_without_suffix, natural_key
from mulde.data.video import Video

MANY_CAMERAS = "every video has a camera of its own, so a background learnt from all of them means nothing"


def list_folder(folder: Path) -> list[Path]:
    """List what is in a folder in natural order, without hidden entries; [] if it is none or unreadable."""
    try:
        entries = [entry for entry in folder.iterdir() if not is_hidden(entry.name)]
    except OSError:
        return []
    return sorted(entries, key=lambda entry: natural_key(entry.name))


def find_roots(root: Path, has_layout: Callable[[Path], bool]) -> list[Path]:
    """Return `root` if it has a layout, else those of its sub-folders that have: archives unpack into one."""
    if has_layout(root):
        return [root]
    return [child for child in list_folder(root) if child.is_dir() and has_layout(child)]


def find_root(root: Path, has_layout: Callable[[Path], bool], name: str, looks_for: str) -> Path:
    """Return the one folder that has a layout.

    Raises:
        InputError: there is none, or several.
    """
    roots = find_roots(root, has_layout)
    if not roots:
        raise InputError(f"{root} does not have layout {name}: it looks for {looks_for}")
    if len(roots) > 1:
        raise InputError(
            f"{root} holds {' and '.join(p.name for p in roots)}: give one of them, such as {roots[0]}"
        )
    return roots[0]


def walk(root: Path, depth: int) -> Iterator[Path]:
    """Yield the files in `root` and up to `depth` folders below, without hidden entries, by name."""
    try:
        with os.scandir(root) as found:
            entries = sorted((e for e in found if not is_hidden(e.name)), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if not entry.is_dir():
            yield root / entry.name
        elif depth:
            yield from walk(root / entry.name, depth - 1)


def video_files(folder: Path) -> list[Path]:
    """List the video files directly in a folder."""
    return [entry for entry in list_folder(folder) if is_video_file(entry)]


def make_videos(
    paths: Iterable[Path], split_folder: Path, scene: Callable[[Path], str] = lambda path: ""
) -> tuple[Video, ...]:
    """Make videos of files or folders of images below `split_folder`, in natural order of their names."""
    videos = [
        Video(
            name=name_without_suffix(path.relative_to(split_folder).as_posix()),
            path=path,
            split_folder=split_folder,
            scene=scene(path),
        )
        for path in paths
    ]
    return tuple(sorted(videos, key=lambda video: natural_key(video.name)))


def frame_folders(split_folder: Path, pattern: str, notes: list[str]) -> list[Path]:
    """List the sub-folders whose names match `pattern` and that hold images; note those without."""
    folders = [f for f in list_folder(split_folder) if re.fullmatch(pattern, f.name) and f.is_dir()]
    empty = [folder for folder in folders if not list_images(folder)]
    if empty:
        notes.append(f"folders without images are left out: {name_some([f.name for f in empty])}")
    return [folder for folder in folders if folder not in empty]


def has_folder(folder: Path, pattern: str) -> bool:
    """Whether a folder has a sub-folder whose name matches."""
    return any(re.fullmatch(pattern, entry.name) and entry.is_dir() for entry in list_folder(folder))


def require_videos(videos: Sequence[object], where: Path, what: str) -> None:
    """Raise InputError if a split is empty."""
    if not videos:
        raise InputError(f"{where} holds no {what}: unpack the data set again, or take it from its source")


def name_some(names: Sequence[str], n_at_most: int = 5) -> str:
    """Name the first few: "a, b, c, d, e …"."""
    return ", ".join(names[:n_at_most]) + (" …" if len(names) > n_at_most else "")


def name_numbers(prefix: str, numbers: Sequence[int], digits: int) -> str:
    """Name numbered clips, runs shortened: 1, 3, 4, 5 -> "Test001, Test003 … Test005"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    texts = []
    for run in runs:
        names = [f"{prefix}{number:0{digits}d}" for number in run]
        texts.append(f"{names[0]} … {names[-1]}" if len(run) > 2 else ", ".join(names))
    return ", ".join(texts)


def has_frame_gaps(folder: Path, first: int | None = None) -> bool:
    """Whether the images are not numbered first, first + 1, …: labels count numbers, readers count images.

    Args:
        first: the number of the first frame; None where copies count from 0 or from 1, or do not count.
    """
    numbers = [int(p.stem) if p.stem.isdecimal() else -1 for p in list_images(folder)]
    if first is None:
        if max(numbers, default=-1) < 0:
            return False
        first = min(max(numbers[0], 0), 1)
    return numbers != list(range(first, first + len(numbers)))
