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
