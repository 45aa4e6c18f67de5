"""Which files are videos and frames, what they are called, and in which order they come."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Protocol

from mulde.data.errors import InputError
from mulde.data.spelling import spell

VIDEO_SUFFIXES = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".f4v", ".mj2", ".ismv"),  # the family of QuickTime
        *(".avi", ".divx", ".mkv", ".mk3d", ".webm", ".flv", ".ogv", ".ogm", ".nut", ".ivf", ".mxf", ".wtv"),
        *(".wmv", ".asf", ".rm", ".rmvb", ".dav", ".amv", ".dv", ".y4m"),
        *(".mpg", ".mpeg", ".mpe", ".vob", ".mod", ".tod", ".ts", ".m2t", ".mts", ".m2ts", ".trp"),  # MPEG
        *(
            ".h264",
            ".264",
            ".avc",
            ".h265",
            ".265",
            ".hevc",
            ".m1v",
            ".m2v",
            ".mjpeg",
            ".mjpg",
        ),  # bare streams
    }
)
STACK_SUFFIXES = frozenset({".gif", ".png", ".apng", ".webp", ".tif", ".tiff"})
"""Kinds of images that can have several pages, and are videos then."""
IMAGE_SUFFIXES = STACK_SUFFIXES | {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".bmp", ".dib", ".ppm", ".pgm", ".pbm", ".pnm")
}
_NAMED_WITHOUT = VIDEO_SUFFIXES | STACK_SUFFIXES
_JUNK = frozenset(
    {
        *("@eadir", "@tmp", "@sharebin", "@recycle", "@recently-snapshot", "@__thumb"),  # Synology, QNAP
        *("#recycle", "#snapshot", "lost+found", "__macosx", "temporary items", "network trash folder"),
        *("$recycle.bin", "recycler", "system volume information", "thumbs.db", "ehthumbs.db", "desktop.ini"),
    }
)
"""Names, in lower case, that file systems, network storages and archives leave between the user's files."""
_NO_VIDEO_SUFFIXES = frozenset(
    {
        *(".txt", ".md", ".rst", ".rtf", ".pdf", ".doc", ".docx", ".odt", ".html", ".htm", ".log", ".nfo"),
        *(".csv", ".tsv", ".xls", ".xlsx", ".ods", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml"),
        *(".ini", ".cfg", ".conf", ".npy", ".npz", ".mat", ".m", ".h5", ".hdf5", ".pkl", ".pt", ".pth"),
        *(".py", ".ipynb", ".sh", ".bat", ".md5", ".sha1", ".sha256", ".url", ".lnk", ".lock"),
        *(".srt", ".vtt", ".ass", ".ssa", ".sub", ".idx", ".smi", ".sbv"),  # subtitles
        *(".wav", ".mp3", ".m4a", ".aac", ".flac", ".opus", ".wma", ".ogg"),
        *(
            ".thm",
            ".ifo",
            ".bup",
            ".cpi",
            ".mpl",
            ".bdm",
            ".moi",
            ".modd",
        ),  # what cameras write beside videos
    }
)
_DIGITS = re.compile(r"([0-9]+)")
_NO_VIDEO_NAMES = frozenset({"readme", "license", "licence", "copying", "makefile", "checksums"})


class _Named(Protocol):
    """A path, or an entry of a folder that is looked through."""

    @property
    def name(self) -> str: ...


def natural_key(name: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Return the key that sorts names as people count: "frame2" before "frame10", "a/9" before "a/10"."""
    # "frame10" -> ["frame", "10", ""]: text at even places, digits at odd ones
    parts = _DIGITS.split(name)
    key = tuple(_number_key(p) if i % 2 else (1, 0, p.casefold()) for i, p in enumerate(parts) if p)
    return key, name  # the name itself decides between "1.png" and "01.png"


def _number_key(digits: str) -> tuple[int, int, str]:
    """Give the key that sorts whole numbers of any length; Python makes no int of thousands of digits."""
    digits = digits.lstrip("0")
    return 0, len(digits), digits


def is_hidden(name: str) -> bool:
    """Whether a file or folder is to be passed over, and not worth a word.

    macOS leaves "._001.tif" and ".DS_Store" in archives, a Synology "@eaDir/001.jpg/SYNOPHOTO_THUMB_M.jpg".
    """
    return name.startswith(".") or name.casefold() in _JUNK


def is_no_video(file: _Named) -> bool:
    """Whether a name is evidently that of labels, text, sound or the like, and of no video or image."""
    return _suffix(file.name) in _NO_VIDEO_SUFFIXES or file.name.casefold() in _NO_VIDEO_NAMES


def is_video_file(file: _Named) -> bool:
    """Whether the name is one of a video file; the file itself is not opened."""
    return _suffix(file.name) in VIDEO_SUFFIXES and not is_hidden(file.name)


def is_image_file(file: _Named) -> bool:
    """Whether the name is one of an image, or of several; the file itself is not opened."""
    return _suffix(file.name) in IMAGE_SUFFIXES and not is_hidden(file.name)


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122  # of a hundred thousand files, it counts


def list_images(folder: Path) -> list[Path]:
    """List the images directly in `folder`, in natural order."""
    return sorted((p for p in folder.iterdir() if is_image_file(p)), key=lambda p: natural_key(p.name))


def name_without_suffix(relative_path: str) -> str:
    """Return a video's name: its relative path, "/" between parts, without the suffix of a video or stack.

    Other dots stay: "cam1/day.2.mp4" -> "cam1/day.2", and "day.2" stays as it is. It is spelt so that it can
    be compared and written anywhere, see `spell`.
    """
    name = spell(relative_path.replace("\\", "/"))
    if not name or "//" in name or "./" in name or name.endswith(("/", "/.")):
        name = str(PurePosixPath(name))  # which takes a while, with a hundred thousand videos
    stem, suffix = posixpath.splitext(name)
    return stem if suffix.lower() in _NAMED_WITHOUT else name


def sizes_and_times(folder: str, names: Iterable[str], suffix: str) -> list[tuple[int, int] | None]:
    """Return the size in bytes and last change in nanoseconds of many files; None for what is not there.

    Args:
        folder: that they lie in, or below.
        names: theirs, with "/" between parts.
        suffix: what all of them end in.
    """
    found = list[tuple[int, int] | None]()
    above, descriptor = "", None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return [None for _ in names]
    except OSError:  # it may not be listed, or too many files are open
        above = f"{folder}{os.sep}"
    try:
        for name in names:  # of half a million, every further call counts, and every part of a path
            try:
                stat = os.stat(f"{above}{name}{suffix}", dir_fd=descriptor)
            except OSError:
                found.append(None)
            else:
                found.append((stat.st_size, stat.st_mtime_ns))
    finally:
        if descriptor is not None:
            os.close(descriptor)
    return found


def require_file(path: Path) -> None:
    """Raise InputError unless there is a regular file: a pipe would be waited for."""
    if not path.exists():
        raise InputError(f"{path} is not there: check the path")
    if not path.is_file():
        raise InputError(f"{path} is no file: check the path")
