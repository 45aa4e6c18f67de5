"""Layout `nwpu_campus`: NWPU Campus, videos/Train/D001_01.avi, videos/Test/D001_01.avi and an .npz of labels.

`groundtruth/NWPU_Campus_gt.npz` holds an array per test video, 0/1 per frame. D001 is the camera.
What is known here of this layout comes from public code that reads the set, not from the set itself.
"""

from __future__ import annotations

import re
from pathlib import Path

from mulde.data.foreign.arrays import open_npz
from mulde.data.labels.files import to_frame_array
from mulde.data.labels.labels import FrameArray, Labels
from mulde.data.layouts.common import (
    find_root,
    find_roots,
    make_videos,
    name_some,
    require_videos,
    video_files,
)
from mulde.data.layouts.dataset import Dataset, Layout
from mulde.data.layouts.published import PUBLISHED
from mulde.data.video import Video

GROUND_TRUTH = ("groundtruth/NWPU_Campus_gt.npz", "NWPU_Campus_gt.npz")
_CLIP = r"D\d+_\d+"
_LOOKS_FOR = "videos/Train/D001_01.avi and videos/Test/D001_01.avi"


def read_ground_truth(path: Path) -> dict[str, FrameArray]:
    """Read one array per video, 0/1 per frame.

    Raises:
        InputError: It is not that.
    """
    with open_npz(path) as arrays:
        return {name: to_frame_array(arrays.read(name), f"{path}: {name}") for name in arrays.names}


def _clips(folder: Path) -> list[Path]:
    return [path for path in video_files(folder) if re.fullmatch(_CLIP, path.stem)]


def _has_layout(folder: Path) -> bool:
    return all(_clips(folder / "videos" / split) for split in ("Train", "Test"))


def _recognise(root: Path) -> bool:
    return bool(find_roots(root, _has_layout))


def _read(root: Path) -> Dataset:
    root = find_root(root, _has_layout, "nwpu_campus", _LOOKS_FOR)
    notes: list[str] = []
    normal, test = _open_split(root / "videos" / "Train"), _open_split(root / "videos" / "Test")
    return Dataset(
        name="nwpu_campus",
        normal=normal,
        test=test,
        labels=_label(test, root, notes),
        notes=tuple(notes),
        published=PUBLISHED["nwpu_campus"],
    )


def _open_split(folder: Path) -> tuple[Video, ...]:
    videos = make_videos(_clips(folder), folder, lambda path: path.name.partition("_")[0])
    require_videos(videos, folder, "videos")
    return videos


def _label(test: tuple[Video, ...], root: Path, notes: list[str]) -> Labels | None:
    path = next((root / name for name in GROUND_TRUTH if (root / name).is_file()), None)
    if path is None:
        notes.append(f"{GROUND_TRUTH[0]} is not there, so there are no labels")
        return None
    arrays = read_ground_truth(path)
    there = {video.name for video in test}
    missing = [name for name in arrays if name not in there]
    if missing:
        notes.append(
            f"{len(missing)} of {len(arrays)} labelled test videos are missing: {name_some(missing)}"
        )
    unlabelled = [video.name for video in test if video.name not in arrays]
    if unlabelled:
        notes.append(f"{len(unlabelled)} of {len(test)} test videos have no labels: {name_some(unlabelled)}")
    return Labels(arrays={name: array for name, array in arrays.items() if name in there})


LAYOUT = Layout(looks_for=f"{_LOOKS_FOR}, in the folder or one below", recognise=_recognise, read=_read)
