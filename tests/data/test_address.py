"""Addresses: what is none has no parts, and no password of it is shown."""

from __future__ import annotations

import pytest

from mulde.data.address import shown_address, split_address


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
        ("rtsp://camera", "rtsp://camera"),
        ("rtsp://camera:554/", "rtsp://camera:554/"),
        ("rtsp://camera/a", "rtsp://camera/…"),
        ("rtsp://me:secret@camera:554/a?b", "rtsp://camera:554/…"),
        ("rtsp://camera?key=secret", "rtsp://camera/…"),
        ("rtsp://camera/user=admin_password=secret_channel=1.sdp", "rtsp://camera/…"),
        ("http://[::1]:80/cgi?user=admin&pwd=secret", "http://[::1]:80/…"),
        ("http://camera/a#secret", "http://camera/…"),
        ("http://camera/secret@b", "http://…"),
        ("rtsp://me:12/secret@camera/a", "rtsp://…"),
        ("rtsp://me:1?secret@camera/a", "rtsp://…"),
        ("rtsp://me:1#secret@camera/a", "rtsp://…"),
        ("rtsp://me:se@cret@camera/a", "rtsp://camera/…"),
        ("rtsp://me:secret@[camera/a", "rtsp://…"),
        ("rtsp://me:secret@camera:port/a", "rtsp://…"),
        ("crypto:http://me:secret@camera/a", "crypto:http://…"),
        ("rtsp:///secret", "rtsp://…"),
    ],
)
def test_no_password_is_shown(text: str, shown: str) -> None:
    assert shown_address(text) == shown
