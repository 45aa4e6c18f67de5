"""The page over HTTP: who may see what, what is told, and browsers that are slow, stuck, or gone."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mulde.data.video import RgbPicture
from mulde.pipeline.events.record import Threshold
from mulde.pipeline.watch.address import Listener, listening
from mulde.pipeline.watch.board import Camera
from mulde.pipeline.watch.scorer import ScoredFrame
from mulde.pipeline.watch.sources import Health
from mulde.pipeline.watch.watcher import View

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")
from mulde.pipeline.watch import board, server
from mulde.pipeline.watch.server import PageServer

TOKEN = "0123456789abcdef"
THRESHOLD = Threshold(2.0, 1.5, 1.0, 3.0, is_extrapolated=True, text="")
EVENT = {
    "type": "event", "video": "live", "start_frame": 3, "start_s": 0.3, "stop_s": 0.9, "start_clock": None,
    "score": 3.0, "alarm": True, "reason": "<b>fast</b>", "picture": "pictures/3.jpg", "clip": "clips/3.mp4",
}  # fmt: skip


def wait_until(is_so: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert is_so()


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Camera:
    """A camera that has seen an event, with a picture and a clip; its rate is no news."""
    monkeypatch.setattr(board, "_RATE_SECONDS", 1e9)
    for name, content in (("pictures/3.jpg", b"\xff\xd8 a picture"), ("clips/3.mp4", bytes(range(200)))):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(content)
    (tmp_path / "secret.txt").write_text("secret")
    camera = Camera("door", THRESHOLD, Health(), tmp_path)
    camera.put(EVENT)
    camera.put({"type": "clip", "clip": "clips/3.mp4", "error": ""})
    camera.put({"type": "frame", "frame": 0, "time": 0.0, "score": 1.0})
    picture = RgbPicture(np.full((48, 64, 3), 90, np.uint8))
    camera.show(View(ScoredFrame(3, 0.3, 1.0, 1.0), picture, np.empty((0, 4), np.float32), np.empty(0)))
    return camera


@contextmanager
def served(
    *cameras: Camera, text: str = "0", token: str | None = None
) -> Iterator[tuple[Listener, PageServer]]:
    with listening(text, token) as listener, PageServer(listener, cameras).running() as page:
        wait_until(lambda: page._server.started)
        yield listener, page


def ask(
    listener: Listener, path: str, method: str = "GET", **headers: str
) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", listener.port, timeout=10)
    connection.request(method, path, headers={name.replace("_", "-"): text for name, text in headers.items()})
    answer = connection.getresponse()
    found = answer.status, answer.read(), answer.headers
    connection.close()
    return found


@pytest.mark.parametrize(
    ("path", "status", "kind", "start"),
    [
        ("/", 200, "text/html; charset=utf-8", b"<!doctype html>"),
        ("/page.css", 200, "text/css; charset=utf-8", b":root"),
        ("/page.js", 200, "text/javascript; charset=utf-8", b'"use strict"'),
        ("/icon.svg", 200, "image/svg+xml", b"<svg"),
        ("/metrics", 200, "text/plain; version=", b"# HELP mulde_frames_scored_total "),
        ("/cameras/0/picture", 200, "image/jpeg", b"\xff\xd8"),
        ("/cameras/0/picture?17", 200, "image/jpeg", b"\xff\xd8"),
        ("/cameras/0/pictures/3.jpg", 200, "image/jpeg", b"\xff\xd8 a picture"),
        ("/cameras/0/clips/3.mp4", 200, "video/mp4", b"\0\1\2"),
        ("/cameras/1/picture", 404, None, b""),
        ("/cameras/-1/picture", 404, None, b""),
        ("/cameras/0/secret.txt", 404, None, b""),
        ("/cameras/0/pictures/../secret.txt", 404, None, b""),
        ("/cameras/0/pictures%2f..%2fsecret.txt", 404, None, b""),
        ("/cameras/0//etc/passwd", 404, None, b""),
        ("/server.py", 404, None, b""),
        ("/../server.py", 404, None, b""),
    ],
)
def test_what_is_there(door: Camera, path: str, status: int, kind: str | None, start: bytes) -> None:
    with served(door) as (listener, _):
        found, content, headers = ask(listener, path)
    assert found == status
    assert content.startswith(start)
    assert kind is None or headers["Content-Type"].startswith(kind)
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'; ")
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")
    assert "Access-Control-Allow-Origin" not in headers
    assert "Server" not in headers


def test_a_part_of_a_clip_can_be_asked_for(door: Camera) -> None:
    with served(door) as (listener, _):
        status, content, _ = ask(listener, "/cameras/0/clips/3.mp4", Range="bytes=10-19")
        assert (status, content) == (206, bytes(range(10, 20)))
        (door._folder / "clips/3.mp4").unlink()
        assert ask(listener, "/cameras/0/clips/3.mp4")[0] == 404
        assert ask(listener, "/", "POST")[0] == 405


def test_before_there_is_a_picture(tmp_path: Path) -> None:
    with served(Camera("door", THRESHOLD, Health(), tmp_path)) as (listener, _):
        assert ask(listener, "/cameras/0/picture")[0] == 404


@pytest.mark.parametrize("path", ["/", "/page.js", "/news", "/metrics", "/cameras/0/picture"])
def test_a_page_of_another_site_gets_nothing_by_a_name_of_its_own(door: Camera, path: str) -> None:
    with served(door) as (listener, _):
        status, content, _ = ask(listener, path, Host=f"evil.example:{listener.port}")
    assert (status, content) == (421, b"This page is for this machine: open it as localhost.\n")


@pytest.mark.parametrize("text", ["0", "0.0.0.0:0"])
def test_without_the_token_nothing_is_shown(door: Camera, text: str) -> None:
    with served(door, text=text, token=TOKEN) as (listener, _):
        for path in (
            "/",
            "/page.js",
            "/news",
            "/metrics",
            "/cameras/0/picture",
            "/nothing",
            f"/page.js?token={TOKEN}",
        ):
            status, content, headers = ask(listener, path)
            assert (status, content) == (401, b"Open the address with the token that mulde printed.\n")
            assert TOKEN not in str(headers)
        for wrong in ("", "x", TOKEN[:-1], TOKEN + "0", TOKEN.upper(), "%C3%A9", "%00"):
            assert ask(listener, f"/?token={wrong}")[0] == 401
            assert ask(listener, "/", Authorization=f"Bearer {wrong}")[0] == 401
            assert ask(listener, "/", Cookie=f"mulde-{listener.port}={wrong}")[0] == 401
        assert ask(listener, "/", Authorization=f"Basic {TOKEN}")[0] == 401


def test_with_the_token(door: Camera) -> None:
    with served(door, text="0.0.0.0:0", token=TOKEN) as (listener, _):
        status, _, headers = ask(listener, f"/?token={TOKEN}")
        assert (status, headers["Location"]) == (303, "/")
        cookie = headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "samesite=lax" in cookie.lower()
        assert ask(listener, "/", Cookie=cookie.split(";")[0])[0] == 200
        assert ask(listener, "/cameras/0/picture", Authorization=f"Bearer {TOKEN}")[0] == 200
        # by any name, for whoever comes by another one knows no token
        assert ask(listener, "/", Authorization=f"bearer {TOKEN}", Host="camera.example")[0] == 200


class Reader:
    """Somebody who is told what is new."""

    def __init__(self, listener: Listener) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", listener.port, timeout=10)
        self._connection.request("GET", "/news")
        self._answer = self._connection.getresponse()
        assert self._answer.headers["Content-Type"].startswith("text/event-stream")

    def next(self) -> dict[str, Any]:
        while True:
            line = self._answer.readline()
            assert line
            if line.startswith(b"data: "):
                found: dict[str, Any] = json.loads(line[6:])
                return found

    def close(self) -> None:
        self._answer.close()
        self._connection.close()


def test_whoever_looks_is_told_all_and_then_what_is_new(door: Camera, tmp_path: Path) -> None:
    gate = Camera("gate", THRESHOLD, Health(), tmp_path)
    with served(door, gate) as (listener, _):
        reader = Reader(listener)
        first, second = reader.next(), reader.next()
        assert (first["camera"], first["state"]["name"]) == (0, "door")
        assert (first["events"][0]["reason"], first["view"]) == ("<b>fast</b>", 1)
        assert (second["camera"], second["state"]["name"], second["events"]) == (1, "gate", [])
        gate.put({"type": "frame", "frame": 0, "time": 0.0, "score": 2.5})
        third = reader.next()
        assert (third["camera"], third["state"]["score"]) == (1, 2.5)
        assert "events" not in third
        reader.close()


def test_who_looks_is_told_now_and_then_that_there_is_nothing_new(
    door: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_STEP_SECONDS", 0.01)
    with served(door) as (listener, _):
        reader = Reader(listener)
        assert reader.next()["camera"] == 0
        assert [reader.next(), reader.next()] == [{}, {}]
        reader.close()


def test_those_who_have_gone_are_forgotten(door: Camera) -> None:
    with served(door) as (listener, page):
        readers = [Reader(listener) for _ in range(5)]
        for reader in readers:
            reader.next()
        assert len(page._server.server_state.connections) == 5
        for reader in readers:
            reader.close()
        for k in range(20):
            door.put({"type": "frame", "frame": k, "time": k / 10, "score": 1.0})
            time.sleep(0.05)
        wait_until(lambda: not page._server.server_state.connections)
        wait_until(lambda: not page._server.server_state.tasks)


def test_a_browser_that_takes_nothing_is_given_up_and_slows_nobody(
    door: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_STUCK_SECONDS", 0.5)
    monkeypatch.setattr(server, "_STEP_SECONDS", 0.01)
    with served(door) as (listener, page):
        stuck = socket.create_connection(("127.0.0.1", listener.port))
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        stuck.sendall(b"GET /news HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: len(page._server.server_state.tasks) == 1)
        reason, slowest, deadline = "x" * 60_000, 0.0, time.monotonic() + 20
        k = 0
        while page._server.server_state.tasks and time.monotonic() < deadline:
            k += 1
            since = time.monotonic()
            door.put({**EVENT, "start_frame": k, "reason": reason})
            slowest = max(slowest, time.monotonic() - since)
            time.sleep(0.005)
        assert not page._server.server_state.tasks
        assert ask(listener, "/")[0] == 200
        assert slowest < 1
        stuck.close()


def test_more_connections_than_there_is_room_for_are_refused(
    door: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_MOST_CONNECTIONS", 4)
    with served(door) as (listener, _):
        readers = [Reader(listener) for _ in range(3)]
        assert ask(listener, "/")[0] == 503
        readers[0].close()
        wait_until(lambda: ask(listener, "/")[0] == 200)


@pytest.mark.parametrize("begin", [b"", b"GET / HTTP/1.1\r\nHost:"])
def test_connections_on_which_nothing_is_asked_shut_nobody_out(
    door: Camera, monkeypatch: pytest.MonkeyPatch, begin: bytes
) -> None:
    monkeypatch.setattr(server, "_MOST_CONNECTIONS", 4)
    monkeypatch.setattr(server, "_ASKING_SECONDS", 1.0)
    with served(door) as (listener, page):
        reader = Reader(listener)
        idle = [socket.create_connection(("127.0.0.1", listener.port), timeout=10) for _ in range(12)]
        connections = page._server.server_state.connections
        wait_until(lambda: len(connections) == 8)  # the others are closed at once
        with suppress(OSError):
            for each in idle:
                each.sendall(begin)
        wait_until(lambda: len(connections) == 1)  # whoever is told what is new stays
        assert ask(listener, "/")[0] == 200
        door.put({"type": "frame", "frame": 1, "time": 0.1, "score": 2.5})
        reader.next()
        assert reader.next()["state"]["score"] == 2.5
        reader.close()
        for each in idle:
            each.close()


def test_a_connection_on_which_half_a_second_request_came_is_closed(
    door: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_ASKING_SECONDS", 0.3)
    with served(door) as (listener, page):
        connection = http.client.HTTPConnection("127.0.0.1", listener.port, timeout=10)
        for _ in range(2):  # it is used again while whole requests come
            connection.request("GET", "/page.css")
            assert connection.getresponse().read().startswith(b":root")
            time.sleep(0.5)
        connection.sock.sendall(b"GET /page.css")
        wait_until(lambda: not page._server.server_state.connections, seconds=3)
        connection.close()


def test_the_end_is_not_held_up_by_those_who_look(door: Camera) -> None:
    with served(door) as (listener, page):
        reader = Reader(listener)
        reader.next()
        since = time.monotonic()
    assert time.monotonic() - since < 4
    assert not page._thread.is_alive()
    with listening(str(listener.port)):  # the port is free again
        pass
