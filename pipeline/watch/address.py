"""Where the page is served, and who may see it: a port of this machine that is ours from the start."""

from __future__ import annotations

import errno
import ipaddress
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mulde.data.errors import InputError, require_package

_HERE, _ALL = "127.0.0.1", ("0.0.0.0", "::")  # noqa: S104  # which is what it is compared with
_PACKAGES = ("starlette", "uvicorn", "prometheus_client")
_LEAST_TOKEN = 16
_MOST_DIGITS = 5
_QUEUED_CONNECTIONS = 64
_STUCK_SECONDS = 20
"""After which the system gives up a browser that takes nothing any more."""


@dataclass(frozen=True)
class Listener:
    """A port that is listened to, by which page and numbers are reached."""

    socket: socket.socket
    host: str
    """As the user gave it."""
    port: int
    token: str = field(repr=False)
    """What whoever asks has to know; "" for anybody on this machine."""
    is_new: bool = False
    """Whether the token was made just now, so that nobody knows it yet."""

    @property
    def url(self) -> str:
        """What to open in a browser, without the token."""
        host = "localhost" if self.host == _HERE else self.host
        if host in _ALL:
            host = socket.gethostname()
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    @property
    def url_with_token(self) -> str:
        """What to open in a browser; a token that was given is not repeated, for what is printed is kept."""
        return f"{self.url}?token={self.token}" if self.is_new else self.url


@contextmanager
def listening(text: str, token: str | None = None) -> Iterator[Listener]:
    """Take a port.

    Args:
        text: PORT, of this machine alone; or HOST:PORT, which others may reach, with a token.
        token: what those have to know; if not given, one is made. Given, this machine needs it, too.

    Raises:
        InputError: it is no port, or another program has it; or the packages are not installed.
    """
    for package in _PACKAGES:
        require_package(package, "page")
    host, port = _parse(text)
    if token is not None and (len(token) < _LEAST_TOKEN or not (token.isascii() and token.isalnum())):
        raise InputError(f"the token of the page has to be {_LEAST_TOKEN} letters and digits, or more")
    # what hosts says of localhost may be ::1 first, where a browser that tries 127.0.0.1 finds nothing
    name = _HERE if host.lower() == "localhost" else host
    try:
        family, _, _, _, place = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise InputError(f"{host} is no address of this machine ({error.strerror or error})") from None
    except UnicodeError:  # of a label that is empty or too long
        raise InputError(f"{host} is no address of this machine (it is no name of a machine)") from None
    with socket.socket(family) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # passed on to the connections
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * _STUCK_SECONDS)
        try:
            bound.bind(place)
            bound.listen(_QUEUED_CONNECTIONS)
        except OSError as error:
            raise InputError(_why_not(error, host, port)) from None
        is_here = ipaddress.ip_address(place[0]).is_loopback
        is_new = token is None and not is_here
        if is_new:
            token = secrets.token_hex(_LEAST_TOKEN)
        yield Listener(bound, host, bound.getsockname()[1], token or "", is_new)


def is_named_rightly(host: str, own: str) -> bool:
    """Return whether a header Host names this machine as its users do, and not by a name of somebody else's.

    A page of another site may have the browser of its visitors ask a name of its own that it then turns to
    this machine; an address is not such a name.
    """
    if host.startswith("["):
        name = host[1:].partition("]")[0]
    else:
        name = host.rpartition(":")[0] if ":" in host else host
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.lower().rstrip(".") in ("localhost", own.lower())
    return True


def _parse(text: str) -> tuple[str, int]:
    """Return host and port."""
    host, colon, digits = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if colon else _HERE
    if not (
        host
        and digits.isascii()
        and digits.isdecimal()
        and len(digits) <= _MOST_DIGITS
        and int(digits) < 2**16
    ):
        raise InputError(f"{text} is no place for a page: PORT, such as 8080, or HOST:PORT")
    return host, int(digits)


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use by another program: choose another for the page"
    if error.errno == errno.EACCES:
        return f"port {port} is not for all users: choose one from 1024 on for the page"
    return f"no page can be served at {host}:{port} ({error.strerror or error})"
