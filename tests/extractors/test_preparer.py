"""What operators share is done once a frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mulde.data.video import Frame
from mulde.extractors.base import Preparation, Together
from mulde.extractors.preparer import Preparer, prepare_with

FRAMES = [Frame.of_rgb(t, t / 10, np.full((4, 4, 3), t, np.uint8)) for t in range(3)]
n_runs = {"sum": 0}


@dataclass(frozen=True)
class SoFar(Preparation):
    """Adds up the numbers of the frames."""

    def start(self) -> Callable[[Frame], int]:
        total = 0

        def add(frame: Frame) -> int:
            nonlocal total
            n_runs["sum"] += 1
            total += frame.index
            return total

        return add


@dataclass(frozen=True)
class Times(Preparation):
    """Multiplies them."""

    factor: int

    @property
    def parts(self) -> tuple[Preparation, ...]:
        return (SoFar(),)

    def start(self) -> Callable[[Frame, int], int]:
        return lambda frame, so_far: self.factor * so_far


def test_nothing_wanted_gives_nothing() -> None:
    assert Preparer([])(FRAMES[0]) == {}


def test_a_shared_part_runs_once_a_frame_and_only_what_is_wanted_is_given() -> None:
    n_runs["sum"] = 0
    wanted: list[Preparation] = [Times(2), Times(3), Together((Times(2), SoFar())), Times(2)]
    prepare = Preparer(wanted)
    made: list[dict[Preparation, Any]] = [prepare(frame) for frame in FRAMES]
    assert n_runs["sum"] == len(FRAMES)
    assert made[-1] == {Times(2): 6, Times(3): 9, Together((Times(2), SoFar())): (6, 3)}


def test_one_alone_brings_its_parts() -> None:
    prepare = prepare_with(Times(5))
    assert [prepare(frame) for frame in FRAMES] == [0, 5, 15]


def test_each_video_has_a_history_of_its_own() -> None:
    for _ in range(2):
        assert [prepare_with(SoFar())(frame) for frame in FRAMES[1:2]] == [1]
