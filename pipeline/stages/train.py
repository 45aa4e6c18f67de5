"""Stage train: one detector a stream, from the cached features of the normal videos."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mulde.data.atomic import write_text
from mulde.data.cache.rows import CachedRows
from mulde.data.cache.store import digest_of
from mulde.data.errors import InputError, require_package
from mulde.detector import Calibration
from mulde.extractors.base import FeatureOperator, FrameExtractor
from mulde.pipeline.features.imported import ImportedStream, imported_streams
from mulde.pipeline.features.inventory import CachedVideo, Inventory, usable
from mulde.pipeline.features.recipe import build_recipe, stream_digest
from mulde.pipeline.features.scenes import Scenes
from mulde.pipeline.models.model import (
    EVERY_SCENE,
    MANIFEST,
    RunModel,
    StreamModel,
    check_scene,
    load_stream,
    save_stream,
    stream_folder,
)
from mulde.pipeline.progress import Tracked
from mulde.pipeline.runs.job import Job

if TYPE_CHECKING:
    from mulde.detector import Detector, Look

STAGE = "train"
CODE_VERSION = 3
"""Raise it when the same features and settings give another model than before."""
_MIN_ROWS = 2
_MEMORY_SHARE, _UNKNOWN_MEMORY_GB = 0.25, 16.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StreamRows:
    """The feature rows of one stream of some videos, and what a detector has to know of them."""

    name: str
    source: NDArray[np.float32] | CachedRows
    """(N, D), in memory or not."""
    groups: NDArray[np.int64]
    """(N,), the number of the video that each row is from."""
    has_one_unit: bool
    noise_floor: float | Sequence[float]
    n_whitened: int | None


def train(job: Job, inventory: Inventory) -> None:
    """Train and save the model of a run, unless the one that is there was made from the same.

    What a training that was cut off has finished with is not done again, and the detector that it was at
    goes on from its last checkpoint.

    Raises:
        InputError: features are missing, or too few to learn from.
    """
    videos = usable(job, inventory.normal, "normal")
    assert inventory.scenes is not None
    wanted = fingerprint(job, inventory)
    if is_current(job, wanted):
        _log.info("train: up to date, %s", job.run.model)
        return
    if job.config.detector.tensorboard:
        require_package("tensorboard", "tensorboard")
    started = time.monotonic()
    by_part = _split_by_scene(job, videos)
    extractors = describe_streams(job, inventory.scenes)
    job.run.model.mkdir(parents=True, exist_ok=True)
    (job.run.model / MANIFEST).unlink(missing_ok=True)
    job.run.metrics.unlink(missing_ok=True)  # they are of another model
    n_detectors = len(by_part) * len(extractors)
    parts = {
        part: {
            extractor.name: _train_or_reuse(job, part, extractor, some, n_detectors)
            for extractor in extractors
        }
        for part, some in by_part.items()
    }
    provenance = {"dataset": job.dataset.name, "n_videos": len(videos), "seed": job.config.seed}
    provenance["frames_per_second"] = job.frames_per_second
    RunModel(parts, inventory.scenes).save(job.run.model, provenance)
    write_text(job.run.model_config, job.config.anchored().to_yaml())
    job.run.remember(STAGE, {"": wanted})
    names = ", ".join(extractor.name for extractor in extractors)
    scenes = f" for each of {len(by_part)} scenes" if EVERY_SCENE not in by_part else ""
    _log.info("train: %s%s in %.1f s", names, scenes, time.monotonic() - started)


def fingerprint(job: Job, inventory: Inventory) -> str:
    """Return a hash of all that the model is made from: features, detector settings and seed."""
    assert inventory.scenes is not None
    return digest_of(
        {
            "features": sorted(source_of(cached) for cached in inventory.normal if cached.is_complete),
            "streams": {name: stream_digest(job.config.extract, name) for name in job.config.extract.streams},
            "scenes": inventory.scenes.digest,
            "code_version": CODE_VERSION,
            "detector": job.config.detector.resolved(),
            "by": job.config.train.by,
            "seed": job.config.seed,
        }
    )


def is_current(job: Job, wanted: str) -> bool:
    """Whether the run's model was made from what the fingerprint stands for."""
    return job.run.fingerprint(STAGE) == wanted and (job.run.model / MANIFEST).exists()


def source_of(cached: CachedVideo) -> list[str]:
    """Return what the rows of a video are made from: its name, the keys of its streams, its content."""
    keys = [f"{name}:{key.key}" for name, key in sorted(cached.keys.items())]
    return [cached.video.name, *keys, next(iter(cached.entries.values())).identity.digest]


def describe_streams(job: Job, scenes: Scenes) -> Sequence[FeatureOperator | ImportedStream]:
    """Return what made the features of each stream, or what stands for it where they were imported."""
    if job.is_imported:
        return imported_streams(job)
    scene = next(iter(scenes.models.values()))  # streams do not depend on which
    return build_recipe(job.config.extract, scene).extractors


def open_rows(
    extractor: FeatureOperator | ImportedStream, videos: Sequence[CachedVideo], memory_gb: float | None
) -> StreamRows:
    """Return the rows of a stream: in memory, or to be read while training where they take more than allowed.

    Raises:
        InputError: there are too few to learn from, or a file is damaged.
    """
    name = extractor.name
    rows = CachedRows([cached.entries[name].path for cached in videos])
    if rows.shape[0] < _MIN_ROWS:
        n_objects = sum(cached.entries[name].n_rows for cached in videos)
        way_out = "is there motion in them? Lower extract.boxes.windows.min_coverage or threshold"
        if n_objects >= _MIN_ROWS:
            way_out = (
                f"none of {n_objects} objects could be measured, are they of other classes? Leave it out"
            )
        if isinstance(extractor, FrameExtractor):
            way_out = f"lower extract.{name}.every_frames"
        if isinstance(extractor, ImportedStream):
            way_out = "look at what was imported with `mulde cache list`"
        raise InputError(
            f"the {len(videos)} normal videos hold {rows.shape[0]} rows, too few to learn {name} from: "
            f"{way_out}, or add videos"
        )
    source: NDArray[np.float32] | CachedRows = rows
    limit_gb = memory_gb or _memory_gb() * _MEMORY_SHARE
    if rows.size_bytes > limit_gb * 1e9:
        _log.info(
            "train %s: %.1f GB of features are read while training, train.memory_gb is %.1f",
            name, rows.size_bytes / 1e9, limit_gb,
        )  # fmt: skip
    else:
        source = rows.read(0, rows.shape[0])
        rows.close()
    return StreamRows(
        name, source, rows.groups(), extractor.has_one_unit, extractor.noise_floor, extractor.n_whitened
    )


def build_detector(
    kind: str, settings: dict[str, Any], rows: StreamRows, *, device: str, seed: int, **more: Any
) -> Detector:
    """Return an unfitted detector for the rows of a stream.

    Args:
        settings: arguments of the kind's constructor.
        more: arguments that only detectors with a network have.
    """
    from mulde.detector import DETECTORS, MULDE  # only here, for it imports torch

    detector = DETECTORS[kind]
    return detector(
        **settings,
        scaling="common" if rows.has_one_unit else "feature",
        scale_floor=rows.noise_floor,
        n_whitened=rows.n_whitened,
        random_state=seed,
        **({"device": device, **more} if issubclass(detector, MULDE) else {}),
    )


def fit_stream(detector: Detector, rows: StreamRows) -> StreamModel:
    """Fit a detector to the rows of a stream, and learn the scale of its scores on them.

    Raises:
        InputError: the rows cannot be learnt from.
    """
    try:
        detector.fit(rows.source, groups=rows.groups)
        scores = detector.training_scores(rows.source, groups=rows.groups)
        return StreamModel(detector, Calibration.fit(scores, least_range=detector.least_range))
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{rows.name} cannot be learnt: {error}") from None


def _split_by_scene(job: Job, videos: Sequence[CachedVideo]) -> dict[str, list[CachedVideo]]:
    """Return the normal videos that share a detector."""
    if job.config.train.by == "all":
        return {EVERY_SCENE: list(videos)}
    parts: dict[str, list[CachedVideo]] = {}
    for cached in videos:
        if not cached.video.scene:
            raise InputError(
                f"train.by=scene, but of {cached.video.name} no scene is known: put each scene's videos into "
                "a folder of its own, or set train.by=all"
            )
        parts.setdefault(cached.video.scene, []).append(cached)
    for video in job.dataset.test:
        check_scene(video, parts)
    return parts


def _train_or_reuse(
    job: Job,
    part: str,
    extractor: FeatureOperator | ImportedStream,
    videos: Sequence[CachedVideo],
    n_detectors: int,
) -> StreamModel:
    """Return the model of a stream, which is saved then; one that is there is read if it is of the same."""
    name, config = extractor.name, job.config
    folder = stream_folder(job.run.model, part, name)
    source = digest_of(
        {
            "features": [
                [cached.video.name, cached.keys[name].key, cached.entries[name].identity.digest]
                for cached in videos
            ],
            "hints": [
                extractor.has_one_unit,
                np.asarray(extractor.noise_floor).tolist(),
                extractor.n_whitened,
            ],
            "code_version": CODE_VERSION,
            "detector": config.detector.resolved(),
            "n_detectors": n_detectors if config.detector.settings().get("minutes") else 0,
            "seed": config.seed,
        }
    )
    title = f"{part}/{name}" if part else name
    known = load_stream(folder, name, config.extract, config.device, source)
    if known is not None:
        _log.info("train %s: done before, %s", title, folder)
        return known
    started = time.monotonic()
    rows = open_rows(extractor, videos, config.train.memory_gb)
    model = _fit(job, part, title, rows, n_detectors)
    seconds = time.monotonic() - started
    provenance = {
        "source": source,
        "dataset": job.dataset.name,
        "n_videos": len(videos),
        "seconds": round(seconds, 2),
        "widths": list(getattr(model.detector, "widths_", ())),
    }
    save_stream(folder, name, model, config.extract, provenance)
    _log.info("train %s: %s", title, _summary(model.detector, config.detector.kind, seconds))
    return model


def _fit(job: Job, part: str, title: str, rows: StreamRows, n_detectors: int) -> StreamModel:
    """Fit the detector of a stream with progress, checkpoint and, if asked for, TensorBoard."""
    config = job.config.detector
    settings = config.settings()
    if settings.get("minutes"):
        settings["minutes"] /= n_detectors
    with ExitStack() as stack:
        listeners: list[Callable[[Look], None]] = []
        if "max_steps" in settings:
            _log.info("train %s: %s", title, _describe_widths(settings["widths"], rows, job.config.device))
            tracked = stack.enter_context(Tracked(job.progress, f"train {title}", 0, "steps"))
            listeners.append(_show(tracked))
        if config.tensorboard:
            listeners.append(_TensorBoard(job.run.folder / "tensorboard" / part / rows.name, stack))
        detector = build_detector(
            config.kind,
            settings,
            rows,
            device=job.config.device,
            seed=job.config.seed,
            progress=lambda look: [listener(look) for listener in listeners],
            checkpoint=stream_folder(job.run.folder / "checkpoints", part, f"{rows.name}.safetensors"),
        )
        return fit_stream(detector, rows)


def _describe_widths(widths: Sequence[int] | str, rows: StreamRows, device: str) -> str:
    from mulde.detector.base import resolve_device  # only here, for they import torch
    from mulde.detector.mulde import suitable_widths

    if not isinstance(widths, str):
        return f"{'x'.join(map(str, widths))} units"
    n_inputs = min(rows.source.shape[1], rows.n_whitened or rows.source.shape[1])
    found = resolve_device(device)
    units = "x".join(map(str, suitable_widths(n_inputs, found)))
    return f"{units} units, chosen for {n_inputs} features on {found} (detector.widths)"


def _show(tracked: Tracked) -> Callable[[Look], None]:
    def show(look: Look) -> None:
        held_out = "" if look.held_out_loss is None else f"  held-out {look.held_out_loss:.4f}"
        rate = f"{look.rows_per_second:,.0f} rows/s"
        tracked.update(look.step, f"loss {look.loss:.4f}{held_out}  {rate}", total=look.n_steps)

    return show


class _TensorBoard:
    """Writes what a training tells to a folder that TensorBoard reads."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._writer: Any = None

    def __call__(self, look: Look) -> None:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter  # only here, for it is optional

            # what an interrupted training wrote of the steps to come is hidden
            self._writer = SummaryWriter(str(self._folder), purge_step=look.step)
            self._stack.callback(self._writer.close)
        scalars = {
            "loss/training": look.loss,
            "loss/held_out": look.held_out_loss,
            "learning_rate": look.learning_rate,
            "rows_per_second": look.rows_per_second,
        }
        for name, value in scalars.items():
            if value is not None:
                self._writer.add_scalar(name, value, look.step)


def _summary(detector: Detector, kind: str, seconds: float) -> str:
    size = f"{detector.n_samples_fit_} rows of {detector.n_features_in_} features"
    losses = getattr(detector, "losses_", None)
    if losses is None:
        return f"{kind}, {size}, {seconds:.1f} s"
    held_out = detector.held_out_losses_
    judged = ""
    if len(held_out):
        judged = f", held-out loss {held_out[:, 1].min():.4f} at step {detector.best_step_}"
    return f"{kind}, {size}, {len(losses)} steps, loss {losses[-50:].mean():.4f}{judged}, {seconds:.1f} s"


def _memory_gb() -> float:
    """Return how much memory the machine has; a guess where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (AttributeError, ValueError, OSError):
        return _UNKNOWN_MEMORY_GB
