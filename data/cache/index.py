"""What cached files say about themselves, by stream and key, so that a hundred thousand need not be opened.

    CACHE/.index/<stream>-<key>.sqlite

An index is written as a whole, under a temporary name, by a command that has come to know many files, and is
only read after that. A row counts while its file has the size and the time that it had then; where there is
none, or an index is damaged, the file itself is read. So an index can be deleted at any time.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
from contextlib import closing, suppress
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from sys import intern
from urllib.parse import quote

import xxhash

from mulde.data.atomic import WriteError, make_folder, replacing
from mulde.data.cache.entries import Entry
from mulde.data.foreign.text import parse_json
from mulde.data.identity import SourceIdentity
from mulde.data.video import DecodeReport

INDEX = ".index"
"""Folder of the cache."""
LEAST_NEW = 1000
"""So many files must have been read for the indexes to be written: fewer are read as quickly again."""
_COLUMNS = (
    "name TEXT PRIMARY KEY, state TEXT, video TEXT, n_rows INT, n_features INT, identity TEXT, report TEXT, "
    "source TEXT, beside TEXT, seal TEXT"
)
_TABLE = f"CREATE TABLE entries ({_COLUMNS}) WITHOUT ROWID"
_N_REMEMBERED = 64  # streams of one video say the same, and are asked for one after the other

_log = logging.getLogger(__name__)


class EntryIndex:
    """The index of a cache, for one process."""

    def __init__(self, cache: Path) -> None:
        self._folder = cache / INDEX
        self._open: dict[str, sqlite3.Connection | None] = {}
        self._news: sqlite3.Connection | None = None

    def find(self, stream: str, key: str, home: str, name: str, stat: os.stat_result) -> Entry | None:
        """Return what a file said when it was read; None where that is not known of the file as it is now.

        Args:
            home: the folder of the key.
            name: the file's below, without suffix.
            stat: what the file is like now.
        """
        table = self._table(f"{stream}-{key}")
        if table is None:
            return None
        try:
            row = table.execute("SELECT * FROM entries WHERE name = ?", (name,)).fetchone()
            if row is None or row[1] != _state(stat) or row[-1] != _seal(row[:-1]):
                return None
            return _entry(home, name, *row[2:-1])
        except (sqlite3.Error, ValueError, TypeError, KeyError) as error:
            _log.debug("index of %s-%s: %s", stream, key, error)
            return None

    def learn(self, stream: str, key: str, name: str, stat: os.stat_result, entry: Entry) -> None:
        """Take down what a file says, for `save`."""
        row = (
            name,
            _state(stat),
            entry.video,
            entry.n_rows,
            entry.n_features,
            json.dumps(entry.identity.to_dict()),
            json.dumps(asdict(entry.report)),
            entry.source,
            entry.beside,
        )
        # a path that is no Unicode, or no room for what is learnt: the file is read each time
        with suppress(UnicodeEncodeError, sqlite3.Error):
            if self._news is None:
                self._news = sqlite3.connect("", check_same_thread=False)  # on disk where it gets large
                self._news.execute(f"CREATE TABLE news (key TEXT, {_COLUMNS.replace(' PRIMARY KEY', '')})")
            values = (f"{stream}-{key}", *row, _seal(row))
            self._news.execute("INSERT INTO news VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)

    def save(self) -> None:
        """Add what was learnt to the indexes, if it is much; they stay as they are where that cannot be."""
        if self._news is None:
            return
        counts = dict(self._news.execute("SELECT key, COUNT(*) FROM news GROUP BY key").fetchall())
        for key in counts if sum(counts.values()) >= LEAST_NEW else ():
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
                rows = self._news.execute(
                    "SELECT name, state, video, n_rows, n_features, identity, report, source, beside, seal "
                    "FROM news WHERE key = ?",
                    (key,),
                )
                table.executemany(
                    "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows
                )
                table.commit()

    def _table(self, key: str) -> sqlite3.Connection | None:
        if key not in self._open:
            self._open[key] = self._connect(self._path(key))
        return self._open[key]

    @staticmethod
    def _connect(path: Path) -> sqlite3.Connection | None:
        if not path.exists():
            return None
        try:
            # immutable: it is never written in place, so no lock is needed, which some file systems lack
            table = sqlite3.connect(
                f"file:{quote(str(path.absolute()))}?immutable=1", uri=True, check_same_thread=False
            )
            if table.execute("SELECT sql FROM sqlite_master").fetchall() != [(_TABLE,)]:
                raise sqlite3.DatabaseError("it is no index")  # a view, say, which never ends
        except (sqlite3.Error, ValueError) as error:  # the latter of text that is no UTF-8
            _log.debug("%s: %s", path, error)
            return None
        return table

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.sqlite"


def _state(stat: os.stat_result) -> str:
    return f"{stat.st_size} {stat.st_mtime_ns}"


def _seal(row: tuple[object, ...]) -> str:
    return xxhash.xxh3_64_hexdigest("\0".join(map(str, row)).encode())


def _entry(
    home: str,
    name: str,
    video: str,
    n_rows: int,
    n_features: int,
    identity: str,
    report: str,
    source: str | None,
    beside: str,
) -> Entry:
    said = _said(identity, report, source)
    # one string each, not one a stream: there may be a hundred thousand videos
    video, beside = (name if video == name else video), intern(beside)
    return Entry(home, name, video, int(n_rows), int(n_features), *said, beside)


@lru_cache(maxsize=_N_REMEMBERED)
def _said(identity: str, report: str, source: str | None) -> tuple[SourceIdentity, DecodeReport, str | None]:
    known = parse_json(report)
    known["warnings"] = tuple(known["warnings"])
    return SourceIdentity.from_dict(parse_json(identity)), DecodeReport(**known), source
