"""Find the videos below a folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mulde.data.decode.image_stacks import is_stack, may_be_stack
from mulde.data.errors import InputError
from mulde.data.files import (
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    is_hidden,
    is_image_file,
    is_no_video,
    is_video_file,
    name_without_suffix,
    natural_key,
)
from mulde.data.spelling import spell
from mulde.data.video import Video

_N_NAMED = 5


@dataclass(frozen=True)
class FoundVideos:
    """The videos below some paths, and what is passed over there."""

    videos: tuple[Video, ...]
    notes: tuple[str, ...] = ()
    """What lies beside the videos, is not read and is not evidently something else: a sentence a kind."""


def find_videos(folder: Path) -> tuple[Video, ...]:
    """Find video files and folders of images in and below `folder`, in natural order of their names.

    A folder that holds images and no video, in itself or below, is one video; so `folder` itself can be
    one, and is then named after itself. An image file of several pages is a video, unless it lies among more
    images that are none. Hidden files and folders are passed over. The scene is the first sub-folder that a
    video lies in, "" where it lies in `folder` directly.

    Raises:
        InputError: `folder` is missing, a file, or holds no video, or two videos would have the same name.
    """
    return _find_below(Path(folder)).videos


def find_all(paths: Sequence[Path]) -> FoundVideos:
    """Find the videos that paths name: files, folders of frames, or folders of videos.

    They are in natural order of their names, whatever the order of the paths: what is learnt is the same.
    Where two would have the same name, the folder in which each was found comes before it.

    Raises:
        InputError: a path is not there, holds no video, or two videos would have the same name.
    """
    found = [_one_file(path) if path.is_file() else _find_below(path) for path in paths]
    videos = [video for each in found for video in each.videos]
    counts = Counter(video.name for video in videos)
    named = tuple(_with_folder(video) if counts[video.name] > 1 else video for video in videos)
    _check_names(named)
    notes = tuple(note for each in found for note in each.notes)
    return FoundVideos(tuple(sorted(named, key=lambda video: natural_key(video.name))), notes)


def _find_below(folder: Path) -> FoundVideos:
    check_folder(folder)
    passed_over = _PassedOver(folder)
    try:
        paths = _search(folder, frozenset(), passed_over)
    except OSError as error:
        raise InputError(f"{error.filename or folder} cannot be read ({error.strerror})") from error
    if not paths:
        others = "; ".join(passed_over.notes())
        raise InputError(
            f"{folder} holds no videos: looked in it and its sub-folders for files "
            f"({_plain(VIDEO_SUFFIXES)}) and for folders of images ({_plain(IMAGE_SUFFIXES)})"
            + (f"; {others}" if others else "")
        )
    if paths == [folder]:
        whole = folder.resolve()
        videos = [Video(name=name_without_suffix(whole.name), path=whole, split_folder=whole.parent)]
    else:
        n_above = len(str(folder / "x")) - 1
        videos = [_make_video(path, folder, str(path)[n_above:].replace(os.sep, "/")) for path in paths]
    _check_names(videos)
    videos.sort(key=lambda video: video.name)  # nearly the order that is wanted, and a tenth of the time
    videos.sort(key=lambda video: natural_key(video.name))
    return FoundVideos(tuple(videos), tuple(passed_over.notes()))


def _with_folder(video: Video) -> Video:
    return replace(video, name=f"{spell(video.split_folder.resolve().name)}/{video.name}")


def _one_file(path: Path) -> FoundVideos:
    if is_image_file(path) and not is_stack(path):
        raise InputError(f"{path} is an image: name the folder that holds all images of the video")
    named = Path(os.path.abspath(path))  # noqa: PTH100  # a link keeps the name that the user knows
    return FoundVideos((Video(name_without_suffix(named.name), path, named.parent),))


def check_folder(folder: Path) -> None:
    """Check that a folder that the user named is one.

    Raises:
        InputError: it is missing, or a file.
    """
    if folder.is_file():
        raise InputError(f"{folder} is a file: give the folder that it lies in")
    if not folder.is_dir():
        raise InputError(f"{folder} is not there: check the path")


@dataclass(frozen=True)
class _PassedOver:
    """What a search comes by and leaves."""

    folder: Path
    images: list[Path] = field(default_factory=list)
    """Beside videos, or above them."""
    animations: list[Path] = field(default_factory=list)
    """Among the frames of a folder of images."""
    others: list[Path] = field(default_factory=list)
    """Files of kinds that are not known."""

    def notes(self) -> list[str]:
        """Say what was left, a sentence a kind."""
        return [
            f"{_count(paths, what)} passed over{why}: {self._name(paths)}"
            for paths, what, why in [
                (self.images, ("image is", "images are"), ", as there are videos beside or below"),
                (self.animations, ("animation is", "animations are"), ", as the folder is one video"),
                (self.others, ("file of another kind is", "files of other kinds are"), ""),
            ]
            if paths
        ]

    def _name(self, paths: Sequence[Path]) -> str:
        names = sorted((path.relative_to(self.folder).as_posix() for path in paths), key=natural_key)
        return ", ".join(names[:_N_NAMED]) + (" …" if len(names) > _N_NAMED else "")


def _count(paths: Sequence[Path], what: tuple[str, str]) -> str:
    return f"{len(paths)} {what[len(paths) > 1]}"


def _search(folder: Path, ancestors: frozenset[Path], passed_over: _PassedOver) -> list[Path]:
    real = folder.resolve()
    if real in ancestors:  # a link that leads back up
        return []
    images: list[Path] = []
    found: list[Path] = []
    with os.scandir(folder) as scan:
        entries = [entry for entry in scan if not is_hidden(entry.name)]
    for entry in entries:
        if entry.is_dir():  # which is known of each without a further look
            found += _search(folder / entry.name, ancestors | {real}, passed_over)
        elif is_video_file(entry):
            path = folder / entry.name
            is_endless = not entry.is_file() and path.exists()  # a pipe or a device with such a name
            (passed_over.others if is_endless else found).append(path)
        elif is_image_file(entry):
            images.append(folder / entry.name)
        elif not is_no_video(entry):
            passed_over.others.append(folder / entry.name)
    stacks = _stacks(images)
    stills = [image for image in images if image not in stacks]
    if len(stacks) >= len(stills):
        found += stacks
    elif not found:
        passed_over.animations.extend(stacks)
        return [folder]
    else:
        stills = images
    passed_over.images.extend(stills)
    return found


def _stacks(images: Iterable[Path]) -> set[Path]:
    """Return the images that have several pages, of the suffixes whose first image has some."""
    by_suffix: dict[str, list[Path]] = {}
    for image in sorted(images, key=lambda image: natural_key(image.name)):
        by_suffix.setdefault(image.suffix.lower(), []).append(image)
    # only the first of a hundred thousand frames is opened
    return {
        image
        for alike in by_suffix.values()
        if may_be_stack(alike[0]) and is_stack(alike[0])
        for image in alike
        if is_stack(image)
    }


def _make_video(path: Path, folder: Path, relative: str) -> Video:
    first, is_below, _ = relative.partition("/")
    return Video(
        name=name_without_suffix(relative),
        path=path,
        split_folder=folder,
        scene=spell(first) if is_below else "",
    )


def _check_names(videos: Sequence[Video]) -> None:
    by_name: dict[str, Video] = {}
    for video in videos:
        twin = by_name.setdefault(video.name, video)
        if twin is not video and twin.path.absolute() == video.path.absolute():
            raise InputError(
                f"{video.path} is named twice, perhaps with the folder that it lies in: once will do"
            )
        if twin is not video:
            raise InputError(
                f"{twin.path} and {video.path} would both be called {video.name}: rename one, or take it out"
            )


def _plain(suffixes: frozenset[str]) -> str:
    return ", ".join(sorted(suffix[1:] for suffix in suffixes))
