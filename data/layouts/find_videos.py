"""Find the videos below a folder."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mulde.data.errors import InputError
from mulde.data.files import (
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    is_hidden,
    is_image_file,
    is_video_file,
    name_without_suffix,
    natural_key,
)
from mulde.data.video import Video

logger = logging.getLogger(__name__)


def find_videos(folder: Path) -> tuple[Video, ...]:
    """Find video files and folders of images in and below `folder`, in natural order of their names.

    A folder that holds images and no video, in itself or below, is one video; so `folder` itself can be
    one, and is then named after itself. Hidden files and folders are passed over. The scene is the first
    sub-folder that a video lies in, "" where it lies in `folder` directly.

    Raises:
        InputError: `folder` is missing, a file, or holds no video, or two videos would have the same name.
    """
    folder = Path(folder)
    check_folder(folder)
    try:
        paths = _search(folder, ancestors=frozenset())
    except OSError as error:
        raise InputError(f"{error.filename or folder} cannot be read ({error.strerror})") from error
    if not paths:
        raise InputError(
            f"{folder} holds no videos: looked in it and its sub-folders for files "
            f"({_plain(VIDEO_SUFFIXES)}) and for folders of images ({_plain(IMAGE_SUFFIXES)})"
        )
    if paths == [folder]:
        whole = folder.resolve()
        return (Video(name=name_without_suffix(whole.name), path=whole, split_folder=whole.parent),)
    videos = [_make_video(path, folder) for path in paths]
    _check_names(videos)
    return tuple(sorted(videos, key=lambda video: natural_key(video.name)))


def find_all(paths: Sequence[Path]) -> tuple[Video, ...]:
    """Find the videos that paths name: files, folders of frames, or folders of videos.

    Where two would have the same name, the folder in which each was found comes before it.

    Raises:
        InputError: a path is not there, holds no video, or two videos would have the same name.
    """
    videos = [video for path in paths for video in (_one_file(path) if path.is_file() else find_videos(path))]
    counts = Counter(video.name for video in videos)
    found = tuple(_with_folder(video) if counts[video.name] > 1 else video for video in videos)
    _check_names(found)
    return found


def _with_folder(video: Video) -> Video:
    return replace(video, name=f"{video.split_folder.resolve().name}/{video.name}")


def _one_file(path: Path) -> tuple[Video, ...]:
    if is_image_file(path):
        raise InputError(f"{path} is an image: name the folder that holds all images of the video")
    whole = path.resolve()
    return (Video(name_without_suffix(whole.name), path, whole.parent),)


def check_folder(folder: Path) -> None:
    """Check that a folder that the user named is one.

    Raises:
        InputError: It is missing, or a file.
    """
    if folder.is_file():
        raise InputError(f"{folder} is a file: give the folder that it lies in")
    if not folder.is_dir():
        raise InputError(f"{folder} is not there: check the path")


def _search(folder: Path, ancestors: frozenset[Path]) -> list[Path]:
    real = folder.resolve()
    if real in ancestors:  # a link that leads back up
        return []
    entries = [entry for entry in folder.iterdir() if not is_hidden(entry.name)]
    images = [entry for entry in entries if is_image_file(entry)]
    found: list[Path] = []
    for entry in entries:
        if is_image_file(entry):
            continue
        if entry.is_dir():
            found += _search(entry, ancestors | {real})
        elif is_video_file(entry):
            found.append(entry)
    if images and not found:
        return [folder]
    if images:
        logger.warning(
            "%s: %d images are passed over, as there are videos beside or below", folder, len(images)
        )
    return found


def _make_video(path: Path, folder: Path) -> Video:
    relative = path.relative_to(folder)
    return Video(
        name=name_without_suffix(relative.as_posix()),
        path=path,
        split_folder=folder,
        scene=relative.parts[0] if len(relative.parts) > 1 else "",
    )


def _check_names(videos: Sequence[Video]) -> None:
    by_name: dict[str, Video] = {}
    for video in videos:
        twin = by_name.setdefault(video.name, video)
        if twin is not video:
            raise InputError(
                f"{twin.path} and {video.path} would both be called {video.name}: rename one, or take it out"
            )


def _plain(suffixes: frozenset[str]) -> str:
    return ", ".join(sorted(suffix[1:] for suffix in suffixes))
