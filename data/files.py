"""Which files are videos and frames, what they are called, and in which order they come."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".mts", ".wmv", ".flv"}
)
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp"})


def natural_key(name: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Give the key that sorts names as people count: "frame2" before "frame10", "a/9" before "a/10"."""
    # "frame10" -> ["frame", "10", ""]: text at even places, digits at odd ones
    parts = re.split(r"([0-9]+)", name)
    key = tuple((0, int(p), "") if i % 2 else (1, 0, p.casefold()) for i, p in enumerate(parts) if p)
    return key, name  # the name itself decides between "1.png" and "01.png"


def is_hidden(name: str) -> bool:
    """Whether a file or folder is to be passed over: macOS leaves "._001.tif" and ".DS_Store" in archives."""
    return name.startswith(".")


def is_video_file(path: Path) -> bool:
    """Whether the name is one of a video file; the file itself is not opened."""
    return path.suffix.lower() in VIDEO_SUFFIXES and not is_hidden(path.name)


def is_image_file(path: Path) -> bool:
    """Whether the name is one of an image; the file itself is not opened."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not is_hidden(path.name)


def list_images(folder: Path) -> list[Path]:
    """List the images directly in `folder`, in natural order."""
    return sorted((p for p in folder.iterdir() if is_image_file(p)), key=lambda p: natural_key(p.name))


def name_without_suffix(relative_path: str) -> str:
    """Give a video's name: its relative path, "/" between parts, without a video suffix.

    Other dots stay: "cam1/day.2.mp4" -> "cam1/day.2", and "day.2" stays as it is.
    """
    path = PurePosixPath(relative_path.replace("\\", "/"))
    return str(path.with_suffix("") if path.suffix.lower() in VIDEO_SUFFIXES else path)
