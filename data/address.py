"""Addresses of the network, as users and the files of others spell them."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

_NOWHERE = SplitResult("", "", "", "", "")


def split_address(text: str) -> SplitResult:
    """Return the parts of an address; of what can be none, such as http://[x, all of them are empty."""
    try:
        text.encode()  # which raises ValueError where it is no Unicode
        parts = urlsplit(text)
        _ = parts.port  # likewise where it is no number
    except ValueError:
        return _NOWHERE
    return parts


def shown_address(text: str) -> str:
    """Return what of an address may be told, kept and sent to others: scheme, host and port.

    Cameras take passwords and keys anywhere in it: before the host, in the path, behind ? and #. What is no
    address, such as a path, is returned as it is.

    >>> shown_address("rtsp://admin:secret@gate:554/user=admin_password=secret.sdp")
    'rtsp://gate:554/…'
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        return text
    parts = split_address(text)
    host = parts.netloc.rpartition("@")[2]
    # a password with / ? or # in it ends what is taken for the host: nobody knows where it is then
    if not host or "@" in rest[len(parts.netloc) :]:
        return f"{scheme}://…"
    behind = rest[len(parts.netloc) :]
    return f"{scheme}://{host}{behind if behind in ('', '/') else '/…'}"
