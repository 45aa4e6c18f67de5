"""The feature rows of an event, kept by themselves: the cache, or live footage, may not be there any more.

FOLDER/<name>/excerpt.json      the event, and what made the rows
FOLDER/<name>/<stream>.h5       as in the cache; frames count from 0 and are those that were looked at
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from mulde.data.atomic import make_folder, writing
from mulde.data.cache.entries import check_whole
from mulde.data.cache.store import CacheFileError, StreamKey, read_entry, write_rows
from mulde.data.errors import InputError
from mulde.data.features import FeatureRows
from mulde.data.identity import SourceIdentity
from mulde.data.sealed import read_json, write_json
from mulde.data.video import DecodeReport, Video
from mulde.pipeline.features.inventory import CachedVideo
from mulde.pipeline.marks.record import ToldEvent

ABOUT = "excerpt.json"
EXCERPTS = "excerpts"
"""Below the folder of what was watched: the features of its events."""
SPREADS_AROUND = 4.0
"""What is so many spreads of the smoothing around an event is kept with it: it has a part in its score."""
_BACKEND = "excerpt"


@dataclass(frozen=True)
class ExcerptRows:
    """What detectors see of an event."""

    streams: Mapping[str, FeatureRows]
    """By stream; frames are positions in `seconds`."""
    seconds: NDArray[np.float64]
    """(K,), the times of the frames that were looked at, those without a row included."""
    fps: float
    """Frames a second, where the times do not tell."""

    def __post_init__(self) -> None:
        for stream, rows in self.streams.items():
            if len(rows) and not 0 <= rows.frame[0] <= rows.frame[-1] < len(self.seconds):
                raise ValueError(f"{stream} has rows of frames outside the {len(self.seconds)} looked at")


@dataclass(frozen=True)
class Excerpt:
    """An event, and what detectors see of it."""

    event: ToldEvent
    rows: ExcerptRows


def write_excerpt(above: Path, excerpt: Excerpt, stream_digests: Mapping[str, str]) -> Path:
    """Write the rows of an event into a folder of its own; return that.

    Args:
        above: the folder that holds such folders.
        stream_digests: what decides the features of each stream.

    Raises:
        WriteError: the disk is full, or the folder may not be written.
    """
    event, rows = excerpt.event, excerpt.rows
    folder = above / event.folder_name
    _make_anew(folder)
    identity = SourceIdentity(0, 0, 1, _digest(rows))
    report = DecodeReport(_BACKEND, len(rows.seconds), None, rows.fps, 0, 0)
    for stream, part in rows.streams.items():
        with write_rows(
            folder / f"{stream}.h5",
            event.folder_name,
            part.n_features,
            has_boxes=part.box_xyxy is not None,
            has_spans=False,
            source=event.source,
        ) as writer:
            writer.append(FeatureRows(part.features, part.frame, part.box_xyxy))
            writer.commit(identity, report, rows.seconds)
    write_json(folder / ABOUT, asdict(_About(event, dict(stream_digests))), indent=1)
    return folder


@dataclass(frozen=True)
class _About:
    """What excerpt.json holds."""

    event: ToldEvent
    streams: dict[str, str]
    """What decides the features of each stream."""


_ABOUT = TypeAdapter(_About)


def read_event(folder: Path) -> ToldEvent:
    """Return which event an excerpt is of.

    Raises:
        InputError: it is damaged, or none.
    """
    return _read_about(folder).event


def _read_about(folder: Path) -> _About:
    try:
        return _ABOUT.validate_python(read_json(folder / ABOUT))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{folder / ABOUT} is missing or damaged ({reason})") from None


def open_excerpt(folder: Path, stream_digests: Mapping[str, str]) -> CachedVideo:
    """Return an excerpt as a video of which all features are there.

    Raises:
        InputError: it is damaged, or its features were made in another way than those of now.
    """
    about = _read_about(folder)
    event = about.event
    if {stream: about.streams.get(stream) for stream in stream_digests} != dict(stream_digests):
        raise InputError(f"the features of {event.id} were made with other settings or weights")
    video = Video(event.folder_name, folder, folder.parent, event.scene)
    # without boxes: all of its frames are those that were looked at
    keys = {stream: StreamKey(stream, {_BACKEND: digest}) for stream, digest in stream_digests.items()}
    try:
        for stream in keys:
            check_whole(folder / f"{stream}.h5")
        entries = {stream: read_entry(folder / f"{stream}.h5") for stream in keys}
    except CacheFileError as error:
        raise InputError(f"the features of {event.id} cannot be read ({error})") from None
    return CachedVideo(video, keys, entries, is_stale=False)


def copy_excerpt(excerpt: CachedVideo, folder: Path) -> None:
    """Copy an excerpt that was opened, and nothing else that lies beside it.

    Raises:
        InputError: a file of it is a link.
    """
    paths = [excerpt.video.path / ABOUT, *(entry.path for entry in excerpt.entries.values())]
    for path in paths:
        if path.is_symlink():
            raise InputError(f"{path} is a link: features of events are files of their own")
    _make_anew(folder)
    for path in paths:
        shutil.copyfile(path, folder / path.name)


def _make_anew(folder: Path) -> None:
    """Make an empty folder in place of what is there, and not where a link in its place leads."""
    with writing(folder.parent):
        if folder.is_symlink() or folder.is_file():
            folder.unlink()
        elif folder.exists():
            shutil.rmtree(folder)
    make_folder(folder)


def _digest(rows: ExcerptRows) -> str:
    content = hashlib.blake2b(rows.seconds.tobytes())
    for stream, part in sorted(rows.streams.items()):
        content.update(stream.encode())
        content.update(part.frame.tobytes())
        content.update(np.ascontiguousarray(part.features).tobytes())
    return content.hexdigest()
