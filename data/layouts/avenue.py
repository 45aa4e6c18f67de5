"""Layout `avenue`: CUHK Avenue as published, training_videos/01.avi, testing_videos/01.avi and masks.

`ground_truth_demo/testing_label_mask/1_label.mat` … (not zero-padded) hold `volLabel`, a cell a frame, each
an (H, W) mask; a frame with any abnormal pixel is abnormal. They come in an archive of their own, so they may
lie beside the videos' folder. An `avenue.mat` (see `label_matrices`) is taken where they are
missing. Decoders give as many frames as there are masks, or one less.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from mulde.data.labels.deferred import Deferred
from mulde.data.labels.labels import FrameArray, Labels
from mulde.data.labels.masks import frames_of_masks, load_mask_cells, regions_of_masks
from mulde.data.labels.matrices import read_label_matrix
from mulde.data.labels.regions import Regions
from mulde.data.layouts.common import (
    find_root,
    find_roots,
    list_folder,
    make_videos,
    name_some,
    require_videos,
    video_files,
)
from mulde.data.layouts.dataset import Dataset, Layout
from mulde.data.layouts.published import PUBLISHED
from mulde.data.video import Video

N_TRAINING, N_TEST = 16, 21
MASK_FOLDERS = ("ground_truth_demo/testing_label_mask", "testing_label_mask")
_LOOKS_FOR = "training_videos/01.avi and testing_videos/01.avi"


def _has_layout(folder: Path) -> bool:
    return all(_clips(folder / f"{split}_videos") for split in ("training", "testing"))


def _clips(folder: Path) -> list[Path]:
    return [path for path in video_files(folder) if path.stem.isdecimal()]


def _recognise(root: Path) -> bool:
    return bool(find_roots(root, _has_layout))


def _read(root: Path) -> Dataset:
    root = find_root(root, _has_layout, "avenue", _LOOKS_FOR)
    notes: list[str] = []
    normal, test = _open_split(root / "training_videos"), _open_split(root / "testing_videos")
    notes += _note_missing(normal, N_TRAINING, "training") + _note_missing(test, N_TEST, "test")
    return Dataset(
        name="avenue",
        normal=normal,
        test=test,
        labels=_label(test, root, notes),
        notes=tuple(notes),
        published=PUBLISHED["avenue"],
    )


def _open_split(folder: Path) -> tuple[Video, ...]:
    videos = make_videos(_clips(folder), folder)
    require_videos(videos, folder, "videos")
    return videos


def _note_missing(videos: tuple[Video, ...], n_published: int, split: str) -> list[str]:
    there = {int(video.name) for video in videos}
    missing = [f"{number:02d}" for number in range(1, n_published + 1) if number not in there]
    if not missing:
        return []
    return [f"{len(missing)} of {n_published} {split} videos are missing: {name_some(missing, n_published)}"]


def _label(test: tuple[Video, ...], root: Path, notes: list[str]) -> Labels | None:
    around = (root, root.resolve().parent)
    masks = next(
        (found for folder in around for name in MASK_FOLDERS if (found := _find_masks(folder / name))), {}
    )
    matrix = next((path for folder in around if (path := folder / "avenue.mat").is_file()), None)
    if masks:
        labels = _label_by_masks(test, masks)
        if matrix is not None:
            notes.append(f"labels come from the masks; {matrix.name}, which differs from them, is not used")
    elif matrix is not None:
        labels = _label_by_matrix(test, matrix)
        notes.append(
            f"labels come from {matrix.name}, as {MASK_FOLDERS[0]} is not there: no regions are known"
        )
    else:
        notes.append(f"{MASK_FOLDERS[0]} is not there, and no avenue.mat, so there are no labels")
        return None
    unlabelled = [video.name for video in labels.check_against(test)]
    if unlabelled:
        notes.append(f"{len(unlabelled)} of {len(test)} test videos have no labels: {name_some(unlabelled)}")
    return labels


def _find_masks(folder: Path) -> dict[int, Path]:
    found = {}
    for path in list_folder(folder):
        match = re.fullmatch(r"(\d+)_label\.mat", path.name)
        if match:
            found[int(match[1])] = path
    return found


def _label_by_masks(test: tuple[Video, ...], masks: dict[int, Path]) -> Labels:
    files = {video.name: masks[int(video.name)] for video in test if int(video.name) in masks}
    return Labels(
        arrays={name: Deferred((file,), partial(_read_frames, file)) for name, file in files.items()},
        region_sources={
            name: Deferred((file,), partial(_read_regions, file)) for name, file in files.items()
        },
    )


def _label_by_matrix(test: tuple[Video, ...], matrix: Path) -> Labels:
    intervals, arrays = read_label_matrix(matrix)
    return Labels(
        intervals={v.name: intervals[int(v.name)] for v in test if int(v.name) in intervals},
        arrays={v.name: arrays[int(v.name)] for v in test if int(v.name) in arrays},
    )


def _read_frames(file: Path) -> FrameArray:
    return frames_of_masks(load_mask_cells(file))


def _read_regions(file: Path) -> Regions:
    return regions_of_masks(load_mask_cells(file))


LAYOUT = Layout(
    looks_for=f"{_LOOKS_FOR}, in the folder or one below; {MASK_FOLDERS[0]} or avenue.mat there or beside",
    recognise=_recognise,
    read=_read,
)
