"""What the report shows, as records that check themselves; `page` turns them into HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from mulde.pipeline.events.record import Event, Threshold
from mulde.pipeline.metrics.records import Metrics
from mulde.pipeline.pictures.stills import EventStills
from mulde.pipeline.report.curves import Curve
from mulde.pipeline.runs.folder import Failure


@dataclass(frozen=True)
class ReportEvent:
    """An event with what can be seen of it."""

    event: Event
    stills: EventStills | None = None
    picture_note: str = ""
    """Why there is no picture although one was wanted."""


@dataclass(frozen=True)
class Stretch:
    """A labelled stretch of a video."""

    start_frame: int
    """0-based."""
    stop_frame: int
    """The frame after the last."""
    start_seconds: float
    stop_seconds: float
    peak_frame: int
    """The frame of the highest score in it."""
    peak_seconds: float
    score: float
    """The highest in it; higher = more anomalous."""


@dataclass(frozen=True)
class ReportVideo:
    """A scored video."""

    name: str
    curve: Curve
    seconds: float
    """How long it is."""
    abnormal: tuple[Stretch, ...] | None = None
    """Stretches that are labelled abnormal; None where nobody labelled this video."""
    normal: tuple[Stretch, ...] | None = None
    """Stretches between them."""
    labelled_events: tuple[str, ...] = ()
    """What the labels call its events, and where these are."""
    start_clock: datetime | None = None
    """When it began by the clock of the recording, if that is known."""
    warnings: tuple[str, ...] = ()
    """What decoding and scoring had to say, a sentence each."""

    @property
    def n_abnormal(self) -> int | None:
        """How many frames are labelled abnormal; None where nobody labelled this video."""
        if self.abnormal is None:
            return None
        return sum(stretch.stop_frame - stretch.start_frame for stretch in self.abnormal)


@dataclass(frozen=True)
class Rates:
    """What is found and what is flagged wrongly while the threshold falls, over all labelled frames."""

    false_positive: NDArray[np.float64]
    """(M,), rising from 0 to 1."""
    true_positive: NDArray[np.float64]
    """(M,), rising from 0 to 1."""
    recall: NDArray[np.float64]
    """(K,), rising."""
    precision: NDArray[np.float64]
    """(K,)"""

    def __post_init__(self) -> None:
        if self.false_positive.shape != self.true_positive.shape or self.recall.shape != self.precision.shape:
            raise ValueError("both rates of a curve have one shape")


@dataclass(frozen=True)
class ReportScene:
    """What was learnt of a camera."""

    name: str
    """"" where there is one only."""
    pictures: tuple[bytes, ...]
    """JPEG files: its backgrounds, with the size of objects drawn in."""
    facts: tuple[str, ...]
    """Sentences."""


@dataclass(frozen=True)
class ReportRun:
    """Everything that the page of one run shows."""

    name: str
    preset: str
    data: str
    """Which videos, in words or as a path."""
    date: str
    """Shown as given, so that equal input gives an equal page."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Version of each package that takes part."""
    videos: Sequence[ReportVideo] = ()
    n_more_videos: int = 0
    """Of very many, those that are in scores/ only: without one of the strongest events."""
    events: Sequence[ReportEvent] = ()
    """The strongest first."""
    n_more_events: int = 0
    """Weaker ones, which are in events.csv only."""
    n_more_alarms: int = 0
    """How many of those are alarms."""
    moments: Sequence[ReportEvent] = ()
    """Where there is no event: the highest scores, each as if it were one of a single frame."""
    threshold: Threshold | None = None
    metrics: Metrics | None = None
    """None where there is nothing to evaluate against, or nothing was evaluated."""
    no_metrics_reason: str = "There are no labels for these videos, so there is nothing to measure against"
    rates: Rates | None = None
    """None where there are no labels, or of one class only."""
    scenes: Sequence[ReportScene] = ()
    failures: Sequence[Failure] = ()
    configuration: str = ""
    """All settings, as text."""
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    """How long each stage worked when it last had something to do."""
    caution: str = ""
    """Why nothing here must be taken for a result; "" where it may."""


def clock_at(video: ReportVideo, seconds: float) -> datetime | None:
    """Return what a recording's clock shows so long after its first frame; None where that is not known."""
    return None if video.start_clock is None else video.start_clock + timedelta(seconds=seconds)
