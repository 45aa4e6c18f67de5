"""Layout `shanghaitech`: ShanghaiTech Campus as published: training videos, test clips as folders of frames.

`training/videos/SS_CCC.avi` (or `training/frames/SS_CCC/`), `testing/frames/SS_CCCC/000.jpg`, counted from 0,
in some copies without leading zeros. `testing/test_frame_mask/SS_CCCC.npy` holds 0/1 per frame,
`testing/test_pixel_mask/SS_CCCC.npy` a mask a frame. SS is the camera.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from mulde.data.labels.deferred import Deferred
from mulde.data.labels.files import read_frame_array
from mulde.data.labels.labels import Labels
from mulde.data.labels.masks import load_mask_array, regions_of_masks
from mulde.data.labels.regions import Regions
from mulde.data.layouts.common import (
    find_root,
    find_roots,
    frame_folders,
    has_folder,
    has_frame_gaps,
    list_folder,
    make_videos,
    name_some,
    require_videos,
    video_files,
)
from mulde.data.layouts.dataset import Dataset, Layout
from mulde.data.layouts.published import PUBLISHED
from mulde.data.video import Video

FRAMES_PER_SECOND = 24.0
WEAKLY_SUPERVISED_SPLIT = (238, 199)
"""Training and test videos of another protocol, whose training videos are in part abnormal."""
_CLIP = r"\d\d_\d{3,4}"
_LOOKS_FOR = "training/videos/01_001.avi (or training/frames/01_001/) and testing/frames/01_0014/000.jpg"


def _has_layout(folder: Path) -> bool:
    if not has_folder(folder / "testing" / "frames", _CLIP):
        return False
    return bool(_training_files(folder)) or has_folder(folder / "training" / "frames", _CLIP)


def _training_files(folder: Path) -> list[Path]:
    return [path for path in video_files(folder / "training" / "videos") if re.fullmatch(_CLIP, path.stem)]


def _recognise(root: Path) -> bool:
    return bool(find_roots(root, _has_layout))


def _read(root: Path) -> Dataset:
    root = find_root(root, _has_layout, "shanghaitech", _LOOKS_FOR)
    notes: list[str] = []
    normal = _open_training(root, notes)
    test_folder = root / "testing" / "frames"
    test = make_videos(frame_folders(test_folder, _CLIP, notes), test_folder, _camera)
    require_videos(test, test_folder, "clips with images")
    notes += _note_other_protocol(normal, test)
    return Dataset(
        name="shanghaitech",
        normal=normal,
        test=test,
        labels=_label(test, root / "testing", notes),
        frames_per_second=FRAMES_PER_SECOND,
        notes=tuple(notes),
        published=PUBLISHED["shanghaitech"],
    )


def _camera(path: Path) -> str:
    return path.name.partition("_")[0]


def _open_training(root: Path, notes: list[str]) -> tuple[Video, ...]:
    files = _training_files(root)
    if files:
        return make_videos(files, root / "training" / "videos", _camera)
    folder = root / "training" / "frames"
    normal = make_videos(frame_folders(folder, _CLIP, notes), folder, _camera)
    require_videos(normal, folder, "clips with images")
    return normal


def _note_other_protocol(normal: tuple[Video, ...], test: tuple[Video, ...]) -> list[str]:
    # training clips are called 01_001, the test clips of the published split 01_0014
    test_clips = [video.name for video in normal if len(video.name) > len("01_001")]
    if (len(normal), len(test)) == WEAKLY_SUPERVISED_SPLIT or test_clips:
        return [
            "this looks like the weakly supervised split (238/199), another protocol: clips of the published "
            f"test set are among those to learn from{': ' if test_clips else ''}{name_some(test_clips)}"
        ]
    return []


def _label(test: tuple[Video, ...], testing: Path, notes: list[str]) -> Labels | None:
    frame_masks, pixel_masks = (_find_arrays(testing / f"test_{kind}_mask") for kind in ("frame", "pixel"))
    if not frame_masks:
        notes.append("testing/test_frame_mask is not there, so there are no labels")
        return None
    clips = {video.name: video.path for video in test}
    missing = [name for name in frame_masks if name not in clips]
    if missing:
        notes.append(
            f"{len(missing)} of {len(frame_masks)} labelled test clips are missing: {name_some(missing)}"
        )
    unlabelled = [name for name in clips if name not in frame_masks]
    if unlabelled:
        notes.append(f"{len(unlabelled)} of {len(test)} test clips have no labels: {name_some(unlabelled)}")
    gaps = [n for n in frame_masks if n in clips and has_frame_gaps(clips[n])]
    if gaps:
        notes.append(f"frames are missing from {name_some(gaps)}: their labels would not fit, left out")
    usable = [name for name in frame_masks if name in clips and name not in gaps]
    return Labels(
        arrays={name: read_frame_array(frame_masks[name]) for name in usable},
        region_sources={
            name: Deferred((pixel_masks[name],), partial(_read_regions, pixel_masks[name]))
            for name in usable
            if name in pixel_masks
        },
    )


def _find_arrays(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in list_folder(folder) if path.suffix == ".npy"}


def _read_regions(file: Path) -> Regions:
    return regions_of_masks(load_mask_array(file))


LAYOUT = Layout(looks_for=f"{_LOOKS_FOR}, in the folder or one below", recognise=_recognise, read=_read)
