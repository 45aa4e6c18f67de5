"""The stages in order."""

from __future__ import annotations

from typing import Any

from mulde.pipeline.stages.evaluate import Evaluate
from mulde.pipeline.stages.extract import Extract
from mulde.pipeline.stages.find_events import FindEvents
from mulde.pipeline.stages.hold_out import HoldOut
from mulde.pipeline.stages.score import Score
from mulde.pipeline.stages.stage import Stage
from mulde.pipeline.stages.train import Train


def stages() -> tuple[Stage[Any], ...]:
    """Return all stages in the order in which they run."""
    from mulde.pipeline.stages.report import Report  # only here, for it imports cv2

    return Extract(), Train(), HoldOut(), Score(), FindEvents(), Evaluate(), Report()
