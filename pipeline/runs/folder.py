"""The folder of a run: where its files are, what is up to date, and what failed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from mulde.data.atomic import require_writable, write_text

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

    def csv(self, video: str) -> Path:
        """Frame scores of a video."""
        return self.scores / f"{video}.csv"

    def objects(self, video: str) -> Path:
        """Object scores of a video."""
        return self.scores / f"{video}.h5"

    def require_writable(self) -> None:
        """Raise InputError, naming the folder, if nothing can be written to it."""
        require_writable(self.folder, "run folder", "choose another with --out DIR")

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
        write_text(self.folder / "state.json", json.dumps(state, indent=1, sort_keys=True))

    def remember_seconds(self, stage: str, seconds: float) -> None:
        """Keep how long a stage worked that had something to do."""
        self.remember(_SECONDS, {stage: f"{seconds:.3f}"})

    def stage_seconds(self) -> dict[str, float]:
        """Return how long each stage worked when it last had something to do."""
        return {stage: float(seconds) for stage, seconds in self.fingerprints(_SECONDS).items()}

    def failures(self) -> list[Failure]:
        """Return what failed in the stages that ran last."""
        try:
            rows = json.loads((self.folder / "failures.json").read_text(encoding="utf-8"))
            return [Failure(**row) for row in rows]
        except (OSError, ValueError, TypeError):
            return []

    def record_failures(self, stage: str, failures: Iterable[Failure]) -> None:
        """Replace the failures of a stage; the file is there only while something has failed."""
        rows = [failure for failure in self.failures() if failure.stage != stage] + list(failures)
        path = self.folder / "failures.json"
        if rows:
            write_text(path, json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False) + "\n")
        else:
            path.unlink(missing_ok=True)

    def _read_state(self) -> dict[str, dict[str, str]]:
        try:
            return _STATE.validate_json((self.folder / "state.json").read_bytes())
        except (OSError, ValidationError):  # then nothing is known, and all is made again
            return {}
