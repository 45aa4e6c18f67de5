"""Stage train: one detector per stream, from the cached features of the normal videos."""

from __future__ import annotations

import logging
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from mulde.data import sealed
from mulde.data.atomic import make_folder, writing
from mulde.data.cache.store import digest_of
from mulde.data.errors import InputError, require_package
from mulde.data.spelling import counted
from mulde.extractors.base import FeatureOperator
from mulde.extractors.scene import SceneModel
from mulde.pipeline.config.sections import Config
from mulde.pipeline.executors.base import Tick, Told
from mulde.pipeline.executors.kinds import open_computation
from mulde.pipeline.features.devices import n_threads, with_threads
from mulde.pipeline.features.imported import ImportedStream
from mulde.pipeline.features.inventory import CachedVideo, usable, without_failed
from mulde.pipeline.features.recipe import build_recipe
from mulde.pipeline.features.scenes import Scenes
from mulde.pipeline.models.fit import (
    StreamRows,
    build_detector,
    describe_streams,
    fit_stream,
    memory_limit_gb,
    open_rows,
)
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
_FEW_VIDEOS = 8
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
        tasks = tasks_of(job, by_part, inventory.scenes)
        _keep_earlier(situation)
        make_folder(job.run.model)
        with writing(job.run.folder):
            (job.run.model / MANIFEST).unlink(missing_ok=True)
            job.run.metrics.unlink(missing_ok=True)  # they are of another model
        _train_all(job, tasks)
        parts: dict[str, dict[str, StreamModel]] = {}
        for task in tasks:
            parts.setdefault(task.part, {})[task.stream] = _trained(task)
        provenance = {"dataset": job.dataset.name, "n_videos": len(videos), "seed": job.config.seed}
        provenance["frames_per_second"] = job.frames_per_second
        if situation.learnt_marks:
            provenance[_N_MARKED] = len(situation.learnt_marks)
        RunModel(parts, inventory.scenes).save(job.run.model, provenance)
        write_signed(job.run.model_config, job.config)
        job.run.remember(STAGE, {WHOLE: fingerprint(situation)})
        names = ", ".join(dict.fromkeys(task.stream for task in tasks))
        scenes = f" for each of {len(by_part)} scenes" if EVERY_SCENE not in by_part else ""
        seconds = time.monotonic() - started
        job.run.remember_seconds(STAGE, seconds)
        _log.info("train: %s%s in %.1f s", names, scenes, seconds)


def fingerprint(situation: Situation) -> str:
    """Return a hash of all that the model is made from: features, detector settings and seed."""
    job, inventory = situation.job, situation.inventory
    assert inventory.scenes is not None
    complete = [cached for cached in inventory.normal if cached.is_complete]
    marked = sorted(sources_of(situation.learnt_marks))
    return digest_of(
        {
            **({"marked": marked} if marked else {}),
            "features": sorted(sources_of(complete)),
            "streams": situation.stream_digests,
            "scenes": inventory.scenes.digest,
            "code_version": CODE_VERSION,
            **_of_few(job.config, [*complete, *situation.learnt_marks]),
            "detector": job.config.detector.resolved(),
            "by": job.config.train.by,
            "seed": job.config.seed,
        }
    )


def _of_few(config: Config, videos: Iterable[CachedVideo]) -> dict[str, int]:
    """Return what a hash of a model says where it, or one of a half of its videos, is of few videos.

    Of those single rows were held out once, where it is a whole one now, or a stretch of each; of many it
    always was whole ones, and their models need not be made again.
    """
    by_scene = config.train.by == "scene"
    n_videos = Counter(cached.video.scene if by_scene else "" for cached in videos)
    few = any(1 < n < _FEW_VIDEOS for n in n_videos.values())
    return {"few_videos": 1} if few and config.detector.settings().get("held_out") else {}


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


def sources_of(videos: Iterable[CachedVideo]) -> list[list[str]]:
    """Return what the rows of each video are made from: its name, the keys of its streams, its content."""
    sources, kinds = [], dict[int, list[str]]()  # videos of a scene share their keys
    for cached in videos:
        if id(cached.keys) not in kinds:
            kinds[id(cached.keys)] = [f"{name}:{key.kind}" for name, key in sorted(cached.keys.items())]
        entry = next(iter(cached.entries.values()))
        beside = [entry.beside] if entry.beside else []
        sources.append([cached.video.name, *kinds[id(cached.keys)], entry.identity.digest, *beside])
    return sources


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


@dataclass(frozen=True)
class TrainTask:
    """All that is needed to train one detector: of a stream, and of all videos or those of a scene."""

    part: str
    """The scene; `EVERY_SCENE` for all."""
    stream: str
    videos: tuple[CachedVideo, ...]
    """With the entries of this stream alone."""
    scene: SceneModel | None
    """Any, for what a stream is does not depend on it; None where it was imported."""
    imported: ImportedStream | None
    """None where it was extracted."""
    config: Config
    run: RunFolder
    source: str
    """A hash of all that the detector is made from."""
    dataset: str
    """Its name."""
    n_detectors: int
    """Trained by the same command, which share `detector.minutes`."""
    n_threads: int
    memory_limit_gb: float
    """Features that take more are read while training, on all machines alike: models differ as by seeds."""

    @property
    def title(self) -> str:
        """What the user calls it."""
        return f"{self.part}/{self.stream}" if self.part else self.stream

    @property
    def folder(self) -> Path:
        """Where the detector is kept."""
        return stream_folder(self.run.model, self.part, self.stream)

    def open_rows(self) -> StreamRows:
        """Return the rows to learn from.

        Raises:
            InputError: they are too few, or a file is damaged.
        """
        return open_rows(self._describe(), self.videos, self.memory_limit_gb)

    def _describe(self) -> FeatureOperator | ImportedStream:
        """Return what made the features, or what stands for it."""
        if self.imported is not None:
            return self.imported
        assert self.scene is not None
        extractors = build_recipe(self.config.extract, self.scene).extractors
        return next(extractor for extractor in extractors if extractor.name == self.stream)


def tasks_of(job: Job, by_part: Mapping[str, Sequence[CachedVideo]], scenes: Scenes) -> list[TrainTask]:
    """Return a task for each stream of each part, a scene or all, with the videos that it is learnt from."""
    extractors = describe_streams(job, scenes)
    scene = next(iter(scenes.models.values()), None)  # streams do not depend on which
    n_detectors = len(by_part) * len(extractors)
    return [
        TrainTask(
            part,
            extractor.name,
            tuple(_with_stream(cached, extractor.name) for cached in videos),
            scene,
            extractor if isinstance(extractor, ImportedStream) else None,
            job.config,
            job.run,
            _source(extractor, videos, job.config, n_detectors),
            job.dataset.name,
            n_detectors,
            n_threads(),
            memory_limit_gb(job.config.train.memory_gb),
        )
        for part, videos in by_part.items()
        for extractor in extractors
    ]


def _with_stream(cached: CachedVideo, stream: str) -> CachedVideo:
    return replace(cached, entries={stream: cached.entries[stream]})


def _source(
    extractor: FeatureOperator | ImportedStream,
    videos: Sequence[CachedVideo],
    config: Config,
    n_detectors: int,
) -> str:
    """Return a hash of all that the detector of a stream is made from."""
    name = extractor.name
    return digest_of(
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
            **_of_few(config, videos),
            "detector": config.detector.resolved(),
            "n_detectors": n_detectors if config.detector.settings().get("minutes") else 0,
            "seed": config.seed,
        }
    )


def _train_all(job: Job, tasks: Sequence[TrainTask]) -> None:
    """Train detectors, in this process or on a cluster.

    Raises:
        InputError: one cannot be learnt, or what it was learnt by was lost again and again.
    """
    config, shown = job.config, _Shown(job, len(tasks))
    with shown, open_computation(config.executor, config.workers, config.ray) as pool:
        for task in tasks:
            pool.submit(train_detector, task)
        for outcome in pool.outcomes(lambda: shown.show(pool.running)):
            shown.n_done += 1
            _log.info("train %s: %s", outcome.task.title, outcome.required(f"train {outcome.task.title}"))


class _Shown:
    """Progress of training: here of one detector after the other, on a cluster of all of them."""

    def __init__(self, job: Job, n_tasks: int) -> None:
        self._progress, self._n_tasks = job.progress, n_tasks
        self._is_here = job.config.executor == "local"
        self._stack = ExitStack()
        self._tracked: dict[str, Tracked] = {}
        self.n_done = 0

    def __enter__(self) -> None:
        if not self._is_here:
            self._open("train", self._n_tasks, "detectors")

    def __exit__(self, *exception: Any) -> None:
        self._stack.close()

    def show(self, running: Sequence[Told]) -> None:
        """Tell how far it is."""
        if self._is_here:
            for told in running:
                tracked = self._open(f"train {told.task.title}", 0, "steps")
                tracked.update(told.n_done, told.detail, total=told.n_expected)
            return
        tell_running(self._tracked["train"], self.n_done, self._n_tasks, running)

    def _open(self, title: str, total: int, unit: str) -> Tracked:
        if title not in self._tracked:
            self._stack.close()  # one is over when the next begins
            self._tracked[title] = self._stack.enter_context(Tracked(self._progress, title, total, unit))
        return self._tracked[title]


def tell_running(tracked: Tracked, n_done: int, n_tasks: int, running: Sequence[Told]) -> None:
    """Tell how far tasks are that each learn a detector.

    Args:
        n_done: have ended.
        running: are at work; they have a title.
    """
    parts = sum(told.n_done / told.n_expected for told in running if told.n_expected)
    detail = ", ".join(f"{told.task.title} {told.n_done}/{told.n_expected}" for told in running[:3])
    tracked.update(n_done, detail, share=(n_done + parts) / n_tasks)


def _trained(task: TrainTask) -> StreamModel:
    """Return the detector that a task has written.

    Raises:
        InputError: it is not there.
    """
    model = _load(task)
    if model is None:
        raise InputError(
            f"the detector of {task.title} was trained, but is not in {task.folder}: the folder of the run "
            "has to lie at the same path on all machines"
        )
    return model


def _load(task: TrainTask) -> StreamModel | None:
    return load_stream(task.folder, task.stream, task.config.extract, task.config.device, task.source)


def train_detector(task: TrainTask, tick: Tick) -> str:
    """Train a detector and save it in the run, unless it was; return what is to be said of it.

    Raises:
        InputError: there is too little to learn from.
    """
    with with_threads(task.n_threads):
        return _train_or_reuse(task, tick)


def _train_or_reuse(task: TrainTask, tick: Tick) -> str:
    config = task.config
    if _load(task) is not None:
        return f"done before, {task.folder}"
    started = time.monotonic()
    model = _fit(task, task.open_rows(), tick)
    seconds = time.monotonic() - started
    provenance = {
        "source": task.source,
        "dataset": task.dataset,
        "n_videos": len(task.videos),
        "seconds": round(seconds, 2),
        "widths": list(getattr(model.detector, "widths_", ())),
    }
    save_stream(task.folder, task.stream, model, config.extract, provenance)
    return _summary(model.detector, config.detector.kind, seconds)


def _fit(task: TrainTask, rows: StreamRows, tick: Tick) -> StreamModel:
    """Fit the detector of a stream with progress, checkpoint and, if asked for, TensorBoard."""
    config, run = task.config.detector, task.run.folder
    settings = config.settings()
    if settings.get("minutes"):
        settings["minutes"] /= task.n_detectors
    with ExitStack() as stack:
        listeners: list[Callable[[Look], None]] = []
        if "max_steps" in settings:
            widths = _describe_widths(settings["widths"], rows, task.config.device)
            _log.info("train %s: %s", task.title, widths)
            listeners.append(telling(tick))
        if config.tensorboard:
            curves = run / "tensorboard" / task.part / rows.name
            task.run.require_inside(curves)
            listeners.append(_TensorBoard(curves, stack))
        checkpoint = stream_folder(run / "checkpoints", task.part, f"{rows.name}.safetensors")
        task.run.require_inside(checkpoint)
        detector = build_detector(
            config.kind,
            settings,
            rows,
            device=task.config.device,
            seed=task.config.seed,
            progress=lambda look: [listener(look) for listener in listeners],
            checkpoint=checkpoint,
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


def telling(tick: Tick) -> Callable[[Look], None]:
    """Return what a training calls with its looks, to have them told by a task."""

    def show(look: Look) -> None:
        held_out = "" if look.held_out_loss is None else f"  held-out {look.held_out_loss:.4f}"
        rate = f"{look.rows_per_second:,.0f} rows/s"
        tick(look.step, look.n_steps, f"loss {look.loss:.4f}{held_out}  {rate}")

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
    n_rows, n_features = detector.n_samples_fit_, detector.n_features_in_
    size = f"{counted(n_rows, 'row')} of {counted(n_features, 'feature')}"
    losses = getattr(detector, "losses_", None)
    if losses is None:
        return f"{kind}, {size}, {seconds:.1f} s"
    held_out = detector.held_out_losses_
    judged = ""
    if len(held_out):
        judged = f", held-out loss {held_out[:, 1].min():.4f} at step {detector.best_step_}"
    return f"{kind}, {size}, {len(losses)} steps, loss {losses[-50:].mean():.4f}{judged}, {seconds:.1f} s"
