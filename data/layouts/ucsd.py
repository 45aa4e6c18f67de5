"""Layout `ucsd_ped`: the UCSD pedestrian data as published, UCSDped{1,2}/{Train,Test}/…NNN/001.tif.

`Test/UCSDpedK.m` labels frames, the folders `TestNNN_gt` hold a mask a frame for some of the clips.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mulde.data.errors import InputError
from mulde.data.files import list_images
from mulde.data.foreign.text import read_text
from mulde.data.labels.deferred import Deferred
from mulde.data.labels.labels import Interval, Labels
from mulde.data.labels.masks import load_mask_images, regions_of_masks
from mulde.data.labels.regions import Regions
from mulde.data.layouts.common import (
    find_root,
    find_roots,
    has_frame_gaps,
    list_folder,
    name_numbers,
)
from mulde.data.layouts.dataset import Dataset, Layout
from mulde.data.layouts.published import PUBLISHED
from mulde.data.video import Video

FRAMES_PER_SECOND = 10.0
_LOOKS_FOR = "Train/Train001/001.tif and Test/Test001/001.tif"


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
    for number, line in enumerate(read_text(path, encoding="latin-1").splitlines(), start=1):
        code = line.partition("%")[0]  # MATLAB's comments
        if "gt_frame" not in code:
            continue
        try:
            clips.append(tuple(map(_parse_range, _split_ranges(code))))
        except ValueError as error:
            raise InputError(
                f"{path}:{number}: expected gt_frame = [5:90, 140:200], found {line[:80]!r}"
            ) from error
    return clips


def _split_ranges(code: str) -> list[str]:
    """Return "5:90" and "140:200" of gt_frame = [5:90, 140:200], in time that grows as the line does."""
    equals, bracket, rest = (part.strip() for part in code.partition("gt_frame")[2].partition("["))
    inside, end, _ = rest.partition("]")
    if (equals, bracket, end) != ("=", "[", "]"):
        raise ValueError(code)
    words = re.split(r"[,;\s]+", inside)
    return " ".join(words).replace(" :", ":").replace(": ", ":").split()


def _parse_range(text: str) -> Interval:
    first, _, last = text.partition(":")
    interval = int(first) - 1, int(last or first)
    if not 0 <= interval[0] < interval[1]:
        raise ValueError(text)
    return interval


def _has_clips(folder: Path) -> bool:
    return all((folder / split).is_dir() and _clip_folders(folder / split) for split in ("Train", "Test"))


def _clip_folders(split_folder: Path) -> dict[int, Path]:
    """Find the clips by number; Test001_gt holds masks and is none."""
    found: dict[int, Path] = {}
    for folder in list_folder(split_folder):
        match = re.fullmatch(rf"{split_folder.name}(\d+)", folder.name)
        if match and folder.is_dir():
            found[int(match[1])] = folder
    return dict(sorted(found.items()))


def _recognise(root: Path) -> bool:
    return bool(find_roots(root, _has_clips))


def _read(root: Path) -> Dataset:
    root = find_root(root, _has_clips, "ucsd_ped", _LOOKS_FOR)
    notes: list[str] = []
    normal = _open_clips(root / "Train", notes)
    test = _open_clips(root / "Test", notes)
    ground_truth = _find_ground_truth(root)
    name = root.resolve().name if ground_truth is None else ground_truth.stem
    published = PUBLISHED.get(name)
    notes += _note_missing_training(normal, (published and published.normal_videos) or 0)
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
        published=published,
    )


def _open_clips(split_folder: Path, notes: list[str]) -> _Clips:
    folders = _clip_folders(split_folder)
    empty = [number for number, folder in folders.items() if not list_images(folder)]
    if empty:
        notes.append(f"folders without images are left out: {name_numbers(split_folder.name, empty, 3)}")
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
            f"{name_numbers('Test', missing, 3)}"
        )
    beyond = [number for number in test.folders if number not in lines]
    if beyond:
        notes.append(f"{ground_truth.name} has no labels for {name_numbers('Test', beyond, 3)}")
    gaps = [n for n, folder in test.folders.items() if n in lines and has_frame_gaps(folder, first=1)]
    if gaps:
        notes.append(
            f"frames are missing from {name_numbers('Test', gaps, 3)}: their labels would not fit, left out"
        )
    usable = {n: folder for n, folder in test.folders.items() if n in lines and n not in gaps}
    return Labels(
        intervals={folder.name: lines[number] for number, folder in usable.items()},
        region_sources=_find_masks(list(usable.values()), notes),
    )


def _find_masks(clips: list[Path], notes: list[str]) -> dict[str, Deferred[Regions]]:
    """Find the clips' folders of masks; a number of masks that differs from that of the frames is noted."""
    sources = {}
    for clip in clips:
        folder = clip.with_name(f"{clip.name}_gt")
        masks = tuple(list_images(folder)) if folder.is_dir() else ()
        if masks and len(masks) != len(list_images(clip)):
            notes.append(
                f"{folder.name} holds {len(masks)} masks for {len(list_images(clip))} frames: left out"
            )
        elif masks:
            sources[clip.name] = Deferred(masks, partial(_read_masks, masks))
    return sources


def _read_masks(files: tuple[Path, ...]) -> Regions:
    return regions_of_masks(load_mask_images(files))


def _note_missing_training(normal: _Clips, n_published: int) -> list[str]:
    n_expected = max(n_published, *normal.folders)
    missing = [number for number in range(1, n_expected + 1) if number not in normal.folders]
    if not missing:
        return []
    return [f"{len(missing)} of {n_expected} training clips are missing: {name_numbers('Train', missing, 3)}"]


LAYOUT = Layout(
    looks_for=f"{_LOOKS_FOR}, in the folder or in a UCSDpedK folder in it", recognise=_recognise, read=_read
)
