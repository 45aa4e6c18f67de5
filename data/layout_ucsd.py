"""Layout `ucsd_ped`: the UCSD pedestrian data as published, UCSDped{1,2}/{Train,Test}/…NNN/001.tif."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mulde.data.dataset import Dataset, Layout
from mulde.data.errors import InputError
from mulde.data.files import list_images
from mulde.data.labels import Interval, Labels
from mulde.data.video import Video

FRAMES_PER_SECOND = 10.0
N_TRAINING_CLIPS = {"UCSDped1": 34, "UCSDped2": 16}


@dataclass(frozen=True)
class _Clips:
    """The clips of one split that are on disk."""

    split_folder: Path
    prefix: str
    """"Train" or "Test"."""
    folders: dict[int, Path]
    """By the clip's number, counted from 1; each holds at least one image."""

    @property
    def videos(self) -> tuple[Video, ...]:
        return tuple(
            Video(name=folder.name, path=folder, split_folder=self.split_folder)
            for folder in self.folders.values()
        )


def read_ground_truth(path: Path) -> list[tuple[Interval, ...]]:
    """Read the abnormal intervals of the test clips, in the order of the clips, from UCSDpedK.m.

    `TestVideoFile{end+1}.gt_frame = [5:90, 140:200];` is 1-based and inclusive -> ((4, 90), (139, 200))

    Raises:
        InputError: A line cannot be understood; the text names it.
    """
    clips: list[tuple[Interval, ...]] = []
    for number, line in enumerate(path.read_text(encoding="latin-1").splitlines(), start=1):
        code = line.partition("%")[0]  # MATLAB's comments
        if "gt_frame" not in code:
            continue
        found = re.search(r"gt_frame\s*=\s*\[(.*?)\]", code)
        ranges = re.split(r"[,;\s]+", re.sub(r"\s*:\s*", ":", found[1]).strip()) if found else ["?"]
        try:
            clips.append(tuple(_parse_range(text) for text in ranges if text))
        except ValueError as error:
            raise InputError(
                f"{path}:{number}: expected gt_frame = [5:90, 140:200], found {line!r}"
            ) from error
    return clips


def _parse_range(text: str) -> Interval:
    first, _, last = text.partition(":")
    interval = int(first) - 1, int(last or first)
    if not 0 <= interval[0] < interval[1]:
        raise ValueError(text)
    return interval


def _find_roots(root: Path) -> list[Path]:
    """Give `root` itself, or those of its sub-folders that have the layout."""
    if _has_clips(root):
        return [root]
    return sorted(child for child in root.iterdir() if child.is_dir() and _has_clips(child))


def _has_clips(folder: Path) -> bool:
    return all((folder / split).is_dir() and _clip_folders(folder / split) for split in ("Train", "Test"))


def _clip_folders(split_folder: Path) -> dict[int, Path]:
    """Find the clips by number; Test001_gt holds masks and is none."""
    found: dict[int, Path] = {}
    for folder in sorted(split_folder.iterdir()):
        match = re.fullmatch(rf"{split_folder.name}(\d+)", folder.name)
        if match and folder.is_dir():
            found[int(match[1])] = folder
    return dict(sorted(found.items()))


def _recognise(root: Path) -> bool:
    return bool(_find_roots(root))


def _read(root: Path) -> Dataset:
    roots = _find_roots(root)
    if not roots:
        raise InputError(f"{root} does not have layout ucsd_ped: {LAYOUT.looks_for}")
    if len(roots) > 1:
        raise InputError(
            f"{root} holds {' and '.join(p.name for p in roots)}: give one of them, such as {roots[0]}"
        )
    return _read_one(roots[0])


def _read_one(root: Path) -> Dataset:
    notes: list[str] = []
    normal = _open_clips(root / "Train", notes)
    test = _open_clips(root / "Test", notes)
    ground_truth = _find_ground_truth(root)
    name = root.resolve().name if ground_truth is None else ground_truth.stem
    notes += _note_missing_training(normal, N_TRAINING_CLIPS.get(name, 0))
    labels = None
    if ground_truth is None:
        notes.append("Test/UCSDpedK.m is not there, so there are no labels")
    else:
        labels = _label(test, ground_truth, notes)
    return Dataset(
        name=name,
        normal=normal.videos,
        test=test.videos,
        labels=labels,
        frames_per_second=FRAMES_PER_SECOND,
        notes=tuple(notes),
    )


def _open_clips(split_folder: Path, notes: list[str]) -> _Clips:
    folders = _clip_folders(split_folder)
    empty = [number for number, folder in folders.items() if not list_images(folder)]
    if empty:
        notes.append(f"folders without images are left out: {_name_clips(split_folder.name, empty)}")
    with_images = {number: folder for number, folder in folders.items() if number not in empty}
    if not with_images:
        raise InputError(f"{split_folder} holds no clip with images: unpack the data set again")
    return _Clips(split_folder, split_folder.name, with_images)


def _find_ground_truth(root: Path) -> Path | None:
    """Find UCSDpedK.m; not its backup UCSDped2.m~, which differs, nor ._UCSDped2.m, which macOS left."""
    found = [p for p in (root / "Test").iterdir() if re.fullmatch(r"UCSDped\d\.m", p.name)]
    if len(found) > 1:
        found = [p for p in found if p.stem == root.resolve().name]
        if not found:
            raise InputError(f"{root / 'Test'} holds several UCSDpedK.m: keep the one of this data set")
    return found[0] if found else None


def _label(test: _Clips, ground_truth: Path, notes: list[str]) -> Labels:
    """Give the k-th line of the ground truth to clip number k, so that missing clips shift nothing."""
    lines = dict(enumerate(read_ground_truth(ground_truth), start=1))
    missing = [number for number in lines if number not in test.folders]
    if missing:
        notes.append(
            f"{len(missing)} of {len(lines)} test clips that {ground_truth.name} labels are missing: "
            f"{_name_clips('Test', missing)}"
        )
    beyond = [number for number in test.folders if number not in lines]
    if beyond:
        notes.append(f"{ground_truth.name} has no labels for {_name_clips('Test', beyond)}")
    gaps = [number for number, folder in test.folders.items() if number in lines and _has_frame_gaps(folder)]
    if gaps:
        notes.append(
            f"frames are missing from {_name_clips('Test', gaps)}: their labels would not fit, left out"
        )
    return Labels(
        intervals={
            folder.name: lines[number]
            for number, folder in test.folders.items()
            if number in lines and number not in gaps
        }
    )


def _has_frame_gaps(folder: Path) -> bool:
    """Whether the frames are not 001, 002, 003 …: a label counts frame numbers, a reader counts frames."""
    numbers = [int(p.stem) if p.stem.isdecimal() else -1 for p in list_images(folder)]
    return numbers != list(range(1, len(numbers) + 1))


def _note_missing_training(normal: _Clips, n_published: int) -> list[str]:
    n_expected = max(n_published, *normal.folders)
    missing = [number for number in range(1, n_expected + 1) if number not in normal.folders]
    if not missing:
        return []
    return [f"{len(missing)} of {n_expected} training clips are missing: {_name_clips('Train', missing)}"]


def _name_clips(prefix: str, numbers: Sequence[int]) -> str:
    """Name clips, runs shortened: 1, 3, 4, 5 -> "Test001, Test003 … Test005"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    texts = []
    for run in runs:
        names = [f"{prefix}{number:03d}" for number in run]
        texts.append(f"{names[0]} … {names[-1]}" if len(run) > 2 else ", ".join(names))
    return ", ".join(texts)


LAYOUT = Layout(
    looks_for="Train/Train001/001.tif and Test/Test001/001.tif, in the folder or in a UCSDpedK folder in it",
    recognise=_recognise,
    read=_read,
)
