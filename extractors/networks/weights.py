"""Pretrained weights: what is known of each, where its file is, how it is fetched; light to import."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import socket
import tempfile
import threading
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from mulde.data.atomic import write_text
from mulde.data.errors import InputError, require_package
from mulde.data.foreign.text import parse_json
from mulde.data.identity import BLOCK_BYTES
from mulde.extractors.networks.catalogue import CATALOGUE, WeightsRecord

DIGEST_CHARACTERS = 16
WEIGHTS_FOLDER = "weights"
"""Where in the cache weights are kept, unless the user has another folder."""
_DIGESTS = "digests.json"
_REACH_SECONDS = 1.0
_OFFLINE_VARIABLES = ("MULDE_OFFLINE", "HF_HUB_OFFLINE")
_LIBRARIES = ("open_clip/", "torchvision/")  # which know where their own weights are

_log = logging.getLogger(__name__)


@cache
def record_of(name: str) -> WeightsRecord | None:
    """Return what is known of weights: from the catalogue, or else from the library that names begin with."""
    record = CATALOGUE.get(_plain(name))
    if record is None and name.startswith(_LIBRARIES):
        from mulde.extractors.networks.libraries import published  # only here: the catalogue needs no library

        return published(name)
    return record


class WeightsMissingError(InputError):
    """Weights are not there."""

    def __init__(self, message: str, names: Sequence[str] = (), folder: Path = Path()) -> None:
        super().__init__(message)
        self.names, self.folder = tuple(names), folder
        """What `fetch` takes to get them; no names where it cannot."""


class UnknownWeightsError(WeightsMissingError):
    """A name that neither the catalogue nor a library knows."""


@dataclass(frozen=True)
class Weights:
    """The weights that an operator runs on: a name of the catalogue, or a file of the user's."""

    name: str
    """As the configuration has it."""
    path: Path | None = field(compare=False)
    """Where the file is; None if it is not there."""
    folder: Path = field(compare=False)
    """Where fetched weights are kept."""

    @property
    def digest(self) -> str:
        """The first digits of the file's SHA-256: two files with one content are the same weights.

        Raises:
            InputError: the file is not there.
        """
        return digest_of_file(self.require(), self.folder)[:DIGEST_CHARACTERS]

    @property
    def is_published(self) -> bool:
        """Whether the name is one of the catalogue or of a library, and not that of a file of the user's."""
        return record_of(self.name) is not None or self.name.startswith(_LIBRARIES)

    @property
    def licence(self) -> str:
        """Licence of the weights, for users; that of a user's file is not known."""
        record = record_of(self.name)
        return record.licence if record else "not known: a file of your own"

    def require(self) -> Path:
        """Return the file.

        Raises:
            WeightsMissingError: it is not there.
        """
        if self.path is not None:
            return self.path
        raise _missing([self.name], self.folder)


def find_weights(name: str, folder: Path) -> Weights:
    """Look for weights by name or path; nothing is fetched.

    Args:
        name: a name of the catalogue, with or without ".pt", or the path of a file.
        folder: where fetched weights are kept.
    """
    as_path = Path(name).expanduser()
    if as_path.is_file():
        return Weights(name, as_path.resolve(), folder)
    record = record_of(name)
    if record is None:
        return Weights(name, None, folder)
    places = (folder / record.file, torch_hub_folder() / "checkpoints" / record.file)
    found = next((place for place in places if place.is_file()), None)
    return Weights(record.name, found, folder)


def torch_hub_folder() -> Path:
    """Return where torch keeps what it has downloaded, without importing it."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", f"{cache}/torch")
    return Path(home).expanduser() / "hub"


def is_offline(asked: bool = False) -> bool:
    """Whether nothing may be fetched: the user says so by option or by environment variable."""
    return asked or any(
        os.environ.get(name, "").lower() in ("1", "true", "yes", "on") for name in _OFFLINE_VARIABLES
    )


def fetch(names: Sequence[str], folder: Path, *, offline: bool = False) -> list[Path]:
    """Download weights of the catalogue into `folder`, where they are not there, and check their digests.

    Raises:
        InputError: a name is unknown, there is no network or it must not be used, or what came is not
            what was expected.
    """
    missing = [name for name in names if find_weights(name, folder).path is None]
    records = [record for name in missing if (record := record_of(name))]
    if len(records) < len(missing) or (missing and is_offline(offline)):
        raise _missing(missing, folder)
    for record in records:
        host = _unreachable(record.source)
        if host:
            raise _missing(missing, folder, f" ({host} cannot be reached now)")
        # not only for information: users asked for quiet have to see what they agree to
        _log.warning(
            "fetching %s from %s; licence of the weights: %s", record.name, record.source, record.terms
        )
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _download(record, folder / record.file)
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(
                f"{record.name} cannot be fetched from {record.source} ({error}): try again later"
            ) from None
    return [find_weights(name, folder).require() for name in names]


def digest_of_file(path: Path, folder: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal; kept in `folder`, so that it is read once.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        stat = path.stat()
        return _digest(str(path.resolve()), stat.st_size, stat.st_mtime_ns, folder)
    except OSError as error:
        raise InputError(f"weights {path} cannot be read ({error.strerror}): check the path") from None


@cache
def _digest(path: str, size_bytes: int, mtime_ns: int, folder: Path) -> str:
    known = _read_digests(folder)
    entry = f"{path} {size_bytes} {mtime_ns}"
    if entry not in known:
        hasher = hashlib.sha256()
        with Path(path).open("rb") as stream:
            while block := stream.read(BLOCK_BYTES):
                hasher.update(block)
        if size_bytes < 64 * BLOCK_BYTES:
            return hasher.hexdigest()  # quicker read again than kept
        known[entry] = hasher.hexdigest()
        try:
            write_text(folder / _DIGESTS, json.dumps(known, indent=1))
        except (OSError, InputError) as error:  # a cache that can only be read serves as well
            _log.debug("digests are not kept: %s", error)
    return known[entry]


def _read_digests(folder: Path) -> dict[str, str]:
    try:
        return dict(parse_json((folder / _DIGESTS).read_bytes()))
    except (OSError, ValueError, TypeError):
        return {}


def _plain(name: str) -> str:
    """Return a name as the catalogue has it; ultralytics' users write the suffix."""
    return name.removesuffix(".pt")


def _missing(names: Sequence[str], folder: Path, why: str = "") -> WeightsMissingError:
    """Return the error of weights that are not there: why, and the way out."""
    records = []
    for name in names:
        record = record_of(name)
        if record is not None:
            records.append(record)
        elif (len(Path(name).parts) > 1 or Path(name).suffix) and not name.startswith(_LIBRARIES):
            return WeightsMissingError(f"there is no file of weights at {name}: check the path")
        else:
            return UnknownWeightsError(f"unknown weights {name}: give a known name, or a file's path")
    terms = ", ".join(f"{record.name}: {record.terms}" for record in records)
    return WeightsMissingError(
        f"weights are missing ({terms}){why}: fetch them where there is a network, or give the path of a "
        "file in place of a name",
        [record.name for record in records],
        folder,
    )


def _unreachable(source: str) -> str | None:
    """Return the host that cannot be reached, where a download would wait for minutes."""
    parts = urllib.parse.urlsplit(source)
    if parts.scheme == "hf":
        parts = urllib.parse.urlsplit("https://huggingface.co")
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        parts = urllib.parse.urlsplit(proxy)
    host = parts.hostname or ""
    reached = threading.Event()

    def reach() -> None:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            socket.create_connection((host, port), timeout=_REACH_SECONDS).close()
        except OSError:
            return
        reached.set()

    # In a thread, for looking up a name has no time limit of its own
    thread = threading.Thread(target=reach, daemon=True)
    thread.start()
    thread.join(_REACH_SECONDS)
    return None if reached.is_set() else host


def _download(record: WeightsRecord, target: Path) -> None:
    if record.source.startswith("hf://"):
        hub = require_package("huggingface_hub", "encoders")
        organisation, repository, *rest = record.source.removeprefix("hf://").split("/")
        with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
            got = hub.hf_hub_download(f"{organisation}/{repository}", "/".join(rest), local_dir=temporary)
            _check_digest(Path(got), record)
            shutil.move(got, target)
        return
    import torch

    torch.hub.download_url_to_file(record.source, str(target), hash_prefix=record.sha256, progress=False)


def _check_digest(path: Path, record: WeightsRecord) -> None:
    if record.sha256 and not _digest(str(path), 0, 0, path.parent).startswith(record.sha256):
        raise ValueError(f"its SHA-256 does not begin with {record.sha256}")
