"""What an event is, and the threshold above which there is one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

BoxXyxy = tuple[float, float, float, float]


@dataclass(frozen=True)
class Event:
    """A stretch of a video in which something was more unusual than normal footage is seen to be."""

    video: str
    """Its name, as in RUN/scores."""
    start_frame: int
    """0-based."""
    stop_frame: int
    """The frame after the last, above `start_frame`."""
    start_seconds: float
    """When the first frame is shown, from the first frame of the video on."""
    stop_seconds: float
    """When the last frame is no longer shown."""
    start_clock: datetime | None
    """When it began by the clock of the recording, with its time zone if that is known; None if not known."""
    peak_frame: int
    """The frame that shows it best: of the most unusual object near the highest score, or of that score."""
    score: float
    """The highest frame score, smoothed as in RUN/scores; higher = more anomalous."""
    box_xyxy: BoxXyxy | None
    """What was most unusual there, in pixels of the original frame, half-open; None for whole frames."""
    stream: str
    """The kind of feature that was most unusual; "" where that is not known."""
    reason: str
    """Why, in words."""

    def __post_init__(self) -> None:
        if not self.video:
            raise ValueError("an event is of a video")
        if not 0 <= self.start_frame <= self.peak_frame < self.stop_frame:
            raise ValueError(
                f"{self.video}: the peak, frame {self.peak_frame}, is not in [{self.start_frame}, "
                f"{self.stop_frame})"
            )
        if not 0 <= self.start_seconds < self.stop_seconds < math.inf:
            raise ValueError(f"{self.video}: {self.start_seconds} s to {self.stop_seconds} s is no stretch")
        if not math.isfinite(self.score):
            raise ValueError(f"{self.video}: the score {self.score} is not finite")
        if self.box_xyxy is not None:
            x1, y1, x2, y2 = self.box_xyxy
            if not (x1 < x2 and y1 < y2 and all(map(math.isfinite, self.box_xyxy))):
                raise ValueError(f"{self.video}: {self.box_xyxy} is no box")

    @property
    def n_seconds(self) -> float:
        """How long it lasts."""
        return self.stop_seconds - self.start_seconds

    @property
    def when(self) -> str:
        """By the clock if that is known, 2026-11-28 13:04:05, else in the video, 1:02:03.4."""
        if self.start_clock is not None:
            return self.start_clock.strftime("%Y-%m-%d %H:%M:%S")
        return time_in_video(self.start_seconds)


def alarms_among(n_alarms: int, n_events: int) -> str:
    """Return how many of some events are alarms, to follow their number: "an alarm", "3 of them alarms"."""
    if n_events == 1:
        return "an alarm" if n_alarms else "no alarm"
    if n_alarms == 0:
        return "none of them an alarm"
    return f"{n_alarms} of them {'an alarm' if n_alarms == 1 else 'alarms'}"


def sort_events(events: Iterable[Event]) -> list[Event]:
    """Return events by their score, the strongest first."""
    return sorted(events, key=lambda event: (-event.score, event.video, event.start_frame))


def time_in_video(seconds: float) -> str:
    """Return seconds as people read them off a player: 0:04.2, 12:04.2, 1:02:03.4."""
    tenths = round(10 * seconds)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    shown = f"{tenths // 10:02d}.{tenths % 10}"
    return f"{hours}:{minutes:02d}:{shown}" if hours else f"{minutes}:{shown}"


@dataclass(frozen=True)
class Threshold:
    """The score that a stretch has to reach for an alarm, and what that promises."""

    score: float | None
    """None where nothing is known of normal footage, as of models from before; then nothing alarms."""
    listed_score: float | None
    """Events are listed from here on: at the threshold; or, where that had to be extrapolated, already above
    anything that normal footage was seen to reach, which is lower, so that some events are no alarms."""
    false_alarms_per_day: float
    """What was asked for: so many false alarms in 24 hours of normal footage, on average."""
    normal_hours: float
    """Hours of normal footage that were scored without having been learnt from: all that is known."""
    is_extrapolated: bool
    """Whether that was too little for what was asked for, so that the score is an estimate from the tail."""
    text: str
    """All that as sentences for people, and what a score of 1 means."""

    def is_alarm(self, score: float) -> bool:
        """Whether an event of this score is an alarm."""
        return self.score is not None and score >= self.score

    def __post_init__(self) -> None:
        if (self.score is None) != (self.listed_score is None):
            raise ValueError("there are both scores, or neither")
        if None not in (self.score, self.listed_score) and not (
            -math.inf < (self.listed_score or 0) <= (self.score or 0) < math.inf
        ):
            raise ValueError(f"events from {self.listed_score} on, alarms from {self.score} on: impossible")
        if not 0 < self.false_alarms_per_day < math.inf:
            raise ValueError(f"{self.false_alarms_per_day} false alarms a day are no budget")
        if not 0 <= self.normal_hours < math.inf:
            raise ValueError(f"{self.normal_hours} hours of normal footage cannot be")
