"""Whether there is anything to see: a picture that is frozen or black, a camera that was moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mulde.data.video import Frame
from mulde.extractors.movement import CHANGED_SHARE

State = Literal["frozen", "black", "moved", "good"]
_SMALL = (64, 36)
"""(width, height) in pixels, at which pictures are compared."""
_LEAST_SPREAD = 4.0
"""Grey levels: a picture that spreads less, light or dark, shows nothing; a covered lens, no signal."""
_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS: dict[State, float] = {"frozen": 10.0, "black": 2.0, "moved": 10.0, "good": 1.0}
"""How long a condition has to last before it is told."""


@dataclass(frozen=True)
class Condition:
    """The picture has become something else than it was, or is good again."""

    state: State
    seconds: float
    """Since when, from the first frame on."""


class Conditions:
    """Takes the frames of one uninterrupted piece of footage, and tells when their condition changes.

    Five frames a second are looked at. A sensor has noise, so that no two of its pictures are the same: one
    that is, to the last grey level of a small copy, whenever it is looked at for ten seconds, is frozen.
    """

    def __init__(self, changed_share: Callable[[], float], told: State = "good") -> None:
        """Take what says which share of the last frame that was looked at is not the learnt background.

        Args:
            told: the condition that was told of what came before.
        """
        self._changed_share = changed_share
        self._told = self._now = told
        self._since = 0.0
        self._looked = -np.inf
        self._last = np.empty(0, np.uint8)

    @property
    def told(self) -> State:
        """The condition that was told last; good at first."""
        return self._told

    def push(self, frame: Frame) -> Condition | None:
        """Take the next frame, later than the last; return, once, a condition that has lasted long enough."""
        before = self._looked
        if frame.seconds < before + _SECONDS_BETWEEN_LOOKS - 1e-3:
            return None
        self._looked = frame.seconds
        state = self._look(frame)
        if state != self._now:
            self._now, self._since = state, before if state == "frozen" else frame.seconds
        if state == self._told or frame.seconds - self._since < _SECONDS[state]:
            return None
        self._told = state
        return Condition(state, self._since)

    def _look(self, frame: Frame) -> State:
        small = frame.grey(_SMALL)
        is_same, self._last = np.array_equal(small, self._last), small
        if small.std() < _LEAST_SPREAD:
            return "black"
        if is_same:
            return "frozen"
        return "moved" if self._changed_share() > CHANGED_SHARE else "good"


@dataclass
class _Summed:
    """Stretches of one state."""

    first_seconds: float
    n: int = 0
    seconds: float = 0.0


class Held:
    """Sums up over a video for how long there was nothing to see."""

    def __init__(self) -> None:
        self._conditions = Conditions(lambda: 0.0)  # a camera that was moved is told of by who finds objects
        self._summed: dict[State, _Summed] = {}
        self._since = self._last = 0.0

    def push(self, frame: Frame) -> None:
        """Take the next frame that is looked at."""
        self._last = frame.seconds
        before = self._conditions.told
        condition = self._conditions.push(frame)
        if condition is not None:
            self._end(before, condition.seconds)
            self._since = condition.seconds

    def notes(self) -> list[str]:
        """Return sentences for the user, after the last frame."""
        self._end(self._conditions.told, self._last)
        self._since = self._last
        notes = []
        for state, summed in self._summed.items():
            whole = "stands still" if state == "frozen" else "shows nothing"
            often = f", {summed.n} times" if summed.n > 1 else ""
            first = f"first at {summed.first_seconds:.1f} s"
            notes.append(f"the picture {whole} for {summed.seconds:.0f} s{often}, {first}")
        return notes

    def _end(self, state: State, seconds: float) -> None:
        if state != "good" and seconds > self._since:
            summed = self._summed.setdefault(state, _Summed(self._since))
            summed.n += 1
            summed.seconds += seconds - self._since
