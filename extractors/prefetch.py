"""Decode and prepare what networks want next while they are busy, in a thread and in bounded memory."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
_WAIT_SECONDS = 0.1


@contextmanager
def prefetched(items: Iterable[T], room: int) -> Iterator[Iterator[T]]:
    """Yield the items, made ahead by a thread; what goes wrong there comes in place of the next item.

    What makes them must not be used until the context has ended.

    Args:
        room: the most items that wait, at least 1.
    """
    waiting: queue.Queue[tuple[T] | BaseException | None] = queue.Queue(room)
    stop = threading.Event()
    thread = threading.Thread(target=_make, args=(items, waiting, stop), name="ahead", daemon=True)
    thread.start()
    try:
        yield _take(waiting)
    finally:
        stop.set()
        thread.join()


def _make(
    items: Iterable[T], waiting: queue.Queue[tuple[T] | BaseException | None], stop: threading.Event
) -> None:
    def put(item: tuple[T] | BaseException | None) -> None:
        while not stop.is_set():
            try:
                waiting.put(item, timeout=_WAIT_SECONDS)
            except queue.Full:
                continue
            return

    try:
        for item in items:
            put((item,))
            if stop.is_set():
                return
        put(None)
    except BaseException as error:  # passed on, whatever it is
        put(error)


def _take(waiting: queue.Queue[tuple[T] | BaseException | None]) -> Generator[T, None, None]:
    while True:
        item = waiting.get()
        if isinstance(item, BaseException):
            raise item
        if item is None:
            return
        yield item[0]
