"""Layout `repack`: UCSD and Avenue as the community repacked them, training/frames/01/000.jpg and ped2.mat.

The frames are images, numbered from 0; `label_matrices` says what the .mat files hold.
"""

from __future__ import annotations

from pathlib import Path

from mulde.data.errors import InputError
from mulde.data.labels.labels import Labels
from mulde.data.labels.matrices import read_label_matrix
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
)
from mulde.data.layouts.dataset import Dataset, Layout
from mulde.data.layouts.published import PUBLISHED

_CLIP = r"\d+"
_LOOKS_FOR = "training/frames/01/000.jpg and testing/frames/01/000.jpg, with ped1.mat, ped2.mat or avenue.mat"
_SETS = {"ped1": ("UCSDped1", 10.0), "ped2": ("UCSDped2", 10.0), "avenue": ("avenue", 25.0)}
"""The data set and its frames per second, by the stem of the .mat file."""


def _has_layout(folder: Path) -> bool:
    return all(has_folder(folder / split / "frames", _CLIP) for split in ("training", "testing"))


def _recognise(root: Path) -> bool:
    return bool(find_roots(root, _has_layout))


def _read(root: Path) -> Dataset:
    root = find_root(root, _has_layout, "repack", _LOOKS_FOR)
    notes: list[str] = []
    splits = {}
    for split in ("training", "testing"):
        folder = root / split / "frames"
        splits[split] = make_videos(frame_folders(folder, _CLIP, notes), folder)
        require_videos(splits[split], folder, "clips with images")
    ground_truth = _find_ground_truth(root)
    name, frames_per_second = root.resolve().name, None
    if ground_truth is not None:
        name, frames_per_second = _SETS[ground_truth.stem]
    labels = None
    if ground_truth is None:
        notes.append("there is no ped1.mat, ped2.mat or avenue.mat, so there are no labels")
    else:
        labels = _label({int(v.name): v.path for v in splits["testing"]}, ground_truth, notes)
    return Dataset(
        name=name,
        normal=splits["training"],
        test=splits["testing"],
        labels=labels,
        frames_per_second=frames_per_second,
        notes=tuple(notes),
        published=PUBLISHED.get(name),
    )


def _find_ground_truth(root: Path) -> Path | None:
    found = [p for p in list_folder(root) if p.suffix == ".mat" and p.stem in _SETS]
    if len(found) > 1:
        raise InputError(f"{root} holds {' and '.join(p.name for p in found)}: keep the one of this data set")
    return found[0] if found else None


def _label(clips: dict[int, Path], ground_truth: Path, notes: list[str]) -> Labels:
    """Label clip number k by cell k, or by variable k, whatever the padding of its name."""
    intervals, arrays = read_label_matrix(ground_truth)
    known = {*intervals, *arrays}
    missing = [str(number) for number in sorted(known - clips.keys())]
    if missing:
        notes.append(
            f"{len(missing)} of {len(known)} test clips that {ground_truth.name} labels are missing: "
            f"{name_some(missing, 21)}"
        )
    beyond = [clips[number].name for number in sorted(clips.keys() - known)]
    if beyond:
        notes.append(f"{ground_truth.name} has no labels for {name_some(beyond)}")
    gaps = {n for n in known & clips.keys() if has_frame_gaps(clips[n])}
    if gaps:
        names = name_some([clips[number].name for number in sorted(gaps)])
        notes.append(f"frames are missing from {names}: their labels would not fit, left out")
    usable = (known & clips.keys()) - gaps
    return Labels(
        intervals={clips[n].name: found for n, found in intervals.items() if n in usable},
        arrays={clips[n].name: found for n, found in arrays.items() if n in usable},
    )


LAYOUT = Layout(
    looks_for=f"{_LOOKS_FOR} beside, in the folder or one below", recognise=_recognise, read=_read
)
