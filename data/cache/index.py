"""What cached files say about themselves, by video, so that a hundred thousand need not be opened.

    CACHE/.index/<place of the videos>.sqlite

A row is a video: it has all of its files, whatever streams and settings they are of, so that one look tells
of all. An index is written as a whole, under a temporary name, by a command that has come to know many files,
and is only read after that. What it says of a file counts while that has the size and the time that it had
then; where it says nothing, or is damaged, the file itself is read. So an index can be deleted at any time.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from sys import intern
from typing import Any, TypeAlias
from urllib.parse import quote

import xxhash
from pydantic_core import from_json

from mulde.data.atomic import WriteError, make_folder, replacing
from mulde.data.cache.entries import Entry
from mulde.data.cache.storage import CacheFileError, FileState, Storage
from mulde.data.foreign.text import parse_json
from mulde.data.identity import SourceIdentity
from mulde.data.video import DecodeReport

INDEX = ".index"
"""Folder of the cache."""
_TABLE = "CREATE TABLE videos (name TEXT PRIMARY KEY, known TEXT, seal TEXT) WITHOUT ROWID"
_NEWS = "CREATE TABLE news (place TEXT, name TEXT, file TEXT, size, mtime_ns, n_rows, n_features, said TEXT)"
_NO_PLACE = "anywhere"
States: TypeAlias = Callable[[str, Sequence[str]], Sequence[tuple[int, int] | None]]
"""Tells what files of a folder are like, by names without suffix; see `Storage.states`."""
_OF_DAMAGE = (ValueError, TypeError, LookupError, AttributeError)
"""What a row raises that is not ours; its seal finds accidents alone."""

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
        return (
            self.find_many([home], [name], lambda home, names: [state] * len(names)).get(name, {}).get(home)
        )

    def find_many(
        self, homes: Sequence[str], names: Sequence[str], states: States
    ) -> dict[str, dict[str, Entry]]:
        """Return by name, and then by home, what `find` finds of some hundred videos.

        Args:
            homes: folders of keys.
            names: of the videos.
            states: tells what files of a home are like now.
        """
        found: dict[str, dict[str, Entry]] = {}
        places: dict[str, dict[str, str]] = {}
        for home in homes:
            file = _file_of(home)
            places.setdefault(_place_of(file), {})[file] = home
        for place, home_of in places.items():
            rows = dict(self._parsed(place, names))
            now = dict[str, dict[str, tuple[int, int] | None]]()
            for file, home in home_of.items():  # only files that are known are looked at: each is a request
                having = [name for name, (files, _) in rows.items() if file in files]
                now[home] = dict(zip(having, states(home, having), strict=True))
            for name, (files, said) in rows.items():
                try:
                    entries = self._entries(name, files, said, home_of, now)
                except _OF_DAMAGE as error:
                    _log.debug("index of %s, %s: %s", place, name, error)
                    continue
                found.setdefault(name, {}).update(entries)
        return found

    def _parsed(
        self, place: str, names: Sequence[str]
    ) -> Iterator[tuple[str, tuple[dict[str, list[int]], list[Any]]]]:
        """Yield of each of these videos what is known of its files, and what they say."""
        for name, row in self._rows(place, names):
            try:
                known = _read(row)
                files, said = known["files"], known["said"]
            except _OF_DAMAGE as error:
                _log.debug("index of %s, %s: %s", place, name, error)
                continue
            if isinstance(files, dict) and isinstance(said, list):
                yield name, (files, said)

    def _rows(self, place: str, names: Sequence[str]) -> list[tuple[str, str]]:
        """Return what is known of these videos, as it was written."""
        find = f"SELECT name, known, seal FROM videos WHERE name IN ({', '.join('?' * len(names))})"  # noqa: S608  # of ?
        try:
            table = self._table(place)
            rows = [] if table is None else table.execute(find, names).fetchall()
            return [(name, known) for name, known, seal in rows if seal == _seal(name, known)]
        except (sqlite3.Error, ValueError, TypeError, AttributeError) as error:  # files are read themselves
            _log.debug("index of %s: %s", place, error)
            return []

    def _entries(
        self,
        name: str,
        files: dict[str, list[int]],
        said: list[Any],
        home_of: dict[str, str],
        now: dict[str, dict[str, tuple[int, int] | None]],
    ) -> dict[str, Entry]:
        fetches, read = self._storage.fetches, dict[int, _Said]()
        entries = {}
        for file, home in home_of.items():
            if file not in files:
                continue
            size_bytes, mtime_ns, n_rows, n_features, number = files[file]
            if (size_bytes, mtime_ns) != now[home][name]:
                continue  # it was changed since
            if number not in read:  # files of other settings, perhaps of another version, are not looked at
                read[number] = _Said(*said[number])
            of = read[number]
            # one string each, not one a stream: there may be a hundred thousand videos
            video = name if of.video == name else of.video
            if type(n_rows) is type(n_features) is int and n_rows >= 0 and n_features >= 0:
                entries[home] = Entry(
                    home,
                    name,
                    video,
                    n_rows,
                    n_features,
                    of.identity,
                    of.report,
                    of.source,
                    of.beside,
                    fetches,
                )
        return entries

    def learn(self, home: str, name: str, state: FileState, entry: Entry) -> None:
        """Take down what a file says, for `save`."""
        said = [entry.video, entry.source, entry.beside, entry.identity, asdict(entry.report)]
        file = _file_of(home)
        # a path that is no Unicode, or no room for what is learnt: the file is read each time
        with suppress(UnicodeEncodeError, sqlite3.Error):
            if self._news is None:
                self._news = sqlite3.connect("", check_same_thread=False)  # on disk where it gets large
                self._news.execute(_NEWS)
            values = (_place_of(file), name, file, *state, entry.n_rows, entry.n_features, json.dumps(said))
            self._news.execute("INSERT INTO news VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)

    def save(self) -> None:
        """Add what was learnt to the indexes, if it is much; they stay as they are where that cannot be."""
        if self._news is None:
            return
        counts = dict(self._news.execute("SELECT place, COUNT(*) FROM news GROUP BY place").fetchall())
        if sum(counts.values()) >= self._storage.few:
            self._storage.look_anew()
            streams = self._storage.streams()
            there = {f"{stream}/{key}" for stream in streams for key in self._storage.keys(stream)}
            for place in counts:
                try:
                    self._save(place, there)
                except (WriteError, sqlite3.Error, OSError) as error:
                    _log.debug("index of %s cannot be written: %s", place, error)
        self.close()

    def close(self) -> None:
        """Let go of all files."""
        for connection in (self._news, *self._open.values()):
            self._close(connection)
        self._news = None
        self._open.clear()

    def _save(self, place: str, there: set[str]) -> None:
        """Add the news of a place to its index as it is now, which others may have written since.

        Args:
            there: stream and key of all folders of the cache.
        """
        assert self._news is not None
        path = self._path(place)
        make_folder(path.parent)
        self._close(self._open.pop(place, None))
        news = self._news.execute("SELECT * FROM news WHERE place = ? ORDER BY name, rowid", (place,))
        with replacing(path) as temporary:
            if self._table(place) is not None:
                shutil.copyfile(path, temporary)
            with closing(sqlite3.connect(temporary)) as table:
                table.execute("PRAGMA journal_mode = OFF")  # the file takes its place only when it is whole
                if not table.execute("SELECT * FROM sqlite_master").fetchall():
                    table.execute(_TABLE)
                for name, of_video in groupby(news, key=itemgetter(1)):
                    files = {f: each for f, each in self._known(place, name).items() if f in there}
                    files |= {file: (state, said) for _, _, file, *state, said in of_video}
                    known = _dump(files)
                    row = name, known, _seal(name, known)
                    table.execute("INSERT OR REPLACE INTO videos VALUES (?, ?, ?)", row)
                table.commit()
        self._storage.keep(path)

    def _known(self, place: str, name: str) -> dict[str, tuple[list[int], str]]:
        """Return of each file of a video its state and counts, and what it says, in JSON."""
        files = dict[str, tuple[list[int], str]]()
        for _, known in self._rows(place, [name]):
            with suppress(*_OF_DAMAGE):
                row = parse_json(known)
                said = [json.dumps(each) for each in row["said"]]
                files = {file: (state, said[number]) for file, (*state, number) in row["files"].items()}
        return files

    def _table(self, place: str) -> sqlite3.Connection | None:
        if place not in self._open:
            self._open[place] = self._connect(self._path(place))
        return self._open[place]

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

    @staticmethod
    def _close(connection: sqlite3.Connection | None) -> None:
        if connection is not None:
            connection.close()

    def _path(self, place: str) -> Path:
        return self._folder / f"{place}.sqlite"


class _Said:
    """What files that were written in one pass say of their video; raises what `_OF_DAMAGE` has."""

    __slots__ = ("beside", "identity", "report", "source", "video")

    def __init__(
        self, video: str, source: str | None, beside: str, identity: Sequence[Any], report: dict[str, Any]
    ) -> None:
        report["warnings"] = tuple(report["warnings"])
        self.video, self.source, self.beside = video, source, intern(beside)
        self.identity, self.report = SourceIdentity(*identity), _report(**report)
        if not (isinstance(video, str) and isinstance(source, str | None)):
            raise TypeError(f"{video} and {source} are no names")


@lru_cache(maxsize=1024, typed=True)
def _report(**values: Any) -> DecodeReport:
    """Return one report for all videos that are alike, as those of a camera are."""
    report = DecodeReport(**values)
    counts = report.n_frames, report.width, report.height
    if not (all(map(_is_count, counts)) and 0 < report.fps < math.inf):
        raise ValueError(f"a report cannot be: {values}")
    return report


def _read(row: str) -> Any:
    """Parse a row; raises what `parse_json` does."""
    try:
        return from_json(row)  # in half the time of `json`
    except ValueError:  # a path that is no Unicode is none to it
        return parse_json(row)


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _dump(files: Mapping[str, tuple[Sequence[int], str]]) -> str:
    """Return the row of a video; see `EntryIndex._known`."""
    all_said = list(dict.fromkeys(said for _, said in files.values()))  # files of one pass say the same
    return json.dumps(
        {
            "said": [json.loads(said) for said in all_said],
            "files": {file: [*state, all_said.index(said)] for file, (state, said) in files.items()},
        }
    )


def _file_of(home: str) -> str:
    """Return the stream and the key of a folder, as an index has them."""
    return "/".join(Path(home).parts[-2:])


def _place_of(file: str) -> str:
    """Return the part of a key that says where its videos are; see `StreamKey.key`."""
    return file.rpartition("/")[2].partition("-")[2] or _NO_PLACE


def _seal(name: str, known: str) -> str:
    return xxhash.xxh3_64_hexdigest(f"{name}\0{known}".encode())
