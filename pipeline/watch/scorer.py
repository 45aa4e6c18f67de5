"""Score frames as they come: the pass that extraction uses, its rows handed to the detectors at once.

The scores are those that the same video has offline with `score.causal=true`, to rounding where frames are
evenly spaced, pauses or none. Memory is bounded, however long footage goes on. A frame is scored when the
next frame that is looked at has been described, so that it waits for two distances of these, the frames that
flow is averaged over, and a batch where networks take several at a time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from mulde.data.features import FeatureRows, is_without_measurement, join_rows
from mulde.data.times import positions, usual_step
from mulde.data.video import Frame
from mulde.detector import (
    box_of_overlapping,
    fuse,
    highest_overlapping,
    interpolate_frames,
    max_over_objects,
    smooth,
)
from mulde.extractors.one_pass import OnePass
from mulde.pipeline.config.sections import ScoreConfig
from mulde.pipeline.features.recipe import Recipe
from mulde.pipeline.models.fuse import average, bent, put_together
from mulde.pipeline.models.model import StreamModel

_TIMES_KEPT = 1001
"""Frames by whose times the usual rate is known."""
_MOST_SMOOTHED = 4096
"""Frames over which scores are smoothed at most."""


@dataclass(frozen=True)
class ScoredFrame:
    """A frame of live footage with its score."""

    frame: int
    """0-based."""
    seconds: float
    """When it is shown, from the first frame on."""
    score: float
    """Smoothed over the past; higher = more anomalous."""
    unsmoothed: float


@dataclass(frozen=True)
class Look:
    """The most unusual object of a frame that was looked at, or the rows of whole frames; by stream.

    Its arrays are its own, for events of hours remember thousands of them: not views of all that was found.
    """

    frame: int
    features: Mapping[str, NDArray[np.float32]]
    """(D,) each."""
    scores: Mapping[str, float]
    """Calibrated; higher = more anomalous."""
    total: float
    """What they make together; of windows averaged."""
    box_xyxy: NDArray[np.float32] | None
    """(4,) in pixels, of an object."""
    windows: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """(m, D) each, of an object: features of those whose scores its own is the mean of, and of itself."""
    window_xyxy: NDArray[np.float32] | None = None
    """(m, 4) in pixels, their boxes."""
    is_object: bool = True
    """Whether it is one; rows of whole frames have no box."""


class LiveScorer:
    """Takes the frames of one uninterrupted piece of footage in order, and gives their scores in order."""

    def __init__(
        self, recipe: Recipe, models: Mapping[str, StreamModel], settings: ScoreConfig, fps: float
    ) -> None:
        """Take what describes the frames, the detectors, and the rate that the footage claims."""
        self._models, self._settings, self._fps = models, settings, fps
        self._rows: dict[str, list[FeatureRows]] = {stream: [] for stream in models}
        self._pass = OnePass(
            [(e, partial(self._take, e.name)) for e in recipe.extractors],
            finder=recipe.finder,
            rate=recipe.rate,
        )
        self._fusion = (_Objects if recipe.finder else _Frames)(models, settings)
        self._times: deque[float] = deque(maxlen=_TIMES_KEPT)
        self.step_seconds = 1 / fps
        """The usual distance of frames until now."""
        self._waiting: deque[tuple[int, float]] = deque()  # frames without a score, and their times
        self._anchor: tuple[float, float] | None = None  # time and score of the last frame with rows
        self._past: deque[tuple[float, float]] = deque(maxlen=_MOST_SMOOTHED)  # times and scores
        self.has_looked = False
        """Whether the last frame is one that is looked at."""
        self.looks: deque[Look] = deque()
        """What frames that were scored since looked like; whoever uses them takes them out."""
        self.looked_at: deque[int] = deque()
        """Which frames these are, those included in which nothing was; likewise."""

    @property
    def changed_share(self) -> float:
        """Share in [0, 1] of the last frame that was looked at, that is not the learnt background."""
        return self._pass.changed_share

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user about what was found so far."""
        return self._pass.notes

    def push(self, frame: Frame) -> list[ScoredFrame]:
        """Take the next frame; return the frames whose scores are known now."""
        self._times.append(frame.seconds)
        self.step_seconds = usual_step(np.array(self._times), self._fps)
        self._waiting.append((frame.index, frame.seconds))
        self._fusion.came(frame.index, frame.seconds, self.step_seconds)
        prepared = self._pass.prepare(frame)
        self.has_looked = prepared.by_preparation is not None
        if not self.has_looked:
            return []
        self._fusion.looked_at.append(frame.index)
        self._pass.push(prepared)
        self._pass.emit()
        return list(self._advance(is_finished=False))

    def objects(self, frame: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return the boxes (N, 4) in pixels and scores (N,) of objects in a frame that `push` gave last."""
        return self._fusion.objects(frame)

    def finish(self) -> list[ScoredFrame]:
        """Take it that no frame follows; return the scores of those that are left."""
        self._pass.finish()
        scored = list(self._advance(is_finished=True))
        last = 0.0 if self._anchor is None else self._anchor[1]
        while self._waiting:
            scored.append(self._scored(*self._waiting.popleft(), last))
        return scored

    def _take(self, stream: str, rows: FeatureRows) -> None:
        self._rows[stream].append(rows)

    def _advance(self, *, is_finished: bool) -> Iterator[ScoredFrame]:
        for stream, parts in self._rows.items():
            if parts:
                rows = join_rows(parts)
                self._fusion.add(stream, rows, self._models[stream].score(rows.features))
                parts.clear()
        frames, fused = self._fusion.advance(self._pass.n_described, is_finished=is_finished)
        self.looked_at.extend(frames.tolist())
        self.looks.extend(self._fusion.looks(frames))
        for frame, value in zip(frames.tolist(), fused.tolist(), strict=True):
            yield from self._up_to(frame, value)

    def _up_to(self, frame: int, value: float) -> Iterator[ScoredFrame]:
        """Give the scores up to a frame that has rows; those since the last such are in between."""
        came = []
        while self._waiting and self._waiting[0][0] <= frame:
            came.append(self._waiting.popleft())
        between = np.full(len(came), value)
        if self._anchor is not None:
            seconds, before = self._anchor
            position = positions(np.array([seconds, *(each for _, each in came)]), self.step_seconds)
            between = np.interp(position, position[[0, -1]], [before, value])[1:]
        self._anchor = came[-1][1], value
        for (index, seconds), unsmoothed in zip(came, between.tolist(), strict=True):
            yield self._scored(index, seconds, unsmoothed)

    def _scored(self, frame: int, seconds: float, unsmoothed: float) -> ScoredFrame:
        self._past.append((seconds, unsmoothed))
        sigma_frames = self._settings.smoothing_sigma_seconds / self.step_seconds
        times, scores = np.array(self._past).T
        position = positions(times, self.step_seconds)
        # a frame more than is weighed tells whether these come evenly
        n_past = int(np.searchsorted(position, position[-1] - 4 * sigma_frames - 1.5))
        for _ in range(n_past):
            self._past.popleft()
        smoothed = smooth(scores[n_past:], sigma_frames, causal=True, position=position[n_past:])
        return ScoredFrame(frame, seconds, float(smoothed[-1]), unsmoothed)


class _Fusion(ABC):
    """Rows of all streams with their scores, until those of a frame are complete."""

    def __init__(self, streams: Mapping[str, StreamModel], settings: ScoreConfig) -> None:
        self._settings = settings
        self.looked_at: list[int] = []
        self._rows: dict[str, FeatureRows | None] = dict.fromkeys(streams)
        self._scores = {stream: np.empty(0) for stream in streams}

    def add(self, stream: str, rows: FeatureRows, scores: NDArray[np.float64]) -> None:
        """Take rows of a stream and their calibrated scores."""
        before = self._rows[stream]
        self._rows[stream] = rows if before is None else join_rows([before, rows])
        self._scores[stream] = np.concatenate([self._scores[stream], scores])

    @abstractmethod
    def came(self, frame: int, seconds: float, step_seconds: float) -> None:
        """Take the time of the next frame, and the usual distance of frames until now."""

    @abstractmethod
    def advance(
        self, n_described: int, *, is_finished: bool
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the frames (K,) whose rows are complete now, and their fused scores (K,)."""

    @abstractmethod
    def looks(self, frames: NDArray[np.int64]) -> Iterator[Look]:
        """Give what the frames that `advance` returned looked like."""

    def objects(self, frame: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return boxes and scores of the objects in one of these frames; of whole frames there are none."""
        return np.empty((0, 4), np.float32), np.empty(0)

    def _drop(self, stream: str, n_rows: int) -> None:
        rows = self._rows[stream]
        if rows is not None and n_rows:
            self._rows[stream] = rows.part(n_rows, len(rows))
            self._scores[stream] = self._scores[stream][n_rows:]


class _Objects(_Fusion):
    """Rows of objects: a frame has the score of its highest."""

    def __init__(self, streams: Mapping[str, StreamModel], settings: ScoreConfig) -> None:
        super().__init__(streams, settings)
        self._n_done = 0
        self._done_rows: dict[str, FeatureRows] = {}
        self._done_scores: dict[str, NDArray[np.float64]] = {}
        self._fused = self._totals = np.empty(0)

    def came(self, frame: int, seconds: float, step_seconds: float) -> None:
        """Frames stand by themselves: nothing between them is asked for."""

    def advance(
        self, n_described: int, *, is_finished: bool
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Frames that were looked at are complete when every stream has described them."""
        n_new = n_described - self._n_done
        frames, self.looked_at = np.array(self.looked_at[:n_new], np.int64), self.looked_at[n_new:]
        self._n_done = n_described
        self._done_rows, self._done_scores = {}, {}
        if not len(frames):
            return frames, np.empty(0)
        for stream, rows in self._rows.items():
            if rows is not None:
                n_rows = int(np.searchsorted(rows.frame, frames[-1], side="right"))
                self._done_rows[stream] = rows.part(0, n_rows)
                self._done_scores[stream] = self._scores[stream][:n_rows]
                self._drop(stream, n_rows)
        if not self._done_rows:
            return frames, np.zeros(len(frames))
        objects = next(iter(self._done_rows.values()))
        position = np.searchsorted(frames, objects.frame)
        self._fused = put_together(self._done_scores.values(), self._settings)
        self._totals = average(self._fused, objects, self._settings)
        return frames, max_over_objects(self._totals, position, len(frames), nothing=0.0)

    def looks(self, frames: NDArray[np.int64]) -> Iterator[Look]:
        """Give the highest object of each frame that has any."""
        if not self._done_rows:
            return
        objects = next(iter(self._done_rows.values()))
        for frame in frames.tolist():
            start, stop = np.searchsorted(objects.frame, (frame, frame + 1)).tolist()
            if start == stop:
                continue
            row = start + int(self._totals[start:stop].argmax())
            boxes = objects.box_xyxy
            seeing, box = np.array([row]), None
            if boxes is not None:
                inside, n_averaged = boxes[start:stop], self._settings.n_averaged
                seeing = start + highest_overlapping(self._fused[start:stop], inside, row - start, n_averaged)
                box = boxes[row].copy()
                if n_averaged > 1:
                    seen = np.sum([values[start:stop] for values in self._done_scores.values()], axis=0)
                    box = box_of_overlapping(seen, inside, row - start).astype(np.float32)
            yield Look(
                frame,
                {stream: rows.features[row].copy() for stream, rows in self._done_rows.items()},
                {stream: float(values[row]) for stream, values in self._done_scores.items()},
                float(self._totals[row]),
                box,
                {stream: rows.features[seeing] for stream, rows in self._done_rows.items()},
                None if boxes is None else boxes[seeing],
            )

    def objects(self, frame: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return the boxes and scores of the objects in one of the frames that `advance` returned last."""
        rows = next(iter(self._done_rows.values()), None)
        if rows is None or rows.box_xyxy is None:
            return super().objects(frame)
        inside = slice(*np.searchsorted(rows.frame, (frame, frame + 1)).tolist())
        return rows.box_xyxy[inside], self._totals[inside]


class _Frames(_Fusion):
    """Rows of whole frames or clips: streams are interpolated where others have rows."""

    def __init__(self, streams: Mapping[str, StreamModel], settings: ScoreConfig) -> None:
        super().__init__(streams, settings)
        self._frontier = -1
        self._last_seconds: float | None = None
        self._position: dict[int, float] = {}  # of frames, see `mulde.data.times.positions`

    def came(self, frame: int, seconds: float, step_seconds: float) -> None:
        """Keep where the frame is in time."""
        before, last = next(reversed(self._position.values()), 0.0), self._last_seconds
        step = 0.0 if last is None else positions(np.array([last, seconds]), step_seconds)[-1]
        self._position[frame], self._last_seconds = before + float(step), seconds

    def _positions(self, frames: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.array([self._position[frame] for frame in frames.tolist()])

    def add(self, stream: str, rows: FeatureRows, scores: NDArray[np.float64]) -> None:
        """Take rows; those without a measurement say nothing."""
        kept = ~is_without_measurement(rows.features)
        if kept.any():
            super().add(stream, FeatureRows(rows.features[kept], rows.frame[kept]), scores[kept])

    def advance(
        self, n_described: int, *, is_finished: bool
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Frames are complete up to where every stream has rows."""
        self.looked_at.clear()
        frames = {stream: rows.frame for stream, rows in self._rows.items() if rows is not None}
        if not frames or (len(frames) < len(self._rows) and not is_finished):
            return np.empty(0, np.int64), np.empty(0)
        ends = [int(each[-1]) for each in frames.values()]
        frontier = max(ends) if is_finished else min(ends)
        known = np.unique(np.concatenate([*frames.values()]))
        at = known[(known > self._frontier) & (known <= frontier)]
        self._frontier = frontier
        streams = [
            interpolate_frames(
                bent(self._scores[stream], self._settings),
                self._positions(frames.get(stream, at[:0])),
                self._positions(at),
                nothing=0.0,
            )
            for stream in self._rows
        ]
        return at, fuse(streams, self._settings.fusion) if len(at) else np.empty(0)

    def looks(self, frames: NDArray[np.int64]) -> Iterator[Look]:
        """Give the rows of each frame, where a stream has none the nearest; then drop what is past."""
        known = {stream: rows for stream, rows in self._rows.items() if rows is not None}
        position = {stream: self._positions(rows.frame) for stream, rows in known.items()}
        for frame, at in zip(frames.tolist(), self._positions(frames).tolist(), strict=True):
            features, scores = {}, {}
            for stream, rows in known.items():
                nearest = int(np.abs(position[stream] - at).argmin())
                features[stream] = rows.features[nearest].copy()
                scores[stream] = float(np.interp(at, position[stream], self._scores[stream]))
            together = put_together([np.array([score]) for score in scores.values()], self._settings)
            yield Look(frame, features, scores, float(together[0]), None, is_object=False)
        for stream, rows in known.items():  # the last that is past is where the next are interpolated from
            self._drop(stream, max(0, int(np.searchsorted(rows.frame, self._frontier, side="right")) - 1))
        if len(known) == len(self._rows):  # rows to come are about later frames than those that are kept
            first = min(int(rows.frame[0]) for rows in self._rows.values() if rows is not None)
            for frame in takewhile(lambda each: each < first, [*self._position]):
                del self._position[frame]
