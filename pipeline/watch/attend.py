"""Watch a source and do what was asked for with what is seen: keep it, send it, cut clips of it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.watch.board import Camera
from mulde.pipeline.watch.clips import ClipRecorder
from mulde.pipeline.watch.mqtt import Mqtt
from mulde.pipeline.watch.outputs import EventFolder, Webhook, as_record
from mulde.pipeline.watch.sources import Source
from mulde.pipeline.watch.watcher import Seen, Watcher


class Receiver(Protocol):
    """Somebody who is told of what is seen."""

    def put(self, record: dict[str, Any]) -> None:
        """Take the next record, also of frames."""


@dataclass(frozen=True)
class Wishes:
    """What is done with what is seen."""

    webhook: str | None = None
    """An address that is posted to."""
    mqtt: str | None = None
    """A broker, and a topic; with several cameras the name of each follows it."""
    clip_seconds_around: tuple[float, float] | None = None
    """Clips are made, with so much before and after an event."""
    on_board: bool = False
    """Whether it is shown on a page."""


class Attendant:
    """Watches one source; what is seen is kept, and told to receivers, in the thread that asks for it."""

    def __init__(
        self, watcher: Watcher, source: Source, folder: RunFolder, wishes: Wishes, *, name: str = ""
    ) -> None:
        """Take who watches, and what.

        Args:
            folder: of events.jsonl and the pictures.
            name: of the camera, where there are several; "" for the only one.
        """
        self.watcher, self.source, self.folder, self.name = watcher, source, folder, name
        self._wishes = wishes
        self._kept: EventFolder | None = None
        self._receivers: list[Receiver] = []
        self._recorder: ClipRecorder | None = None
        self.board: Camera | None = None
        """What a page shows, if there is one."""
        if wishes.on_board:
            shown_as = name or watcher.camera or watcher.run.folder.absolute().name
            self.board = Camera(shown_as, watcher.threshold, source.health, folder.folder)
            self._receivers.append(self.board)

    @contextmanager
    def ready(self) -> Iterator[Attendant]:
        """Be connected to receivers; only while the folder is held.

        At the end, each receiver has some seconds for what it has not got yet.

        Raises:
            InputError: the folder cannot be written, or a receiver cannot be used.
        """
        wishes, folder = self._wishes, self.folder.folder
        with ExitStack() as stack:
            self._kept = stack.enter_context(closing(EventFolder(folder, self.watcher.stream_digests)))
            if wishes.webhook is not None:
                webhook = Webhook(wishes.webhook, folder / "outbox", thread_name=self._thread("webhook"))
                self._receivers.append(stack.enter_context(webhook.running()))
            if wishes.mqtt is not None:
                address = f"{wishes.mqtt.rstrip('/')}/{self.name}" if self.name else wishes.mqtt
                broker = Mqtt(address, thread_name=self._thread("mqtt") if self.name else "")
                self._receivers.append(stack.enter_context(broker.running()))
            if wishes.clip_seconds_around is not None:
                before, after = wishes.clip_seconds_around
                may_wait = self.source.may_wait
                self._recorder = ClipRecorder(
                    folder,
                    before_seconds=before,
                    after_seconds=after,
                    may_wait=may_wait,
                    thread_name=self._thread("clips"),
                )
                stack.enter_context(self._recorder.running())
            yield self

    def _thread(self, what: str) -> str:
        """Return how a thread of this camera is called, see `cameras.side_by_side`."""
        return f"camera {self.name} {what}" if self.name else what

    def records(self, seen: Iterator[Seen] | None = None) -> Generator[dict[str, Any], None, None]:
        """Give records of what is seen, of which each is kept and told before; only while `ready`.

        Args:
            seen: in place of what `watch` sees.

        Raises:
            InputError: as `Watcher.watch`; or the disk is full.
        """
        assert self._kept is not None
        recorder = self._recorder
        all_seen = self.watch() if seen is None else seen
        for each in all_seen if recorder is None else recorder.attend(all_seen):
            record = as_record(each, self.watcher.threshold)
            if self.name:
                record = {"type": record.pop("type"), "camera": self.name, **record}
            record = self._kept.keep(record, each)
            for receiver in self._receivers:
                receiver.put(record)
            yield record

    def watch(self) -> Iterator[Seen]:
        """Give what is seen."""
        return self.watcher.watch(
            self.source,
            on_frame=None if self._recorder is None else self._recorder.take,
            on_view=None if self.board is None else self.board.show,
        )
