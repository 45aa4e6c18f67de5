"""What a run has scored, as pictures that move: annotated videos, clips of events; and its scenes."""

from __future__ import annotations

import difflib
import io
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mulde.data.atomic import require_writable, write_bytes
from mulde.data.decode.picked import read_between
from mulde.data.errors import InputError, VideoError
from mulde.data.labels.labels import Labels
from mulde.data.times import mean_rate, usual_rate
from mulde.data.video import Video
from mulde.pipeline.config.load import load_config
from mulde.pipeline.events.files import events_if_any, threshold_if_any
from mulde.pipeline.events.record import Event
from mulde.pipeline.models.model import read_scenes
from mulde.pipeline.open_job import open_job
from mulde.pipeline.pictures.mp4 import Sound, open_mp4, require_encoder
from mulde.pipeline.pictures.overlay import Annotations, Overlay
from mulde.pipeline.pictures.scene import draw_scene
from mulde.pipeline.progress import Progress, Tracked, silent
from mulde.pipeline.runs.folder import Failure, RunFolder
from mulde.pipeline.runs.footage import read_footage
from mulde.pipeline.runs.scores import open_scores

_log = logging.getLogger(__name__)
_FRAMES_SHOWN = 25
"""Frames between two signs of progress."""
_MOST_NAME_BYTES = 120
"""Of a clip's name: the names of videos are parts of it, and file systems allow 255."""


@dataclass(frozen=True)
class Drawn:
    """What was written, and what could not be."""

    paths: Sequence[Path]
    failures: Sequence[Failure]


@dataclass(frozen=True)
class ScoredRun:
    """A run with scores, and the videos that they are of."""

    run: RunFolder
    videos: Mapping[str, Video]
    """By name; those that have scores."""
    frames_per_second: float
    """Of folders of images, which do not say."""
    labels: Labels | None = None

    def find(self, wanted: str) -> Video:
        """Return a video by its name, or by the path of its file.

        Raises:
            InputError: it is none of those that were scored.
        """
        if wanted in self.videos:
            return self.videos[wanted]
        path = Path(wanted).absolute()
        for video in self.videos.values():
            if video.path.absolute() == path or wanted == f"{video.name}{video.path.suffix}":
                return video
        near = difflib.get_close_matches(wanted, self.videos, n=3, cutoff=0.5) or list(self.videos)[:3]
        raise InputError(f"{wanted} is no scored video of {self.run.folder}: there are {', '.join(near)}, …")

    def annotations(self, name: str) -> Annotations:
        """Return what was found in a video.

        Raises:
            InputError: its scores are missing or damaged.
        """
        with open_scores(self.run, name) as files:
            scored, objects, looked_at = files.scores(), files.objects(), files.looked_at()
        threshold, labels = threshold_if_any(self.run), None
        if self.labels is not None and self.labels.has(name):
            labels = self.labels.frames(name, scored.scores.size, scored.seconds)
        return Annotations(
            scored.seconds,
            scored.scores,
            None if threshold is None else threshold.listed_score,
            [event for event in self.events() if event.video == name],
            labels,
            objects,
            looked_at,
        )

    def events(self) -> Sequence[Event]:
        """Return the events of the run, the strongest first; none where nobody looked for any."""
        return events_if_any(self.run)


def open_scored(folder: Path) -> ScoredRun:
    """Find the videos of a run of a data set, or of a folder that `mulde score --model` made.

    Raises:
        InputError: it is neither, or has no scores, or its videos cannot be found.
    """
    run = RunFolder(folder)
    footage = read_footage(run)
    if footage is not None:
        videos = tuple(footage.videos.values())
        rate, labels = footage.frames_per_second, None
    elif run.config.exists():
        job = open_job(load_config(run.config))
        if job.is_imported:
            raise InputError(f"{folder} was made from imported features: there are no videos to show")
        videos, rate = job.dataset.test, job.frames_per_second
        labels = job.dataset.labels
    else:
        raise InputError(f"{folder} is no run: name the folder that an earlier command gave as --out")
    scored = {video.name: video for video in videos if run.csv(video.name).exists()}
    if not scored:
        raise InputError(f"there are no scores in {run.scores}: run `mulde score` first")
    return ScoredRun(run, scored, rate, labels)


def render_videos(
    scored: ScoredRun, names: Sequence[str], out: Path | None = None, progress: Progress = silent
) -> Drawn:
    """Write annotated videos below RUN/rendered, or `out`.

    A video that cannot be read any more is left out.

    Args:
        names: or paths of files; all videos where there are none.

    Raises:
        InputError: one was not scored, PyAV cannot write H.264, or a scored video would be overwritten.
    """
    require_encoder()
    videos = [scored.find(name) for name in names] if names else list(scored.videos.values())
    folder = _writable(scored.run, "rendered", out)
    drawn, failures = [], []
    for video in videos:
        found = scored.annotations(video.name)
        path = folder / f"{video.name}.mp4"
        if not found.scores.size:
            _log.warning("render: %s has no frame", video.name)
            continue
        try:
            _write(scored, video, found, (0, found.scores.size), path, Overlay(found), progress)
            drawn.append(path)
        except VideoError as error:
            failures.append(Failure(video.name, "render", str(error), str(video.path)))
    return Drawn(drawn, failures)


def cut_clips(
    scored: ScoredRun,
    out: Path | None = None,
    *,
    before_seconds: float,
    after_seconds: float,
    n_most: int | None = None,
    progress: Progress = silent,
) -> Drawn:
    """Cut a clip of each event, as it is and annotated, below RUN/clips or `out`.

    An event whose video cannot be read any more is left out. Nothing is written where there is no event.

    Args:
        n_most: of the strongest events; None for all.

    Raises:
        InputError: PyAV cannot write H.264, or a scored video would be overwritten.
    """
    require_encoder()
    events = [event for event in scored.events() if event.video in scored.videos]
    if not events:
        _log.info(
            "there are no events in %s: nothing reached the level from which they are listed",
            scored.run.folder,
        )
        return Drawn([], [])
    folder = _writable(scored.run, "clips", out)
    drawn, failures = [], []
    known: dict[str, Annotations] = {}
    for rank, event in enumerate(events[:n_most], start=1):
        found = known.get(event.video) or scored.annotations(event.video)
        known = {event.video: found}
        video = scored.videos[event.video]
        span = clip_span(event, found.seconds, before_seconds, after_seconds)
        name = clip_name(rank, event)
        try:
            for suffix, overlay in (("", Overlay(found, *span)), ("_plain", None)):
                path = folder / f"{name}{suffix}.mp4"
                _write(scored, video, found, span, path, overlay, progress)
                drawn.append(path)
        except VideoError as error:
            failures.append(Failure(name, "clips", str(error), str(video.path)))
    return Drawn(drawn, failures)


def clip_span(
    event: Event, seconds: NDArray[np.float64], before_seconds: float, after_seconds: float
) -> tuple[int, int]:
    """Return the frames, half-open, from so long before an event until so long after it."""
    start = int(np.searchsorted(seconds, event.start_seconds - before_seconds))
    stop = int(np.searchsorted(seconds, event.stop_seconds + after_seconds))
    return min(start, event.start_frame), max(stop, event.stop_frame)


def clip_name(rank: int, event: Event) -> str:
    """Return the name of a clip without suffix: 003_door_night_0h12m04s."""
    minutes, second = divmod(int(event.start_seconds), 60)
    hours, minute = divmod(minutes, 60)
    video = re.sub(r"[^\w.-]+", "_", event.video)
    video = video.encode(errors="replace")[:_MOST_NAME_BYTES].decode(errors="ignore")
    return f"{rank:03d}_{video}_{hours}h{minute:02d}m{second:02d}s"


def draw_scenes(folder: Path) -> list[Path]:
    """Write what a run learnt of its scenes as pictures, RUN/scene/<camera>-<number>.png; return their paths.

    Raises:
        InputError: there is no trained model.
    """
    run = RunFolder(folder)
    footage = read_footage(run)
    models = read_scenes(run.model if footage is None else footage.model_run.model).models
    below = _writable(run, "scene", None)
    paths = []
    for name, scene in models.items():
        for number, picture in enumerate(draw_scene(scene), start=1):
            path, content = below / f"{name or 'all'}-{number}.png", io.BytesIO()
            run.require_inside(path)
            Image.fromarray(picture).save(content, "png")
            write_bytes(path, content.getvalue())
            paths.append(path)
    return paths


def _writable(run: RunFolder, name: str, out: Path | None) -> Path:
    """Return the folder to write to: `out`, or one of the run, out of which no link may lead."""
    folder = run.folder / name if out is None else out
    if out is None:
        run.require_inside(folder)
    require_writable(folder, "folder", "choose another place")
    return folder


def _write(
    scored: ScoredRun,
    video: Video,
    found: Annotations,
    span: tuple[int, int],
    path: Path,
    overlay: Overlay | None,
    progress: Progress,
) -> None:
    """Write a stretch of a video."""
    if any(path.resolve() == other.path.resolve() for other in scored.videos.values()):
        raise InputError(f"{path} is a video that was scored: choose another folder with --out DIR")
    start, stop = span
    first = float(found.seconds[start])
    end = float(found.seconds[stop]) if stop < found.seconds.size else None
    sound = None
    if video.path.is_file():
        # all that is heard after the last picture too, where it is the video's last
        sound = Sound(video.path, first) if end is None else Sound(video.path, first, end)
    frames = read_between(video, found.seconds, start, stop, frames_per_second=scored.frames_per_second)
    rate = usual_rate(found.seconds) or mean_rate(found.seconds) or scored.frames_per_second
    title = f"{'render' if overlay else 'cut'} {path.stem}"
    with (
        open_mp4(path, rate, sound=sound, stop_seconds=None if end is None else end - first) as writer,
        Tracked(progress, title, stop - start, "frames") as tracked,
    ):
        for n_done, frame in enumerate(frames, start=1):
            rgb = frame.rgb if overlay is None else overlay.draw(frame.index, frame.rgb)
            writer.write(rgb, float(found.seconds[frame.index]) - first)
            if n_done % _FRAMES_SHOWN == 0:
                tracked.update(n_done)
    _log.debug("wrote %s", path)
