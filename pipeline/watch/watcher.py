"""Watch footage with the model of a run: what is seen is yielded as it is known."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mulde.data.errors import InputError, VideoError
from mulde.data.video import Frame, Picture, Video
from mulde.extractors.condition import Condition, Conditions, State
from mulde.pipeline.config.sections import Config
from mulde.pipeline.features.devices import check_device, extraction_device
from mulde.pipeline.features.recipe import build_recipe, require_all
from mulde.pipeline.models.model import RunModel, StreamModel, load_model
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.stages.find_events import learn_threshold, recording_began
from mulde.pipeline.watch.happenings import Beginning, Happening, LiveEvents
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

    def __init__(self, run: RunFolder, config: Config, *, camera: str = "") -> None:
        """Load the model of a run.

        Args:
            config: that of the model, perhaps with other settings of scores.
            camera: which of the scenes is watched, where there are several.

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
        self._model: RunModel = load_model(run.model, config.extract, config.device)
        self._cameras = [name for name in self._model.scenes.models if name]
        if camera and camera not in self._cameras:
            known = ", ".join(sorted(self._cameras)) or "none by name, for the run has one"
            raise InputError(f"the run knows no camera {camera}: `camera` can be {known}")
        self._camera = camera
        self._device = extraction_device(config)
        self.threshold, self._rule = learn_threshold(run, score)

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
        pace, told, is_first = _Pace(source, clock), _Told(), True
        with closing(source.pieces()) as pieces:
            for piece in pieces:
                if isinstance(piece, Lost):
                    yield piece
                    continue
                reason = self._refuse(piece)
                if reason and is_first:
                    raise InputError(reason)
                is_first = False
                if reason:
                    source.refusal = reason
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
        scene = self._model.scenes.of(self._video(piece))
        if scene.is_shape_of(size):
            return ""
        (width, height), (scene_width, scene_height) = size, scene.frame_size
        return (
            f"{piece.video.name} has frames of {width}x{height}, but the learnt scene has "
            f"{scene_width}x{scene_height}: it is another camera, or another part of the picture"
        )

    def _video(self, piece: Piece) -> Video:
        return replace(piece.video, scene=self._camera or piece.video.scene)

    def _watch(
        self,
        piece: Piece,
        pace: _Pace,
        told: _Told,
        on_frame: Callable[[Frame], object] | None,
        on_view: Callable[[View], object] | None,
    ) -> Generator[Seen, None, None]:
        info, video = piece.live.info, self._video(piece)
        scene = self._model.scenes.of(video)
        recipe = build_recipe(self.config.extract, scene, device=self._device, frames_per_second=info.fps)
        models = self._model.of(video)
        scorer = LiveScorer(recipe, models, self.config.score, info.fps)
        events = self._events(piece, models)
        if piece.began is None:  # a file has nothing to do with the one before
            told.condition = "good"
        conditions = Conditions(lambda: scorer.changed_share, told.condition)
        pictures: OrderedDict[int, Picture] = OrderedDict()
        yield Opened(video.name, (info.width, info.height), info.fps)
        n_frames, lost = 0, None
        try:
            for frame in piece.live.frames:
                n_frames += 1
                pace.came(frame.index)
                if on_frame is not None:
                    on_frame(frame)
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
        yield from self._told(scorer, events, scorer.finish(), pictures, pace, on_view)
        yield from events.finish() if events else ()
        yield Closed(video.name, n_frames, scorer.notes)
        if lost is not None:
            raise lost

    def _events(self, piece: Piece, models: Mapping[str, StreamModel]) -> LiveEvents | None:
        listed, score = self.threshold.listed_score, self.config.score
        if listed is None:
            return None
        began = piece.began or recording_began(piece.video, score.recorded_at)
        return LiveEvents(piece.video.name, models, listed, self._rule, score.smoothing_sigma_seconds, began)

    def _told(
        self,
        scorer: LiveScorer,
        events: LiveEvents | None,
        scored: list[ScoredFrame],
        pictures: OrderedDict[int, Picture],
        pace: _Pace,
        on_view: Callable[[View], object] | None,
    ) -> Generator[Seen, None, None]:
        looks = list(scorer.looks)
        scorer.looks.clear()
        yield from scored
        pace.scored(scored)
        if events is not None:
            yield from events.push(scored, looks, scorer.step_seconds, pictures)
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


def _keep(pictures: OrderedDict[int, Picture], frame: Frame) -> None:
    pictures[frame.index] = frame.picture
    width, height = frame.size
    while len(pictures) > max(2, _PICTURES_BYTES // (width * height * 3 // 2)):
        pictures.popitem(last=False)
