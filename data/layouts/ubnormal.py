"""Layout `ubnormal`: UBnormal as published, Scene1/normal_scene_1_scenario_1.mp4 …, split by lists of names.

The split comes as `{normal,abnormal}_{training,validation,test}_video_names.txt`. It is read one-class: learn
from the normal training videos alone. `<video>_annotations/<video>_tracks.txt` has a row `object,start,end`
for each abnormal object, frames 0-based and inclusive; `<video>_new_tracks.txt` is a correction and wins.
`<video>_%04d_gt.png` are maps of the objects, whose pixels have the object's number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mulde.data.decode.image_folders import load_image
from mulde.data.errors import InputError
from mulde.data.files import list_images
from mulde.data.foreign.text import read_text
from mulde.data.labels.deferred import Deferred
from mulde.data.labels.labels import Interval, Labels
from mulde.data.labels.masks import ObjectTrack, regions_of_object_maps
from mulde.data.labels.regions import Regions
from mulde.data.layouts.common import (
    find_root,
    find_roots,
    list_folder,
    make_videos,
    name_some,
    require_videos,
    video_files,
    walk,
)
from mulde.data.layouts.dataset import Dataset, Layout
from mulde.data.layouts.published import PUBLISHED
from mulde.data.video import Video

_SCENE = r"Scene\d+"
_VIDEO = r"(ab)?normal_scene_?\d+_.*"
_LOOKS_FOR = "Scene1/normal_scene_1_scenario_1.mp4 and normal_training_video_names.txt"
_KINDS = ("normal", "abnormal")


def read_tracks(path: Path) -> list[ObjectTrack]:
    """Read `object,start,end` a line, 0-based and inclusive: "2,10,19" -> object 2 in frames 10 … 19.

    Numbers are integers or such as 1.0e+01; lines may end as on Windows.

    Raises:
        InputError: A line is something else; the text names it.
    """
    tracks = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            value, start, last = (float(cell) for cell in line.split(","))
            is_whole = all(cell == int(cell) for cell in (value, start, last))
        except (ValueError, OverflowError):
            is_whole, value, start, last = False, 0.0, 0.0, 0.0
        if not is_whole or not 0 <= start <= last:
            raise InputError(f"{path}:{number}: expected object,start,end in whole frames, found {line!r}")
        tracks.append(ObjectTrack(int(value), int(start), int(last) + 1))
    return tracks


def _scene_folders(root: Path) -> list[Path]:
    return [f for f in list_folder(root) if re.fullmatch(_SCENE, f.name) and f.is_dir()]


def _has_layout(folder: Path) -> bool:
    return any(
        re.fullmatch(_VIDEO, path.stem) for scene in _scene_folders(folder) for path in video_files(scene)
    )


def _recognise(root: Path) -> bool:
    return bool(find_roots(root, _has_layout))


def _read(root: Path) -> Dataset:
    given, root = root, find_root(root, _has_layout, "ubnormal", _LOOKS_FOR)
    lists = _find_lists(given)
    files = {_plain(p.stem): p for scene in _scene_folders(root) for p in video_files(scene)}
    notes: list[str] = []
    normal = _pick(files, lists[("normal", "training")], root, "normal training", notes)
    tests = {kind: _pick(files, lists[(kind, "test")], root, f"{kind} test", notes) for kind in _KINDS}
    require_videos(normal, root, "video of normal_training_video_names.txt")
    require_videos([*tests["normal"], *tests["abnormal"]], root, "video of the lists of test videos")
    return Dataset(
        name="ubnormal",
        normal=normal,
        test=make_videos([v.path for kind in _KINDS for v in tests[kind]], root, _scene),
        labels=_label(tests["normal"], tests["abnormal"], notes),
        notes=tuple(notes),
        protocol=_describe_protocol(lists),
        published=PUBLISHED["ubnormal"],
    )


def _describe_protocol(lists: dict[tuple[str, str], list[str]]) -> str:
    n_abnormal = len(lists.get(("abnormal", "training"), []))
    n_validation = sum(len(lists.get((kind, "validation"), [])) for kind in _KINDS)
    return (
        f"one-class: {n_abnormal or 'all'} abnormal training videos and "
        f"{n_validation or 'all'} validation videos are left out"
    )


def _scene(path: Path) -> str:
    return path.parent.name


def _plain(name: str) -> str:
    """Give a name as it is compared: some lists and files lack an underscore, as in scenario1_10."""
    return re.sub(r"(scene|scenario)_", r"\1", name)


def _find_lists(root: Path) -> dict[tuple[str, str], list[str]]:
    """Find the lists of names in the folder or up to two below, such as scripts/ or Split/."""
    lists: dict[tuple[str, str], list[str]] = {}
    for path in _list_files(root):
        match = re.fullmatch(r"(normal|abnormal)_(training|validation|test)_video_names\.txt", path.name)
        if match:
            lists.setdefault((match[1], match[2]), read_text(path).split())
    needed = [("normal", "training"), ("normal", "test"), ("abnormal", "test")]
    missing = [f"{kind}_{split}_video_names.txt" for kind, split in needed if (kind, split) not in lists]
    if missing:
        raise InputError(
            f"{root} lacks {', '.join(missing)}, which say how UBnormal is split: copy them into it from the "
            "folder scripts of the data set's repository (lilygeorgescu/UBnormal on GitHub)"
        )
    return lists


def _list_files(root: Path) -> Iterable[Path]:
    yield from (entry for entry in list_folder(root) if entry.is_file())
    for child in list_folder(root):
        if child.is_dir() and not re.fullmatch(_SCENE, child.name):
            yield from (entry for entry in walk(child, depth=1) if entry.suffix == ".txt")


def _pick(
    files: dict[str, Path], names: list[str], root: Path, what: str, notes: list[str]
) -> tuple[Video, ...]:
    missing = [name for name in names if _plain(name) not in files]
    if missing:
        notes.append(f"{len(missing)} of {len(names)} {what} videos are missing: {name_some(missing)}")
    paths = dict.fromkeys(files[_plain(name)] for name in names if _plain(name) in files)
    return make_videos(paths, root, _scene)


def _label(normal: tuple[Video, ...], abnormal: tuple[Video, ...], notes: list[str]) -> Labels:
    intervals: dict[str, tuple[Interval, ...]] = {video.name: () for video in normal}
    sources: dict[str, Deferred[Regions]] = {}
    without = []
    for video in abnormal:
        folder = video.path.with_name(f"{video.path.stem}_annotations")
        path = _find_tracks(folder, video.path.stem)
        if path is None:
            without.append(video.name)
            continue
        tracks = read_tracks(path)
        intervals[video.name] = tuple((track.start, track.end) for track in tracks)
        maps = tuple(p for p in list_images(folder) if p.stem.endswith("_gt"))
        if maps:
            sources[video.name] = Deferred((path, *maps), partial(_read_regions, maps, tuple(tracks)))
    if without:
        notes.append(
            f"{len(without)} abnormal test videos have no _tracks.txt, so no labels: {name_some(without)}"
        )
    return Labels(intervals=intervals, region_sources=sources)


def _find_tracks(folder: Path, stem: str) -> Path | None:
    names = (f"{stem}_new_tracks.txt", f"{stem}_tracks.txt")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _read_regions(maps: tuple[Path, ...], tracks: tuple[ObjectTrack, ...]) -> Regions:
    by_frame = {int(found[1]): path for path in maps if (found := re.search(r"_(\d+)_gt$", path.stem))}

    def load_map(frame: int) -> NDArray[np.uint8] | None:
        return load_image(by_frame[frame])[:, :, 0] if frame in by_frame else None

    return regions_of_object_maps(load_map, sorted(tracks, key=lambda track: track.value))


LAYOUT = Layout(
    looks_for=f"{_LOOKS_FOR} (there or in a folder such as scripts), in the folder or one below",
    recognise=_recognise,
    read=_read,
)
