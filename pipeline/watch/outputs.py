"""Where is told what is seen: records as JSON, a line each; a file of them, and pictures; a receiver."""

from __future__ import annotations

import json
import logging
import secrets
import shutil
import threading
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from http.client import HTTPException
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from mulde.data.address import split_address
from mulde.data.atomic import encode, make_folder, write_bytes, write_text, writing
from mulde.data.errors import InputError
from mulde.data.foreign.text import parse_json
from mulde.data.ours import is_signature, own_key, signature
from mulde.data.spelling import counted
from mulde.extractors.condition import Condition
from mulde.pipeline.events.files import as_row
from mulde.pipeline.events.record import Threshold
from mulde.pipeline.marks.excerpts import EXCERPTS, Excerpt, write_excerpt
from mulde.pipeline.pictures.stills import to_jpeg
from mulde.pipeline.watch.clips import Clip
from mulde.pipeline.watch.happenings import Beginning, Happening
from mulde.pipeline.watch.names import name_of_event
from mulde.pipeline.watch.scorer import ScoredFrame
from mulde.pipeline.watch.sources import Lost
from mulde.pipeline.watch.watcher import Closed, Opened, Seen, Status

_log = logging.getLogger(__name__)
_FILE_BYTES, _FILES_KEPT = 10_000_000, 5
MOST_EXCERPTS = 500
"""Events whose features are kept: the last ones."""
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS, _LAST_SECONDS = 1.0, 60.0, 5.0
_ANSWER_SECONDS = 20.0
_PICTURE_WIDTH_PX = 1280
_TYPES = {
    Opened: "opened", ScoredFrame: "frame", Beginning: "began", Happening: "event", Lost: "lost",
    Closed: "closed", Status: "status", Condition: "picture", Clip: "clip",
}  # fmt: skip
FOR_RECEIVERS = ("began", "event", "picture", "lost", "opened", "clip")
"""Types of records that are sent elsewhere; of frames and states there are too many."""


def as_record(seen: Seen | Clip, threshold: Threshold) -> dict[str, Any]:
    """Return what was seen as plain JSON types; events have the columns of events.csv, and `alarm`."""
    record: dict[str, Any] = {"type": _TYPES[type(seen)]}
    if isinstance(seen, Happening):
        record |= {**as_row(seen.event), "alarm": threshold.is_alarm(seen.event.score)}
        if seen.excerpt is not None:
            record["event_id"] = seen.excerpt.event.id
        record |= {"clip": seen.clip} if seen.clip else {}
    elif isinstance(seen, Beginning):
        clock = None if seen.start_clock is None else seen.start_clock.isoformat()
        record |= {"start_frame": seen.start_frame, "start_s": round(seen.start_seconds, 6)}
        record |= {"start_clock": clock, "score": seen.score, "alarm": threshold.is_alarm(seen.score)}
    elif isinstance(seen, ScoredFrame):
        record |= {"frame": seen.frame, "time": round(seen.seconds, 6)}
        record |= {"score": round(seen.score, 6), "score_unsmoothed": round(seen.unsmoothed, 6)}
    elif isinstance(seen, Clip):
        record |= {"clip": seen.path, "start_s": round(seen.start_seconds, 6)}
        record |= {"stop_s": round(seen.stop_seconds, 6), "n_frames": seen.n_frames}
        record |= {"n_left_out": seen.n_left_out, "error": seen.error}
    else:
        record |= asdict(seen)
    return record


class _LinesFile(RotatingFileHandler):
    """Says so if a line cannot be written."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        raise  # what it is called for


class EventFolder:
    """A folder that keeps what was seen: events.jsonl, of which old ones are renamed and go; pictures.

    The features of the last events are kept as well, so that these can be marked as normal.
    """

    def __init__(self, folder: Path, stream_digests: Mapping[str, str]) -> None:
        """Make the folder.

        Args:
            stream_digests: what decides the features of each stream.

        Raises:
            WriteError: it cannot be written.
        """
        make_folder(folder / "pictures")
        make_folder(folder / EXCERPTS)
        self.folder, self._stream_digests = folder, stream_digests
        self._excerpts = deque(sorted((folder / EXCERPTS).iterdir(), key=lambda path: path.stat().st_mtime))
        with writing(folder):
            self._file = _LinesFile(
                folder / "events.jsonl", maxBytes=_FILE_BYTES, backupCount=_FILES_KEPT, encoding="utf-8"
            )

    def keep(self, record: dict[str, Any], seen: Seen | Clip) -> dict[str, Any]:
        """Write a record, and the picture of an event; return it with the picture's name.

        Raises:
            WriteError: the disk is full, or the folder is gone.
        """
        if isinstance(seen, Happening) and seen.picture is not None:
            when = seen.event.start_clock or datetime.now().astimezone()
            name = name_of_event(self.folder, "pictures", when, seen.event.peak_frame, ".jpg")
            write_bytes(self.folder / name, to_jpeg(seen.picture, _PICTURE_WIDTH_PX))
            record = {**record, "picture": name}
        if isinstance(seen, Happening) and seen.excerpt is not None:
            self._keep_rows(seen.excerpt)
        if not isinstance(seen, ScoredFrame):
            with writing(self.folder):
                line = logging.makeLogRecord({"msg": json.dumps(record, ensure_ascii=False)})
                self._file.emit(line)
        return record

    def _keep_rows(self, excerpt: Excerpt) -> None:
        folder = write_excerpt(self.folder / EXCERPTS, excerpt, self._stream_digests)
        self._excerpts.append(folder)
        while len(self._excerpts) > MOST_EXCERPTS:
            old = self._excerpts.popleft()
            if old not in self._excerpts:  # a file that is watched again has the same events
                shutil.rmtree(old, ignore_errors=True)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class _Outbox:
    """Records that wait to be sent, a file each, in order; those that this user has not written are not sent.

    Each has an `id`, by which a receiver knows one that it has already, should its answer have been lost.
    """

    def __init__(self, folder: Path) -> None:
        """Go on with what lies there from before.

        Raises:
            WriteError: the folder cannot be made.
        """
        make_folder(folder)
        self.folder = folder
        self._key = own_key(make=True) or secrets.token_bytes()  # without one it knows its own records
        files = sorted(path for path in folder.glob("*.json") if path.stem.isdecimal())
        self._waiting = deque(path for path in files if self._read(path) is not None)
        self._n = max((int(path.stem) for path in files), default=0)
        n_others = len(files) - len(self._waiting)
        if n_others:
            _log.warning(
                "%s in %s, not written here by you or changed since, will not be sent: delete them",
                counted(n_others, "record"),
                folder,
            )

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, record: dict[str, Any]) -> None:
        """Add a record.

        Raises:
            WriteError: the disk is full, or the folder is gone.
        """
        self._n += 1
        text = json.dumps({"id": uuid4().hex, **record}, ensure_ascii=False)
        path = self.folder / f"{self._n:012d}.json"
        write_text(path, json.dumps({"signature": signature(self._key, encode(text)), "record": text}))
        self._waiting.append(path)

    def oldest(self) -> bytes | None:
        """Return the record that waits longest, as JSON; None where none does."""
        while self._waiting:
            content = self._read(self._waiting[0])
            if content is not None:
                return content
            self._waiting.popleft()  # somebody has deleted it
        return None

    def remove_oldest(self) -> None:
        """Forget it: it is sent."""
        self._waiting.popleft().unlink(missing_ok=True)

    def _read(self, path: Path) -> bytes | None:
        try:
            sealed = parse_json(path.read_bytes())
            content = encode(sealed["record"])
            return content if is_signature(sealed["signature"], self._key, content) else None
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return None


class Webhook:
    """Posts records to an address, in order, each until it is taken; what waits lies in a folder."""

    def __init__(self, address: str, outbox: Path, *, thread_name: str = "webhook") -> None:
        """Go on with what lies in the outbox from before.

        Args:
            thread_name: of the poster, by which a log tells cameras apart.

        Raises:
            InputError: it is no address of the web.
        """
        parts = split_address(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError("that is no address that can be posted to: http://HOST/… or https://HOST/…")
        self._host, self._outbox = parts.hostname, _Outbox(outbox)  # without a password or a key in the path
        self._address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        self._headers = {"Content-Type": "application/json", "User-Agent": "mulde"}
        if parts.username is not None:
            who = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = f"Basic {b64encode(who.encode()).decode()}"
        self._is_new, self._stop = threading.Event(), threading.Event()
        self._is_failing = False
        self._thread = threading.Thread(target=self._work, name=thread_name, daemon=True)

    @contextmanager
    def running(self) -> Iterator[Webhook]:
        """Post in a thread; at the end there are some seconds left for what still waits."""
        self._thread.start()
        try:
            yield self
        finally:
            deadline = time.monotonic() + _LAST_SECONDS
            while self._outbox and not self._is_failing and time.monotonic() < deadline:
                time.sleep(0.05)
            self._stop.set()
            self._is_new.set()
            self._thread.join(_LAST_SECONDS)
            if self._outbox:
                _log.warning(
                    "not sent to %s yet: %s in %s, which the same command sends",
                    self._host,
                    counted(len(self._outbox), "record"),
                    self._outbox.folder,
                )

    def put(self, record: dict[str, Any]) -> None:
        """Have a record posted.

        Raises:
            WriteError: the disk is full, or the folder is gone.
        """
        if record["type"] not in FOR_RECEIVERS:
            return
        self._outbox.put(record)
        self._is_new.set()

    def _work(self) -> None:
        wait_seconds = _FIRST_WAIT_SECONDS
        while not self._stop.is_set():
            self._is_new.clear()
            record = self._outbox.oldest()
            if record is None:
                self._is_new.wait()
                continue
            try:
                self._post(record)
            except (OSError, HTTPException, ValueError) as error:
                if not self._is_failing:
                    _log.warning(
                        "%s does not take what it is sent (%s); it is tried again", self._host, error
                    )
                self._is_failing = True
                self._stop.wait(wait_seconds)
                wait_seconds = min(2 * wait_seconds, _LONGEST_WAIT_SECONDS)
                continue
            self._outbox.remove_oldest()
            if self._is_failing:
                _log.info("%s takes what it is sent again", self._host)
            self._is_failing, wait_seconds = False, _FIRST_WAIT_SECONDS

    def _post(self, content: bytes) -> None:
        request = urllib.request.Request(  # noqa: S310  # it is http or https, see above
            self._address, content, self._headers
        )
        with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS):  # noqa: S310
            pass  # an answer of 400 or more is raised
