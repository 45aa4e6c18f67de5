"""Watch footage with the model of a run: what is seen is yielded as it is known."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from mulde.data.errors import InputError, VideoError
from mulde.data.video import Frame, Picture, Video
from mulde.extractors.condition import Condition, Conditions, State
from mulde.pipeline.config.sections import Config
from mulde.pipeline.features.devices import check_device, extraction_device
from mulde.pipeline.features.recipe import build_recipe, require_all, stream_digests
from mulde.pipeline.marks.record import marks_of, read_marks
from mulde.pipeline.models.model import RunModel, StreamModel, load_model
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.stages.find_events import learn_threshold, recording_began
from mulde.pipeline.watch.happenings import Beginning, Happening, LiveEvents, WatchedPiece
from mulde.pipeline.watch.scorer import LiveScorer, ScoredFrame
from mulde.pipeline.watch.sources import Lost, Piece, Source

_PICTURES_BYTES = 2**28
"""Of frames that were looked at and not scored yet, whose pictures may be asked for."""
STATUS_SECONDS = 60.0


@dataclass(frozen=True)
class Opened:
    """Footage begins, for the first time or again."""

    video: str
    size: tuple[int, int]
    """(width, height) in pixels."""
    frames_per_second: float
    """As it claims."""


@dataclass(frozen=True)
class Closed:
    """Footage has ended."""

    video: str
    n_frames: int
    notes: tuple[str, ...]
    """Sentences for the user about what was found in it."""
    n_dropped: int = 0
    """Frames of it that came faster than they could be described, and have no scores."""


@dataclass(frozen=True)
class Status:
    """How it goes, now and then."""

    n_frames: int
    """Scored since the start."""
    frames_per_second: float
    """Scored in the last minute."""
    seconds_behind: float | None
    """From when the last frame was decoded until it was scored; None where none was."""
    n_dropped: int
    """Frames of a live source that came faster than they could be described, since the start."""
    n_lost: int
    """How often the source was lost."""


@dataclass(frozen=True)
class View:
    """A frame that was looked at and is scored now, with what was found in it."""

    frame: ScoredFrame
    picture: Picture
    box_xyxy: NDArray[np.float32]
    """(N, 4) in pixels, of the objects; none where whole frames are scored."""
    total: NDArray[np.float64]
    """(N,), their scores; higher = more anomalous."""

    def __post_init__(self) -> None:
        if self.box_xyxy.shape != (len(self.total), 4):
            raise ValueError(f"{self.box_xyxy.shape} boxes have {self.total.shape} scores")


Seen = Opened | ScoredFrame | Beginning | Happening | Condition | Lost | Closed | Status


class Watcher:
    """A model, ready to watch: scores are smoothed over the past, thresholds are calibrated likewise."""

    def __init__(
        self, run: RunFolder, config: Config, *, camera: str = "", model: RunModel | None = None
    ) -> None:
        """Load the model of a run.

        Args:
            config: that of the model, perhaps with other settings of scores.
            camera: which of the scenes is watched, where there are several.
            model: what another watcher has loaded for the same run, extraction and device.

        Raises:
            InputError: the model or the device cannot be used, or there is no such camera.
        """
        if config.extract.are_imported:
            raise InputError(f"the model in {run.model} was made from imported features: it sees no videos")
        if config.extract.boxes.finder == "file":
            raise InputError(f"the model in {run.model} sees boxes of a file, and live footage has none")
        check_device(config.device)
        require_all(config.extract, offline=config.offline)
        score = config.score.model_copy(update={"causal": True})
        self.config = config.model_copy(update={"score": score})
        self.run, self.camera = run, camera
        self.model = model or load_model(run.model, config.extract, config.device)
        self.turn: AbstractContextManager[object] = nullcontext()
        """Held while networks run, which are shared by all who watch in this process."""
        self._cameras = [name for name in self.model.scenes.models if name]
        if camera and camera not in self._cameras:
            if not self._cameras:
                raise InputError(f"{run.folder} has one camera only: leave `camera` out")
            known = ", ".join(sorted(self._cameras))
            raise InputError(f"the run knows no camera {camera}: `camera` can be {known}")
        self._device = extraction_device(config)
        self.threshold, self.rule = learn_threshold(run, score)
        self._marks = read_marks(run)
        self.stream_digests = stream_digests(config.extract)
        """What decides the features of each stream."""

    def watch(
        self,
        source: Source,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_frame: Callable[[Frame], object] | None = None,
        on_view: Callable[[View], object] | None = None,
    ) -> Generator[Seen, None, None]:
        """Yield what is seen, until the source ends.

        Args:
            on_frame: is given each frame before it is scored, between `Opened` and `Closed`.
            on_view: is given the last frame that was looked at, when it is scored. Both have to be quick.

        Raises:
            InputError: the source cannot be opened, or shows no scene that was learnt, or it is not known
                which one.
        """
        pace, told = _Pace(source, clock), _Told()
        may_refuse = source.is_one and not source.is_patient  # then there is nothing else to watch
        with closing(source.pieces()) as pieces:
            for piece in pieces:
                if isinstance(piece, Lost):
                    yield piece
                    continue
                reason = self._refuse(piece)
                if reason and may_refuse:
                    raise InputError(reason)
                may_refuse = False
                if reason:
                    source.refusal = reason
                    if piece.began is None:  # a file; what has an address says so itself
                        source.health.n_lost += 1
                        yield Lost(reason, None)
                    continue
                try:
                    yield from self._watch(piece, pace, told, on_frame, on_view)
                except VideoError as error:
                    source.health.n_lost += 1
                    yield Lost(str(error), None)

    def _refuse(self, piece: Piece) -> str:
        """Return why a piece cannot show the scene that was learnt; "" where it can."""
        size = piece.live.info.width, piece.live.info.height
        if len(self._cameras) > 1 and self._video(piece).scene not in self._cameras:
            known = ", ".join(sorted(self._cameras))
            return f"which camera {piece.video.name} is of is not known: `camera` can be {known}"
        scene = self.model.scenes.of(self._video(piece))
        if scene.is_shape_of(size):
            return ""
        (width, height), (scene_width, scene_height) = size, scene.frame_size
        return (
            f"{piece.video.name} has frames of {width}x{height}, but the learnt scene has "
            f"{scene_width}x{scene_height}: it is another camera, or another part of the picture"
        )

    def _video(self, piece: Piece) -> Video:
        return replace(piece.video, scene=self.camera or piece.video.scene)

    def _watch(
        self,
        piece: Piece,
        pace: _Pace,
        told: _Told,
        on_frame: Callable[[Frame], object] | None,
        on_view: Callable[[View], object] | None,
    ) -> Generator[Seen, None, None]:
        info, video = piece.live.info, self._video(piece)
        scene = self.model.scenes.of(video)
        recipe = build_recipe(self.config.extract, scene, device=self._device, frames_per_second=info.fps)
        models = self.model.of(video)
        turn = self.turn if recipe.may_run_networks else nullcontext()
        scorer = LiveScorer(recipe, models, self.config.score, info.fps)
        events = self._events(piece, models, told)
        if piece.began is None:  # a file has nothing to do with the one before
            told.condition = "good"
        conditions = Conditions(lambda: scorer.changed_share, told.condition)
        pictures: OrderedDict[int, Picture] = OrderedDict()
        yield Opened(video.name, (info.width, info.height), info.fps)
        n_frames, last_seconds, lost = 0, 0.0, None
        try:
            for frame in piece.live.frames:
                n_frames, last_seconds = n_frames + 1, frame.seconds
                pace.came(frame.index)
                if on_frame is not None:
                    on_frame(frame)
                with turn:
                    scored = scorer.push(frame)
                if scorer.has_looked:
                    _keep(pictures, frame)
                yield from self._told(scorer, events, scored, pictures, pace, on_view)
                condition = conditions.push(frame)
                if condition is not None:
                    told.condition = condition.state
                    yield condition
        except VideoError as error:  # what came before it counts
            lost = error
        with turn:
            last_scored = scorer.finish()
        yield from self._told(scorer, events, last_scored, pictures, pace, on_view)
        yield from events.finish() if events else ()
        told.watched_seconds += last_seconds
        n_dropped, told.n_dropped = pace.n_dropped - told.n_dropped, pace.n_dropped
        yield Closed(video.name, n_frames, scorer.notes, n_dropped)
        if lost is not None:
            try:
                raise lost
            finally:
                lost = None  # it knows this frame, and would keep the pictures until the garbage is collected

    def _events(self, piece: Piece, models: Mapping[str, StreamModel], told: _Told) -> LiveEvents | None:
        listed, score = self.threshold.listed_score, self.config.score
        if listed is None:
            return None
        video, is_file = self._video(piece), piece.began is None
        watched = WatchedPiece(
            video,
            piece.began or recording_began(video, score.recorded_at),
            is_file,
            str(video.path.absolute()) if is_file else told.since,
            0.0 if is_file else told.watched_seconds,
            marks_of(self._marks, video.path) if is_file else (),
        )
        around, fps = score.smoothing_sigma_seconds, piece.live.info.fps
        return LiveEvents(watched, models, listed, self.rule, around, fps)

    def _told(
        self,
        scorer: LiveScorer,
        events: LiveEvents | None,
        scored: list[ScoredFrame],
        pictures: OrderedDict[int, Picture],
        pace: _Pace,
        on_view: Callable[[View], object] | None,
    ) -> Generator[Seen, None, None]:
        looks, looked_at = list(scorer.looks), list(scorer.looked_at)
        scorer.looks.clear()
        scorer.looked_at.clear()
        yield from scored
        pace.scored(scored)
        if events is not None:
            yield from events.push(scored, looks, looked_at, scorer.step_seconds, pictures)
        if on_view is not None:
            last = next((each for each in reversed(scored) if each.frame in pictures), None)
            if last is not None:
                on_view(View(last, pictures[last.frame], *scorer.objects(last.frame)))
        while scored and pictures and next(iter(pictures)) <= scored[-1].frame:
            pictures.popitem(last=False)
        status = pace.status()
        if status is not None:
            yield status


class _Pace:
    """Counts frames, and how long they take."""

    def __init__(self, source: Source, clock: Callable[[], float]) -> None:
        self._source, self._clock = source, clock
        self._n_frames = self._n_told = 0
        self._told_at = clock()
        self._came: OrderedDict[int, float] = OrderedDict()

    @property
    def n_dropped(self) -> int:
        """Frames of the source that were dropped until now."""
        return self._source.health.n_dropped

    def came(self, frame: int) -> None:
        self._came[frame] = self._clock()

    def scored(self, frames: list[ScoredFrame]) -> None:
        self._n_frames += len(frames)
        for frame in frames:
            came = self._came.pop(frame.frame, None)
            self._source.health.seconds_behind = None if came is None else self._clock() - came

    def status(self) -> Status | None:
        """Return how it goes, once a minute."""
        now = self._clock()
        if now - self._told_at < STATUS_SECONDS:
            return None
        rate = (self._n_frames - self._n_told) / (now - self._told_at)
        self._n_told, self._told_at = self._n_frames, now
        health = self._source.health
        return Status(self._n_frames, rate, health.seconds_behind, health.n_dropped, health.n_lost)


@dataclass
class _Told:
    """What was told of a source, for the next piece of it."""

    condition: State = "good"
    since: str = field(default_factory=lambda: datetime.now().astimezone().isoformat())
    """When watching began."""
    watched_seconds: float = 0.0
    """Of the pieces before."""
    n_dropped: int = 0
    """Frames of the pieces before."""


def _keep(pictures: OrderedDict[int, Picture], frame: Frame) -> None:
    pictures[frame.index] = frame.picture
    width, height = frame.size
    while len(pictures) > max(2, _PICTURES_BYTES // (width * height * 3 // 2)):
        pictures.popitem(last=False)
