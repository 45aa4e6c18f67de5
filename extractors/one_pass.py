"""One pass over the frames of a video that serves every stream that is missing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mulde.data.features import FeatureRows, join_rows
from mulde.data.video import Frame
from mulde.extractors.base import BoxFinder, Extractor, Objects, Operator, Preparation

Emit = Callable[[FeatureRows], None]
_ROWS_A_BLOCK = 4096


@dataclass(frozen=True)
class Moment:
    """A frame whose surroundings are complete."""

    index: int
    around: Sequence[Any]
    """Prepared frames in order; fewer at a video's ends."""
    centre: int
    """Position of the frame itself in `around`."""


class OnePass:
    """Push frames in order, then finish: each stream's rows are emitted in blocks, in order of frames.

    Args:
        extractors: what describes the objects, and where each one's rows go.
        finder: finds the objects in this pass.
        emit_boxes: where its boxes go, with what it measured of each as features.
        known_objects: the objects found in an earlier pass, in place of a finder.
    """

    def __init__(
        self,
        extractors: Sequence[tuple[Extractor, Emit]],
        *,
        finder: BoxFinder | None = None,
        emit_boxes: Emit | None = None,
        known_objects: FeatureRows | None = None,
    ) -> None:
        if (finder is None) == (known_objects is None):
            raise ValueError("either a finder or known objects are needed, not both")
        self._known = known_objects
        self._finder = _Lane(finder) if finder else None
        self._boxes_out = _Blocks(emit_boxes) if emit_boxes else None
        self._lanes = [(_Lane(extractor), extractor, _Blocks(emit)) for extractor, emit in extractors]
        self._objects: dict[int, Objects] = {}
        operators = [extractor for extractor, _ in extractors] + ([finder] if finder else [])
        self._prepare = {operator.preparation: operator.preparation.start() for operator in operators}

    def push(self, frame: Frame) -> None:
        """Take the next frame."""
        prepared = {preparation: run(frame) for preparation, run in self._prepare.items()}
        if self._finder:
            self._finder.push(frame.index, prepared)
        else:
            self._objects[frame.index] = self._recall(frame.index)
        for lane, _, _ in self._lanes:
            lane.push(frame.index, prepared)
        self._advance()

    def finish(self) -> None:
        """Take it that no frame follows, and emit what is left."""
        for lane in ([self._finder] if self._finder else []) + [lane for lane, _, _ in self._lanes]:
            lane.finish()
        self._advance()
        for blocks in ([self._boxes_out] if self._boxes_out else []) + [out for _, _, out in self._lanes]:
            blocks.flush()

    def _advance(self) -> None:
        if self._finder:
            finder = self._finder.operator
            assert isinstance(finder, BoxFinder)
            for moment in self._finder.take_ready():
                objects = finder.find(moment.around, moment.centre)
                self._objects[moment.index] = objects
                if self._boxes_out:
                    self._boxes_out.add(_rows(objects.measures, moment.index, objects))
        for lane, extractor, out in self._lanes:
            for moment in lane.take_ready(self._objects):
                objects = self._objects[moment.index]
                features = extractor.describe(moment.around, moment.centre, objects)
                out.add(_rows(features, moment.index, objects))
        self._forget()

    def _forget(self) -> None:
        """Drop the objects of frames that every extractor has described."""
        done = min(
            (lane.next_index for lane, _, _ in self._lanes), default=max(self._objects, default=-1) + 1
        )
        for index in [index for index in self._objects if index < done]:
            del self._objects[index]

    def _recall(self, index: int) -> Objects:
        assert self._known is not None
        rows = self._known.in_frame(index)
        assert rows.box_xyxy is not None
        return Objects(rows.box_xyxy, rows.features)


class _Lane:
    """The prepared frames of one operator, until those around a frame are complete."""

    def __init__(self, operator: Operator) -> None:
        self.operator = operator
        self._before, self._after = operator.n_frames_before, operator.n_frames_after
        self._preparation: Preparation = operator.preparation
        self._items: deque[Any] = deque()
        self._first = 0  # index of the frame that _items[0] belongs to
        self._n_pushed = 0
        self._finished = False
        self.next_index = 0

    def push(self, index: int, prepared: dict[Preparation, Any]) -> None:
        assert index == self._n_pushed
        self._items.append(prepared[self._preparation])
        self._n_pushed += 1

    def finish(self) -> None:
        self._finished = True

    def take_ready(self, known: dict[int, Objects] | None = None) -> Iterable[Moment]:
        """Yield the frames whose surroundings are complete and, if `known` is given, whose objects are."""
        while self.next_index < self._n_pushed:
            index = self.next_index
            if index + self._after >= self._n_pushed and not self._finished:
                return
            if known is not None and index not in known:
                return
            while self._first < index - self._before:
                self._items.popleft()
                self._first += 1
            around = list(self._items)[: index + self._after + 1 - self._first]
            self.next_index += 1
            yield Moment(index, around, index - self._first)


class _Blocks:
    """Gathers the rows of many frames before they are emitted."""

    def __init__(self, emit: Emit) -> None:
        self._emit, self._parts, self._n_rows = emit, list[FeatureRows](), 0

    def add(self, rows: FeatureRows) -> None:
        self._parts.append(rows)
        self._n_rows += len(rows)
        if self._n_rows >= _ROWS_A_BLOCK or len(self._parts) >= _ROWS_A_BLOCK:
            self.flush()

    def flush(self) -> None:
        if self._parts:
            self._emit(join_rows(self._parts))
        self._parts, self._n_rows = [], 0


def _rows(features: np.ndarray[Any, np.dtype[np.float32]], index: int, objects: Objects) -> FeatureRows:
    return FeatureRows(features, np.full(len(objects), index, np.int64), objects.box_xyxy)
