"""Stage extract: every stream of every video that is not in the cache, one decode pass per video."""

from __future__ import annotations

import json
import logging
import os
import time
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import dataclass, replace
from itertools import accumulate, chain, islice
from typing import Literal

import numpy as np

from mulde.data.atomic import WriteError
from mulde.data.boxes import NO_BOXES, VideoBoxes
from mulde.data.cache.entries import RowsInOrder
from mulde.data.cache.storage import Place
from mulde.data.cache.store import FeatureCache, RowWriter
from mulde.data.decode.lengths import claimed_length
from mulde.data.decode.readers import open_frames
from mulde.data.errors import InputError, VideoError
from mulde.data.identity import identify
from mulde.data.spelling import counted, printable
from mulde.data.video import DecodeReport, Frame, Video
from mulde.extractors.condition import Held
from mulde.extractors.networks.machine import NoRoomError, signs_of_life
from mulde.extractors.networks.weights import Weights
from mulde.extractors.one_pass import OnePass, PreparedFrame
from mulde.extractors.prefetch import prefetched
from mulde.extractors.scene import SceneModel, learn_scene
from mulde.pipeline.config.sections import Config, ExtractConfig
from mulde.pipeline.config.words import of_extraction, respell
from mulde.pipeline.executors.base import Outcome, Tick, WorkerDiedError, WorkerStalledError
from mulde.pipeline.executors.kinds import open_executor
from mulde.pipeline.features.devices import extraction_device, extraction_workers, local_workers
from mulde.pipeline.features.given_boxes import GivenBoxes, check_normal, notes_on, tell_notes
from mulde.pipeline.features.inventory import (
    STAGE,
    CachedVideo,
    Inventory,
    Recipes,
    look_up,
    look_up_all,
    without_failed,
)
from mulde.pipeline.features.recipe import BOXES, Recipe, build_recipe, require_all
from mulde.pipeline.features.scenes import (
    SampleTask,
    Scenes,
    find_scenes,
    group_by_scene,
    learn_scenes,
    sample_greys,
)
from mulde.pipeline.progress import Progress, Tracked
from mulde.pipeline.runs.folder import Failure, RunFolder
from mulde.pipeline.runs.job import Job
from mulde.pipeline.runs.shards import Heart, Shard, failed_before, split_by_length
from mulde.pipeline.stages.stage import Situation, Stage, Work, name_again

_log = logging.getLogger(__name__)
_SECONDS_FOR_CAMERA = 3600.0
"""Normal footage, from which on the preset for hours of one camera is worth a hint."""


@dataclass(frozen=True)
class ExtractTask:
    """All that a worker needs to extract one video."""

    video: Video
    scene: SceneModel
    config: ExtractConfig
    cache: Place
    frames_per_second: float
    wait: bool = False
    """Whether to wait for another process that is extracting this video."""
    size_is_told: bool = False
    """Whether the user knows of frames that have another size than the scene."""
    n_tries: int = 1
    device: str = "auto"
    """What networks run on."""
    works_ahead: bool = False
    """Whether threads decode and prepare ahead while another runs networks; of use if a core, or a GPU, would
    be idle."""
    boxes: VideoBoxes = NO_BOXES
    """Those that others made."""


@dataclass(frozen=True)
class ExtractResult:
    """What a worker did."""

    status: Literal["done", "cached", "claimed", "resized"]
    """"claimed": another process is at it; "resized": nothing is done yet, for the user is to know first that
    the frames have another size than the scene."""
    report: DecodeReport | None = None
    size_note: str = ""
    """What is to be said of frames that have another size than the scene."""


class Extract(Stage[Inventory]):
    """Extract what is missing; its outputs are in the cache, which says itself what they were made from."""

    name = STAGE

    def __init__(self, shard: Shard | None = None, *, retry_failed: bool = True) -> None:
        """Set up extraction.

        Args:
            shard: a part of the videos, if not all; the job's run is its folder then.
            retry_failed: whether to try again what failed in any part before.
        """
        self._shard, self._retry_failed = shard, retry_failed

    def look(self, situation: Situation) -> Work:
        """Ask the cache; videos that failed before are tried again, and may fail again: they are noted."""
        job, inventory = situation.job, situation.inventory
        todo = without_failed(job.run, inventory.missing)
        n_failed = len(inventory.missing) - len(todo)
        notes = ["the scene's background is learnt first"] if inventory.scenes is None else []
        notes += [f"{n_failed} failed before: tried again"] if n_failed else []
        given = situation.given
        notes += [] if given is None else given.notes
        notes = ["nothing to do: the features were imported"] if job.is_imported else notes
        complete = [cached for cached in (*inventory.normal, *inventory.test) if cached.is_complete]
        stale = [cached for cached in todo if cached.is_stale]
        notes += [name_again([cached.video.name for cached in stale])] if stale else []
        return Work(self.name, _paths(todo), _paths(complete), _paths(stale), "; ".join(notes))

    def run(self, situation: Situation) -> Inventory:
        """Extract what is missing, and return what is there, which the situation then has too.

        Videos that fail are recorded in the run; the others go on.

        Raises:
            InputError: the cache cannot be written, or no normal video can be read.
        """
        job = situation.job
        if job.is_imported:
            _log.info("extract: nothing to do, the features were imported")
            job.run.record_failures(STAGE, [])
            return situation.inventory
        given = situation.given
        check_normal(given, job.config.extract.boxes, job.dataset.normal)
        tell_notes(given)
        heart = Heart(job.run, self._shard or Shard(1, 1))
        heart.beat(now=True)
        weights = require_all(job.config.extract, offline=job.config.offline)
        scenes = _scenes(job, heart)
        situation.recipes = Recipes(job.config.extract, scenes, given)
        if self._shard is not None:
            job, hours = _part_of(job, self._shard)
            heart.beat(hours=hours)
        situation.inventory = inventory = look_up_all(job, situation.recipes)
        if _settle_all(job.cache, inventory):
            situation.inventory = inventory = look_up_all(job, situation.recipes)
        record_weights(job.run, weights)
        n_videos = len(inventory.normal) + len(inventory.test)
        todo, kept = self._without_failed(job, inventory.missing)
        heart.beat(
            now=True,
            n_videos=n_videos,
            n_cached=n_videos - len(inventory.missing),
            n_done=len(kept),
            n_failed=len(kept),
        )
        if not todo:
            job.cache.index.save()
            _log.info("extract: up to date, %s in the cache", counted(n_videos - len(kept), "video"))
            job.run.record_failures(STAGE, kept)
            heart.beat(now=True, state="ended", share=1.0)
            return inventory
        stale = [cached.video.name for cached in todo if cached.is_stale]
        if stale:
            _log.info("extract: %s", name_again(stale))
        extract_missing(
            todo,
            scenes,
            job.config,
            job.frames_per_second,
            job.run,
            job.progress,
            given,
            heart=heart,
            kept=kept,
        )
        situation.inventory = look_up_all(job, situation.recipes)
        job.cache.index.save()
        heart.beat(now=True, state="ended", share=1.0)
        return situation.inventory

    def _without_failed(
        self, job: Job, missing: Sequence[CachedVideo]
    ) -> tuple[list[CachedVideo], list[Failure]]:
        """Return what is to be extracted, and what failed in a part before and is left out."""
        if self._retry_failed:
            return list(missing), []
        failed = failed_before(RunFolder(job.run.folder.parent.parent), STAGE)
        todo, kept = list[CachedVideo](), list[Failure]()
        for cached in missing:
            failure = failed.get(str(cached.video.path.absolute()))
            if failure is None:
                todo.append(cached)
            else:
                kept.append(failure)
        if kept:
            _log.warning(
                "extract: %d videos failed before and are left out: --retry-failed tries them again",
                len(kept),
            )
        return todo, kept


def _scenes(job: Job, heart: Heart) -> Scenes:
    """Return the scenes of all videos; one process learns those that are not there, while others wait."""
    groups = group_by_scene(job.dataset.normal, job.dataset.test, merge=job.config.data.merge_cameras)
    claim: AbstractContextManager[object] = nullcontext()
    if find_scenes(job.cache, groups, job.config.extract.scene) is None:
        job.cache.require_writable()
        _tell_of_camera(job, n_cameras=len(groups))
        place = str(job.dataset.normal[0].split_folder.resolve())
        say = _Once("the scene: another process learns it, which is waited for")

        def on_wait() -> None:
            say()
            heart.beat()

        claim = job.cache.claim_name(place, f"scenes of {job.dataset.name}", wait=True, on_wait=on_wait)
    with claim:
        return learn_scenes(
            job.cache,
            groups,
            job.config.extract.scene,
            job.frames_per_second,
            workers=local_workers(job.config),
            stall_seconds=job.config.extract.stall_seconds,
            progress=job.progress,
        )


def _tell_of_camera(job: Job, n_cameras: int) -> None:
    """Say that there is a preset for hours of one camera, where these are some and nobody chose streams."""
    extract = job.config.extract
    is_chosen = (extract.streams, extract.boxes) != (ExtractConfig().streams, ExtractConfig().boxes)
    if is_chosen or n_cameras > 1:
        return
    lengths = (claimed_length(video, job.frames_per_second) for video in job.dataset.normal)
    are_hours = any(total >= _SECONDS_FOR_CAMERA for total in accumulate(lengths))
    if are_hours:
        _log.info(
            "extract: if these hours are of one camera, --preset camera finds more of what was never seen in "
            "its place: see docs/camera.md"
        )


def _part_of(job: Job, shard: Shard) -> tuple[Job, float]:
    """Return a job of the videos of one part, and how many hours they are long."""
    videos = [*job.dataset.normal, *job.dataset.test]
    seconds = [claimed_length(video, job.frames_per_second) for video in videos]
    parts = split_by_length(videos, seconds, shard.n_shards)
    length = dict(zip(videos, seconds, strict=True))
    hours = [sum(length[video] for video in part) / 3600 for part in parts]
    own = set(parts[shard.number - 1])
    _log.info(
        "extract: part %d of %d, %d of %d videos, %.2f h; all parts are %.2f to %.2f h long",
        shard.number, shard.n_shards, len(own), len(videos), hours[shard.number - 1], min(hours), max(hours),
    )  # fmt: skip
    dataset = replace(
        job.dataset,
        normal=tuple(video for video in job.dataset.normal if video in own),
        test=tuple(video for video in job.dataset.test if video in own),
    )
    return replace(job, dataset=dataset), hours[shard.number - 1]


def _settle_all(cache: FeatureCache, inventory: Inventory) -> bool:
    """Have the cache hold what it has where it belongs, and say what it is; return whether something moved.

    Raises:
        InputError: something is missing, and the cache cannot be written; with all there it serves as well.
    """
    videos = (*inventory.normal, *inventory.test)
    if inventory.missing:
        cache.require_writable()
    has_moved = False
    with nullcontext() if inventory.missing else suppress(WriteError):
        has_moved = _settle(cache, videos)
        for key in {(k.stream, k.key): k for cached in videos for k in cached.keys.values()}.values():
            cache.describe(key)
    return has_moved


def _settle(cache: FeatureCache, videos: Sequence[CachedVideo]) -> bool:
    """Bring features of videos that have moved to where their own are; return whether there were some."""
    moved = [cached for cached in videos if cached.is_elsewhere(cache)]
    for cached in moved:
        with cache.claim(
            cached.video, wait=True, on_wait=_Once(f"{cached.video.path}: waiting for another process")
        ):
            for name, entry in cached.entries.items():
                cache.settle(cached.keys[name], cached.video, entry)
    if moved:
        _log.info("extract: found the features of %s that moved", counted(len(moved), "video"))
    return bool(moved)


class _Once:
    """Logs a sentence the first time that it is called."""

    def __init__(self, sentence: str) -> None:
        self._sentence, self._is_said = sentence, False

    def __call__(self) -> None:
        if not self._is_said:
            _log.info("%s", self._sentence)
        self._is_said = True


def _paths(videos: Sequence[CachedVideo]) -> tuple[str, ...]:
    return tuple(str(cached.video.path) for cached in videos)


def extract_missing(
    videos: Sequence[CachedVideo],
    scenes: Scenes,
    config: Config,
    frames_per_second: float,
    run: RunFolder,
    progress: Progress,
    given: GivenBoxes | None,
    *,
    heart: Heart,
    kept: Sequence[Failure] = (),
) -> list[Failure]:
    """Extract what is missing of at least one video in worker processes; record and return what failed.

    Args:
        given: boxes that others made, where no finder of ours is to look.
        heart: is told how far it is.
        kept: failures of before that stay recorded.

    Raises:
        InputError: a video is of no known scene, or the device is not there.
    """
    device = extraction_device(config)
    tasks = [
        ExtractTask(
            cached.video,
            scenes.of(cached.video),
            config.extract,
            config.cache,
            frames_per_second,
            device=device,
            boxes=NO_BOXES if given is None else given.of(cached.video),
        )
        for cached in videos
    ]
    return _run_tasks(tasks, config, extraction_workers(config, device), run, progress, heart, kept)


def _run_tasks(
    tasks: Sequence[ExtractTask],
    config: Config,
    workers: int,
    run: RunFolder,
    progress: Progress,
    heart: Heart,
    kept: Sequence[Failure],
) -> list[Failure]:
    """Extract videos in worker processes; record in the run what failed, and return it.

    A worker that stalls or dies has its video tried once more, with PyAV. Whatever else goes wrong with a
    video is its own failure, but for what the others would meet too, such as a full disk: that is raised.
    """
    failures: list[Failure] = []
    started = time.monotonic()
    stall_seconds = tasks[0].config.stall_seconds
    workers = min(workers, len(tasks))
    n_done = n_frames = 0
    with (
        open_executor(config.executor, workers, stall_seconds, 4 * len(tasks), config.ray) as pool,
        Tracked(progress, "extract", len(tasks), "videos") as tracked,
    ):

        def show_rate() -> None:
            seconds = time.monotonic() - started
            rate = pool.n_frames_done / max(1e-9, seconds)
            heart.beat(
                state="running",
                n_done=len(kept) + n_done,
                n_failed=len(kept) + len(failures),
                seconds=seconds,
                n_frames=pool.n_frames_done,
                share=pool.share_done,
            )
            rate_text = f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}"
            tracked.update(n_done, f"{rate_text} frames/s", share=pool.share_done)

        for task in tasks:
            pool.submit(extract_video, replace(task, works_ahead=_works_ahead(task, workers)))
        for outcome in pool.outcomes(show_rate):
            again = _try_again(outcome)
            if again:
                pool.submit(extract_video, again)
                continue
            n_done += 1
            if outcome.error is not None:
                failures.append(_failure(outcome))
            elif outcome.result is not None and outcome.result.report is not None:
                n_frames += outcome.result.report.n_frames
                _tell(outcome, n_done, len(tasks))
    seconds = time.monotonic() - started
    _log.info(
        "extract: %s, %s in %.1f s (%.0f frames/s), %d failed",
        counted(len(tasks) - len(failures), "video"), counted(n_frames, "frame"), seconds,
        n_frames / seconds, len(failures),
    )  # fmt: skip
    run.remember_seconds(STAGE, seconds)
    run.record_failures(STAGE, [*kept, *failures])
    heart.beat(
        n_done=len(kept) + n_done, n_failed=len(kept) + len(failures), seconds=seconds, n_frames=n_frames
    )
    return failures


def record_weights(run: RunFolder, weights: Sequence[Weights]) -> None:
    """Write down which weights were used, and under which licence they are."""
    path = run.folder / "weights.json"
    if not weights:
        path.unlink(missing_ok=True)  # of a run that was in this folder before
        return
    content = [
        {"name": each.name, "file": str(each.path), "sha256": each.digest, "licence": each.licence}
        for each in weights
    ]
    for each in weights:
        _log.info("weights %s: licence %s", each.name, each.licence)
    run.keep_text(path.name, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def extract_video(task: ExtractTask, tick: Tick) -> ExtractResult:
    """Extract the streams of one video that are missing; runs in a worker process.

    Raises:
        VideoError: the video cannot be read, or changed meanwhile.
    """
    cache = FeatureCache(task.cache)
    with cache.claim(task.video, wait=task.wait, on_wait=lambda: tick(0)) as is_ours:
        if not is_ours:
            return ExtractResult("claimed")
        recipe = build_recipe(task.config, task.scene)
        keys = recipe.keys(task.video.split_folder, task.boxes)
        cached = look_up(cache, task.video, keys, task.frames_per_second)
        if cached.is_complete:
            return ExtractResult("cached", cached.report)
        if recipe.may_run_networks:
            # Before decord is: in a process that has decord, importing torch with CUDA brings in libnvblas,
            # which takes over matrix products and crashes the first convolution.
            import torch  # noqa: F401
        tick(0)  # the start of the process is over; from here on the decoder is watched
        # where whole frames are looked at, their size is all the same
        return _extract_missing(task, cache, cached, tick, needs_scene=recipe.finder is not None)


def _extract_missing(
    task: ExtractTask, cache: FeatureCache, cached: CachedVideo, tick: Tick, *, needs_scene: bool
) -> ExtractResult:
    """Decode the video once and write what is missing of it."""
    before = identify(task.video, with_digest=True)
    missing = [name for name in cached.keys if name not in cached.entries]
    seconds = array("d")
    with (
        open_frames(
            task.video, decoder=task.config.decoder, frames_per_second=task.frames_per_second
        ) as reader,
        ExitStack() as stack,
    ):
        frame_size = (reader.info.width, reader.info.height)
        size_note = _size_note(task, frame_size) if needs_scene else ""
        if size_note and not task.size_is_told:
            return ExtractResult("resized", size_note=size_note)
        recipe = build_recipe(
            task.config,
            _fitting_scene(task, frame_size, tick) if needs_scene else task.scene,
            device=task.device,
            works_ahead=task.works_ahead,
            frames_per_second=reader.info.fps,
            boxes=task.boxes,
        )
        writers = {
            name: stack.enter_context(
                cache.writer(
                    cached.keys[name],
                    task.video,
                    recipe.width_of(name),
                    has_boxes=recipe.finder is not None,
                    has_spans=recipe.finder is None,
                    n_extra=recipe.n_extra_of(name),
                )
            )
            for name in missing
        }
        one_pass = _one_pass(recipe, writers, cache, cached)
        stack.enter_context(signs_of_life(lambda: tick(len(seconds), reader.info.n_frames_claimed)))
        held = Held()
        prepared = _prepared(one_pass, reader, held)
        first = list(islice(prepared, 2))  # of the very first there is no flow
        ahead = chain(first, prepared)
        room = _frames_ahead(first) if task.works_ahead else 0
        with prefetched(ahead, room) if room else nullcontext(ahead) as frames:
            for frame in frames:
                one_pass.push(frame)
                seconds.append(frame.seconds)
                tick(len(seconds), reader.info.n_frames_claimed)
        one_pass.finish()
        notes = [*one_pass.notes, *held.notes(), *notes_on(task.boxes, frame_size, len(seconds))]
        notes = [respell(note, of_extraction()) for note in notes]
        report = _with_notes(reader.report, [size_note, *notes], cached)
        if identify(task.video, with_digest=False) != before._replace(digest=""):
            raise VideoError(f"{task.video.path} changed while it was read: run extract again")
        for writer in writers.values():
            writer.commit(before, report, np.array(seconds))
    return ExtractResult("done", report, size_note)


def _one_pass(
    recipe: Recipe,
    writers: Mapping[str, RowWriter],
    cache: FeatureCache,
    cached: CachedVideo,
) -> OnePass:
    """Set up the pass for what is missing; boxes that are cached are not looked for again."""
    extractors = [(e, writers[e.name].append) for e in recipe.extractors if e.name in writers]
    if recipe.finder is None:
        return OnePass(extractors)
    if BOXES in writers:
        return OnePass(extractors, finder=recipe.finder, emit_boxes=writers[BOXES].append, rate=recipe.rate)
    known = RowsInOrder(cached.entries[BOXES].path)
    return OnePass(extractors, known_objects=known, rate=recipe.rate)


def _prepared(one_pass: OnePass, frames: Iterable[Frame], held: Held) -> Iterator[PreparedFrame]:
    for frame in frames:
        prepared = one_pass.prepare(frame)
        if prepared.by_preparation is not None:
            held.push(frame)
        yield prepared


def _with_notes(report: DecodeReport, notes: Sequence[str], cached: CachedVideo) -> DecodeReport:
    """Return a report with further warnings, and with those of the pass that found the boxes, if they are
    there.
    """
    of_boxes = cached.entries[BOXES].report.warnings if BOXES in cached.entries else ()
    warnings = dict.fromkeys(note for note in (*report.warnings, *notes, *of_boxes) if note)
    return replace(report, warnings=tuple(warnings))


def _works_ahead(task: ExtractTask, workers: int) -> bool:
    """Whether a thread that decodes and prepares would find a core that is idle."""
    if (os.cpu_count() or 1) == 1:
        return False
    return workers == 1 or task.device.startswith("cuda")


def _frames_ahead(examples: Sequence[PreparedFrame]) -> int:
    """Return how many frames like these may wait, 2 to 32."""
    size_bytes = max((frame.size_bytes for frame in examples), default=0)
    return min(max(2, _BYTES_AHEAD // max(1, size_bytes)), _MOST_FRAMES_AHEAD)


def _fitting_scene(task: ExtractTask, frame_size: tuple[int, int], tick: Tick) -> SceneModel:
    """Return the task's scene, or one learnt from the video alone if its frames have another shape."""
    if task.scene.is_shape_of(frame_size):
        return task.scene
    sample = SampleTask(task.video, task.config.scene.n_samples, task.frames_per_second)
    return learn_scene(sample_greys(sample, tick), task.config.scene)


def _size_note(task: ExtractTask, frame_size: tuple[int, int]) -> str:
    """Return what is to be said of frames that have another size than the scene; "" where nothing is."""
    if frame_size == task.scene.frame_size:
        return ""
    (width, height), (scene_width, scene_height) = frame_size, task.scene.frame_size
    sizes = f"frames of {width}x{height}, the learnt scene has {scene_width}x{scene_height}"
    if task.scene.is_shape_of(frame_size):
        return f"{sizes}: motion is seen at the same size in both"
    looks = ", and how places look," if task.config.scene.with_looks else ""
    return (
        f"{sizes}, which is another shape: background and sizes of objects{looks} are learnt from this video "
        "alone, and its scores compare badly with those of the scene"
    )


_OF_ONE_VIDEO = (VideoError, WorkerStalledError, WorkerDiedError, NoRoomError)
_MORE_ROOM = "give fewer --workers, precision=bfloat16 or a smaller network, or run with --device cpu"
_BYTES_AHEAD, _MOST_FRAMES_AHEAD = 256 * 2**20, 32


def _try_again(outcome: Outcome[ExtractTask, ExtractResult]) -> ExtractTask | None:
    task = outcome.task
    if outcome.result is not None and outcome.result.status == "claimed":
        _log.info(
            "%s: another process extracts it; it is waited for when the others are done", task.video.path
        )
        return replace(task, wait=True)  # last in the queue: the others come first
    if outcome.result is not None and outcome.result.status == "resized":
        _log.warning("%s: %s", task.video.path, outcome.result.size_note)
        return replace(task, size_is_told=True)
    if isinstance(outcome.error, WorkerStalledError | WorkerDiedError) and task.n_tries == 1:
        _log.warning("%s: %s; trying once more with PyAV", task.video.path, outcome.error)
        config = task.config.model_copy(update={"decoder": "pyav"})
        return replace(task, config=config, n_tries=2)
    return None


def _failure(outcome: Outcome[ExtractTask, ExtractResult]) -> Failure:
    error, video = outcome.error, outcome.task.video
    reason = str(error)
    if not isinstance(error, VideoError):
        what = "" if isinstance(error, _OF_ONE_VIDEO) else f"{type(error).__name__}: "
        reason = printable(f"{video.path}: {what}{error}")
    if isinstance(error, NoRoomError):
        reason += f": {_MORE_ROOM}"
    if isinstance(error, InputError) and not isinstance(error, VideoError):
        raise error  # a mistake in the configuration, which the other videos would meet too
    if not isinstance(error, _OF_ONE_VIDEO):
        _log.debug("unexpected error in a worker", exc_info=error)  # run.log has it
    _log.error("failed: %s", reason)
    return Failure(video.name, STAGE, reason, str(video.path.absolute()))


def _tell(outcome: Outcome[ExtractTask, ExtractResult], n_done: int, n_all: int) -> None:
    assert outcome.result is not None and outcome.result.report is not None
    report = outcome.result.report
    _log.info(
        "extract %d/%d %s: %d frames in %.1f s (%s)",
        n_done, n_all, outcome.task.video.name, report.n_frames, outcome.seconds, report.backend,
    )  # fmt: skip
    for warning in report.warnings:
        if warning != outcome.result.size_note:  # which was told at first
            _log.warning("%s: %s", outcome.task.video.path, warning)
