"""Settings of evaluation."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Le, MinLen
from pydantic import field_validator

from mulde.pipeline.section import Section


class EvaluateConfig(Section):
    """From scores and labels to metrics."""

    protocol: str = "mulde"
    """What is done to the scores before they are measured; see `mulde.pipeline.metrics.protocols`."""
    n_resamples: Annotated[int, Ge(0)] = 1000
    """Resamples of the bootstrap over videos behind the intervals; 0 leaves them out."""
    event_min_share: Annotated[float, Ge(0), Le(1)] = 0.0
    """Part of an event's frames that must be flagged for it to be found; at least one frame must be."""
    false_alarms_per_hour: Annotated[tuple[Annotated[float, Ge(0)], ...], MinLen(1)] = (1, 5, 20, 60)
    """Rates at which the table of events is read."""

    @field_validator("protocol")
    @classmethod
    def _known_protocol(cls, name: str) -> str:
        from mulde.pipeline.metrics.protocols import find_protocol  # only here, for it imports numpy

        find_protocol(name)
        return name
