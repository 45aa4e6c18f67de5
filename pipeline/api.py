"""mulde from Python: train, load a run, score videos, evaluate; records come back, nothing is printed."""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mulde.data.errors import InputError, require_package
from mulde.data.files import name_without_suffix
from mulde.data.labels.files import read_labels
from mulde.data.labels.labels import FrameTimes, Labels
from mulde.data.video import Video
from mulde.pipeline.config.dotted import flat
from mulde.pipeline.config.load import load_config
from mulde.pipeline.config.sections import Config
from mulde.pipeline.events.alarms import alarm_frames
from mulde.pipeline.events.picture import draw_event
from mulde.pipeline.events.record import Event, Threshold, sort_events
from mulde.pipeline.metrics.measure import VideoScores, evaluate_frames
from mulde.pipeline.metrics.protocols import find_protocol
from mulde.pipeline.metrics.records import Metrics
from mulde.pipeline.metrics.video_scores import labels_of, require_scores_of, scene_of
from mulde.pipeline.open_job import find_data, open_job
from mulde.pipeline.progress import Progress, silent
from mulde.pipeline.runs.folder import Failure, RunFolder
from mulde.pipeline.runs.origin import load_config_of_model
from mulde.pipeline.runs.scores import (
    ScoredObjects,
    ScoredVideo,
    read_datasets,
    read_objects,
    read_scores,
    write_alarms,
    write_scores,
)
from mulde.pipeline.stages.evaluate import read_metrics
from mulde.pipeline.stages.find_events import read_found
from mulde.pipeline.stages.footage import score_footage
from mulde.pipeline.stages.run import run_stages
from mulde.pipeline.watch.cameras import open_cameras, watch_all
from mulde.pipeline.watch.sources import open_source
from mulde.pipeline.watch.watcher import Seen, Watcher

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class VideoResult:
    """What scoring one video gave: its frames, its objects, and what decoding found."""

    name: str
    scores: NDArray[np.float64]
    """(T,), a score per decoded frame, smoothed; higher = more anomalous."""
    unsmoothed: NDArray[np.float64]
    """(T,)"""
    seconds: NDArray[np.float64]
    """(T,), when each frame is shown, from the first one on."""
    objects: ScoredObjects | None
    """The objects with their boxes and scores; None where whole frames were scored."""
    events: tuple[Event, ...]
    """What happened in it, the strongest first."""
    threshold: Threshold
    """From which score on an event is an alarm, and what that promises."""
    warnings: tuple[str, ...]
    """What decoding found, a sentence each."""
    source: Video | None
    """The video itself; None where it is not known any more where it is."""
    _video: ScoredVideo = field(repr=False)
    _datasets: Mapping[str, NDArray[Any]] = field(repr=False)

    @classmethod
    def read(cls, run: RunFolder, name: str, source: Video | None = None) -> VideoResult:
        """Read the score files of a video in a run, and its events.

        Raises:
            InputError: they are missing or damaged.
        """
        video, found = read_scores(run, name), read_found(run)
        return cls(
            name,
            video.scores,
            video.unsmoothed,
            video.seconds,
            read_objects(run, name),
            tuple(event for event in found.events if event.video == name),
            found.threshold,
            video.warnings if not video.note else (*video.warnings, video.note),
            source,
            video,
            read_datasets(run, name),
        )

    @property
    def alarm(self) -> NDArray[np.bool_] | None:
        """(T,), which frames are of an alarm; None where no threshold is known."""
        return alarm_frames(self.events, self.threshold, self.name, len(self.scores))

    def to_pandas(self) -> pandas.DataFrame:
        """Return a table with the columns frame, time, score and alarm, a row per decoded frame.

        Raises:
            InputError: pandas is not installed.
        """
        alarm = [None] * len(self.scores) if self.alarm is None else self.alarm
        columns = {"time": self.seconds, "score": self.scores, "alarm": alarm}
        table: pandas.DataFrame = require_package("pandas", "pandas").DataFrame(
            {"frame": np.arange(len(self.scores)), **columns}
        )
        return table

    def picture(self, event: Event) -> NDArray[np.uint8]:
        """Return the peak frame of an event of this video with its box drawn in, (H, W, 3) uint8 RGB.

        Raises:
            InputError: the event is of another video, or the video cannot be read any more.
        """
        if event.video != self.name:
            raise InputError(f"the event is of the video {event.video}, and this is {self.name}")
        if self.source is None:
            raise InputError(f"where the video {self.name} is, is not known any more: score it again")
        return draw_event(self.source, event, float(self.seconds[event.peak_frame]))

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw the scores over time, the threshold and the events; return the axes that they are drawn on."""
        if axes is None:
            from matplotlib.figure import Figure  # not pyplot, which keeps every figure

            axes = Figure(figsize=(10, 2.5), layout="constrained").add_subplot()
        axes.plot(self.seconds, self.scores, linewidth=1)
        for event in self.events:
            colour = "tab:red" if self.threshold.is_alarm(event.score) else "tab:orange"
            axes.axvspan(event.start_seconds, event.stop_seconds, color=colour, alpha=0.2, linewidth=0)
        if self.threshold.score is not None:
            axes.axhline(self.threshold.score, color="tab:red", linewidth=1, linestyle="--")
        axes.set(xlabel="seconds", ylabel="anomaly score", title=self.name)
        axes.margins(x=0)
        return axes

    def save(self, folder: StrPath) -> Path:
        """Write the score files that `mulde score` writes, FOLDER/scores/<video>.csv and .h5; return the CSV.

        Raises:
            InputError: the folder cannot be written.
        """
        run = RunFolder(Path(folder))
        run.require_writable()
        write_scores(run, self._video, self._datasets)
        write_alarms(run, self._video, self.alarm)
        return run.csv(self.name)


@dataclass(frozen=True)
class Results:
    """The scores of several videos."""

    videos: tuple[VideoResult, ...]
    failures: tuple[Failure, ...]
    """Videos that could not be read, and why."""
    threshold: Threshold
    """From which score on an event is an alarm, and what that promises."""

    @property
    def events(self) -> tuple[Event, ...]:
        """What happened in all of them, the strongest first."""
        return tuple(sort_events(event for video in self.videos for event in video.events))


@dataclass(frozen=True)
class Run:
    """A trained run."""

    folder: Path
    config: Config
    """What the model was made with."""
    trust: bool = False
    """Whether code that it names may run, and its folders be written to, though somebody else has made it."""

    @property
    def metrics(self) -> Metrics | None:
        """The metrics of its test videos; None where they were not evaluated."""
        return read_metrics(RunFolder(self.folder).metrics)

    def result(self, video: str) -> VideoResult:
        """Return the scores of a test video of the run, by its name in RUN/scores.

        Raises:
            InputError: there are none, or they are damaged.
        """
        return VideoResult.read(RunFolder(self.folder), video, self._find(video))

    def _find(self, video: str) -> Video | None:
        """Return a test video of the run; None where it is not where it was, or was scored elsewhere."""
        if self.config.extract.are_imported:
            return None
        try:
            config = load_config(RunFolder(self.folder).config)  # of the model's there may be no test videos
            tests = find_data(config.data, needs_test=False).test
        except InputError:
            return None
        return next((source for source in tests if source.name == video), None)

    def _configured(self, settings: Mapping[str, Any]) -> Config:
        """Return its configuration with what is to differ."""
        return load_config_of_model(RunFolder(self.folder), options=flat(settings), trust=self.trust)

    def score(self, video: StrPath, *, progress: Progress = silent, **settings: Any) -> VideoResult:
        """Score one video, a file or a folder of images; nothing is written but the feature cache.

        Args:
            progress: called with a `mulde.pipeline.progress.Status` now and then.
            settings: as `mulde.train` takes them, such as workers=1 or cache="…", but for those of what was
                learnt.

        Raises:
            InputError: it cannot be read, holds several videos, or is of an unknown camera; or a setting
                would change what was learnt.
        """
        results = self.score_all([video], progress=progress, **settings)
        if len(results.videos) != 1 or results.failures:
            raise InputError(f"{video} holds several videos: score_all takes them")
        return results.videos[0]

    def watch(self, source: StrPath, *, camera: str = "", **settings: Any) -> Iterator[Seen]:
        """Watch footage as it comes, and give what is seen in it: frames with their scores, events, …

        Args:
            source: a file, a pipe, the number of a camera, or an address such as rtsp://camera/stream.
            camera: which of the scenes it shows, if the run has several.
            settings: as for `score`.

        Raises:
            InputError: the source, the model or a setting cannot be used.
        """
        config = self._configured(settings)
        return Watcher(RunFolder(self.folder), config, camera=camera).watch(open_source(str(source)))

    def score_all(
        self, videos: Sequence[StrPath], *, progress: Progress = silent, **settings: Any
    ) -> Results:
        """Score videos: files, folders of images, or folders of videos; see `score`.

        Raises:
            InputError: none of them can be read, or a path holds no video.
        """
        config = self._configured(settings)
        with TemporaryDirectory(prefix="mulde-") as folder:
            out = RunFolder(Path(folder))
            scored = score_footage(
                RunFolder(self.folder), out, config, [Path(video) for video in videos], progress
            )
            results = tuple(VideoResult.read(out, video.name, video) for video in scored.videos)
            return Results(results, tuple(out.failures()), scored.found.threshold)


def load(run: StrPath, *, trust: bool = False) -> Run:
    """Open a run that `mulde train`, `mulde run` or `mulde.train` made.

    Args:
        trust: whether the plug-ins and weights that a run from elsewhere names may be run, and the cache that
            it names be used; your own runs need it not.

    Raises:
        InputError: there is no trained model in it.
    """
    folder = RunFolder(Path(run))
    if not folder.model_config.exists():
        raise InputError(f"{folder.folder} is no run with a trained model")
    return Run(folder.folder, load_config(folder.model_config), trust)


def watch_cameras(
    file: StrPath, *, model: StrPath | None = None, trust: bool = False
) -> Generator[tuple[str, Seen], None, None]:
    """Watch several cameras side by side, and give what is seen with the name of the camera.

    Args:
        file: names the cameras, see docs/watch.md.
        model: the run of cameras that name none.
        trust: whether the plug-ins and weights that a run from elsewhere names may be run.

    Raises:
        InputError: the file, a model or a source cannot be used.
    """
    return watch_all(open_cameras(Path(file), model=None if model is None else Path(model), trust=trust))


def train(
    normal: StrPath | Sequence[StrPath],
    out: StrPath,
    *,
    progress: Progress = silent,
    **settings: Any,
) -> Run:
    """Learn what is normal from videos, and return the run; what is up to date is not made again.

    Args:
        normal: videos without anomalies: a file, a folder, or several of them.
        out: folder of the run.
        progress: called with a `mulde.pipeline.progress.Status` now and then.
        settings: any setting that `mulde config` lists: preset="object", workers=2, seed=1, or groups as
            dicts, detector={"beta": 0.2}.

    Raises:
        InputError: a video, a setting or the folder cannot be used.
    """
    paths = [normal] if isinstance(normal, str | os.PathLike) else list(normal)
    data = {**settings.pop("data", {}), "normal": [Path(path) for path in paths]}
    config = load_config(options=flat({**settings, "data": data, "out": Path(out)}))
    job = open_job(config, progress, needs_test=False)
    job.run.require_writable()
    with job.run.held():
        run_stages(job, ["extract", "train"])
    return load(job.run.folder)


def evaluate(
    scores: Mapping[str, ArrayLike],
    labels: Mapping[str, ArrayLike] | StrPath,
    *,
    protocol: str = "unsmoothed",
    frames_per_second: float | None = None,
    seed: int = 0,
) -> Metrics:
    """Measure frame scores against labels.

    Args:
        scores: (T,) by name of the video, higher = more anomalous.
        labels: (T,) by name, 1 = abnormal; or a file or folder of labels, see docs/labels.md.
        protocol: what is done to the scores first, see `mulde evaluate --protocol`.
        frames_per_second: of all videos, for rates of false alarms; None if unknown.
        seed: of the bootstrap behind the intervals.

    Raises:
        InputError: scores or labels cannot be used, a label is neither 0 nor 1, or they are of different
            videos or lengths.
    """
    known = read_labels(Path(labels)) if isinstance(labels, str | os.PathLike) else labels
    _require_by_name(scores, "scores")
    if not isinstance(known, Labels):
        _require_by_name(known, "labels")
    if frames_per_second is not None and not 0 < frames_per_second < math.inf:
        raise InputError(f"frames_per_second is {frames_per_second}, but must be a number above 0")
    videos = []
    for name, values in scores.items():
        array = _numbers(values, name)
        times = None if frames_per_second is None else np.arange(len(array)) / frames_per_second
        try:
            truth = _truth(known, name, len(array), times)
            videos.append(VideoScores(name, array, truth, scene_of(str(name)), frames_per_second))
        except ValueError as error:
            raise InputError(str(error)) from None
    if isinstance(known, Labels):
        require_scores_of(known.names, map(name_without_suffix, scores), "what was given")
    else:
        require_scores_of(known, scores, "what was given")
    chosen = find_protocol(protocol)
    measured = [
        VideoScores(v.name, chosen.apply(v.scores, v.scores), v.labels, v.scene, v.fps) for v in videos
    ]
    return evaluate_frames(measured, treatment=chosen.describe(protocol, None), seed=seed)


def _require_by_name(values: object, what: str) -> None:
    if not hasattr(values, "items"):
        raise InputError(
            f"{what} must be by name of the video, such as {{'camera7': [0, 1, 1]}}, not a "
            f"{type(values).__name__}"
        )


def _numbers(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """Return the scores of a video, (T,); raises InputError where they are something else."""
    try:
        array = np.asarray(values)
        if array.dtype.kind in "biufO" and array.ndim == 1:
            return array.astype(np.float64)
        found = f"{array.dtype} of shape {array.shape}"
    except (TypeError, ValueError) as error:
        found = str(error)
    raise InputError(f"{name}: scores must be numbers, one a frame, found {found}")


def _truth(
    labels: Mapping[str, ArrayLike] | Labels, name: str, n_frames: int, seconds: FrameTimes | None
) -> NDArray[np.uint8]:
    if isinstance(labels, Labels):
        return labels.frames(name, n_frames, seconds)
    if name not in labels:
        raise InputError(f"video {name} has scores but no labels")
    return labels_of(name, labels[name])
