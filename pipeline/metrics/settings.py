"""Settings of evaluation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from mulde.pipeline.section import Section


class EvaluateConfig(Section):
    """From scores and labels to metrics."""

    protocol: str = "mulde"
    """What is done to the scores before they are measured; see `mulde.pipeline.metrics.protocols`."""
    n_resamples: int = Field(1000, ge=0)
    """Of the bootstrap over videos behind the intervals; 0 leaves them out."""
    event_min_share: float = Field(0.0, ge=0, le=1)
    """Part of an event's frames that must be flagged for it to be found; at least one frame must be."""
    false_alarms_per_hour: tuple[Annotated[float, Field(ge=0)], ...] = Field((1, 5, 20, 60), min_length=1)
    """Rates at which the table of events is read."""

    @field_validator("protocol")
    @classmethod
    def _known_protocol(cls, name: str) -> str:
        from mulde.pipeline.metrics.protocols import find_protocol  # only here, for it imports numpy

        find_protocol(name)
        return name
