"""Compare densities, streams and aggregations on one cache: each is trained once and seed, scored in memory.

Labels are for measuring only: the table shows everything that was asked for, and nothing is chosen by it.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from mulde.data.cache.store import read_frame_seconds, read_rows
from mulde.data.errors import InputError
from mulde.data.features import FeatureRows, is_without_measurement
from mulde.data.labels.labels import Labels
from mulde.data.times import positions_of
from mulde.detector import Calibration
from mulde.pipeline.config.load import parse_yaml
from mulde.pipeline.config.sections import DetectorConfig
from mulde.pipeline.config.words import in_users_words
from mulde.pipeline.features.inventory import CachedVideo, Inventory, usable
from mulde.pipeline.features.recipe import caution
from mulde.pipeline.metrics.bootstrap import ConfidenceInterval, bootstrap
from mulde.pipeline.metrics.frames import macro_auc, micro_auc
from mulde.pipeline.metrics.protocols import find_protocol
from mulde.pipeline.metrics.video_scores import VideoScores
from mulde.pipeline.models.fit import (
    StreamRows,
    build_detector,
    describe_streams,
    fit_stream,
    memory_limit_gb,
    open_rows,
)
from mulde.pipeline.models.fuse import frames_looked_at, fuse_streams, smooth_frames
from mulde.pipeline.progress import Tracked
from mulde.pipeline.runs.job import Job
from mulde.pipeline.stages.evaluate import apply_protocol, configured_smoothing, scenes_of
from mulde.pipeline.stages.extract import Extract
from mulde.pipeline.stages.mend import discarding_damage
from mulde.pipeline.stages.stage import Situation

if TYPE_CHECKING:
    from mulde.detector import Detector

_log = logging.getLogger(__name__)
Scores = list[NDArray[np.float64]]
"""Calibrated scores of the rows of each test video, (n_rows,), higher = more anomalous."""


@dataclass(frozen=True)
class Density:
    """A density as it was asked for."""

    title: str
    """Such as "knn" or "knn:k=1"."""
    config: DetectorConfig

    @property
    def aggregates(self) -> bool:
        """Whether there are energies, or norms, at several noise scales."""
        return "aggregation" in self.config.settings()


@dataclass(frozen=True)
class Grid:
    """What is compared: all combinations."""

    streams: tuple[tuple[str, ...], ...]
    """Each a set of streams whose scores are added."""
    densities: tuple[Density, ...]
    aggregations: tuple[str, ...]
    """Aggregations of the densities with several noise scales."""
    n_seeds: int


@dataclass(frozen=True)
class Result:
    """A line of the table; AUCs are in [0, 1], None where the labels do not define them."""

    streams: str
    density: str
    aggregation: str
    """"" where there is nothing to aggregate."""
    micro_auc: tuple[float | None, ...]
    """By seed."""
    macro_auc: tuple[float | None, ...]
    """By seed, videos of one class left out."""
    unsmoothed_micro_auc: tuple[float | None, ...]
    """By seed, of scores with nothing done to them."""
    micro_interval: ConfidenceInterval | None
    """Interval of the mean over seeds, over resampled videos."""
    macro_interval: ConfidenceInterval | None
    train_seconds: float
    """Time of all the streams, mean over seeds; shared by the aggregations."""


@dataclass(frozen=True)
class _Fitted:
    """What one density made of one stream with one seed: scores by aggregation."""

    scores: Mapping[str, Scores]
    seconds: float


@dataclass(frozen=True)
class _TestSet:
    videos: Sequence[CachedVideo]
    rows: Mapping[str, list[FeatureRows]]
    """By stream, one entry per video."""
    labels: Labels


def parse_density(text: str, given: DetectorConfig) -> Density:
    """Read "kind" or "kind:name=value;name=value"; settings of a run apply where the kind has them.

    Raises:
        InputError: there is no such kind or setting.
    """
    kind, _, rest = text.partition(":")
    values = given.model_dump(include=given.model_fields_set - {"kind", "tensorboard"})
    try:
        known = {*DetectorConfig.model_validate({"kind": kind}).settings()}
        known |= {"preset"} if "widths" in known else set()
        own = {name: value for name, value in values.items() if name in known}
        for pair in filter(None, rest.split(";")):
            name, _, value = pair.partition("=")
            if not value.strip():
                raise InputError(f"density {text!r} is not allowed: {pair!r} is no name=value")
            if name.strip() == "aggregation":
                raise InputError(f"density {text!r} is not allowed: aggregations are given by --aggregations")
            own[name.strip()] = parse_yaml(value)
        return Density(text, DetectorConfig.model_validate({"kind": kind, **own}))
    except InputError:
        raise
    except ValueError as error:  # pydantic's are some
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else "this is no YAML"
        raise InputError(f"density {text!r} is not allowed: {reason}") from None


@in_users_words()
def ablate(job: Job, grid: Grid) -> list[Result]:
    """Train, score and measure every combination; write ablation.csv and ablation.json into the run.

    Raises:
        InputError: there are no labels, or features that cannot be learnt from.
    """
    if job.dataset.labels is None:
        raise InputError("an ablation compares with labels: give --labels PATH, or a data set that has some")
    inventory = Extract().run(Situation(job))
    with discarding_damage(job.config.cache, (*inventory.normal, *inventory.test)) as damaged:
        tests = _read_tests(job, inventory)
        fitted = _fit_all(job, inventory, grid, tests)
    if damaged:
        raise damaged[0]
    results = [
        _measure(job, grid, tests, streams, density, aggregation, fitted)
        for streams in grid.streams
        for density in grid.densities
        for aggregation in (grid.aggregations if density.aggregates else ("",))
    ]
    job.run.keep_text("ablation.csv", _to_csv(results))
    job.run.keep_text("ablation.json", _to_json(job, grid, results))
    return results


def _read_tests(job: Job, inventory: Inventory) -> _TestSet:
    labels = job.dataset.labels
    assert labels is not None
    videos = sorted(
        (cached for cached in usable(job, inventory.test, "test") if labels.has(cached.video.name)),
        key=lambda cached: cached.video.name,
    )
    if not videos:
        raise InputError("none of the test videos has labels: nothing can be compared")
    rows = {
        stream: [read_rows(cached.entries[stream].path) for cached in videos]
        for stream in job.config.extract.streams
    }
    return _TestSet(videos, rows, labels)


def _fit_all(
    job: Job, inventory: Inventory, grid: Grid, tests: _TestSet
) -> dict[tuple[str, str, int], _Fitted]:
    """Fit every density to every stream with every seed: each once, whatever combinations it is in."""
    assert inventory.scenes is not None
    normal = usable(job, inventory.normal, "normal")
    extractors = describe_streams(job, inventory.scenes)
    n_fits, done = len(extractors) * len(grid.densities) * grid.n_seeds, 0
    fitted = {}
    with Tracked(job.progress, "ablate", n_fits, "detectors") as tracked:
        for extractor in extractors:
            rows = open_rows(extractor, normal, memory_limit_gb(job.config.train.memory_gb))
            for density, seed in product(grid.densities, _seeds(job, grid)):
                key = (extractor.name, density.title, seed)
                fitted[key] = _fit(job, density, rows, seed, grid.aggregations, tests.rows[extractor.name])
                done += 1
                tracked.update(done, f"{density.title} on {extractor.name}, {fitted[key].seconds:.1f} s")
                _log.debug("ablate: %s, seed %d: %.1f s", " on ".join(key[1::-1]), seed, fitted[key].seconds)
    return fitted


def _fit(
    job: Job,
    density: Density,
    rows: StreamRows,
    seed: int,
    aggregations: Sequence[str],
    tests: Sequence[FeatureRows],
) -> _Fitted:
    settings = density.config.settings()
    detector = build_detector(density.config.kind, settings, rows, device=job.config.device, seed=seed)
    started = time.monotonic()
    model = fit_stream(detector, rows)
    seconds = time.monotonic() - started
    if not density.aggregates:
        return _Fitted({"": [model.score(part.features) for part in tests]}, seconds)
    return _Fitted(_aggregate(detector, rows, settings["n_components"], aggregations, tests), seconds)


def _aggregate(
    detector: Detector,
    rows: StreamRows,
    n_components: int,
    aggregations: Sequence[str],
    tests: Sequence[FeatureRows],
) -> dict[str, Scores]:
    """Return the scores of the test rows by aggregation, all of the energies of one network."""
    from sklearn.utils import check_random_state

    from mulde.detector import MSMA, MULDE, fit_aggregation  # only here, for they import torch
    from mulde.detector.rows import is_row_source, iterate

    assert isinstance(detector, MULDE)
    measure = detector.score_norms if isinstance(detector, MSMA) else detector.energies
    source = rows.source
    blocks = (block for _, block in iterate(source)) if is_row_source(source) else [source]
    learnt = np.concatenate([measure(block) for block in blocks])
    measured = [~is_without_measurement(part.features) for part in tests]
    energies = [
        measure(part.features[kept]) if kept.any() else np.zeros((0, learnt.shape[1]))
        for part, kept in zip(tests, measured, strict=True)
    ]
    seed = int(check_random_state(detector.random_state).randint(2**31 - 1))  # as fit does
    found = {}
    for name in aggregations:
        aggregation = fit_aggregation(name, learnt, n_components=n_components, seed=seed)
        calibration = Calibration.fit(
            aggregation.anomaly_score(learnt), least_range=detector.least_range, frame=rows.frames
        )
        found[name] = [np.full(len(kept), calibration.unmeasured) for kept in measured]
        for scores, kept, part in zip(found[name], measured, energies, strict=True):
            if len(part):
                scores[kept] = calibration(aggregation.anomaly_score(part))
    return found


def _measure(
    job: Job,
    grid: Grid,
    tests: _TestSet,
    streams: tuple[str, ...],
    density: Density,
    aggregation: str,
    fitted: Mapping[tuple[str, str, int], _Fitted],
) -> Result:
    by_seed = [
        {stream: fitted[stream, density.title, seed] for stream in streams} for seed in _seeds(job, grid)
    ]
    videos = [
        _to_frames(job, tests, {name: part.scores[aggregation] for name, part in found.items()})
        for found in by_seed
    ]
    statistics = {
        "micro": [micro_auc(treated) for treated, _ in videos],
        "macro": [macro_auc(treated) for treated, _ in videos],
        "unsmoothed": [micro_auc(raw) for _, raw in videos],
    }
    once = np.ones(len(tests.videos), dtype=np.int64)
    values = {
        key: tuple(None if np.isnan(value := of(once)) else float(value) for of in parts)
        for key, parts in statistics.items()
    }
    intervals: Mapping[str, ConfidenceInterval] = {}
    if job.config.evaluate.n_resamples:
        intervals = bootstrap(
            len(tests.videos),
            lambda weights: {
                key: float(np.mean([of(weights) for of in parts])) for key, parts in statistics.items()
            },
            n_resamples=job.config.evaluate.n_resamples,
            seed=job.config.seed,
        )
    return Result(
        "+".join(streams),
        density.title,
        aggregation,
        values["micro"],
        values["macro"],
        values["unsmoothed"],
        intervals.get("micro"),
        intervals.get("macro"),
        float(np.mean([sum(part.seconds for part in found.values()) for found in by_seed])),
    )


def _to_frames(
    job: Job, tests: _TestSet, scores: Mapping[str, Scores]
) -> tuple[list[VideoScores], list[VideoScores]]:
    """Return the frame scores of each video beside its labels: as the protocol has them, and as they are."""
    settings, scenes = job.config.score, scenes_of(job)
    smoothed, raw = [], []
    for index, cached in enumerate(tests.videos):
        rows = {stream: tests.rows[stream][index] for stream in scores}
        name, fps = cached.video.name, cached.report.fps
        seconds = read_frame_seconds(next(iter(cached.entries.values())).path)
        found = fuse_streams(
            {stream: parts[index] for stream, parts in scores.items()},
            rows,
            positions_of(seconds, fps),
            settings,
            looked_at=frames_looked_at(cached, rows, seconds),
        ).unsmoothed
        labels = tests.labels.frames(name, len(seconds), seconds)
        after = smooth_frames(found, seconds, fps, settings)
        of_video = (labels, scenes.get(name, ""), fps, seconds)
        smoothed.append(VideoScores(name, after, *of_video))
        raw.append(VideoScores(name, found, *of_video))
    return apply_protocol(job.config.evaluate, smoothed, raw), raw


def _seeds(job: Job, grid: Grid) -> range:
    return range(job.config.seed, job.config.seed + grid.n_seeds)


def mean_and_deviation(values: Sequence[float | None]) -> tuple[float, float] | None:
    """Return mean and standard deviation (of the sample; 0 of one value), None where a value is missing."""
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not known:
        return None
    return float(np.mean(known)), float(np.std(known, ddof=1)) if len(known) > 1 else 0.0


def treatment_text(job: Job) -> str:
    """Return what was done to the scores before they were measured, in words."""
    protocol = find_protocol(job.config.evaluate.protocol)
    return protocol.describe(job.config.evaluate.protocol, configured_smoothing(job.config.score)).text


def _to_csv(results: Sequence[Result]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    measures = ("micro_auc", "macro_auc")
    columns = [f"{m}_{part}" for m in measures for part in ("mean", "sd", "low", "high")]
    columns += ["unsmoothed_micro_auc_mean", "unsmoothed_micro_auc_sd"]
    writer.writerow(["streams", "density", "aggregation", *columns, "train_seconds"])
    for row in results:
        numbers: list[float | str] = []
        for values, interval in ((row.micro_auc, row.micro_interval), (row.macro_auc, row.macro_interval)):
            numbers += mean_and_deviation(values) or ("", "")
            numbers += (interval.low, interval.high) if interval else ("", "")
        unsmoothed = mean_and_deviation(row.unsmoothed_micro_auc) or ("", "")
        writer.writerow([row.streams, row.density, row.aggregation, *numbers, *unsmoothed, row.train_seconds])
    return text.getvalue()


def _to_json(job: Job, grid: Grid, results: Sequence[Result]) -> str:
    content = {
        "dataset": job.dataset.name,
        "protocol": treatment_text(job),
        "caution": caution(job.config.extract),
        "seeds": list(_seeds(job, grid)),
        "densities": {density.title: density.config.resolved() for density in grid.densities},
        "results": [asdict(row) for row in results],
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def table_path(job: Job) -> Path:
    """Return where the table is."""
    return job.run.folder / "ablation.csv"
