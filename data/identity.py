"""Tell whether a video is still the one that features were made from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from stat import S_ISDIR
from typing import TYPE_CHECKING, NamedTuple

from mulde.data.errors import InputError, VideoError
from mulde.data.files import list_images

if TYPE_CHECKING:
    from mulde.data.video import Video


BLOCK_BYTES = 2**20


class SourceIdentity(NamedTuple):
    """What a video file, or a folder of images, was like when it was read."""

    size_bytes: int
    """Size of the file, or of all images together."""
    mtime_ns: int
    """Last change in nanoseconds: of the file, or the latest of the folder and its images."""
    n_files: int
    """1, or the number of images."""
    digest: str = ""
    """BLAKE2b of the content, of a folder of names and contents, in hexadecimal; "" if not computed."""

    def matches(self, other: SourceIdentity) -> bool:
        """Whether both are the same source: the same size, time and number of files, or the same digest."""
        mine = (self.size_bytes, self.mtime_ns, self.n_files)
        if mine == (other.size_bytes, other.mtime_ns, other.n_files):
            return True
        return self.digest != "" and self.digest == other.digest

    def to_dict(self) -> dict[str, int | str]:
        """Return plain values, to be kept as attributes."""
        return self._asdict()

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> SourceIdentity:
        """Take back what `to_dict` gave; the numbers may have become NumPy's."""
        return cls(
            size_bytes=int(str(values["size_bytes"])),
            mtime_ns=int(str(values["mtime_ns"])),
            n_files=int(str(values["n_files"])),
            digest=str(values["digest"]),
        )


def identify(video: Video, *, with_digest: bool) -> SourceIdentity:
    """Describe what a video's file or folder is like now.

    Args:
        video: its files are looked at, and with `with_digest` read in full.
        with_digest: whether to hash the content, which takes about a second a gigabyte.

    Raises:
        VideoError: the file or folder is not there or cannot be read.
    """
    try:
        stat = os.stat(video.path)  # noqa: PTH116  # of a hundred thousand videos, it counts
        if S_ISDIR(stat.st_mode):
            return _of_folder(video.path, stat, with_digest=with_digest)
        return _of_file(video.path, stat, with_digest=with_digest)
    except OSError as error:
        raise VideoError(f"{video.path} cannot be read ({error.strerror}): check the path") from error


def identify_file(path: Path) -> SourceIdentity:
    """Describe what a file that is no video is like now, with its digest.

    Raises:
        InputError: the file is not there or cannot be read.
    """
    try:
        return _of_file(path, path.stat(), with_digest=True)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the path") from error


def _of_file(path: Path, stat: os.stat_result, *, with_digest: bool) -> SourceIdentity:
    digest = _digest([path], with_names=False) if with_digest else ""
    return SourceIdentity(stat.st_size, stat.st_mtime_ns, 1, digest)


def _of_folder(path: Path, stat: os.stat_result, *, with_digest: bool) -> SourceIdentity:
    images = list_images(path)
    stats = [image.stat() for image in images]
    return SourceIdentity(
        size_bytes=sum(each.st_size for each in stats),
        # a renamed image changes no time but the folder's
        mtime_ns=max(each.st_mtime_ns for each in (stat, *stats)),
        n_files=len(images),
        digest=_digest(images, with_names=True) if with_digest else "",
    )


def is_unchanged(video: Video, known: SourceIdentity, now: SourceIdentity | None = None) -> bool:
    """Whether a video is still the one that `known` describes; it is read only if nothing else tells.

    Args:
        now: what it is like, without digest, if that has been looked at.

    Raises:
        VideoError: the file or folder is not there or cannot be read.
    """
    now = now or identify(video, with_digest=False)
    if known.matches(now):
        return True
    if known.digest == "" or (known.size_bytes, known.n_files) != (now.size_bytes, now.n_files):
        return False
    return known.matches(identify(video, with_digest=True))


def _digest(files: list[Path], *, with_names: bool) -> str:
    total = hashlib.blake2b(digest_size=16)
    for file in sorted(files):
        content = hashlib.blake2b(digest_size=16)
        with file.open("rb") as stream:
            while block := stream.read(BLOCK_BYTES):
                content.update(block)
        if with_names:
            total.update(file.name.encode("utf-8", "surrogateescape") + b"\0")
        total.update(content.digest())
    return total.hexdigest()
