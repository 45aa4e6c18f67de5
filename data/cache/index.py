"""What cached files say about themselves, by stream and key, so that a hundred thousand need not be opened.

    CACHE/.index/<stream>-<key>.sqlite

An index is written as a whole, under a temporary name, by a command that has come to know many files, and is
only read after that. A row counts while its file has the size and the time that it had then; where there is
none, or an index is damaged, the file itself is read. So an index can be deleted at any time.
"""

from __future__ import annotations

import json
import logging
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, astuple
from functools import lru_cache
from pathlib import Path
from sys import intern
from urllib.parse import quote

import xxhash

from mulde.data.atomic import WriteError, make_folder, replacing
from mulde.data.cache.entries import Entry
from mulde.data.cache.storage import CacheFileError, FileState, Storage
from mulde.data.foreign.text import parse_json
from mulde.data.identity import SourceIdentity
from mulde.data.video import DecodeReport

INDEX = ".index"
"""Folder of the cache."""
_COLUMNS = "name, size_bytes, mtime_ns, n_rows, n_features, said, seal"
_SCHEMA = (
    "name TEXT PRIMARY KEY, size_bytes INT, mtime_ns INT, n_rows INT, n_features INT, said TEXT, seal TEXT"
)
_TABLE = f"CREATE TABLE entries ({_SCHEMA}) WITHOUT ROWID"
_FIND = f"SELECT {_COLUMNS} FROM entries WHERE name IN"  # noqa: S608  # of constants
_N_REMEMBERED = 1024  # streams of one video say the same; of some hundred videos, one stream follows another

_log = logging.getLogger(__name__)


class EntryIndex:
    """The index of a cache, for one process."""

    def __init__(self, storage: Storage) -> None:
        self._storage, self._folder = storage, storage.folder / INDEX
        self._open: dict[str, sqlite3.Connection | None] = {}
        self._news: sqlite3.Connection | None = None

    def find(self, home: str, name: str, state: FileState) -> Entry | None:
        """Return what a file said when it was read; None where that is not known of the file as it is now.

        Args:
            home: the folder of the key.
            name: the file's below, without suffix.
            state: what the file is like now.
        """
        return self.find_many(home, [name], lambda _: state).get(name)

    def find_many(
        self, home: str, names: Sequence[str], state_of: Callable[[str], FileState | None]
    ) -> dict[str, Entry]:
        """Return by name what `find` finds of files of one key, some hundred, which are read together.

        Args:
            state_of: tells what the file of a name is like now; None where it is not there.
        """
        found, fetches = dict[str, Entry](), self._storage.fetches
        try:
            table = self._table(_name_of(home))
            find = f"{_FIND} ({', '.join('?' * len(names))})"
            for row in () if table is None else table.execute(find, names):
                name, size_bytes, mtime_ns, n_rows, n_features, said, seal = row
                if (size_bytes, mtime_ns) != state_of(name) or seal != _seal(*row[:-1]):
                    continue  # it was changed, or is of a file that has changed since
                try:
                    video, source, beside, identity, report = _parse(said)
                except (ValueError, TypeError, KeyError):
                    continue
                # one string each, not one a stream: there may be a hundred thousand videos
                video = name if video == name else video
                found[name] = Entry(
                    home, name, video, n_rows, n_features, identity, report, source, beside, fetches
                )
        except (sqlite3.Error, ValueError, TypeError) as error:  # the rest is read from the files themselves
            _log.debug("index of %s: %s", home, error)
        return found

    def learn(self, home: str, name: str, state: FileState, entry: Entry) -> None:
        """Take down what a file says, for `save`."""
        said = [entry.video, entry.source, entry.beside, astuple(entry.identity), asdict(entry.report)]
        row = name, *state, entry.n_rows, entry.n_features, json.dumps(said)
        # a path that is no Unicode, or no room for what is learnt: the file is read each time
        with suppress(UnicodeEncodeError, sqlite3.Error):
            if self._news is None:
                self._news = sqlite3.connect("", check_same_thread=False)  # on disk where it gets large
                self._news.execute(f"CREATE TABLE news (key TEXT, {_SCHEMA.replace(' PRIMARY KEY', '')})")
            values = (_name_of(home), *row, _seal(*row))
            self._news.execute("INSERT INTO news VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)

    def save(self) -> None:
        """Add what was learnt to the indexes, if it is much; they stay as they are where that cannot be."""
        if self._news is None:
            return
        counts = dict(self._news.execute("SELECT key, COUNT(*) FROM news GROUP BY key").fetchall())
        for key in counts if sum(counts.values()) >= self._storage.few else ():
            try:
                self._save(key)
            except (WriteError, sqlite3.Error, OSError) as error:
                _log.debug("index of %s cannot be written: %s", key, error)
        self.close()

    def close(self) -> None:
        """Let go of all files."""
        for connection in (self._news, *self._open.values()):
            if connection is not None:
                connection.close()
        self._news = None
        self._open.clear()

    def _save(self, key: str) -> None:
        assert self._news is not None
        path = self._path(key)
        make_folder(path.parent)
        with replacing(path) as temporary:
            if self._table(key) is not None:
                shutil.copyfile(path, temporary)
            with closing(sqlite3.connect(temporary)) as table:
                table.execute("PRAGMA journal_mode = OFF")  # the file takes its place only when it is whole
                if not table.execute("SELECT * FROM sqlite_master").fetchall():
                    table.execute(_TABLE)
                rows = self._news.execute(f"SELECT {_COLUMNS} FROM news WHERE key = ?", (key,))  # noqa: S608
                table.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
                table.commit()
        self._storage.keep(path)

    def _table(self, key: str) -> sqlite3.Connection | None:
        if key not in self._open:
            self._open[key] = self._connect(self._path(key))
        return self._open[key]

    def _connect(self, path: Path) -> sqlite3.Connection | None:
        if self._storage.state(str(path)) is None:
            return None
        try:
            path = self._storage.fetch(path)
            # immutable: it is never written in place, so no lock is needed, which some file systems lack
            table = sqlite3.connect(
                f"file:{quote(str(path.absolute()))}?immutable=1", uri=True, check_same_thread=False
            )
            if table.execute("SELECT sql FROM sqlite_master").fetchall() != [(_TABLE,)]:
                raise sqlite3.DatabaseError("it is no index, or one of before")  # a view, say, never ends
        except (sqlite3.Error, ValueError, CacheFileError) as error:  # ValueError of text that is no UTF-8
            _log.debug("%s: %s", path, error)
            return None
        return table

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.sqlite"


def _name_of(home: str) -> str:
    return "-".join(Path(home).parts[-2:])


def _seal(name: str, size_bytes: int, mtime_ns: int, n_rows: int, n_features: int, said: str) -> str:
    row = f"{name}\0{size_bytes} {mtime_ns} {n_rows} {n_features}\0{said}"
    return xxhash.xxh3_64_hexdigest(row.encode())


@lru_cache(maxsize=_N_REMEMBERED)
def _parse(said: str) -> tuple[str, str | None, str, SourceIdentity, DecodeReport]:
    video, source, beside, identity, report = parse_json(said)
    report["warnings"] = tuple(report["warnings"])
    return video, source, intern(beside), SourceIdentity(*identity), DecodeReport(**report)
