"""How cameras do, in the text form that Prometheus and its like collect."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mulde.pipeline.watch.board import Camera, Counts

CONTENT_TYPE = CONTENT_TYPE_LATEST
_Read = Callable[[Counts], float | None]
_COUNTERS: tuple[tuple[str, str, _Read], ...] = (
    ("mulde_frames_scored", "Frames that were scored.", lambda counts: counts.n_frames),
    ("mulde_frames_dropped", "Frames that came faster than they could be described.", lambda c: c.n_dropped),
    ("mulde_source_lost", "How often the source was lost.", lambda counts: counts.n_lost),
    ("mulde_events", "Events that are over.", lambda counts: counts.n_events),
    ("mulde_alarms", "Events that are over and were alarms.", lambda counts: counts.n_alarms),
)
_GAUGES: tuple[tuple[str, str, _Read], ...] = (
    ("mulde_source_up", "Whether footage comes, 1 or 0.", lambda counts: counts.is_up),
    (
        "mulde_seconds_behind",
        "From decoding the last frame to its score.",
        lambda counts: counts.seconds_behind,
    ),
    (
        "mulde_score",
        "Anomaly score of the last frame; higher is more anomalous.",
        lambda counts: counts.score,
    ),
    ("mulde_threshold", "Score from which on an event is an alarm.", lambda counts: counts.threshold),
)
"""What is None, such as the score before the first frame, is left out."""


class Monitor(Collector):
    """Reads the numbers of all cameras when somebody asks."""

    def __init__(self, cameras: Sequence[Camera]) -> None:
        """Take the cameras, whose names differ."""
        self._cameras = cameras
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        """Return all numbers as they are now."""
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Return nothing: what is there is known when somebody asks."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Give each number with the cameras that have it."""
        now = [(camera.name, camera.counts) for camera in self._cameras]
        for kind, numbers in ((CounterMetricFamily, _COUNTERS), (GaugeMetricFamily, _GAUGES)):
            for name, help_text, read in numbers:
                family = kind(name, help_text, labels=("camera",))
                for camera, counts in now:
                    value = read(counts)
                    if value is not None:
                        family.add_metric((camera,), value)
                yield family
