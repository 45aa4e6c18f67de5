"""Where live footage comes from, as pieces without interruption; what is lost is looked for again."""

from __future__ import annotations

import logging
import queue
import stat
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from mulde.data.address import shown_address
from mulde.data.decode.live import GrowingFile, LiveFrames, NamedPipe, open_live
from mulde.data.decode.readers import open_frames
from mulde.data.errors import InputError, VideoError
from mulde.data.files import is_video_file, natural_key
from mulde.data.layouts.find_videos import find_videos
from mulde.data.video import Frame, Video

_log = logging.getLogger(__name__)
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 1.0, 60.0
_ROOM_BYTES, _MOST_ROOM = 2**28, 64
"""Of frames that wait to be described."""
_POLL_SECONDS = 0.5
_BYTES_A_PIXEL = 1.5
"""Of most decoded frames."""


@dataclass
class Health:
    """How a source does; whoever looks sees the numbers as they are."""

    n_dropped: int = 0
    """Frames that came faster than they could be described."""
    n_lost: int = 0
    """How often the source was lost."""
    seconds_behind: float | None = None
    """From when the last frame was decoded until it was scored; None where none was."""


@dataclass(frozen=True)
class Lost:
    """The source has gone."""

    reason: str
    next_try_seconds: float | None
    """When it is looked for again; None for a file, which is given up."""


@dataclass(frozen=True)
class Piece:
    """Footage without interruption, whose frames are counted, and timed, from its first on."""

    video: Video
    """What it is called, and the file that it comes from, if it is one."""
    live: LiveFrames
    began: datetime | None
    """When it was recorded, or None where that is to be asked of the file."""


class Source(ABC):
    """Something that is watched."""

    may_wait = True
    """Whether nothing is late or lost if it is read slowly, as of files."""

    def __init__(self, name: str) -> None:
        self.name, self.health = name, Health()
        self.refusal = ""
        """Why what the source shows now is of no use; whoever watches says so, and it is opened again."""
        self.shows = "live"
        """What its footage is called, where that is no file with a name of its own."""
        self.is_patient = False
        """Whether one that has not answered yet is tried again, and no error: others are watched as well."""
        self.is_one = True
        """Whether all of it is of one camera and one size, as far as can be told, and not several files."""
        self.is_over = threading.Event()
        """Set by whoever does not want to watch any more; within seconds there are no further pieces."""

    @abstractmethod
    def pieces(self) -> Generator[Piece | Lost, None, None]:
        """Yield pieces in order; each is to be read to its end, or left, before the next one is asked for.

        Raises:
            InputError: there is nothing to watch.
        """


def open_source(text: str, *, follow_seconds: float | None = None) -> Source:
    """Return the source that a user names.

    Args:
        text: an address (rtsp://, http://, …), the number of a camera, or a path of a file, folder or pipe.
        follow_seconds: a file or a folder grows, until nothing comes for so long; None if it is whole.

    Raises:
        InputError: there is no such thing.
    """
    if "://" in text:
        # what these send does not wait for anybody
        return _Network(text, may_drop=text.startswith(("rtsp", "rtmp", "rtp", "udp", "srt")))
    if text.isdecimal():
        device = f"/dev/video{text}"
        if not Path(device).exists():
            raise InputError(f"there is no camera {text}: {device} is not there")
        return _Network(device, may_drop=True)
    path = Path(text)
    if not path.exists():
        raise InputError(
            f"{text} is not there: give a file, a folder, a pipe, the number of a camera, or an address such "
            "as rtsp://camera/stream"
        )
    if stat.S_ISFIFO(path.stat().st_mode):
        return _Pipe(path.absolute())
    if follow_seconds is None:
        return _Files(find_videos(path) if path.is_dir() else (_video(path),), path.name)
    return _Growing(path, follow_seconds)


class _Network(Source):
    """An address, a camera or a pipe: opened again for as long as somebody watches."""

    may_wait = False

    def __init__(self, name: str, *, may_drop: bool) -> None:
        """Take an address, and whether frames without room are dropped; else the sender waits."""
        super().__init__(name)
        self._may_drop = may_drop
        self._stop = threading.Event()  # the reading of a piece
        self._reason = ""  # why that ended

    def pieces(self) -> Generator[Piece | Lost, None, None]:
        """Yield a piece for each time that the source answers."""
        wait_seconds, has_answered = _FIRST_WAIT_SECONDS, self.is_patient
        while not self.is_over.is_set():
            self._reason = self.refusal = ""
            try:
                with self._opened() as live, self._ahead(live) as frames:
                    has_answered, is_finite = True, live.is_finite
                    video = Video(self.shows, Path(shown_address(self.name)), Path())
                    yield Piece(video, replace(live, frames=frames), datetime.now().astimezone())
                if self.is_over.is_set():
                    return
                if is_finite and not self._reason:  # a recording that lies on a server
                    if self.refusal:
                        self.health.n_lost += 1
                        yield Lost(self.refusal, None)
                    return
            except VideoError as error:
                if self.is_over.is_set():
                    return
                if not has_answered:  # a mistyped address is noticed now, not in an hour
                    raise InputError(str(error)) from None
                self._reason = str(error)
            else:
                wait_seconds = wait_seconds if self.refusal else _FIRST_WAIT_SECONDS
            self.health.n_lost += 1
            yield Lost(self.refusal or self._reason or "the source has ended", wait_seconds)
            self.is_over.wait(wait_seconds)
            wait_seconds = min(2 * wait_seconds, _LONGEST_WAIT_SECONDS)

    def _opened(self) -> AbstractContextManager[LiveFrames]:
        return open_live(self.name)

    @contextmanager
    def _ahead(self, live: LiveFrames) -> Iterator[Iterator[Frame]]:
        """Read frames in a thread as they come; it ends where the source is lost, which is noted."""
        size_bytes = live.info.width * live.info.height * _BYTES_A_PIXEL
        room = max(2, min(_MOST_ROOM, int(_ROOM_BYTES / size_bytes)))
        waiting: queue.Queue[Frame | BaseException | None] = queue.Queue(room)
        self._stop.clear()

        def put(item: Frame | BaseException | None) -> None:
            while not self._stop.is_set():
                try:
                    waiting.put(item, timeout=_POLL_SECONDS)
                except queue.Full:
                    continue
                return

        def read() -> None:
            try:
                for frame in live.frames:
                    if self._stop.is_set():
                        return
                    if self._may_drop and waiting.full():
                        self.health.n_dropped += 1
                    else:
                        put(frame)
            except VideoError as error:
                self._reason = str(error)
            except BaseException as error:  # passed on, whatever it is
                put(error)
                return
            put(None)

        name = f"{threading.current_thread().name} source"  # of a camera's: a log tells them apart
        thread = threading.Thread(target=read, name=name, daemon=True)
        thread.start()
        try:
            yield _until_the_end(waiting, self.is_over)
        finally:
            self._stop.set()
            thread.join()


class _Pipe(_Network):
    """A named pipe, for writers who come and go."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), may_drop=False)
        self._path = path

    @contextmanager
    def _opened(self) -> Iterator[LiveFrames]:
        self._stop.clear()

        def is_ended() -> bool:
            return self._stop.is_set() or self.is_over.is_set()

        with closing(NamedPipe(self._path, is_ended)) as pipe, open_live(pipe) as live:
            yield live


def _until_the_end(
    waiting: queue.Queue[Frame | BaseException | None], is_over: threading.Event
) -> Generator[Frame, None, None]:
    while not is_over.is_set():
        try:
            item = waiting.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            continue
        if isinstance(item, BaseException):
            raise item
        if item is None:
            return
        yield item


class _Files(Source):
    """Files that are whole, one after the other."""

    def __init__(self, videos: Iterable[Video], name: str) -> None:
        super().__init__(name)
        self._videos = tuple(videos)
        self.is_one = len(self._videos) == 1

    def pieces(self) -> Generator[Piece | Lost, None, None]:
        """Yield a piece for each file."""
        for video in self._videos:
            try:
                with open_frames(video) as reader:
                    yield Piece(video, LiveFrames(reader.info, reader, is_finite=True), None)
            except VideoError as error:
                if len(self._videos) == 1:
                    raise
                self.health.n_lost += 1
                yield Lost(str(error), None)


class _Growing(Source):
    """A file that somebody writes to, or a folder into which somebody puts one file after the other."""

    def __init__(self, path: Path, patience_seconds: float) -> None:
        super().__init__(path.name)
        self._path, self._patience_seconds = path, patience_seconds
        self.is_one = path.is_file()

    def pieces(self) -> Generator[Piece | Lost, None, None]:
        """Yield a piece for each file, which is read while it grows."""
        if self._path.is_file():
            yield from self._grown(self._path)
            return
        seen: set[tuple[Path, int]] = set()  # recorders use names again
        waited_since = time.monotonic()
        while time.monotonic() - waited_since <= self._patience_seconds and not self.is_over.is_set():
            there = self._segments()
            seen.intersection_update(there)
            new = [each for each in there if each not in seen]
            if not new:
                time.sleep(_POLL_SECONDS)
                continue
            seen.add(new[0])
            yield from self._grown(new[0][0])
            waited_since = time.monotonic()

    def _segments(self) -> list[tuple[Path, int]]:
        """Return the files that are there, in order of names, with what tells apart those of one name."""
        found = []
        with suppress(OSError):  # somebody deletes files, or the folder
            for path in self._path.iterdir():
                if is_video_file(path):
                    found.append((path, path.stat().st_ino))
        return sorted(found, key=lambda each: natural_key(each[0].name))

    def _grown(self, path: Path) -> Generator[Piece | Lost, None, None]:
        def is_ended() -> bool:
            if self.is_over.is_set():
                return True
            order = natural_key(path.name)
            return path != self._path and any(natural_key(p.name) > order for p, _ in self._segments())

        try:
            with (
                closing(
                    GrowingFile(path, patience_seconds=self._patience_seconds, is_ended=is_ended)
                ) as file,
                open_live(file) as live,
            ):
                yield Piece(_video(path), live, None)
        except (VideoError, OSError) as error:
            self.health.n_lost += 1
            yield Lost(str(error), None)


def _video(path: Path) -> Video:
    return Video(path.stem, path, path.parent)
