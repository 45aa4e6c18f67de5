"""Stage score: an anomaly score for every frame of every test video."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mulde.data.cache.store import digests_of, read_frame_seconds, read_rows
from mulde.data.errors import InputError
from mulde.data.features import FeatureRows
from mulde.data.labels.labels import Labels
from mulde.data.spelling import counted
from mulde.data.times import positions_of
from mulde.pipeline.config.sections import Config
from mulde.pipeline.events.files import STAGE as EVENTS
from mulde.pipeline.executors.base import Tick
from mulde.pipeline.executors.kinds import open_computation
from mulde.pipeline.features.devices import n_threads, with_threads
from mulde.pipeline.features.inventory import CachedVideo, usable, without_failed
from mulde.pipeline.models.fuse import frames_looked_at, fuse_streams, smooth_frames
from mulde.pipeline.models.model import RunModel, StreamModel, load_model
from mulde.pipeline.progress import Progress, Tracked, silent
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.scores import ScoredVideo, note_written, those_whole, write_score_files
from mulde.pipeline.stages import train
from mulde.pipeline.stages.stage import WHOLE, RunStage, Situation

STAGE = "score"
CODE_VERSION = 6
"""Raise it when the same features and model give other scores than before."""
_log = logging.getLogger(__name__)
_MOST_TASKS = 1000
"""About, on a cluster: of more videos, several are scored together."""
_ROWS_SHOWN = 8192
"""Rows between two signs of progress; some blocks of the detector's."""


class Score(RunStage[None]):
    """Score the test videos with the model of the run."""

    name = STAGE

    def wanted(self, situation: Situation) -> dict[str, str | None]:
        """Return what the scores of each test video would be made from, without those that failed."""
        job, inventory = situation.job, situation.inventory
        is_trained = inventory.scenes is not None and train.STAGE not in situation.pending
        model = train.fingerprint(situation) if is_trained else None
        videos = without_failed(job.run, inventory.test)
        complete = [cached for cached in videos if model and cached.is_complete]
        return {
            **{cached.video.name: None for cached in videos},
            **fingerprints(complete, job.config, model or ""),
        }

    def is_there(self, run: RunFolder, unit: str) -> bool:
        """Whether both score files of a video are there, and whole."""
        return self.those_there(run, (unit,)) == {unit}

    def those_there(self, run: RunFolder, units: Iterable[str]) -> set[str]:
        """Return the videos of which both score files are there, and whole."""
        return those_whole(run, units)

    def run(self, situation: Situation) -> None:
        """Score the test videos whose scores are not up to date.

        Raises:
            InputError: features or the model are missing, or the model was made from something else.
        """
        job, inventory = situation.job, situation.inventory
        videos = usable(job, inventory.test, "test")
        if train.Train().look(situation).todo:
            load_model(job.run.model, job.config.extract, "cpu")  # a clearer reason, if there is one
            raise InputError(
                f"the model in {job.run.model} was made from other features or settings: run `mulde train` "
                "with the same options first"
            )
        model = train.fingerprint(situation)
        self.score(job.run, videos, job.config, model, progress=job.progress)

    def score(
        self,
        run: RunFolder,
        videos: Sequence[CachedVideo],
        config: Config,
        model_fingerprint: str,
        *,
        model_folder: Path | None = None,
        progress: Progress = silent,
    ) -> None:
        """Write the scores of videos with the model in `run` or `model_folder`, unless they are up to date.

        Raises:
            InputError: the model is missing, damaged, or made from other streams.
        """
        wanted = fingerprints(videos, config, model_fingerprint)
        work = self.compare(run, wanted)
        names = {*work.todo}
        todo = [cached for cached in videos if cached.video.name in names]
        if not todo:
            _log.info("score: up to date, %s", counted(len(videos), "video"))
            return
        if work.note:
            _log.info("score: %s", work.note)
        started = time.monotonic()
        model = model_folder or run.model
        n_in_task = 1 if config.executor == "local" else 1 + len(todo) // _MOST_TASKS
        tasks = [
            ScoreTask(tuple(todo[k : k + n_in_task]), model, model_fingerprint, config, run, n_threads())
            for k in range(0, len(todo), n_in_task)
        ]
        _loaded.clear()
        _load(tasks[0])  # what is wrong with the model is said before anything is done
        run.remember(EVENTS, {WHOLE: ""})  # score files are written without alarms
        notes = _score_all(tasks, wanted, progress)
        _loaded.clear()
        if notes:
            n_videos = counted(len(notes), "video")
            _log.info("score: interpolated scores in %s; the first: %s", n_videos, notes[0])
        seconds = time.monotonic() - started
        run.remember_seconds(STAGE, seconds)
        _log.info("score: %s in %.1f s, %s", counted(len(todo), "video"), seconds, run.scores)


def _score_all(tasks: Sequence[ScoreTask], wanted: Mapping[str, str], progress: Progress) -> list[str]:
    """Score videos, in this process or on a cluster; return what is to be said of them.

    Args:
        wanted: what the scores of each video are made from, to be remembered when they are there.

    Raises:
        InputError: features are damaged, or who scored was lost again and again.
    """
    config, run = tasks[0].config, tasks[0].run
    n_videos, done, notes = sum(len(task.videos) for task in tasks), 0, list[str]()
    with (
        open_computation(config.executor, config.workers, config.ray) as pool,
        Tracked(progress, "score", n_videos, "videos") as tracked,
    ):

        def show() -> None:
            running, parts = pool.running, 0.0
            for told in running:
                parts += len(told.task.videos) * told.n_done / max(1, told.n_expected)
            detail = running[0].detail if running else ""
            tracked.update(done, detail, share=(done + parts) / n_videos)

        for task in tasks:
            pool.submit(score_videos, task)
        for outcome in pool.outcomes(show):
            notes += outcome.required("score")
            names = [cached.video.name for cached in outcome.task.videos]
            note_written(run, *names)
            run.remember(STAGE, {name: wanted[name] for name in names})
            done += len(names)
            tracked.update(done)
    return notes


def check_labels(labels: Labels | None, videos: Sequence[CachedVideo]) -> None:
    """Raise InputError if labels do not fit the decoded frames of a video; warn if their unit is in doubt."""
    if labels is None:
        return
    times = {
        cached.video.name: read_frame_seconds(next(iter(cached.entries.values())).path)
        for cached in videos
        if labels.has(cached.video.name)
    }
    for name, seconds in times.items():
        labels.frames(name, len(seconds), seconds)
    labels.tell_doubt(times)


def fingerprints(videos: Sequence[CachedVideo], config: Config, model_fingerprint: str) -> dict[str, str]:
    """Return by name a hash of all that the scores of each video are made from."""
    common = {
        "code_version": CODE_VERSION,
        "model": model_fingerprint,
        "settings": config.score.of_frames,
    }
    sources = train.sources_of(videos)
    names = (cached.video.name for cached in videos)
    return dict(zip(names, digests_of(common, "features", sources), strict=True))


@dataclass(frozen=True)
class ScoreTask:
    """All that is needed to score some videos."""

    videos: tuple[CachedVideo, ...]
    model: Path
    """Its folder."""
    fingerprint: str
    """What it was made from."""
    config: Config
    run: RunFolder
    n_threads: int


_loaded: dict[tuple[Path, str], RunModel] = {}
"""The model that this process has scored with last; of its folder and fingerprint."""


def score_videos(task: ScoreTask, tick: Tick) -> list[str]:
    """Write the scores of some videos; return what is to be said of them.

    The state of the run is left alone, for other processes score into it as well.

    Raises:
        InputError: features are damaged.
    """
    n_rows = [sum(cached.entries[s].n_rows for s in task.config.extract.streams) for cached in task.videos]
    notes, before = list[str](), 0
    with with_threads(task.n_threads):
        model = _load(task)
        for cached, n_own in zip(task.videos, n_rows, strict=True):

            def show(n_done: int, n_all: int, before: int = before, name: str = cached.video.name) -> None:
                tick(before + n_done, sum(n_rows), f"{name}: {n_done} of {n_all} rows")

            notes += _score_video(task.run, model, cached, task.config, show)
            before += n_own
    return notes


def _load(task: ScoreTask) -> RunModel:
    key = task.model, task.fingerprint
    if key not in _loaded:
        _loaded.clear()
        _loaded[key] = load_model(task.model, task.config.extract, task.config.device)
    return _loaded[key]


def _score_video(
    run: RunFolder,
    model: RunModel,
    cached: CachedVideo,
    config: Config,
    show: Callable[[int, int], None],
) -> list[str]:
    """Write the scores of a video; return what is to be said of them.

    Args:
        show: is told now and then how many rows are scored, and of how many.
    """
    name, report, settings = cached.video.name, cached.report, config.score
    streams = model.of(cached.video)
    rows = {stream: read_rows(cached.entries[stream].path) for stream in streams}
    scores = _score_rows(streams, rows, show)
    seconds = read_frame_seconds(next(iter(cached.entries.values())).path)
    position, looked_at = positions_of(seconds, report.fps), frames_looked_at(cached, rows, seconds)
    scored = fuse_streams(scores, rows, position, settings, looked_at=looked_at)
    smoothed = smooth_frames(scored.unsmoothed, seconds, report.fps, settings)
    video = ScoredVideo(name, smoothed, scored.unsmoothed, seconds, report.fps, report.warnings, scored.note)
    write_score_files(run, video, scored.datasets)
    return [f"{name}: {scored.note}"] if scored.note else []


def _score_rows(
    streams: Mapping[str, StreamModel], rows: Mapping[str, FeatureRows], show: Callable[[int, int], None]
) -> dict[str, NDArray[np.float64]]:
    """Return the calibrated scores (n_rows,) of each stream."""
    scores = {stream: np.empty(len(part)) for stream, part in rows.items()}
    n_done, n_all = 0, sum(map(len, scores.values()))
    for stream, part in rows.items():
        for start in range(0, len(part), _ROWS_SHOWN):
            block = slice(start, start + _ROWS_SHOWN)
            scores[stream][block] = streams[stream].score(part.features[block])
            n_done += len(scores[stream][block])
            show(n_done, n_all)
    return scores
