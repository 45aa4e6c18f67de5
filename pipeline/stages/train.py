"""Stage train: one detector per stream, from the cached features of the normal videos."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from mulde.data import sealed
from mulde.data.atomic import make_folder, writing
from mulde.data.cache.store import digest_of
from mulde.data.errors import InputError, require_package
from mulde.extractors.base import FeatureOperator
from mulde.pipeline.features.imported import ImportedStream
from mulde.pipeline.features.inventory import CachedVideo, usable, without_failed
from mulde.pipeline.models.fit import StreamRows, build_detector, describe_streams, fit_stream, open_rows
from mulde.pipeline.models.model import (
    EVERY_SCENE,
    MANIFEST,
    RunModel,
    StreamModel,
    check_scene,
    is_whole,
    load_stream,
    read_manifest,
    save_stream,
    stream_folder,
)
from mulde.pipeline.progress import Tracked
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.job import Job
from mulde.pipeline.runs.origin import is_ours, write_signed
from mulde.pipeline.stages.stage import WHOLE, RunStage, Situation

if TYPE_CHECKING:
    from mulde.detector import Detector, Look

STAGE = "train"
CODE_VERSION = 5
"""Raise it when the same features and settings give another model than before."""
_N_MARKED = "n_marked"
_log = logging.getLogger(__name__)


class Train(RunStage[None]):
    """Train one detector per stream, and keep them with the scenes as the run's model."""

    name = STAGE

    def wanted(self, situation: Situation) -> dict[str, str | None]:
        """Return what the model would be made from: the normal videos that can be read."""
        job, inventory = situation.job, situation.inventory
        complete = all(cached.is_complete for cached in without_failed(job.run, inventory.normal))
        is_known = inventory.scenes is not None and complete
        return {WHOLE: fingerprint(situation) if is_known else None}

    def is_there(self, run: RunFolder, unit: str) -> bool:
        """Whether there is a model that was finished, and whole: a damaged one is made again."""
        return is_whole(run.model) and sealed.is_whole(run.model_config)

    def run(self, situation: Situation) -> None:
        """Train and save the model of a run, unless the one that is there was made from the same.

        What a training that was cut off has finished with is not done again, and the detector that it was at
        goes on from its last checkpoint.

        Raises:
            InputError: features are missing, or too few to learn from.
        """
        job, inventory = situation.job, situation.inventory
        videos = usable(job, inventory.normal, "normal")
        assert inventory.scenes is not None
        if not self.look(situation).todo:
            if not is_ours(job.run.model_config):  # of an earlier version, or trusted now
                write_signed(job.run.model_config, job.config)
            _log.info("train: up to date, %s", job.run.model)
            return
        if job.config.detector.tensorboard:
            require_package("tensorboard", "tensorboard")
        started = time.monotonic()
        by_part = split_by_scene(job, [*videos, *situation.learnt_marks])
        extractors = describe_streams(job, inventory.scenes)
        _keep_earlier(situation)
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
        if situation.learnt_marks:
            provenance[_N_MARKED] = len(situation.learnt_marks)
        RunModel(parts, inventory.scenes).save(job.run.model, provenance)
        write_signed(job.run.model_config, job.config)
        job.run.remember(STAGE, {WHOLE: fingerprint(situation)})
        names = ", ".join(extractor.name for extractor in extractors)
        scenes = f" for each of {len(by_part)} scenes" if EVERY_SCENE not in by_part else ""
        seconds = time.monotonic() - started
        job.run.remember_seconds(STAGE, seconds)
        _log.info("train: %s%s in %.1f s", names, scenes, seconds)


def fingerprint(situation: Situation) -> str:
    """Return a hash of all that the model is made from: features, detector settings and seed."""
    job, inventory = situation.job, situation.inventory
    assert inventory.scenes is not None
    marked = sorted(source_of(cached) for cached in situation.learnt_marks)
    return digest_of(
        {
            **({"marked": marked} if marked else {}),
            "features": sorted(source_of(cached) for cached in inventory.normal if cached.is_complete),
            "streams": situation.stream_digests,
            "scenes": inventory.scenes.digest,
            "code_version": CODE_VERSION,
            "detector": job.config.detector.resolved(),
            "by": job.config.train.by,
            "seed": job.config.seed,
        }
    )


def _keep_earlier(situation: Situation) -> None:
    """Copy a model that is whole to RUN/earlier/<now>, before one takes its place for what was marked."""
    run = situation.job.run
    if not is_whole(run.model):
        return
    if not (situation.learnt_marks or read_manifest(run.model)["provenance"].get(_N_MARKED)):
        return
    folder = run.earlier / f"{datetime.now():%Y%m%dT%H%M%S}"
    run.require_inside(folder)
    with writing(run.folder), TemporaryDirectory(prefix=".", dir=run.folder) as temporary:
        shutil.copytree(run.model, Path(temporary) / "model")
        make_folder(folder)
        (Path(temporary) / "model").replace(folder / "model")
    _log.info("train: the model of before is kept, --model %s", folder)


def source_of(cached: CachedVideo) -> list[str]:
    """Return what the rows of a video are made from: its name, the keys of its streams, its content."""
    keys = [f"{name}:{key.kind}" for name, key in sorted(cached.keys.items())]
    entry = next(iter(cached.entries.values()))
    return [cached.video.name, *keys, entry.identity.digest, *filter(None, [entry.beside])]


def split_by_scene(job: Job, videos: Sequence[CachedVideo]) -> dict[str, list[CachedVideo]]:
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
                [
                    cached.video.name,
                    cached.keys[name].kind,
                    cached.entries[name].identity.digest,
                    *filter(None, [cached.entries[name].beside]),
                ]
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
