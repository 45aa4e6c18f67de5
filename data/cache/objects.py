"""A cache in an object store, such as S3: whole objects, of which this machine keeps copies.

    s3://bucket/prefix/<stream>/<key>/<video>.h5     as in a folder
    s3://bucket/prefix/.locks/<name>                 who is at a video

An object is put as a whole, so it is there complete or not at all. A claim is an object that is made only
where there is none (If-None-Match: *), and renewed while its process lives; one that is not renewed any more,
or whose process on this machine is gone, is given up. A claim saves work and no more: where two processes do
a video in spite of it, both put the same features.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from mulde.data.atomic import WriteError, make_folder, replacing
from mulde.data.cache.copies import Copies
from mulde.data.cache.storage import LOCKS, CacheFileError, FileState, is_entry
from mulde.data.errors import InputError, require_package
from mulde.data.foreign.text import parse_json
from mulde.data.processes import is_alive
from mulde.data.sealed import ChangedError, check

RENEW_SECONDS, GIVEN_UP_SECONDS = 20.0, 120.0
"""How often a claim is renewed, and after how long without that it is given up."""
_POLL_SECONDS = 1.0
_GOES_ON = "the same command goes on with what is not finished"
_EXTRAS = {"s3": "s3", "s3a": "s3"}


class StoreError(WriteError):
    """An object store cannot be used, to write or to read, and whatever comes next there could not either."""


class ObjectStorage:
    """A cache in an object store that fsspec knows."""

    few = 50  # each is a request, and a file to read

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/")
        self._copies = Copies(self._address)
        self.folder = self._copies.folder
        self._listed: dict[str, dict[str, FileState]] = {}
        self._keys: dict[str, list[str]] = {}
        self._names_here = str(self.folder) + os.sep

    def __str__(self) -> str:
        return self._address

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_listed": {}, "_keys": {}}  # lists of all objects, with each task of a cluster

    @property
    def fetches(self) -> ObjectStorage:
        """Itself: files have to be fetched before they are read."""
        return self

    def require_writable(self) -> None:
        """Raise InputError, naming the address, if nothing can be put there."""
        trial = f".trial-{uuid4().hex[:12]}"
        with self._reaching() as (store, root):
            store.pipe_file(f"{root}/{trial}", b"mulde")
            store.rm_file(f"{root}/{trial}")

    def state(self, path: str) -> FileState | None:
        """Return what an object is like now, or was when all of its key were looked at."""
        name = self._name(path)
        home = "/".join(name.split("/")[:2])
        if home in self._listed:
            return self._listed[home].get(name)
        with self._reaching() as (store, root):
            try:
                info = store.info(f"{root}/{name}")
            except FileNotFoundError:
                return None
        return None if info["type"] == "directory" else _state(info)

    def states(self, home: str, names: Sequence[str]) -> list[tuple[int, int] | None]:
        """Return the `state` of many entries of a key, by their names without suffix."""
        return [self.state(f"{home}{os.sep}{name}.h5") for name in names]

    def look_ahead(self, home: str) -> None:
        """List all objects of a key at once."""
        name = self._name(home)
        if name not in self._listed:
            self._listed[name] = self._list(name)

    def look_anew(self) -> None:
        """Forget what was listed."""
        self._listed.clear()
        self._keys.clear()

    def fetch(self, path: Path) -> Path:
        """Download an object, unless its copy is here; return the path of the copy.

        Raises:
            CacheFileError: it is not there, or is damaged.
        """
        name, state = self._name(path), self.state(str(path))
        if state is None:
            raise CacheFileError(f"{self._address}/{name} is not there any more: run extract again")
        if _state_here(path) == state:
            os.utime(path, ns=(time.time_ns(), state.mtime_ns))  # the copies used last are kept longest
            return path
        self._copies.make_room(state.size_bytes)
        make_folder(path.parent)
        with replacing(path) as temporary:
            self._download(name, temporary)
            os.utime(temporary, ns=(time.time_ns(), state.mtime_ns))
        return path

    def keep(self, path: Path) -> None:
        """Put a file into the store as a whole; it stays here as a copy."""
        name = self._name(path)
        with self._reaching() as (store, root):
            store.put_file(str(path), f"{root}/{name}")
            state = _state(store.info(f"{root}/{name}"))
        with suppress(FileNotFoundError):  # another process has made room while it was sent
            os.utime(path, ns=(time.time_ns(), state.mtime_ns))
        self._keys.clear()
        home = "/".join(name.split("/")[:2])
        if home in self._listed:
            self._listed[home][name] = state
        self._copies.make_room(state.size_bytes)

    def remove(self, path: Path) -> None:
        """Delete an object and its copy, if they are there."""
        name = self._name(path)
        with self._reaching() as (store, root), suppress(FileNotFoundError):
            store.rm_file(f"{root}/{name}")
        path.unlink(missing_ok=True)
        self.look_anew()

    def streams(self) -> list[str]:
        """Return the names of all streams, in order."""
        return self._folders("")

    def keys(self, stream: str) -> list[str]:
        """Return the keys of a stream, in order; they are listed once."""
        if stream not in self._keys:
            self._keys[stream] = self._folders(stream)
        return self._keys[stream]

    def files(self, home: Path) -> Iterator[tuple[str, FileState]]:
        """Yield the path and state of each entry of a key; the path is a copy's, which need not be here."""
        key = self._name(home)
        listed = self._listed[key] if key in self._listed else self._list(key)
        for name, state in listed.items():
            if is_entry(name.rpartition("/")[2]):
                yield str(self.folder.joinpath(*name.split("/"))), state

    @contextmanager
    def claim(self, name: str, *, wait: bool, on_wait: Callable[[], None]) -> Iterator[bool]:
        """Hold a name against other processes, by an object that is renewed as long as this one lives."""
        claim = _Claim(self, f"{LOCKS}/{name}")
        while not claim.take():
            if not wait:
                yield False
                return
            on_wait()
            time.sleep(_POLL_SECONDS)
        with claim.renewed():
            yield True

    def create(self, name: str, content: bytes) -> bool:
        """Put an object where there is none; return whether there was none."""
        with self._reaching() as (store, root):
            try:
                store.pipe_file(f"{root}/{name}", content, mode="create")
            except FileExistsError:
                return False
            except OSError as error:  # as older versions of s3fs have it
                said = repr(error) + repr(error.__cause__)
                if "PreconditionFailed" not in said and "ConditionalRequestConflict" not in said:
                    raise
                return False
        return True

    def put(self, name: str, content: bytes) -> None:
        """Put an object, whatever is there."""
        with self._reaching() as (store, root):
            store.pipe_file(f"{root}/{name}", content)

    def read(self, name: str) -> bytes | None:
        """Return the content of a small object; None where it is not there."""
        with self._reaching() as (store, root):
            try:
                return bytes(store.cat_file(f"{root}/{name}"))
            except FileNotFoundError:
                return None

    def delete(self, name: str) -> None:
        """Delete an object, if it is there."""
        with self._reaching() as (store, root), suppress(FileNotFoundError):
            store.rm_file(f"{root}/{name}")

    def _name(self, path: str | Path) -> str:
        return str(path).removeprefix(self._names_here).replace(os.sep, "/")

    def _download(self, name: str, path: Path) -> None:
        """Download an object; once more where its checksum is wrong, for that may have come on the way."""
        for _ in range(2):
            with self._reaching() as (store, root):
                try:
                    store.get_file(f"{root}/{name}", str(path))
                except FileNotFoundError:
                    raise CacheFileError(
                        f"{self._address}/{name} is not there any more: run extract again"
                    ) from None
            try:
                check(path)
                return
            except ChangedError:
                pass
        raise CacheFileError(f"{self._address}/{name} was changed after it was written: run extract again")

    def _list(self, folder: str) -> dict[str, FileState]:
        with self._reaching() as (store, root):
            try:
                found = store.find(f"{root}/{folder}", detail=True)
            except FileNotFoundError:
                return {}
        below = {name[len(root) + 1 :]: _state(info) for name, info in found.items()}
        return {name: state for name, state in below.items() if _is_below(name)}

    def _folders(self, folder: str) -> list[str]:
        with self._reaching() as (store, root):
            try:
                found = store.ls(f"{root}/{folder}".rstrip("/"), detail=True)
            except FileNotFoundError:
                return []
        names = [each["name"].rstrip("/").rpartition("/")[2] for each in found if each["type"] == "directory"]
        return sorted(name for name in names if not name.startswith("."))

    @contextmanager
    def _reaching(self) -> Iterator[tuple[Any, str]]:
        """Give the store and the path in it; have what goes wrong there be a StoreError.

        Raises:
            StoreError: the store cannot be reached, or refuses.
        """
        try:
            yield _connect(self._address)
        except InputError:
            raise
        except Exception as error:  # each library has exceptions of its own
            if type(error).__module__ == "builtins" and not isinstance(error, OSError):
                raise
            reason = str(error) or type(error).__name__
            raise StoreError(f"{self._address} cannot be used ({reason}): {_way_out(error)}") from None


@lru_cache(maxsize=4)
def _connect(address: str) -> tuple[Any, str]:
    """Return what fsspec has for an address, and the path in it.

    Raises:
        InputError: a package is missing, nothing knows such addresses, or there is no such bucket.
    """
    protocol = address.partition("://")[0]
    fsspec = require_package("fsspec", "s3")
    try:
        store, root = fsspec.core.url_to_fs(address, use_listings_cache=False)
    except ImportError as error:
        raise InputError(f"{address} needs a package: {_install(protocol, error)}") from None
    except ValueError as error:
        raise InputError(
            f"{address} is no address that is known ({error}): give s3://BUCKET/PREFIX"
        ) from None
    root = root.rstrip("/")
    bucket = root.partition("/")[0]
    try:
        if bucket:
            store.info(bucket)
    except FileNotFoundError:
        raise InputError(
            f"there is no bucket {bucket} for {address}: make it, or check the address"
        ) from None
    return store, root


def _install(protocol: str, error: ImportError) -> str:
    if protocol in _EXTRAS:
        return f"pip install 'mulde[{_EXTRAS[protocol]}]'"
    return str(error)


def _way_out(error: Exception) -> str:
    name = type(error).__name__
    if isinstance(error, PermissionError) or "Credential" in name or "Profile" in name:
        return (
            "check the credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ~/.aws), and their rights"
        )
    return f"is the server, or the network, in order? {_GOES_ON.capitalize()}"


def _is_below(name: str) -> bool:
    """Whether a file of an object's name lies below the folder of copies: any text can be a name."""
    return not {"", ".", ".."} & set(name.split("/")) and "\\" not in name


def _state(info: dict[str, Any]) -> FileState:
    """Return the size and time of an object, in whole seconds: not all that a store says of it is finer."""
    for name in ("LastModified", "last_modified", "mtime", "updated", "created"):
        if info.get(name):
            return FileState(int(info["size"]), _seconds(info[name]) * 10**9)
    return FileState(int(info["size"]), 0)


def _seconds(when: object) -> int:
    if isinstance(when, str):
        when = datetime.fromisoformat(when.replace("Z", "+00:00"))
    return int(when.timestamp()) if isinstance(when, datetime) else int(float(str(when)))


def _state_here(path: Path) -> FileState | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return FileState(stat.st_size, stat.st_mtime_ns)


class _Claim:
    """The object of one claim."""

    def __init__(self, store: ObjectStorage, name: str) -> None:
        self._store, self._name = store, name
        self._who = {"host": _host(), "pid": os.getpid(), "token": uuid4().hex}
        self._seen: bytes | None = None
        self._seen_since = 0.0

    def take(self) -> bool:
        """Make the claim, unless another process has it and lives."""
        if self._store.create(self._name, self._content(0)):
            return True
        if not self._is_given_up():
            return False
        self._store.delete(self._name)
        return self._store.create(self._name, self._content(0))

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Renew the claim meanwhile, and let it go at the end."""
        ended = threading.Event()
        thread = threading.Thread(target=self._renew, args=(ended,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            with suppress(StoreError):  # it is given up sooner or later
                self._store.delete(self._name)

    def _renew(self, ended: threading.Event) -> None:
        count = 0
        while not ended.wait(RENEW_SECONDS):
            count += 1
            with suppress(StoreError):  # whoever holds the claim meets it too, and says so
                self._store.put(self._name, self._content(count))

    def _content(self, count: int) -> bytes:
        return json.dumps({**self._who, "count": count}).encode()

    def _is_given_up(self) -> bool:
        """Whether the process that has made the claim is gone, as far as can be told.

        Clocks of machines are not compared: a claim is watched from here.
        """
        content, now = self._store.read(self._name), time.monotonic()
        if content is None:
            return True
        if content != self._seen:
            self._seen, self._seen_since = content, now
        if now - self._seen_since >= GIVEN_UP_SECONDS:
            return True
        try:
            who = parse_json(content)
            return bool(who["host"] == self._who["host"] and not is_alive(int(who["pid"])))
        except (ValueError, LookupError, TypeError):
            return False


def _host() -> str:
    """Return what tells processes that can see one another: a name of a machine, and of its container."""
    with suppress(OSError):
        return f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"
    return socket.gethostname()
