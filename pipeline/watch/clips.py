"""A clip of each event, from a while before it until a while after it, out of a buffer of recent pictures."""

from __future__ import annotations

import itertools
import logging
import math
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mulde.data.atomic import require_writable
from mulde.data.errors import VideoError
from mulde.data.video import Frame
from mulde.pipeline.pictures.mp4 import open_mp4, require_encoder
from mulde.pipeline.watch.happenings import Beginning, Happening
from mulde.pipeline.watch.names import name_of_event
from mulde.pipeline.watch.watcher import Closed, Opened, Seen

_log = logging.getLogger(__name__)
_ROOM_BYTES = 2**26
"""Of recent pictures, those that wait to be encoded among them."""
_BYTES_A_PIXEL = 1.5
_MOST_WIDTH_PX, _LEAST_WIDTH_PX = 1280, 320
_MOST_RATE = 60.0
"""Frames a second that are believed, for some senders claim thousands."""
_SPARE_SECONDS = 2.0
"""In the buffer, beyond what lies before an event: until it is known that it is one, and is encoded."""
MOST_SECONDS = 120.0
"""Of an event; what comes later is in no clip."""
_MOST_WAITING = 8
"""Clips that are begun and not encoded yet."""
_LAST_SECONDS = 20.0
"""When watching ends, for what is still to be encoded."""
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Clip:
    """A clip that is there now; or that was begun, and of which nothing came."""

    path: str
    """Below the folder of what is watched."""
    start_seconds: float
    """When its first frame is shown, from the first frame of the footage on."""
    stop_seconds: float
    """When its last frame is shown."""
    n_frames: int
    n_left_out: int
    """Frames of the clip that went by while others were encoded."""
    error: str = ""
    """Why there is none; "" where there is one."""


@dataclass(frozen=True)
class _Kept:
    """A picture in the buffer."""

    number: int
    """Counts on from piece to piece of footage."""
    piece: int
    seconds: float
    yuv: NDArray[np.uint8]
    """(3/2 H, W)"""


@dataclass
class _Job:
    """A clip that is to be made, and how far it is; all but its name and rate belong to the lock."""

    path: str
    frames_per_second: float
    next_number: int
    until_seconds: float
    """Where it ends at the latest."""
    stop_number: int = sys.maxsize
    """The number of the picture before which it ends."""
    n_left_out: int = 0
    has_failed: bool = False


@dataclass
class _Buffer:
    """Recent pictures, of which the oldest go when there is no room for another."""

    kept: deque[_Kept] = field(default_factory=deque)
    n_bytes: int = 0
    next_number: int = 0

    def has_room(self, n_bytes: int) -> bool:
        return not self.kept or self.n_bytes + n_bytes <= _ROOM_BYTES

    def put(self, piece: int, seconds: float, yuv: NDArray[np.uint8]) -> None:
        while not self.has_room(yuv.nbytes):
            self.n_bytes -= self.kept.popleft().yuv.nbytes
        self.kept.append(_Kept(self.next_number, piece, seconds, yuv))
        self.n_bytes += yuv.nbytes
        self.next_number += 1

    def first(self, piece: int, seconds: float) -> int:
        """Return the number of the first picture of a piece from a time on; where there is none, the next."""
        numbers = (each.number for each in self.kept if each.piece == piece and _reaches(each, seconds))
        return next(numbers, self.next_number)


class ClipRecorder:
    """Keeps recent pictures, and encodes those around each event in a thread, one clip after the other.

    The pictures lie in one buffer of a fixed size, smaller than they came where it would not hold enough of
    them. Whoever encodes reads from it, so that there is no other queue: pictures that have gone from it
    before they were encoded are missing in the clip, which says so.
    """

    def __init__(
        self,
        folder: Path,
        *,
        before_seconds: float,
        after_seconds: float,
        may_wait: bool = False,
        thread_name: str = "clips",
    ) -> None:
        """Make the folder of the clips, FOLDER/clips.

        Args:
            thread_name: of the encoder, by which a log tells cameras apart.
            may_wait: whether footage may wait for the encoder, as files may; then nothing is missing.

        Raises:
            InputError: PyAV cannot write H.264, or the folder cannot be written.
        """
        require_encoder()
        require_writable(folder / "clips", "folder", "choose another place")
        self._folder, self._may_wait = folder, may_wait
        self._before_seconds, self._after_seconds = before_seconds, after_seconds
        self._piece, self._frames_per_second, self._size = 0, 0.0, (2, 2)
        self._changed = threading.Condition()  # of all that follows
        self._buffer = _Buffer()
        self._jobs: deque[_Job] = deque()  # the first one is encoded now
        self._open: _Job | None = None  # that of the event that goes on
        self._made: deque[Clip] = deque()
        self._is_ending = False
        self._thread = threading.Thread(target=self._work, name=thread_name, daemon=True)

    @contextmanager
    def running(self) -> Iterator[ClipRecorder]:
        """Encode in a thread; at the end there are some seconds left for what is still to be encoded."""
        self._thread.start()
        try:
            yield self
        finally:
            with self._changed:
                self._stop_all()
                self._is_ending = True
                self._changed.notify_all()
            self._thread.join(_LAST_SECONDS)
            if self._thread.is_alive():
                _log.warning("the last clip was not encoded in time, and is not there")

    def take(self, frame: Frame) -> None:
        """Keep the picture of the next frame."""
        yuv = frame.picture.to_yuv(self._size)
        with self._changed:
            while self._may_wait and self._would_lose(yuv.nbytes) and self._thread.is_alive():
                self._changed.wait(_POLL_SECONDS)
            self._buffer.put(self._piece, frame.seconds, yuv)
            self._changed.notify_all()

    def attend(self, all_seen: Iterable[Seen]) -> Generator[Seen | Clip, None, None]:
        """Pass on what is seen, events with their clips, and tell of each clip when it is there."""
        for seen in all_seen:
            yield self._notice(seen)
            yield from self._told()
        with self._changed:
            self._stop_all()
            self._changed.wait_for(lambda: not self._jobs, _LAST_SECONDS)
        yield from self._told()

    def _told(self) -> Iterator[Clip]:
        while self._made:
            yield self._made.popleft()

    def _notice(self, seen: Seen) -> Seen:
        if isinstance(seen, Opened):
            self._piece += 1
            self._frames_per_second = min(max(seen.frames_per_second, 1.0), _MOST_RATE)
            self._size = fitting(seen.size, self._frames_per_second * (self._before_seconds + _SPARE_SECONDS))
        elif isinstance(seen, Beginning):
            self._begin(seen)
        elif isinstance(seen, Happening):
            return self._end(seen)
        elif isinstance(seen, Closed):
            with self._changed:
                self._stop_all()
        return seen

    def _begin(self, began: Beginning) -> None:
        when = began.start_clock or datetime.now().astimezone()
        with self._changed:
            taken = {job.path for job in self._jobs}
            path = name_of_event(self._folder, "clips", when, began.start_frame, ".mp4", taken)
            self._stop_all()  # one after the other, also where the time after the last event is not over
            start = self._buffer.first(self._piece, began.start_seconds - self._before_seconds)
            job = _Job(path, self._frames_per_second, start, began.start_seconds + MOST_SECONDS)
            if len(self._jobs) >= _MOST_WAITING or not self._thread.is_alive():
                self._fail(job, "others are still encoded")
                return
            self._jobs.append(job)
            self._open = job
            self._changed.notify_all()

    def _end(self, happening: Happening) -> Happening:
        with self._changed:
            job, self._open = self._open, None
            if job is None:
                return happening
            stop_seconds = happening.event.stop_seconds + self._after_seconds
            job.until_seconds = min(job.until_seconds, stop_seconds)
            self._changed.notify_all()
            return happening if job.has_failed else replace(happening, clip=job.path)

    def _stop_all(self) -> None:
        """Have clips end with the last picture."""
        for job in self._jobs:
            job.stop_number = min(job.stop_number, self._buffer.next_number)
        self._changed.notify_all()

    def _fail(self, job: _Job, reason: str) -> None:
        job.has_failed = True
        _log.warning("there is no clip %s: %s", job.path, reason)
        self._made.append(Clip(job.path, 0.0, 0.0, 0, job.n_left_out, reason))

    def _would_lose(self, n_bytes: int) -> bool:
        """Return whether room for another picture would cost one that is to be encoded."""
        if self._buffer.has_room(n_bytes):
            return False
        return any(job.next_number <= self._buffer.kept[0].number < job.stop_number for job in self._jobs)

    # --- in the thread ---

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._is_ending)
                if not self._jobs:
                    return
                job = self._jobs[0]
            reason = self._record(job)
            with self._changed:
                if reason:
                    self._fail(job, reason)
                self._jobs.popleft()
                self._changed.notify_all()

    def _record(self, job: _Job) -> str:
        """Encode a clip; return why there is none, or ""."""
        import av

        frames = self._frames(job)
        try:
            first = last = next(frames, None)
            if first is None or last is None:
                raise VideoError("its pictures went by while others were encoded")
            n_frames = 0
            with open_mp4(self._folder / job.path, job.frames_per_second) as writer:
                for kept in itertools.chain((first,), frames):
                    writer.write_yuv(kept.yuv, kept.seconds - first.seconds)
                    last, n_frames = kept, n_frames + 1
        except (ValueError, av.FFmpegError, OSError) as error:
            return str(error)
        if job.n_left_out:
            _log.warning("%s lacks %d frames: encoding does not keep up", job.path, job.n_left_out)
        self._made.append(Clip(job.path, first.seconds, last.seconds, n_frames, job.n_left_out))
        return ""

    def _frames(self, job: _Job) -> Generator[_Kept, None, None]:
        """Give the pictures of a clip in order, as they come."""
        buffer = self._buffer
        while True:
            with self._changed:
                self._changed.wait_for(lambda: min(job.stop_number, buffer.next_number) > job.next_number
                                       or job.stop_number <= job.next_number)  # fmt: skip
                n_gone = min(buffer.kept[0].number, job.stop_number) - job.next_number if buffer.kept else 0
                if n_gone > 0:
                    job.next_number, job.n_left_out = job.next_number + n_gone, job.n_left_out + n_gone
                if job.next_number >= job.stop_number:
                    return
                kept = buffer.kept[job.next_number - buffer.kept[0].number]
                if _reaches(kept, job.until_seconds):
                    return
                job.next_number += 1
                self._changed.notify_all()
            yield kept


def _reaches(kept: _Kept, seconds: float) -> bool:
    return kept.seconds >= seconds - 1e-6  # as 2.7 - 1 is not 1.7


def fitting(size: tuple[int, int], n_pictures: float) -> tuple[int, int]:
    """Return the size, (width, height), at which so many pictures go into the buffer; at least 320 wide.

    Sides are even; pictures are not enlarged, and no wider than 1280.
    """
    width, height = size
    most_pixels = _ROOM_BYTES / (_BYTES_A_PIXEL * n_pictures)
    share = min(1.0, _MOST_WIDTH_PX / width, math.sqrt(most_pixels / (width * height)))
    share = max(share, min(1.0, _LEAST_WIDTH_PX / width))
    if share == 1.0:
        return max(2, width // 2 * 2), max(2, height // 2 * 2)
    wide = max(16, round(width * share) // 16 * 16)  # FFmpeg scales so many pixels at a time
    return wide, max(2, round(height * wide / width / 2) * 2)
