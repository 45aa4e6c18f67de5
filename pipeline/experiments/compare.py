"""What several runs have come to, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mulde.data.errors import InputError
from mulde.data.foreign.text import read_text
from mulde.pipeline.config.load import parse_yaml
from mulde.pipeline.metrics.records import Metrics
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.stages.evaluate import read_metrics


@dataclass(frozen=True)
class RunSummary:
    """What a run used, and how good it was."""

    folder: Path
    streams: tuple[str, ...]
    detector: str
    """In words, such as "mulde, resolved"."""
    metrics: Metrics

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "run": str(self.folder),
            "streams": list(self.streams),
            "detector": self.detector,
            "metrics": self.metrics.as_dict(),
        }


def summarise(folder: Path) -> RunSummary:
    """Read what a run has left.

    Raises:
        InputError: the folder is no run, or was not evaluated.
    """
    run = RunFolder(folder)
    file = run.model_config if run.model_config.exists() else run.config
    try:
        config = parse_yaml(read_text(file))
        streams = tuple(map(str, config["extract"]["streams"]))
        detector = dict(config["detector"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder} is no run: {file} cannot be read ({error})") from None
    metrics = read_metrics(run.metrics)
    if metrics is None:
        raise InputError(
            f"{run.metrics} is missing or of another version: run `mulde evaluate {folder} --labels …` first"
        )
    return RunSummary(folder, streams, _describe(detector), metrics)


def differences(runs: Sequence[RunSummary]) -> list[str]:
    """Return in sentences in what the evaluations differ, so that their numbers do not compare, and whose
    numbers mean nothing.
    """
    notes = []
    for what, values in {
        "treatment of scores": {run.metrics.treatment.text for run in runs},
        "number of test frames": {str(run.metrics.counts.frames) for run in runs},
        "number of abnormal frames": {str(run.metrics.counts.abnormal_frames) for run in runs},
    }.items():
        if len(values) > 1:
            notes.append(f"the runs differ in {what}: {'; '.join(sorted(values))}")
    return notes + [f"{run.folder}: {run.metrics.caution}" for run in runs if run.metrics.caution]


def _describe(detector: Mapping[str, Any]) -> str:
    parts = [str(detector.get("kind", "mulde"))]
    if detector.get("preset", "default") != "default":
        parts.append(str(detector["preset"]))
    parts += [f"{name}={detector[name]}" for name in ("k", "sigma") if detector.get(name) is not None]
    if detector.get("aggregation"):
        parts.append(str(detector["aggregation"]))
    return ", ".join(parts)
