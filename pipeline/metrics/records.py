"""What is known about a test set after measuring: numbers with protocols and intervals, and their JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mulde.data.foreign.text import parse_json
from mulde.pipeline.metrics.alarms import AlarmCount
from mulde.pipeline.metrics.bootstrap import ConfidenceInterval
from mulde.pipeline.metrics.events import EventPoint, EventTable
from mulde.pipeline.metrics.protocols import Smoothing, Treatment


@dataclass(frozen=True)
class MetricText:
    """What a metric is called and what it compares with what."""

    title: str
    definition: str


TEXTS = {
    "micro_auc": MetricText("Micro AUC", "All test frames of all videos in one ROC curve"),
    "macro_auc": MetricText(
        "Macro AUC", "Mean of the AUCs of the single videos, videos of one class left out"
    ),
    "macro_auc_padded": MetricText(
        "Macro AUC, padded",
        "Mean of the AUCs of all videos, each padded with one normal frame of the lowest and one abnormal "
        "frame of the highest score of the whole set (Georgescu et al., AI-VAD)",
    ),
    "scene_auc": MetricText(
        "Scene AUC",
        "Mean over the scenes (cameras) of the micro AUC within each, scenes of one class left out",
    ),
    "average_precision": MetricText(
        "Average precision",
        "All test frames of all videos in one ranking, abnormal = positive, precision summed over the steps "
        "of recall without interpolation",
    ),
    "eer": MetricText(
        "Equal error rate",
        "Lower is better: the point of the micro ROC curve, linearly interpolated, where as large a part of "
        "the normal frames is flagged as of the abnormal frames is missed",
    ),
    "rbdc": MetricText(
        "RBDC",
        "Part of the labelled regions found (IoU ≥ 0.1 in their frame) against false-positive boxes per "
        "frame, area from 0 to 1 (Ramachandra & Jones, WACV 2020)",
    ),
    "tbdc": MetricText(
        "TBDC",
        "Part of the labelled tracks found (a tenth of their regions) against false-positive boxes per "
        "frame, area from 0 to 1 (Ramachandra & Jones, WACV 2020)",
    ),
    "box_auc": MetricText(
        "AUC of boxes",
        "Boxes on a labelled region (IoU ≥ 0.1) against boxes that touch none, all in one ROC curve; what "
        "touches one and is not on it is left out",
    ),
}


@dataclass(frozen=True)
class Metric:
    """One number and how it came about."""

    key: str
    value: float | None
    """In [0, 1]; None where the metric is not defined on this set."""
    protocol: str
    """What was compared with what, and what was done to the scores before, in a sentence."""
    reason: str = ""
    """Why there is no value; empty where there is one."""
    interval: ConfidenceInterval | None = None
    """Over resampled videos; None where it was not asked for or is not defined."""

    def __post_init__(self) -> None:
        if (self.value is None) != bool(self.reason):
            raise ValueError(f"{self.key} is {self.value}, and the reason for having none {self.reason!r}")

    @property
    def title(self) -> str:
        """Return the name for people, such as "Micro AUC"."""
        return TEXTS[self.key].title if self.key in TEXTS else self.key

    @property
    def definition(self) -> str:
        """Return what is compared with what, without what was done to the scores."""
        return TEXTS[self.key].definition if self.key in TEXTS else self.protocol


@dataclass(frozen=True)
class VideoMetrics:
    """What was measured on one video alone."""

    name: str
    n_frames: int
    n_abnormal: int
    auc: float | None
    """In [0, 1], higher = better; None for a video of one class."""


@dataclass(frozen=True)
class SceneMetrics:
    """What was measured on the videos of one camera."""

    scene: str
    n_videos: int
    n_frames: int
    n_abnormal: int
    auc: float | None
    """Micro AUC in [0, 1], higher = better; None for a scene of one class."""


@dataclass(frozen=True)
class Counts:
    """The size of a test set."""

    videos: int
    frames: int
    abnormal_frames: int
    one_class_videos: int
    """Videos without a normal or without an abnormal frame."""


@dataclass(frozen=True)
class Metrics:
    """All metrics of one test set; `metrics["micro_auc"]` is a `Metric`."""

    treatment: Treatment
    """What was done to the scores of frames."""
    numbers: tuple[Metric, ...]
    per_video: tuple[VideoMetrics, ...]
    per_video_protocol: str
    per_scene: tuple[SceneMetrics, ...]
    """Empty where all videos are of one scene."""
    per_scene_protocol: str
    counts: Counts
    interval_protocol: str
    """How the intervals were made; why not, where there are none."""
    events: EventTable | None = None
    no_events_reason: str = ""
    """Why there is no event table; empty where there is one."""
    unsmoothed: Metrics | None = None
    """The frame metrics of the scores before smoothing, where the caller gave them."""
    alarms: AlarmCount | None = None
    """What the threshold promised and what was observed; None where there is none, or no normal frame."""
    caution: str = ""
    """Why these numbers are no results (networks with random weights, say); "" where they are."""

    def __getitem__(self, key: str) -> Metric:
        found = self.get(key)
        if found is None:
            raise KeyError(f"no metric {key!r}: known are {', '.join(number.key for number in self.numbers)}")
        return found

    def get(self, key: str) -> Metric | None:
        """Return the metric of this key, None where it is not among these."""
        return next((number for number in self.numbers if number.key == key), None)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON types: numbers at the top, protocols, intervals and reasons (for null) beside."""
        return {
            "protocol": asdict(self.treatment),
            "caution": self.caution,
            **{number.key: number.value for number in self.numbers},
            "intervals": {
                number.key: asdict(number.interval) for number in self.numbers if number.interval is not None
            },
            "protocols": {
                **{number.key: number.protocol for number in self.numbers},
                "intervals": self.interval_protocol,
                "per_video": self.per_video_protocol,
                "per_scene": self.per_scene_protocol,
            },
            "reasons": {
                **{number.key: number.reason for number in self.numbers if number.reason},
                **({"events": self.no_events_reason} if self.no_events_reason else {}),
            },
            "counts": asdict(self.counts),
            "per_video": {
                video.name: {"auc": video.auc, "frames": video.n_frames, "abnormal_frames": video.n_abnormal}
                for video in self.per_video
            },
            "per_scene": [asdict(row) for row in self.per_scene],
            "events": None if self.events is None else asdict(self.events),
            "alarms": None if self.alarms is None else asdict(self.alarms),
            "unsmoothed": None if self.unsmoothed is None else self.unsmoothed.as_dict(),
        }

    def to_json(self) -> str:
        """Return the text of `metrics.json`; `from_json` is its inverse."""
        return json.dumps(self.as_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Metrics:
        """Read what `to_json` wrote."""
        return cls._from_dict(parse_json(text))

    @classmethod
    def _from_dict(cls, block: Mapping[str, Any]) -> Metrics:
        protocols, treatment, intervals = dict(block["protocols"]), block["protocol"], block["intervals"]
        smoothing = treatment["smoothing"]
        return cls(
            treatment=Treatment(**{**treatment, "smoothing": smoothing and Smoothing(**smoothing)}),
            interval_protocol=protocols.pop("intervals"),
            per_video_protocol=protocols.pop("per_video"),
            per_scene_protocol=protocols.pop("per_scene"),
            numbers=tuple(
                Metric(
                    key,
                    block[key],
                    protocol,
                    block["reasons"].get(key, ""),
                    ConfidenceInterval(**intervals[key]) if key in intervals else None,
                )
                for key, protocol in protocols.items()
            ),
            per_video=tuple(
                VideoMetrics(name, row["frames"], row["abnormal_frames"], row["auc"])
                for name, row in block["per_video"].items()
            ),
            per_scene=tuple(SceneMetrics(**row) for row in block["per_scene"]),
            counts=Counts(**block["counts"]),
            events=block["events"] and _read_events(block["events"]),
            no_events_reason=block["reasons"].get("events", ""),
            unsmoothed=None if block["unsmoothed"] is None else cls._from_dict(block["unsmoothed"]),
            alarms=None if block.get("alarms") is None else AlarmCount(**block["alarms"]),
            caution=block["caution"],
        )


def _read_events(block: Mapping[str, Any]) -> EventTable:
    return EventTable(**{**block, "points": tuple(EventPoint(**point) for point in block["points"])})
