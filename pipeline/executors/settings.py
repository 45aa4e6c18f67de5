"""What executors can be told."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt

from mulde.pipeline.section import Section


class RaySettings(Section):
    """A Ray cluster, for --executor ray."""

    address: str = ""
    """Of a cluster, such as auto or 10.0.0.1:6379; if not given RAY_ADDRESS, else this machine alone."""
    cpus: Annotated[float, Gt(0)] = 1.0
    """Cores of a task, be it a video, a detector or scores; a fraction lets several share one."""
    gpus: Annotated[float, Ge(0)] = 0.0
    """GPUs of a task, such as 0.25 for four tasks on each; without any, tasks see none."""
