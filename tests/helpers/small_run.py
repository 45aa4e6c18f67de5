"""A small run that can be compared, number for number, with another of the same."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

import h5py

from mulde.pipeline.stages.evaluate import read_metrics


@dataclass(frozen=True)
class Place:
    """Where a command works."""

    root: Path
    data: Path

    @property
    def run(self) -> Path:
        """Folder of the run."""
        return self.root / "run"

    @property
    def cache(self) -> Path:
        """Folder of the cache."""
        return self.root / "cache"

    @property
    def arguments(self) -> list[str]:
        """What `mulde run` is given."""
        return [
            *("run", "--dataset", str(self.data), "--out", str(self.run), "--cache", str(self.cache)),
            *(
                "--workers",
                "2",
                "--device",
                "cpu",
                "detector.max_steps=60",
                "evaluate.n_resamples=0",
                "extract.streams=[velocity,place]",
            ),
        ]

    @property
    def command(self) -> list[str]:
        """The same in a process of its own."""
        return [sys.executable, "-m", "mulde", *self.arguments]

    def numbers(self) -> dict[str, str]:
        """Return all that a run has made, without dates: a hash by name."""
        found = {}
        for folder in (self.run, self.cache):
            for path in sorted(folder.rglob("*.h5")):
                with h5py.File(path, "r") as file:
                    values = hashlib.sha256()

                    def add(name: str, item: object, values: hashlib._Hash = values) -> None:
                        if isinstance(item, h5py.Dataset):
                            values.update(name.encode() + item[()].tobytes())

                    file.visititems(add)
                found[str(path.relative_to(self.root))] = values.hexdigest()
        for pattern in ("scores/**/*.csv", "model/**/*.safetensors"):
            for path in sorted(self.run.glob(pattern)):
                found[str(path.relative_to(self.root))] = hashlib.sha256(path.read_bytes()).hexdigest()
        metrics = read_metrics(self.run / "metrics.json")
        assert metrics is not None
        return found | {"metrics": metrics.to_json()}
