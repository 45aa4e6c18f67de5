"""What is told of what is seen: lines of JSON, pictures, and a receiver that is away for a while."""

from __future__ import annotations

import http.server
import json
import logging
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest

from mulde.data.errors import InputError
from mulde.pipeline.events.record import Event, Threshold
from mulde.pipeline.watch import outputs
from mulde.pipeline.watch.happenings import Beginning, Happening
from mulde.pipeline.watch.outputs import EventFolder, Webhook, as_record
from mulde.pipeline.watch.scorer import ScoredFrame
from mulde.pipeline.watch.sources import Lost
from mulde.pipeline.watch.watcher import Seen

THRESHOLD = Threshold(2.0, 1.5, 1.0, 3.0, is_extrapolated=True, text="")
CLOCK = datetime(2026, 11, 28, 13, 4, 5, tzinfo=timezone.utc)
EVENT = Event("door", 3, 9, 0.3, 0.9, CLOCK, 5, 1.8, (1.0, 2.0, 3.0, 4.0), "velocity", "faster")


@pytest.mark.parametrize(
    ("seen", "record"),
    [
        (ScoredFrame(3, 0.3, 0.5, 0.25), {"type": "frame", "frame": 3, "time": 0.3, "score": 0.5}),
        (
            Beginning(3, 0.3, None, 2.5),
            {"type": "began", "start_frame": 3, "start_clock": None, "alarm": True},
        ),
        (Lost("no answer", 2.0), {"type": "lost", "reason": "no answer", "next_try_seconds": 2.0}),
        (
            Happening(EVENT, None),
            {"type": "event", "video": "door", "start_s": 0.3, "x2": 3.0, "reason": "faster", "alarm": False},
        ),
    ],
)
def test_records(seen: Seen, record: dict[str, object]) -> None:
    told = as_record(seen, THRESHOLD)
    assert told | record == told
    assert json.loads(json.dumps(told)) == told


def test_a_folder_keeps_events_and_their_pictures(tmp_path: Path) -> None:
    kept = EventFolder(tmp_path / "watch", {})
    happening = Happening(EVENT, np.full((48, 64, 3), 90, np.uint8))
    record = kept.keep(as_record(happening, THRESHOLD), happening)
    frame = ScoredFrame(3, 0.3, 0.5, 0.25)
    kept.keep(as_record(frame, THRESHOLD), frame)  # too many to be kept
    kept.close()
    assert record["picture"] == "pictures/20261128T130405-5.jpg"
    assert (tmp_path / "watch" / record["picture"]).read_bytes().startswith(b"\xff\xd8")
    lines = (tmp_path / "watch" / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [record]


@dataclass
class Receiver:
    """Takes what is posted, when it is in the mood to."""

    address: str = ""
    is_away: bool = False
    got: list[dict[str, object]] = field(default_factory=list)
    n_refused: int = 0
    authorization: str | None = None


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    state = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # http.server's name
            state.authorization = self.headers["Authorization"]
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if state.is_away:
                state.n_refused += 1
                self.send_response(503)
            else:
                state.got.append(content)
                self.send_response(204)
            self.end_headers()

        def log_message(self, *parts: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        state.address = f"http://127.0.0.1:{server.server_address[1]}/events"
        yield state
        server.shutdown()


def wait_until(is_so, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.01)


def records(n: int) -> list[dict[str, object]]:
    return [{"type": "event", "n": k} for k in range(n)]


def test_a_receiver_gets_events_in_order_and_no_frames(receiver: Receiver, tmp_path: Path) -> None:
    with Webhook(receiver.address, tmp_path / "outbox").running() as webhook:
        for record in [*records(3), {"type": "frame"}, {"type": "status"}]:
            webhook.put(record)
    assert [got["n"] for got in receiver.got] == [0, 1, 2]
    assert len({str(got["id"]) for got in receiver.got}) == 3
    assert list((tmp_path / "outbox").iterdir()) == []


def test_what_a_receiver_missed_it_gets_once_it_is_back(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "_FIRST_WAIT_SECONDS", 0.01)
    receiver.is_away = True
    with Webhook(receiver.address, tmp_path / "outbox").running() as webhook:
        for record in records(3):
            webhook.put(record)
        wait_until(lambda: receiver.n_refused > 2)
        receiver.is_away = False
        wait_until(lambda: len(receiver.got) == 3)
    assert [got["n"] for got in receiver.got] == [0, 1, 2]


def test_what_was_not_delivered_goes_out_at_the_next_start(
    receiver: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.is_away = True
    monkeypatch.setattr(outputs, "_LAST_SECONDS", 0.5)
    monkeypatch.setattr(logging.getLogger("mulde"), "propagate", True)
    with Webhook(receiver.address, tmp_path / "outbox").running() as webhook:
        for record in records(2):
            webhook.put(record)
        wait_until(lambda: receiver.n_refused > 0)
    assert "not sent to 127.0.0.1 yet: 2 records in" in caplog.text
    receiver.is_away = False
    with Webhook(receiver.address, tmp_path / "outbox").running() as webhook:
        webhook.put({"type": "event", "n": 2})
        wait_until(lambda: len(receiver.got) == 3)
    assert [got["n"] for got in receiver.got] == [0, 1, 2]


def test_what_somebody_else_has_put_there_is_not_sent(
    receiver: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("mulde"), "propagate", True)
    secret, outbox = tmp_path / "secret.json", tmp_path / "outbox"
    outbox.mkdir()
    secret.write_text('{"password": "swordfish"}')
    (outbox / "000000000001.json").symlink_to(secret)
    (outbox / "000000000002.json").write_text('{"type": "event", "alarm": true}')
    forged = {"signature": "0" * 64, "record": '{"type": "event", "alarm": true}'}
    (outbox / "000000000003.json").write_text(json.dumps(forged))
    with Webhook(receiver.address, outbox).running() as webhook:
        webhook.put({"type": "event", "n": 0})
        wait_until(lambda: len(receiver.got) == 1)
    assert [got.get("n") for got in receiver.got] == [0]
    assert "3 records in" in caplog.text
    assert len(list(outbox.iterdir())) == 3


def test_records_that_are_deleted_while_they_wait_hold_up_no_others(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "_FIRST_WAIT_SECONDS", 0.01)
    receiver.is_away = True
    with Webhook(receiver.address, tmp_path / "outbox").running() as webhook:
        for record in records(3):
            webhook.put(record)
        wait_until(lambda: receiver.n_refused > 0)
        (tmp_path / "outbox" / "000000000002.json").unlink()
        receiver.is_away = False
        wait_until(lambda: len(receiver.got) == 2)
    assert [got["n"] for got in receiver.got] == [0, 2]


def test_a_password_goes_into_a_header_and_nowhere_else(receiver: Receiver, tmp_path: Path) -> None:
    address = receiver.address.replace("//", "//me:s3%2Fcret@")
    with Webhook(address, tmp_path / "outbox").running() as webhook:
        webhook.put({"type": "event"})
        wait_until(lambda: len(receiver.got) == 1)
    assert receiver.authorization == f"Basic {b64encode(b'me:s3/cret').decode()}"


@pytest.mark.parametrize(
    "address",
    ["", "file:///etc/passwd", "ftp://me:secret@host/x", "http://", "receiver", "http://me:secret@[x"],
)
def test_no_address_of_the_web(address: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no address that can be posted to") as error:
        Webhook(address, tmp_path)
    assert "secret" not in str(error.value)
