"""The key of this user, by which mulde knows again what it has written for them."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
import stat
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

KEY_VARIABLE = "MULDE_KEY"
"""Names a file with the key in place of that in the user's folder: for containers, and for a team."""
_KEY_BYTES = 32
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH

_log = logging.getLogger(__name__)


def own_key(*, make: bool) -> bytes | None:
    """Return the key of this user; None where there is none, none can be made, or it may be another's.

    Args:
        make: whether one is made where there is none.
    """
    config_home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    named = os.environ.get(KEY_VARIABLE)
    place = named or f"{config_home}/mulde/key"
    try:
        key = _read_key(place, make=make, is_named=bool(named))
    except (OSError, RuntimeError) as error:  # the latter where there is no home
        _log.debug("no key to sign with: %s", error)
        return None
    if key is not None and len(key) < _KEY_BYTES:
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
def _read_key(place: str, *, make: bool, is_named: bool) -> bytes | None:
    path = Path(place).expanduser()
    if make and not path.exists():
        _make_key(path)
    with path.open("rb") as stream:
        mistrust = _mistrust(path, os.fstat(stream.fileno()), is_named)
        key = stream.read()
    if mistrust:
        _warn(mistrust)
        return None
    return key


def _mistrust(path: Path, status: os.stat_result, is_named: bool) -> str:
    """Return why what is signed with a key may be anybody's, and the way out; "" where it is not."""
    if not hasattr(os, "geteuid"):  # Windows keeps the folder of a user from others
        return ""
    if status.st_mode & _WRITABLE_BY_OTHERS:
        return (
            f"{path} may be written by others, so that the key in it is not used: `chmod go-w {path}` if it "
            "is yours, or delete it"
        )
    is_of_team = is_named and bool(status.st_mode & stat.S_IRGRP) and status.st_gid in _own_groups()
    if status.st_uid in (0, os.geteuid()) or is_of_team:
        return ""
    return (
        f"{path} belongs to somebody else, so that the key in it is not used: delete it, or name another "
        f"with {KEY_VARIABLE}; one that a team shares has to be readable by a group that you are in"
    )


def _own_groups() -> set[int]:
    return {os.getegid(), *os.getgroups()}


@lru_cache
def _warn(text: str) -> None:
    _log.warning("%s", text)  # once a process


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
