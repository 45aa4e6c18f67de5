"""Decode the next frames while networks are busy with the last ones, in bounded memory."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from mulde.data.readers import FrameReader
from mulde.data.video import Frame

_BUDGET_BYTES = 128 * 2**20
_MOST_FRAMES = 32
_WAIT_SECONDS = 0.1


@contextmanager
def prefetched(reader: FrameReader) -> Iterator[Iterator[Frame]]:
    """Give the reader's frames, decoded ahead by a thread; what goes wrong there comes with the next frame.

    The reader must not be used until the context has ended.
    """
    n_frames = _BUDGET_BYTES // max(1, reader.info.width * reader.info.height * 3)
    frames: queue.Queue[Frame | BaseException | None] = queue.Queue(min(max(2, n_frames), _MOST_FRAMES))
    stop = threading.Event()
    thread = threading.Thread(target=_decode, args=(reader, frames, stop), name="decode", daemon=True)
    thread.start()
    try:
        yield _take(frames)
    finally:
        stop.set()
        thread.join()


def _decode(
    reader: FrameReader, frames: queue.Queue[Frame | BaseException | None], stop: threading.Event
) -> None:
    def put(item: Frame | BaseException | None) -> None:
        while not stop.is_set():
            try:
                frames.put(item, timeout=_WAIT_SECONDS)
            except queue.Full:
                continue
            return

    try:
        for frame in reader:
            put(frame)
            if stop.is_set():
                return
        put(None)
    except BaseException as error:  # passed on, whatever it is
        put(error)


def _take(frames: queue.Queue[Frame | BaseException | None]) -> Generator[Frame, None, None]:
    while True:
        item = frames.get()
        if isinstance(item, BaseException):
            raise item
        if item is None:
            return
        yield item
