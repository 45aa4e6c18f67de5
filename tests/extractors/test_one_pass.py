"""The pass: frames around each frame, objects in time, rows in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mulde.data.errors import InputError
from mulde.data.features import FeatureRows, join_rows
from mulde.data.times import LookRate
from mulde.data.video import Frame
from mulde.extractors.base import (
    BoxFinder,
    Extractor,
    FrameExtractor,
    Moment,
    Objects,
    Preparation,
    RgbFrame,
)
from mulde.extractors.one_pass import OnePass, PreparedFrame

BLACK = np.zeros((4, 4, 3), np.uint8)


@dataclass(frozen=True)
class Index(Preparation):
    """The index of the frame; counts how often it ran."""

    calls: ClassVar[list[int]] = []

    def start(self) -> Callable[[Frame], int]:
        def prepare(frame: Frame) -> int:
            Index.calls.append(frame.index)
            return frame.index

        return prepare


@dataclass(frozen=True)
class Around(Extractor):
    """Describes a frame by the first and last index that it was given, and its own."""

    name: ClassVar[str] = "around"
    code_version: ClassVar[int] = 1
    radius: int = 0

    @property
    def preparation(self) -> Index:
        return Index()

    @property
    def n_frames_before(self) -> int:
        return self.radius

    @property
    def n_frames_after(self) -> int:
        return self.radius

    @property
    def n_features(self) -> int:
        return 3

    def describe(self, around: Sequence[int], centre: int, objects: Objects) -> NDArray[np.float32]:
        return np.tile(np.array([around[0], around[centre], around[-1]], np.float32), (len(objects), 1))


@dataclass(frozen=True)
class EveryThird(BoxFinder):
    """Finds index % 3 objects, looking `radius` frames around."""

    name: ClassVar[str] = "third"
    code_version: ClassVar[int] = 1
    measure_names: ClassVar[tuple[str, ...]] = ("one",)
    radius: int = 0

    @property
    def preparation(self) -> Index:
        return Index()

    @property
    def n_frames_before(self) -> int:
        return self.radius

    @property
    def n_frames_after(self) -> int:
        return self.radius

    def find(self, around: Sequence[int], centre: int) -> Objects:
        n = around[centre] % 3
        return Objects(np.zeros((n, 4), np.float32), np.ones((n, 1), np.float32))


def run(n_frames: int, radii: Sequence[int], finder_radius: int = 0) -> tuple[list[FeatureRows], FeatureRows]:
    outs: list[list[FeatureRows]] = [[] for _ in radii]
    boxes: list[FeatureRows] = []
    extractors = [(Around(radius), out.append) for radius, out in zip(radii, outs, strict=True)]
    one_pass = OnePass(extractors, finder=EveryThird(finder_radius), emit_boxes=boxes.append)
    for t in range(n_frames):
        one_pass.push(one_pass.prepare(Frame.of_rgb(t, float(t), BLACK)))
    one_pass.finish()
    return [join_rows(out) for out in outs], join_rows(boxes)


@dataclass(frozen=True)
class Wrong(Around):
    """Returns what it should not."""

    kind: str = "row"

    def describe(self, around: Sequence[int], centre: int, objects: Objects) -> NDArray[np.float32]:
        rows = super().describe(around, centre, objects)
        if not len(rows):
            return rows
        if self.kind == "row":
            return rows[:-1]
        if self.kind == "column":
            return rows[:, :2]
        if self.kind == "type":
            return rows.astype(np.float64)  # type: ignore[return-value]
        if self.kind == "list":
            return rows.tolist()  # type: ignore[return-value]
        rows[-1, 1] = np.nan if self.kind == "nan" else np.inf
        return rows


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            "row",
            r"around returned float32 of shape \(0, 3\) for frame 1, .* float32 of shape \(1, 3\)",
        ),
        ("column", r"float32 of shape \(1, 2\)"),
        ("type", r"float64 of shape \(1, 3\)"),
        ("list", r"returned list for frame 1"),
        ("nan", r"returned 1 rows for frame 1 that are infinite, or NaN in part"),
        ("infinite", r"returned 1 rows for frame 1 that are infinite, or NaN in part"),
    ],
)
def test_an_extractor_that_breaks_its_promise_is_named(kind: str, message: str) -> None:
    one_pass = OnePass([(Wrong(kind=kind), lambda rows: None)], finder=EveryThird())
    one_pass.push(one_pass.prepare(Frame.of_rgb(0, 0.0, BLACK)))
    with pytest.raises(InputError, match=message):
        one_pass.push(one_pass.prepare(Frame.of_rgb(1, 1.0, BLACK)))


def test_what_a_prepared_frame_takes_is_known() -> None:
    picture = np.zeros((4, 4, 3), np.uint8)
    value = (picture, [picture, None], Objects(np.zeros((2, 4), np.float32), np.zeros((2, 1), np.float32)))
    assert PreparedFrame(0, 0.0, {RgbFrame(): value}).size_bytes == 48 + 48 + 32 + 8


def test_no_frame_emits_nothing() -> None:
    emitted: list[Any] = []
    one_pass = OnePass([(Around(), emitted.append)], finder=EveryThird(), emit_boxes=emitted.append)
    one_pass.finish()
    assert emitted == []


@given(st.integers(1, 12), st.lists(st.integers(0, 4), min_size=1, max_size=3), st.integers(0, 4))
def test_each_frame_sees_the_frames_around_it(n_frames: int, radii: list[int], finder_radius: int) -> None:
    results, boxes = run(n_frames, radii, finder_radius)
    frames = [t for t in range(n_frames) for _ in range(t % 3)]
    np.testing.assert_array_equal(boxes.frame, frames)
    for radius, rows in zip(radii, results, strict=True):
        expected = [[max(0, t - radius), t, min(n_frames - 1, t + radius)] for t in frames]
        np.testing.assert_array_equal(rows.features, np.array(expected, np.float32).reshape(-1, 3))
        np.testing.assert_array_equal(rows.frame, frames)


def test_a_preparation_that_is_shared_runs_once_a_frame() -> None:
    Index.calls.clear()
    run(7, [0, 2, 3])
    assert Index.calls == list(range(7))


def test_known_objects_give_the_same_rows_as_the_finder() -> None:
    (found,), boxes = run(10, [2])
    rows: list[FeatureRows] = []
    one_pass = OnePass([(Around(2), rows.append)], known_objects=boxes)
    for t in range(10):
        one_pass.push(one_pass.prepare(Frame.of_rgb(t, float(t), BLACK)))
    one_pass.finish()
    np.testing.assert_array_equal(join_rows(rows).features, found.features)


@pytest.mark.parametrize("n_frames", [5000])
def test_what_is_held_does_not_grow_with_the_video(n_frames: int) -> None:
    emitted: list[int] = []
    one_pass = OnePass([(Around(2), lambda rows: emitted.append(len(rows)))], finder=EveryThird())
    for t in range(n_frames):
        one_pass.push(one_pass.prepare(Frame.of_rgb(t, float(t), BLACK)))
        assert len(one_pass._objects) <= 3
    one_pass.finish()
    assert sum(emitted) == sum(t % 3 for t in range(n_frames))
    assert max(emitted) < 5000


def test_objects_must_come_from_somewhere() -> None:
    with pytest.raises(ValueError, match="finder or known objects"):
        OnePass([(Around(), lambda rows: None)])


@dataclass(frozen=True)
class ManyAround(Around):
    """Describes several frames at a time, and remembers how many."""

    sizes: ClassVar[list[int]] = []
    n_at_once: int = 1

    @property
    def batch_size(self) -> int:
        return self.n_at_once

    def describe_batch(
        self, moments: Sequence[Moment], objects: Sequence[Objects]
    ) -> list[NDArray[np.float32]]:
        ManyAround.sizes.append(len(moments))
        return super().describe_batch(moments, objects)


@dataclass(frozen=True)
class ManyThirds(EveryThird):
    """Finds in several frames at a time."""

    n_at_once: int = 1

    @property
    def batch_size(self) -> int:
        return self.n_at_once


@given(st.integers(0, 20), st.integers(1, 7), st.integers(1, 7), st.integers(0, 3))
def test_batch_sizes_do_not_matter(n_frames: int, n_found: int, n_described: int, radius: int) -> None:
    results = []
    for finder, extractor in [
        (EveryThird(1), Around(radius)),
        (ManyThirds(1, n_found), ManyAround(radius, n_described)),
    ]:
        rows: list[FeatureRows] = []
        boxes: list[FeatureRows] = []
        ManyAround.sizes.clear()
        push_all(OnePass([(extractor, rows.append)], finder=finder, emit_boxes=boxes.append), n_frames)
        results.append((join_rows(rows), join_rows(boxes)) if rows else None)
    assert sum(ManyAround.sizes) == n_frames
    assert all(size == n_described for size in ManyAround.sizes[:-1])
    if results[0] is None or results[1] is None:
        assert results == [None, None]
        return
    for first, second in zip(*results, strict=True):
        np.testing.assert_array_equal(first.features, second.features)
        np.testing.assert_array_equal(first.frame, second.frame)


@dataclass(frozen=True)
class Clip(FrameExtractor):
    """Describes a clip by its first, middle and last index."""

    name: ClassVar[str] = "clip"
    code_version: ClassVar[int] = 1
    before: int = 0
    after: int = 0
    every: int = 1
    n_at_once: int = 1

    @property
    def preparation(self) -> Index:
        return Index()

    @property
    def n_frames_before(self) -> int:
        return self.before

    @property
    def n_frames_after(self) -> int:
        return self.after

    @property
    def every_frames(self) -> int:
        return self.every

    @property
    def batch_size(self) -> int:
        return self.n_at_once

    @property
    def n_features(self) -> int:
        return 3

    def describe_batch(self, moments: Sequence[Moment]) -> NDArray[np.float32]:
        return np.array([[m.around[0], m.around[m.centre], m.around[-1]] for m in moments], np.float32)


@given(
    st.integers(0, 20), st.integers(0, 4), st.integers(0, 4), st.integers(1, 9), st.integers(1, 5)
)  # fmt: skip
def test_clips_are_every_so_many_frames_and_the_last(
    n_frames: int, before: int, after: int, every: int, n_at_once: int
) -> None:
    rows: list[FeatureRows] = []
    push_all(OnePass([(Clip(before, after, every, n_at_once), rows.append)]), n_frames)
    if n_frames == 0:
        assert rows == []
        return
    joined = join_rows(rows)
    expected = sorted({*range(0, n_frames, every), n_frames - 1})
    np.testing.assert_array_equal(joined.frame, expected)
    first = np.maximum(joined.frame - before, 0)
    last = np.minimum(joined.frame + after, n_frames - 1)
    np.testing.assert_array_equal(joined.features, np.stack([first, joined.frame, last], axis=1))
    assert joined.box_xyxy is None and joined.start is not None and joined.stop is not None
    np.testing.assert_array_equal(joined.start, first)
    np.testing.assert_array_equal(joined.stop, last + 1)


def test_what_is_held_of_a_sparse_clip_does_not_grow() -> None:
    one_pass = OnePass([(Clip(3, 2, every=100), lambda rows: None)])
    for t in range(1000):
        one_pass.push(one_pass.prepare(Frame.of_rgb(t, float(t), BLACK)))
        assert len(one_pass._lanes[0]._items) <= 6


def push_all(one_pass: OnePass, n_frames: int) -> None:
    for t in range(n_frames):
        one_pass.push(one_pass.prepare(Frame.of_rgb(t, float(t), BLACK)))
    one_pass.finish()


@dataclass(frozen=True)
class Whole(BoxFinder):
    """Finds one object, a quarter of what it sees, and leaves others out."""

    name: ClassVar[str] = "whole"
    code_version: ClassVar[int] = 1
    measure_names: ClassVar[tuple[str, ...]] = ("one",)
    foreground_share: float = 0.0

    @property
    def preparation(self) -> RgbFrame:
        return RgbFrame()

    def find(self, around: Sequence[NDArray[np.uint8]], centre: int) -> Objects:
        height, width = around[centre].shape[:2]
        box = np.array([[0, 0, width / 2, height / 2]], np.float32)
        return Objects(box, np.ones((1, 1), np.float32), centre, self.foreground_share)


@dataclass(frozen=True)
class Corner(Extractor):
    """Describes an object by its corner, and by the size of what is seen."""

    name: ClassVar[str] = "corner"
    code_version: ClassVar[int] = 1

    @property
    def preparation(self) -> RgbFrame:
        return RgbFrame()

    @property
    def n_features(self) -> int:
        return 4

    def describe(
        self, around: Sequence[NDArray[np.uint8]], centre: int, objects: Objects
    ) -> NDArray[np.float32]:
        height, width = around[centre].shape[:2]
        return np.column_stack([objects.box_xyxy[:, 2:], np.tile(np.float32([width, height]), (1, 1))])


@pytest.mark.parametrize(
    ("fps", "rate", "looked_at"),
    [
        (10.0, None, [0, 1, 2, 3, 4, 5, 6, 7]),
        (10.0, 10.0, [0, 1, 2, 3, 4, 5, 6, 7]),
        (25.0, 10.0, [0, 3, 6]),
        (30.0, 10.0, [0, 3, 6]),
        (30.0, 1000.0, [0, 1, 2, 3, 4, 5, 6, 7]),
        (10.0, 0.1, [0]),
    ],
)
def test_some_frames_are_looked_at(fps: float, rate: float | None, looked_at: list[int]) -> None:
    rows, boxes = list[FeatureRows](), list[FeatureRows]()
    Index.calls.clear()
    one_pass = OnePass([(Around(1), rows.append)], finder=Whole(), emit_boxes=boxes.append, rate=rate)
    for t in range(8):
        one_pass.push(one_pass.prepare(Frame.of_rgb(t, t / fps, BLACK)))
    one_pass.finish()
    assert Index.calls == looked_at
    np.testing.assert_array_equal(join_rows(boxes).frame, looked_at)
    found = join_rows(rows)
    np.testing.assert_array_equal(found.frame, looked_at)
    around = [(looked_at[max(0, k - 1)], i, looked_at[k + 1 : k + 2] or [i]) for k, i in enumerate(looked_at)]
    np.testing.assert_array_equal(found.features, [[a, b, c[0]] for a, b, c in around])
    assert LookRate(rate).frames(np.arange(8) / fps).tolist() == looked_at


def test_objects_that_are_known_are_described_where_frames_are_looked_at() -> None:
    known = FeatureRows(
        np.ones((3, 1), np.float32), np.array([0, 3, 6]), np.array([[0, 0, 4, 4]] * 3, np.float32)
    )
    rows: list[FeatureRows] = []
    one_pass = OnePass([(Around(0), rows.append)], known_objects=known, rate=10.0)
    for t in range(8):
        one_pass.push(one_pass.prepare(Frame.of_rgb(t, t / 25, BLACK)))
    one_pass.finish()
    np.testing.assert_array_equal(join_rows(rows).features[:, 1], [0, 3, 6])


def test_what_is_odd_about_a_video_is_said() -> None:
    for share, expected in ((0.0, ()), (0.9, ("in 2 of 2 frames more than 30% of the picture differs",))):
        one_pass = OnePass([], finder=Whole(foreground_share=share))
        assert one_pass.notes == ()
        for t in range(2):
            one_pass.push(one_pass.prepare(Frame.of_rgb(t, float(t), BLACK)))
        one_pass.finish()
        assert len(one_pass.notes) == len(expected)
        assert all(note.startswith(start) for note, start in zip(one_pass.notes, expected, strict=True))
