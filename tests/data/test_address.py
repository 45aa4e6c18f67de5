"""Addresses: what is none has no parts, and no password of it is shown."""

from __future__ import annotations

import pytest

from mulde.data.address import split_address
from mulde.data.decode.live import _without_password


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("", None, None),
        ("camera", None, None),
        ("rtsp://me:secret@camera:554/a?b#c", "camera", 554),
        ("http://[::1]/", "::1", None),
        ("http://[x", None, None),
        ("http://℀.com", None, None),
        ("http://camera:port", None, None),
        ("http://camera:99999", None, None),
        ("http://camera/\udcff", None, None),
    ],
)
def test_parts(text: str, host: str | None, port: int | None) -> None:
    parts = split_address(text)
    assert (parts.hostname, parts.port) == (host, port)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("/dev/a@b", "/dev/a@b"),
        ("http://camera/a@b", "http://camera/a@b"),
        ("rtsp://camera/a", "rtsp://camera/a"),
        ("rtsp://me:secret@camera:554/a?b", "rtsp://camera:554/a?b"),
        ("rtsp://me:secret@[camera/a", "rtsp://…"),
        ("rtsp://me:secret@camera:port/a", "rtsp://…"),
    ],
)
def test_no_password_is_shown(text: str, shown: str) -> None:
    assert _without_password(text) == shown
