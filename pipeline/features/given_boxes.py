"""Boxes that others made: which of them are of which video, looked at before anything is decoded."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from mulde.data.boxes import NO_BOXES, VideoBoxes
from mulde.data.errors import InputError
from mulde.data.exchange.boxes import read_boxes
from mulde.data.files import name_without_suffix
from mulde.data.video import Video
from mulde.extractors.settings import BoxSettings
from mulde.pipeline.config.sections import ExtractConfig
from mulde.pipeline.config.words import of_extraction, respell

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GivenBoxes:
    """The boxes of some videos, and what the user is to know of them."""

    by_path: Mapping[Path, VideoBoxes]
    """By the path of the video."""
    notes: tuple[str, ...] = ()

    def of(self, video: Video) -> VideoBoxes:
        """Return the boxes of a video; none of one that the file does not name."""
        return self.by_path.get(video.path, NO_BOXES)


def open_given(config: ExtractConfig, videos: Sequence[Video]) -> GivenBoxes | None:
    """Read the boxes that a configuration names, and find out of which of the videos they are.

    A video may be named with or without its suffix, and with the folder of its split before it, which it must
    be where both splits have one of that name.

    Raises:
        InputError: a file cannot be read, names none of the videos, or does not tell which one it means.
    """
    boxes = config.boxes
    if boxes.finder != "file" or config.are_imported:
        return None
    found: dict[Path, VideoBoxes] = {}
    named_as: dict[Path, str] = {}
    known = _names_of(videos)
    unknown: list[str] = []
    where = ", ".join(boxes.files)
    for name, of_name in _read_all(boxes):
        meant = known.get(name_without_suffix(name), [])
        if not meant:
            unknown.append(name)
            continue
        if len(meant) > 1:
            folders = " and ".join(str(video.split_folder) for video in meant)
            raise InputError(
                f"{where}: video {name} is in {folders}: name it with the folder, such as "
                f"{meant[0].split_folder.name}/{name}"
            )
        path = meant[0].path
        if path in found:
            raise InputError(f"{where}: {path} is meant by both {named_as[path]} and {name}: leave out one")
        found[path], named_as[path] = of_name, name
    if not found:
        here = f"they are named {videos[0].name}, …" if videos else "there are none"
        there = f"it names {unknown[0]}, …" if unknown else "it names none"
        raise InputError(
            f"{where} has boxes of none of the {len(videos)} videos: {here}, and {there}. Name its boxes "
            "after the videos, or give another `boxes.file`"
        )
    _check_pixels(where, [each for each in found.values() if len(each)])
    missing = [video.name for video in videos if video.path not in found]
    notes = _notes(where, boxes, missing, unknown, found)
    return GivenBoxes(found, tuple(respell(note, of_extraction()) for note in notes))


def check_normal(given: GivenBoxes | None, boxes: BoxSettings, normal: Sequence[Video]) -> None:
    """Raise InputError if there is nothing to learn from: no box in a normal video, and no finder beside."""
    if given is None or boxes.join != "none" or boxes.whole_frame_if_empty:
        return
    if not any(len(given.of(video)) for video in normal):
        raise InputError(
            f"{', '.join(boxes.files)} has no box in any of the {len(normal)} normal videos, to learn from: "
            "give theirs too, in the same file or in a list of `boxes.file`"
        )


def tell_notes(given: GivenBoxes | None) -> None:
    """Log what the user is to know of boxes that others made, if there are some."""
    for note in given.notes if given else ():
        _log.warning("%s", note)


def notes_on(boxes: VideoBoxes, frame_size: tuple[int, int], n_frames: int) -> list[str]:
    """Return what is to be said of the boxes of a video, of which size and length are known now.

    Args:
        frame_size: (width, height) in pixels.
    """
    is_late, is_empty = boxes.frame >= n_frames, boxes.is_empty(frame_size)
    is_clipped = boxes.is_beyond(frame_size) & ~is_empty
    size, n = f"{frame_size[0]}x{frame_size[1]}", len(boxes)
    notes = []
    if is_clipped.any():
        notes.append(f"{is_clipped.sum()} of {n} boxes reach beyond the picture of {size}: clipped")
    if is_empty.any():
        hint = "; were they made for pictures of another size?" if 2 * is_empty.sum() > n else ""
        notes.append(f"{is_empty.sum()} of {n} boxes have no area in the picture of {size}: left out{hint}")
    if is_late.any():
        counted = (boxes.frame == n_frames).any() and not (boxes.frame == 0).any()
        hint = "; if the file counts frames from 1, set `boxes.first_frame` to 1" if counted else ""
        notes.append(f"{is_late.sum()} of {n} boxes are of frames after the last one, {n_frames - 1}{hint}")
    return notes


def _names_of(videos: Sequence[Video]) -> dict[str, list[Video]]:
    """Return the videos by what they may be called."""
    names: dict[str, list[Video]] = {}
    for video in videos:
        for name in (video.name, f"{video.split_folder.resolve().name}/{video.name}"):
            same = names.setdefault(name_without_suffix(name), [])
            if video not in same:
                same.append(video)
    return names


def _read_all(boxes: BoxSettings) -> Iterator[tuple[str, VideoBoxes]]:
    first = None if boxes.first_frame == "usual" else int(boxes.first_frame)
    for text in boxes.files:
        path = Path(text)
        yield from _read(path, _state(path), first).items()


def _state(path: Path) -> tuple[tuple[str, int, int], ...]:
    """Return what changes when a file, or one in a folder, does."""
    files = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
    try:
        stats = [file.stat() for file in files]
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check `boxes.file`") from None
    return tuple((str(file), stat.st_size, stat.st_mtime_ns) for file, stat in zip(files, stats, strict=True))


@lru_cache(maxsize=4)
def _read(path: Path, state: object, first_frame: int | None) -> Mapping[str, VideoBoxes]:
    return read_boxes(path, first_frame)


def _check_pixels(where: str, some: Sequence[VideoBoxes]) -> None:
    if some and max(float(np.abs(each.box_xyxy).max()) for each in some) <= 1:
        raise InputError(f"{where}: no coordinate is above 1: expected pixels, not shares of the picture")


def _notes(
    where: str,
    settings: BoxSettings,
    missing: Sequence[str],
    unknown: Sequence[str],
    found: Mapping[Path, VideoBoxes],
) -> Iterator[str]:
    if missing:
        yield (
            f"{where}: {len(missing)} of {len(missing) + len(found)} videos have no boxes there, the first "
            f"is {missing[0]}: these are taken to be empty"
        )
    if unknown:
        yield f"{where}: {len(unknown)} videos there are not among the data, the first is {unknown[0]}"
    firsts = np.array([each.frame[0] for each in found.values() if len(each)])
    n_second = int((firsts == 1).sum())
    counts_from_0 = settings.first_frame != 1 and any(map(_is_table, settings.files))
    if counts_from_0 and n_second and firsts.min() > 0 and 2 * n_second >= firsts.size:
        yield (
            f"{where}: no video has a box in frame 0, and {n_second} of {firsts.size} have their first in "
            "frame 1: if frames are counted from 1 there, set `boxes.first_frame` to 1"
        )


def _is_table(file: str) -> bool:
    return Path(file).suffix.lower() in (".csv", ".json")
