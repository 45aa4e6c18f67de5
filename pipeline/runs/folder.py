"""The folder of a run: where its files are, what is up to date, and what failed."""

from __future__ import annotations

import fnmatch
import json
import logging
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from mulde.data.atomic import TEMPORARY, append_line, encode, require_writable, write_bytes, writing
from mulde.data.errors import InputError
from mulde.data.foreign.text import parse_json
from mulde.data.sealed import ChangedError, digest, read_json, write_json

_FAILURES = "failures.json"
_FILES = "files"
"""In state.json: checksums, by name, of files that have no place for one."""
_log = logging.getLogger(__name__)
_STATE = TypeAdapter(dict[str, dict[str, str]])
_SECONDS = "seconds"
"""Where state.json has the times of stages."""


@dataclass(frozen=True)
class Failure:
    """A video that a stage could not do."""

    video: str
    stage: str
    reason: str
    path: str = ""
    """The file or folder; normal/01 and test/01 have one name."""


@dataclass(frozen=True)
class RunFolder:
    """One experiment's folder."""

    folder: Path

    @property
    def config(self) -> Path:
        """Everything that was used, defaults included."""
        return self.folder / "config.yaml"

    @property
    def model(self) -> Path:
        """One detector per stream, and the scenes."""
        return self.folder / "model"

    @property
    def model_config(self) -> Path:
        """What the model was made with; `config` may have been used for other stages since."""
        return self.model / "config.yaml"

    @property
    def held_out(self) -> Path:
        """The scores of normal footage that was left out of learning: what the threshold is read off."""
        return self.model / "held_out.safetensors"

    @property
    def marked(self) -> Path:
        """The scores of events that were marked as normal: they raise the threshold."""
        return self.model / "marked.safetensors"

    @property
    def normal_list(self) -> Path:
        """Which events were marked as normal."""
        return self.folder / "normal.json"

    @property
    def normal(self) -> Path:
        """Their features."""
        return self.folder / "normal"

    @property
    def earlier(self) -> Path:
        """Models of before: each a run that can score and watch."""
        return self.folder / "earlier"

    @property
    def scores(self) -> Path:
        """A CSV and an HDF5 file a test video."""
        return self.folder / "scores"

    @property
    def events(self) -> Path:
        """A row per event, the strongest first."""
        return self.folder / "events.csv"

    @property
    def events_json(self) -> Path:
        """The same for programs."""
        return self.folder / "events.json"

    @property
    def threshold(self) -> Path:
        """The score that raises an alarm, and what it promises."""
        return self.folder / "threshold.json"

    @property
    def metrics(self) -> Path:
        """Each number with its protocol."""
        return self.folder / "metrics.json"

    @property
    def report(self) -> Path:
        """Holds index.html."""
        return self.folder / "report"

    @property
    def footage(self) -> Path:
        """Where the videos are, of a run that has none of its own to learn from."""
        return self.folder / "footage.json"

    @property
    def log(self) -> Path:
        """What was done, in plain lines."""
        return self.folder / "run.log"

    @property
    def state(self) -> Path:
        """What the outputs were made from."""
        return self.folder / "state.json"

    @property
    def journal(self) -> Path:
        """What is to be added to the state of a run of many videos, a line each; see `remember`."""
        return self.folder / "state.jsonl"

    def csv(self, video: str) -> Path:
        """Frame scores of a video."""
        return self.scores / f"{video}.csv"

    def objects(self, video: str) -> Path:
        """Object scores of a video."""
        return self.scores / f"{video}.h5"

    def require_writable(self) -> None:
        """Raise InputError, naming the folder, if nothing can be written to it, or links lead out of it."""
        self._require_no_way_out()
        require_writable(self.folder, "run folder", "choose another with --out DIR")

    def _require_no_way_out(self) -> None:
        with suppress(FileNotFoundError, NotADirectoryError):  # which is told where something is written
            for path in self.folder.iterdir():
                if path.is_symlink():
                    self.require_inside(path)

    def require_inside(self, path: Path) -> None:
        """Raise InputError where a link leads out of the run: what is written there would be lost elsewhere.

        Args:
            path: below the folder; it need not be there.
        """
        if self.folder.resolve() not in path.resolve().parents:
            raise InputError(
                f"{path} is a link out of the run, to {path.resolve()}, where nothing is written: put a "
                "folder or file in its place, or choose another run with --out DIR"
            )

    @contextmanager
    def held(self, *, tidy: bool = True) -> Iterator[None]:
        """Hold the folder against other processes; what a killed one has left half written is deleted.

        Args:
            tidy: whether that is deleted.

        Raises:
            InputError: another process works in it, or links lead out of it.
        """
        self._require_no_way_out()
        lock = FileLock(self.folder / ".lock", timeout=0, thread_local=False)  # any thread may let go
        try:
            with writing(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                lock.acquire()
        except Timeout:
            raise InputError(
                f"another mulde works in {self.folder}: wait until it is done, or choose another folder with "
                "--out DIR"
            ) from None
        except NotImplementedError:  # some file systems of clusters
            _log.warning("%s cannot be locked: let no two commands work in it at once", self.folder)
        try:
            for path in self.left_over() if tidy else ():
                path.unlink(missing_ok=True)
            yield
        finally:
            lock.release()

    def left_over(self) -> list[Path]:
        """Return half written files; while nobody writes here, a process that was killed has left them."""
        drawn = (
            self.folder / name
            for name in ("rendered", "clips", "scene", "pictures", "outbox", "normal", "excerpts")
        )
        below = (self.model, self.scores, self.report, self.folder / "checkpoints", *drawn)
        return [
            *self.folder.glob(TEMPORARY),
            *(
                Path(folder, name)
                for part in below
                for folder, _, files in os.walk(part)  # of a hundred thousand, a third of what `rglob` takes
                for name in fnmatch.filter(files, TEMPORARY)
            ),
        ]

    def fingerprints(self, stage: str) -> Mapping[str, str]:
        """Return what the outputs of a stage were made from, by video, "" for the run; see `remember`."""
        return self._read_state().get(stage, {})

    def fingerprint(self, stage: str, video: str = "") -> str | None:
        """Return what one output of a stage was made from; None if it was never made."""
        return self.fingerprints(stage).get(video)

    def remember(self, stage: str, fingerprints: Mapping[str, str]) -> None:
        """Keep what the outputs of a stage are made from, by video ("" for the run as a whole)."""
        self._change({stage: fingerprints})

    def keep_text(self, name: str, text: str) -> None:
        """Write a text file that has no place for a checksum, such as a list in JSON; state.json has it."""
        content = encode(text)
        if self.knows(name):
            self._change(
                {_FILES: {name: None}}
            )  # a kill leaves a file without a checksum, not with another's
        write_bytes(self.folder / name, content)
        self._change({_FILES: {name: digest(content)}})

    def kept_text(self, name: str) -> str:
        """Read what `keep_text` wrote, or a file that has no checksum.

        Raises:
            ChangedError: it was changed since.
            OSError: it cannot be read.
            ValueError: it is no UTF-8.
        """
        content = (self.folder / name).read_bytes()
        if self._read_state().get(_FILES, {}).get(name) not in (None, digest(content)):
            raise ChangedError(f"{self.folder / name} was changed after it was written")
        return content.decode("utf-8")

    def knows(self, name: str) -> bool:
        """Whether there is a checksum of a file that `keep_text` wrote."""
        return name in self._read_state().get(_FILES, {})

    def was_changed(self, name: str) -> bool:
        """Whether a file that `keep_text` wrote is there and is another now."""
        known = self._read_state().get(_FILES, {}).get(name)
        try:
            return known is not None and digest((self.folder / name).read_bytes()) != known
        except OSError:
            return False

    def remember_seconds(self, stage: str, seconds: float) -> None:
        """Keep how long a stage worked that had something to do."""
        self.remember(_SECONDS, {stage: f"{seconds:.3f}"})

    def stage_seconds(self) -> dict[str, float]:
        """Return how long each stage worked when it last had something to do."""
        found = {}
        for stage, text in self.fingerprints(_SECONDS).items():
            with suppress(ValueError):  # somebody else's, perhaps
                seconds = float(text)
                if 0 <= seconds < math.inf:
                    found[stage] = seconds
        return found

    def failures(self) -> list[Failure]:
        """Return what failed in the stages that ran last."""
        try:
            if self.was_changed(_FAILURES):
                _log.warning(
                    "%s was changed after it was written: it is not believed", self.folder / _FAILURES
                )
                return []
            rows = [Failure(**row) for row in parse_json((self.folder / _FAILURES).read_bytes())]
        except (OSError, ValueError, TypeError):
            return []
        # not with pydantic, which takes no text with what stands for bytes of a name that is not UTF-8
        are_texts = all(isinstance(value, str) for row in rows for value in asdict(row).values())
        return rows if are_texts else []

    def record_failures(self, stage: str, failures: Iterable[Failure]) -> None:
        """Replace the failures of a stage; the file is there only while something has failed."""
        rows = [failure for failure in self.failures() if failure.stage != stage] + list(failures)
        if rows:
            text = json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False)
            self.keep_text(_FAILURES, text + "\n")
        else:
            (self.folder / _FAILURES).unlink(missing_ok=True)

    def _read_state(self) -> _State:
        return _read(self.state, _version(self.state), self.journal, _version(self.journal))

    def _change(self, changes: _Changes) -> None:
        """Change the state: as a whole while it is small, else by a line more in the journal.

        So a run of many videos does not write all of them again for each.
        """
        known, added = _version(self.state), _version(self.journal)
        is_large = known is not None and known.size > max(_SMALL_BYTES, 0 if added is None else added.size)
        if is_large and _read_whole(self.state, known):  # one that is damaged is written anew
            append_line(self.journal, _sealed_line(changes))
            return
        state = {stage: dict(of) for stage, of in self._read_state().items()}
        _apply(state, changes)
        write_json(
            self.state, {stage: dict(sorted(of.items())) for stage, of in sorted(state.items())}, indent=1
        )
        self.journal.unlink(missing_ok=True)  # a kill before this leaves changes that change nothing


_State = Mapping[str, Mapping[str, str]]
_Changes = Mapping[str, Mapping[str, str | None]]
"""By stage and unit; None for what is no longer known."""
_CHANGES = TypeAdapter(dict[str, dict[str, str | None]])
_SMALL_BYTES = 65_536
"""A state file that is smaller is written as a whole."""


class _Version(NamedTuple):
    """What tells a file from what it was before."""

    inode: int
    size: int
    mtime_ns: int


def _version(path: Path) -> _Version | None:
    try:
        stat = os.stat(path)  # noqa: PTH116  # it is asked for each video
    except OSError:
        return None
    return _Version(stat.st_ino, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4)
def _read_whole(path: Path, _: _Version | None) -> _State:
    try:
        return _STATE.validate_python(read_json(path))
    except (OSError, ValueError, ValidationError):  # then nothing is known, and all is made again
        return {}


@lru_cache(maxsize=4)
def _read(path: Path, version: _Version | None, journal: Path, added: _Version | None) -> _State:
    whole = _read_whole(path, version)
    if added is None or not whole:
        return whole
    state = {stage: dict(of) for stage, of in whole.items()}
    with suppress(OSError):
        for line in journal.read_bytes().splitlines():
            # what is half written, or was changed since, is as good as not done
            with suppress(ValueError, ValidationError):
                _apply(state, _unsealed_line(line))
    return state


def _apply(state: dict[str, dict[str, str]], changes: _Changes) -> None:
    for stage, of in changes.items():
        units = state.setdefault(stage, {})
        for unit, fingerprint in of.items():
            if fingerprint is None:
                units.pop(unit, None)
            else:
                units[unit] = fingerprint


def _sealed_line(changes: _Changes) -> bytes:
    content = encode(json.dumps(changes, ensure_ascii=False))
    return f"{digest(content)} ".encode() + content


def _unsealed_line(line: bytes) -> _Changes:
    known, _, content = line.partition(b" ")
    if known.decode("ascii", "replace") != digest(content):
        raise ValueError("it was changed after it was written")
    return _CHANGES.validate_python(parse_json(content))
