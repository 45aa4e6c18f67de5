"""The key of this user, by which mulde knows again what it has written for them."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

KEY_VARIABLE = "MULDE_KEY"
"""Names a file with the key in place of that in the user's folder: for containers, and for a team."""
_KEY_BYTES = 32

_log = logging.getLogger(__name__)


def own_key(*, make: bool) -> bytes | None:
    """Return the key of this user; None where there is none, and none can be made.

    Args:
        make: whether one is made where there is none.
    """
    config_home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    place = os.environ.get(KEY_VARIABLE) or f"{config_home}/mulde/key"
    try:
        key = _read_key(place, make=make)
    except (OSError, RuntimeError) as error:  # the latter where there is no home
        _log.debug("no key to sign with: %s", error)
        return None
    if len(key) < _KEY_BYTES:
        _log.warning("%s holds no key, so that nothing is signed: delete it", place)
        return None
    return key


def signature(key: bytes, content: bytes) -> str:
    """Return what only who has the key can make of a content, as 64 hexadecimal digits."""
    return hmac.new(key, content, hashlib.sha256).hexdigest()


def is_signature(given: str, key: bytes, content: bytes) -> bool:
    """Whether that is the signature of a content."""
    return hmac.compare_digest(given.encode(errors="replace"), signature(key, content).encode())


@lru_cache(maxsize=2)  # it is asked for each file that is opened
def _read_key(place: str, *, make: bool) -> bytes:
    path = Path(place).expanduser()
    if make and not path.exists():
        _make_key(path)
    return path.read_bytes()


def _make_key(path: Path) -> None:
    """Write a new key that only this user can read; where another process is quicker, its key stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    own = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    descriptor = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(secrets.token_bytes(_KEY_BYTES))
        with suppress(FileExistsError):
            os.link(own, path)
    finally:
        own.unlink(missing_ok=True)
