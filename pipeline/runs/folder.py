"""The folder of a run: where its files are, what is up to date, and what failed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from mulde.data.atomic import TEMPORARY, encode, require_writable, write_bytes, writing
from mulde.data.errors import InputError
from mulde.data.sealed import digest, read_json, write_json

_FAILURES = "failures.json"
_FILES = "files"
"""In state.json: checksums, by name, of files that have no place for one."""
_log = logging.getLogger(__name__)
_STATE = TypeAdapter(dict[str, dict[str, str]])


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
    def scores(self) -> Path:
        """A CSV and an HDF5 file a test video."""
        return self.folder / "scores"

    @property
    def metrics(self) -> Path:
        """Each number with its protocol."""
        return self.folder / "metrics.json"

    @property
    def report(self) -> Path:
        """Holds index.html."""
        return self.folder / "report"

    @property
    def log(self) -> Path:
        """What was done, in plain lines."""
        return self.folder / "run.log"

    @property
    def state(self) -> Path:
        """What the outputs were made from."""
        return self.folder / "state.json"

    def csv(self, video: str) -> Path:
        """Frame scores of a video."""
        return self.scores / f"{video}.csv"

    def objects(self, video: str) -> Path:
        """Object scores of a video."""
        return self.scores / f"{video}.h5"

    def require_writable(self) -> None:
        """Raise InputError, naming the folder, if nothing can be written to it."""
        require_writable(self.folder, "run folder", "choose another with --out DIR")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder against other processes; what a killed one has left half written is deleted.

        Raises:
            InputError: another process works in it.
        """
        lock = FileLock(self.folder / ".lock", timeout=0)
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
            for path in self.left_over():
                path.unlink(missing_ok=True)
            yield
        finally:
            lock.release()

    def left_over(self) -> list[Path]:
        """Return half written files; while nobody writes here, a process that was killed has left them."""
        below = (self.model, self.scores, self.report, self.folder / "checkpoints")
        return [*self.folder.glob(TEMPORARY), *(path for part in below for path in part.rglob(TEMPORARY))]

    def fingerprints(self, stage: str) -> dict[str, str]:
        """Return what the outputs of a stage were made from, by video, "" for the run; see `remember`."""
        return self._read_state().get(stage, {})

    def fingerprint(self, stage: str, video: str = "") -> str | None:
        """Return what one output of a stage was made from; None if it was never made."""
        return self.fingerprints(stage).get(video)

    def remember(self, stage: str, fingerprints: Mapping[str, str]) -> None:
        """Keep what the outputs of a stage are made from, by video ("" for the run as a whole)."""
        state = self._read_state()
        state.setdefault(stage, {}).update(fingerprints)
        self._write_state(state)

    def keep_text(self, name: str, text: str) -> None:
        """Write a text file that has no place for a checksum, such as a list in JSON; state.json has it."""
        content, state = encode(text), self._read_state()
        if state.setdefault(_FILES, {}).pop(name, None) is not None:
            self._write_state(state)  # a kill leaves a file without a checksum, not one with that of another
        write_bytes(self.folder / name, content)
        state[_FILES][name] = digest(content)
        self._write_state(state)

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

    def failures(self) -> list[Failure]:
        """Return what failed in the stages that ran last."""
        try:
            if self.was_changed(_FAILURES):
                _log.warning(
                    "%s was changed after it was written: it is not believed", self.folder / _FAILURES
                )
                return []
            rows = json.loads((self.folder / _FAILURES).read_text(encoding="utf-8"))
            return [Failure(**row) for row in rows]
        except (OSError, ValueError, TypeError):
            return []

    def record_failures(self, stage: str, failures: Iterable[Failure]) -> None:
        """Replace the failures of a stage; the file is there only while something has failed."""
        rows = [failure for failure in self.failures() if failure.stage != stage] + list(failures)
        if rows:
            text = json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False)
            self.keep_text(_FAILURES, text + "\n")
        else:
            (self.folder / _FAILURES).unlink(missing_ok=True)

    def _read_state(self) -> dict[str, dict[str, str]]:
        try:
            return _STATE.validate_python(read_json(self.state))
        except (OSError, ValueError, ValidationError):  # then nothing is known, and all is made again
            return {}

    def _write_state(self, state: Mapping[str, Mapping[str, str]]) -> None:
        write_json(
            self.state, {stage: dict(sorted(of.items())) for stage, of in sorted(state.items())}, indent=1
        )
