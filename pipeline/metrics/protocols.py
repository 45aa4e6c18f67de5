"""What is done to the scores of each video before they are measured: protocols by name.

To add a protocol: give it a line in `PROTOCOLS`. One that looks at the test scores or labels says so in
`uses_test_data`, and every number made under it carries that remark.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mulde.data.errors import InputError


@dataclass(frozen=True)
class Smoothing:
    """A Gaussian over the frames of one video."""

    sigma_frames: float
    """Standard deviation in frames; 0 for none."""
    causal: bool = False
    """Whether only present and past frames count."""
    sigma_seconds: float = 0.0
    """Standard deviation in seconds, where it is not in frames."""

    @property
    def sigma_text(self) -> str:
        """The standard deviation with its unit; "" for none."""
        if self.sigma_seconds:
            return f"σ = {self.sigma_seconds:g} s"
        return f"σ = {self.sigma_frames:g} frames" if self.sigma_frames else ""

    @property
    def text(self) -> str:
        """Return it in words, to follow "scores"."""
        if not self.sigma_text:
            return "not smoothed"
        kind = "Gaussian over past frames" if self.causal else "Gaussian"
        return f"smoothed over time ({kind}, {self.sigma_text})"


@dataclass(frozen=True)
class Treatment:
    """What was done to scores before they were measured."""

    protocol: str = ""
    """A name in `PROTOCOLS`; "" where the caller has one of its own."""
    text: str = "scores as given"
    """In words, to end the sentence of each number."""
    smoothing: Smoothing | None = None
    """None where nobody here knows."""
    uses_test_data: str = ""
    """What it takes from the test set, in words to follow "this protocol"; "" for nothing."""
    remark: str = ""
    """What else a reader of the numbers should know, a sentence."""


UNSMOOTHED = Treatment("unsmoothed", "scores not smoothed", Smoothing(0))


@dataclass(frozen=True)
class Protocol:
    """Steps on the scores of each video alone, in the order of the fields."""

    summary: str
    """For people who choose."""
    starts_from: Literal["scores", "unsmoothed"] = "scores"
    """Scores as they were written, smoothed as configured, or those before smoothing."""
    smoothing: Smoothing | None = None
    """How unsmoothed scores are smoothed; None for not at all."""
    minmax_per_video: bool = False
    """Scale each video so that its lowest score is 0 and its highest 1."""
    uses_test_data: str = ""
    """What it takes from the test set, in words to follow "this protocol"; "" for nothing."""
    remark: str = ""
    """What else a reader of the numbers should know, a sentence."""

    def apply(self, scores: NDArray[np.float64], unsmoothed: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the scores to measure of one video, (T,), from its scores with and without smoothing."""
        values = scores if self.starts_from == "scores" else unsmoothed
        if self.smoothing is not None:
            from mulde.detector.frames import smooth  # only here, for it imports torch

            values = smooth(values, self.smoothing.sigma_frames, causal=self.smoothing.causal)
        return _to_unit_range(values) if self.minmax_per_video else values

    def describe(self, name: str, configured: Smoothing | None) -> Treatment:
        """Return what it does to scores that were smoothed as `configured`, None for scores of others."""
        own = self.smoothing or (Smoothing(0) if self.starts_from == "unsmoothed" else None)
        if configured is None:
            # whether they were smoothed before, nobody here knows
            before = ", smoothed before or not" if own and not self.smoothing else ""
            words = f"scores as given{before or (f', {own.text}' if own else '')}"
            smoothing = self.smoothing
        else:
            smoothing = own or configured
            words = f"scores {smoothing.text}"
        if self.minmax_per_video:
            words += ", then scaled to [0, 1] within each test video"
        if self.uses_test_data:
            words += f" ({self.uses_test_data})"
        return Treatment(name, words, smoothing, self.uses_test_data, self.remark)


_AI_VAD_MACRO = "The macro AUC of this protocol is the padded one."

PROTOCOLS: dict[str, Protocol] = {
    "mulde": Protocol("scores smoothed as configured (default); scores of others as given"),
    "unsmoothed": Protocol("scores before smoothing; scores of others as given", starts_from="unsmoothed"),
    "causal": Protocol(
        "smoothed over past frames only, σ = 3, as live footage demands",
        starts_from="unsmoothed",
        smoothing=Smoothing(3, causal=True),
    ),
    # AI-VAD (Reiss & Hoshen, TMLR) smooths by data set.
    "ai-vad": Protocol(
        "σ = 3, AI-VAD's for Ped2 and Avenue",
        starts_from="unsmoothed",
        smoothing=Smoothing(3),
        remark=_AI_VAD_MACRO,
    ),
    "ai-vad-shanghaitech": Protocol(
        "σ = 7, AI-VAD's for ShanghaiTech",
        starts_from="unsmoothed",
        smoothing=Smoothing(7),
        remark=_AI_VAD_MACRO,
    ),
    "per-video-minmax": Protocol(
        "smoothed as configured, then each video scaled to [0, 1]",
        minmax_per_video=True,
        uses_test_data="uses the test scores: each video by its own lowest and highest",
    ),
}


def find_protocol(name: str) -> Protocol:
    """Return the protocol of a name.

    Raises:
        InputError: there is none; the text lists those that there are.
    """
    if name not in PROTOCOLS:
        known = "; ".join(f"{known} ({_summary(protocol)})" for known, protocol in PROTOCOLS.items())
        raise InputError(f"unknown protocol {name!r}: known are {known}")
    return PROTOCOLS[name]


def _summary(protocol: Protocol) -> str:
    return f"{protocol.summary}; {protocol.uses_test_data}" if protocol.uses_test_data else protocol.summary


def _to_unit_range(values: NDArray[np.float64]) -> NDArray[np.float64]:
    if not values.size:
        return values
    low, high = values.min(), values.max()
    # Halves first: the difference of two huge scores of opposite sign is beyond float64.
    spread = high / 2 - low / 2
    return np.zeros_like(values) if spread == 0 else (values / 2 - low / 2) / spread
