"""One pass over the frames of a video that serves every stream that is missing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mulde.data.errors import InputError
from mulde.data.features import FeatureRows, is_without_measurement, join_rows
from mulde.data.times import LookRate
from mulde.data.video import Frame
from mulde.extractors.base import (
    BoxFinder,
    Extractor,
    FeatureOperator,
    Followed,
    FrameExtractor,
    Moment,
    Objects,
    Operator,
    Preparation,
    Shown,
    TrackExtractor,
)
from mulde.extractors.movement import CHANGED_SHARE
from mulde.extractors.preparer import Preparer

Emit = Callable[[FeatureRows], None]
_ROWS_A_BLOCK = 4096


class KnownObjects(Protocol):
    """Objects that were found before, such as `FeatureRows`."""

    def in_frame(self, index: int) -> FeatureRows:
        """Return those of one frame; frames are asked for in order."""


@dataclass(frozen=True)
class PreparedFrame:
    """All that the operators of a pass want of a frame."""

    index: int
    """0-based, among the frames that decode."""
    seconds: float
    """From the video's start."""
    by_preparation: Mapping[Preparation, Any] | None
    """None for a frame that is not looked at."""

    @property
    def size_bytes(self) -> int:
        """What it takes in memory."""
        return _size_bytes(tuple((self.by_preparation or {}).values()))


class OnePass:
    """Prepare and push frames in order, then finish: each stream's rows are emitted in blocks, in that order.

    Preparing needs no network: a thread may do it while the frames before are pushed.

    Args:
        extractors: what describes the objects or the frames, and where each one's rows go.
        finder: finds the objects in this pass.
        emit_boxes: where its boxes go, with what it measured of each as features.
        known_objects: the objects found in an earlier pass, in place of a finder.
        rate: about how many frames a second are looked at; all if None. The others are passed over.

    Objects must come from somewhere if an extractor describes them; extractors of whole frames need none.
    """

    def __init__(
        self,
        extractors: Sequence[tuple[Extractor | FrameExtractor, Emit]],
        *,
        finder: BoxFinder | None = None,
        emit_boxes: Emit | None = None,
        known_objects: KnownObjects | None = None,
        rate: float | None = None,
    ) -> None:
        needs_objects = any(isinstance(extractor, Extractor) for extractor, _ in extractors)
        if finder is not None and known_objects is not None:
            raise ValueError("either a finder or known objects are needed, not both")
        if needs_objects and finder is None and known_objects is None:
            raise ValueError("a finder or known objects are needed to describe objects")
        self._known = known_objects
        self._is_looked_at = LookRate(rate).start()
        self._n_looked_at = 0
        self._finder = _FinderLane(finder, emit_boxes) if finder else None
        self._lanes: list[_ObjectLane | _FrameLane] = [
            _lane_of(extractor, emit) for extractor, emit in extractors
        ]
        self._objects: dict[int, Objects] = {}
        self._all = [*([self._finder] if self._finder else []), *self._lanes]
        self._prepare = Preparer(lane.preparation for lane in self._all)

    def prepare(self, frame: Frame) -> PreparedFrame:
        """Do what the operators want done to the next frame, if it is looked at."""
        if not self._is_looked_at(frame.seconds):
            return PreparedFrame(frame.index, frame.seconds, None)
        return PreparedFrame(frame.index, frame.seconds, self._prepare(frame))

    def push(self, frame: PreparedFrame) -> None:
        """Take the next frame."""
        if frame.by_preparation is None:
            return
        if self._known is not None:
            self._objects[self._n_looked_at] = _recall(self._known, frame.index)
        self._n_looked_at += 1
        for lane in self._all:
            lane.push(frame.index, frame.by_preparation)
        self._advance()

    @property
    def n_described(self) -> int:
        """Of how many frames that were looked at all rows are there, emitted or in blocks."""
        return min((lane.next_position for lane in self._all), default=self._n_looked_at)

    def emit(self) -> None:
        """Emit what there is, though blocks are not full."""
        for lane in self._all:
            lane.out.flush()

    @property
    def changed_share(self) -> float:
        """Share in [0, 1] of the last frame that objects were looked for in, that is not the background."""
        return self._finder.changed_share if self._finder else 0.0

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user about what the finder found so far."""
        return self._finder.notes if self._finder else ()

    def finish(self) -> None:
        """Take it that no frame follows, and emit what is left."""
        for lane in self._all:
            lane.finish()
        self._advance()
        self.emit()

    def _advance(self) -> None:
        for lane in self._all:  # the finder comes first: the others wait for its objects
            lane.advance(self._objects)
        self._forget()

    def _forget(self) -> None:
        """Drop the objects of frames that every extractor has described."""
        done = min(
            (lane.next_position for lane in self._lanes if isinstance(lane, _ObjectLane)),
            default=max(self._objects, default=-1) + 1,
        )
        for index in [index for index in self._objects if index < done]:
            del self._objects[index]


class _Blocks:
    """Gathers the rows of many frames before they are emitted."""

    def __init__(self, emit: Emit | None) -> None:
        self._emit, self._parts, self._n_rows = emit, list[FeatureRows](), 0

    def add(self, rows: FeatureRows) -> None:
        if self._emit is None:
            return
        self._parts.append(rows)
        self._n_rows += len(rows)
        if self._n_rows >= _ROWS_A_BLOCK or len(self._parts) >= _ROWS_A_BLOCK:
            self.flush()

    def flush(self) -> None:
        if self._parts and self._emit is not None:
            self._emit(join_rows(self._parts))
        self._parts, self._n_rows = [], 0


class _Lane(ABC):
    """The prepared frames of one operator, until those around a frame, and a batch of such, are complete.

    Positions count the frames that are looked at; `Moment.index` is the number of the frame.
    """

    def __init__(self, operator: Operator, emit: Emit | None, every: int = 1) -> None:
        self.preparation: Preparation = operator.preparation
        self.out = _Blocks(emit)
        self._before, self._after = operator.n_frames_before, operator.n_frames_after
        self._batch_size, self._every = operator.batch_size, every
        self._items: deque[tuple[int, Any]] = deque()  # the frame's number, and what was prepared of it
        self._first = 0  # position of the frame that _items[0] belongs to
        self._finished = False
        self.n_pushed = 0
        self.next_position = 0

    def push(self, index: int, by_preparation: Mapping[Preparation, Any]) -> None:
        self._items.append((index, by_preparation[self.preparation]))
        self.n_pushed += 1
        self._drop_old()

    def finish(self) -> None:
        self._finished = True
        last, last_taken = self.n_pushed - 1, self.next_position - self._every
        if last >= 0 and last_taken < last < self.next_position:
            self.next_position = last  # the last frame has its turn, whatever the distance

    @abstractmethod
    def advance(self, objects: dict[int, Objects]) -> None:
        """Have the operator see what is complete; a finder adds to the objects, by position."""

    def batches(self, known: dict[int, Objects] | None = None) -> Iterator[tuple[list[int], list[Moment]]]:
        """Yield full batches of positions and moments; at the end of the video, also what is left.

        A moment waits for the frames after it and, if `known` is given, for its objects.
        """
        while batch := self._next_batch(known):
            moments = [self._moment(position) for position in batch]
            self.next_position = self._following(batch[-1])
            yield batch, moments
            self._drop_old()

    def _next_batch(self, known: dict[int, Objects] | None) -> list[int]:
        positions: list[int] = []
        position = self.next_position
        while len(positions) < self._batch_size and position < self.n_pushed:
            if not self._finished and position + self._after >= self.n_pushed:
                break
            if known is not None and position not in known:
                break
            positions.append(position)
            position = self._following(position)
        return positions if self._finished or len(positions) == self._batch_size else []

    def _following(self, position: int) -> int:
        following = position + self._every
        last = self.n_pushed - 1
        return last if self._finished and position < last < following else following

    def _moment(self, position: int) -> Moment:
        start = max(position - self._before, self._first) - self._first
        stop = min(position + self._after + 1, self.n_pushed) - self._first
        around = [self._items[k][1] for k in range(start, stop)]
        centre = position - self._first
        return Moment(self._items[centre][0], around, centre - start)

    def _drop_old(self) -> None:
        # the last frame so far may turn out to be the last of all, which has a row
        needed = min(self.next_position, self.n_pushed - 1) - self._before
        while self._first < needed:
            self._items.popleft()
            self._first += 1


class _FinderLane(_Lane):
    """Finds the objects."""

    def __init__(self, finder: BoxFinder, emit: Emit | None) -> None:
        super().__init__(finder, emit)
        self._finder = finder
        self._n_looked_at = self._n_cut = self._n_left_out = self._n_changed = 0
        self.changed_share = 0.0

    def advance(self, objects: dict[int, Objects]) -> None:
        for positions, moments in self.batches():
            of_frames = self._finder.find_batch(moments)
            for position, moment, found in zip(positions, moments, of_frames, strict=True):
                self._count(found)
                objects[position] = found
                self.out.add(_rows(found.measures, moment.index, found))

    @property
    def notes(self) -> tuple[str, ...]:
        notes = []
        if 2 * self._n_changed > self._n_looked_at:
            notes.append(
                f"in {self._n_changed} of {self._n_looked_at} frames more than {CHANGED_SHARE:.0%} of the "
                "picture differs from the learnt background: was the camera moved, or is it another one?"
            )
        if self._n_cut:
            notes.append(
                f"in {self._n_cut} of {self._n_looked_at} frames there are more windows than "
                f"`boxes.windows.max_windows`: {self._n_left_out} with less foreground were left out"
            )
        return tuple(notes)

    def _count(self, found: Objects) -> None:
        self._n_looked_at += 1
        self._n_cut += found.n_left_out > 0
        self._n_left_out += found.n_left_out
        self.changed_share = found.foreground_share
        self._n_changed += found.foreground_share > CHANGED_SHARE


class _ObjectLane(_Lane):
    """Describes the objects."""

    def __init__(self, extractor: Extractor, emit: Emit) -> None:
        super().__init__(extractor, emit)
        self._extractor = extractor

    def advance(self, objects: dict[int, Objects]) -> None:
        for positions, moments in self.batches(objects):
            of_frames = [objects[position] for position in positions]
            described = self._extractor.describe_batch(moments, of_frames)
            for moment, found, rows in zip(moments, of_frames, described, strict=True):
                _check(rows, len(found), self._extractor, self._extractor.n_extra, moment.index)
                self.out.add(_rows(rows, moment.index, found, self._extractor.n_extra))


class _TrackLane(_ObjectLane):
    """Describes the objects by their boxes in the frames around."""

    def __init__(self, extractor: TrackExtractor, emit: Emit) -> None:
        super().__init__(extractor, emit)
        self._follow = extractor.start_following()
        self._waiting: deque[tuple[int, Shown]] = deque()  # frames whose objects are not known

    def push(self, index: int, by_preparation: Mapping[Preparation, Any]) -> None:
        self._waiting.append((index, by_preparation[self.preparation]))

    def advance(self, objects: dict[int, Objects]) -> None:
        while self._waiting and self.n_pushed in objects:
            index, shown = self._waiting.popleft()
            found = objects[self.n_pushed]
            self._items.append((index, Followed(shown, found, self._follow(shown, found))))
            self.n_pushed += 1
        super().advance(objects)


class _FrameLane(_Lane):
    """Describes frames or clips."""

    def __init__(self, extractor: FrameExtractor, emit: Emit) -> None:
        super().__init__(extractor, emit, extractor.every_frames)
        self._extractor = extractor

    def advance(self, objects: dict[int, Objects]) -> None:
        for _, moments in self.batches():
            features = self._extractor.describe_batch(moments)
            _check(features, len(moments), self._extractor, 0, moments[0].index)
            indices = [moment.index for moment in moments]
            bounds = np.array([self._extractor.clip_bounds(index, self.n_pushed) for index in indices])
            self.out.add(
                FeatureRows(
                    features,
                    np.array(indices, np.int64),
                    start=bounds[:, 0].astype(np.int64),
                    stop=bounds[:, 1].astype(np.int64),
                )
            )


def _lane_of(extractor: Extractor | FrameExtractor, emit: Emit) -> _ObjectLane | _FrameLane:
    if isinstance(extractor, FrameExtractor):
        return _FrameLane(extractor, emit)
    if isinstance(extractor, TrackExtractor):
        return _TrackLane(extractor, emit)
    return _ObjectLane(extractor, emit)


def _check(described: object, n_rows: int, extractor: FeatureOperator, n_extra: int, index: int) -> None:
    """Raise InputError if an extractor, which may be a plugin, has not returned what it promises."""
    shape = (n_rows, extractor.n_features + n_extra)
    if not isinstance(described, np.ndarray) or described.shape != shape or described.dtype != np.float32:
        found = type(described).__name__
        if isinstance(described, np.ndarray):
            found = f"{described.dtype} of shape {described.shape}"
        raise InputError(
            f"extractor {extractor.name} returned {found} for frame {index}, but has to return float32 of "
            f"shape {shape}"
        )
    features = described[:, : extractor.n_features]
    if np.isfinite(features).all():
        return
    n_wrong = int((~np.isfinite(features).all(axis=1) & ~is_without_measurement(features)).sum())
    if n_wrong:
        raise InputError(
            f"extractor {extractor.name} returned {n_wrong} rows for frame {index} that are infinite, or NaN "
            "in part: a row is finite, or NaN throughout where nothing can be measured"
        )


def _size_bytes(value: object) -> int:
    """Return what the arrays take of which something consists."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, tuple | list):
        return sum(map(_size_bytes, value))
    if is_dataclass(value):
        return sum(_size_bytes(getattr(value, part.name)) for part in fields(value))
    return 0


def _rows(described: NDArray[np.float32], index: int, objects: Objects, n_extra: int = 0) -> FeatureRows:
    n_features = described.shape[1] - n_extra
    return FeatureRows(
        described[:, :n_features],
        np.full(len(objects), index, np.int64),
        objects.box_xyxy,
        extra=described[:, n_features:] if n_extra else None,
    )


def _recall(known: KnownObjects, index: int) -> Objects:
    rows = known.in_frame(index)
    assert rows.box_xyxy is not None
    return Objects(rows.box_xyxy, rows.features)
