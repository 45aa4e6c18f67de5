"""Why something was unusual, in words: a phrase for each stream, with the direction of the deviation.

A stream without a line in `PHRASES`, such as a plug-in's or an imported one, is called by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

_STANDS = 0.15
"""Heights of an object a second, below which it is not said to move: a person walks about one."""
_HAS_A_DIRECTION = 0.5
"""Length of the mean motion of training, in its spread, from which there is a usual direction."""
_FAST = 2.5
"""From how many times the root mean square speed of training on it is said to be fast."""
_ALSO = 0.5
"""Of how much the first stream stands out: one other that does so much is named too."""
_MOST_NAMED = 2
_LEAST_RANGE = 0.1
"""From the mean to 1, should the mean of a stream be that high."""
_DIRECTIONS = (
    "to the right", "down to the right", "down", "down to the left",
    "to the left", "up to the left", "up", "up to the right",
)  # fmt: skip
"""In the picture, by eighths of a turn from +x to +y, which points down."""


@dataclass(frozen=True)
class Usual:
    """What a detector has learnt of the features of a stream."""

    mean: NDArray[np.float64]
    """(D,)"""
    scale: NDArray[np.float64]
    """(D,), the spread of each."""


Phrase = Callable[[Array, Usual], str]


def _velocity(row: Array, usual: Usual) -> str:
    if len(row) != 1:  # a histogram over directions, perhaps with another feature behind
        return "moves in an unusual way"
    speed, mean = float(row[0]), float(usual.mean[0])
    compared = f"{speed:.1f} heights of an object a second, on average it is {mean:.1f}"
    return f"{'faster' if speed > mean else 'slower'} than is usual here: {compared}"


def _direction(row: Array, usual: Usual) -> str:
    towards = _towards(row)
    if not towards:
        return "hardly moves, which is unusual here"
    mean = float(np.hypot(*usual.mean))
    has_direction = mean > _HAS_A_DIRECTION * float(usual.scale.max())
    if has_direction and float(row @ usual.mean) < 0:
        return f"moves {towards}, against the usual direction"
    if np.hypot(*row) > _FAST * np.hypot(mean, np.hypot(*usual.scale)):
        return f"moves {towards} unusually fast"
    return f"moves {towards} in an unusual way"


def _place(row: Array, usual: Usual) -> str:
    towards = _towards(row[2:4])
    return f"moves {towards} where that is unusual" if towards else "stands where nothing usually stands"


def _track(row: Array, usual: Usual) -> str:
    speed, growth = (row - usual.mean) / usual.scale
    if abs(speed) >= abs(growth):
        return _velocity(row[:1], Usual(usual.mean[:1], usual.scale[:1]))
    return f"{'grows' if row[1] > 0 else 'shrinks'} by {abs(np.expm1(row[1])):.0%} a second, which is unusual"


def _shape(row: Array, usual: Usual) -> str:
    side = int(np.argmax(np.abs((row - usual.mean) / usual.scale)))
    words = (("narrower", "wider"), ("lower", "taller"))[side]
    measured, mean = float(np.exp(row[side])), float(np.exp(usual.mean[side]))
    compared = f"{measured:.1f} heights of an object, on average it is {mean:.1f}"
    return f"{words[int(measured > mean)]} than is usual here: {compared}"


def _towards(vector: Array) -> str:
    """Return where a motion in heights of an object a second goes, "" where it hardly does."""
    if np.hypot(*vector) < _STANDS:
        return ""
    eighth = round(float(np.arctan2(vector[1], vector[0])) / (np.pi / 4)) % 8
    return _DIRECTIONS[eighth]


PHRASES: Mapping[str, str | Phrase] = {
    "velocity": _velocity,
    "direction": _direction,
    "place": _place,
    "stillness": "appeared, and stays where it is without moving",
    "texture": "looks unlike anything that was seen in this place",
    "track": _track,
    "shape": _shape,
    "hog": "has an unusual shape",
    "pose": "has an unusual posture",
    "appearance": "looks like nothing that is usual here",
    "clip": "what happens is unlike what is usual here",
    "frame": "the picture is unlike what is usual here",
}
"""What is said of a stream that stands out."""


def phrase(stream: str, row: Array | None, usual: Usual | None) -> str:
    """Return why a row stood out, in words.

    Args:
        row: (D,), its features; None where they could not be measured.
    """
    found = PHRASES.get(stream, f"{stream} is unusual")
    if isinstance(found, str):
        return found
    return f"{stream} is unusual" if row is None or usual is None else found(row, usual)


def in_words(phrases: Sequence[str], sigma: float | None) -> str:
    """Return the reason, from phrases by how much their streams stand out.

    Args:
        sigma: the noise scale at which the first stream is most unusual, in units of standardised features:
            large where a row is far from all that was learnt, small where it fell between; None if not known.
    """
    scale = "" if sigma is None else f" (noise scale {sigma:.2g})"
    return "; ".join((f"{phrases[0]}{scale}", *phrases[1:]))


def stand_out(scores: Mapping[str, float], means: Mapping[str, float]) -> list[str]:
    """Return the streams that stand out: the one that does so most, then others if they do about as much.

    Args:
        scores: calibrated, by stream: 1 is a score that few normal rows reach.
        means: calibrated scores of training, on average; what is usual for a stream.
    """
    excess = {s: (score - means[s]) / max(1 - means[s], _LEAST_RANGE) for s, score in scores.items()}
    ranked = sorted(excess, key=lambda stream: -excess[stream])
    first, *others = ranked[:_MOST_NAMED]
    return [first, *(stream for stream in others if excess[stream] >= max(1, _ALSO * excess[first]))]
