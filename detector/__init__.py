"""Turn features into anomaly scores: densities, aggregation, calibration, on arrays alone.

Nothing is imported before it is asked for: a command line that only wants `--help` does not pay for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mulde.detector.aggregation import AGGREGATIONS, Aggregation, fit_aggregation
    from mulde.detector.calibration import Calibration, fuse, log_tail
    from mulde.detector.frames import max_over_objects, smooth
    from mulde.detector.mulde import MULDE
    from mulde.detector.network import EnergyNetwork

_HOME = {
    "MULDE": "mulde.detector.mulde",
    "EnergyNetwork": "mulde.detector.network",
    "AGGREGATIONS": "mulde.detector.aggregation",
    "Aggregation": "mulde.detector.aggregation",
    "fit_aggregation": "mulde.detector.aggregation",
    "Calibration": "mulde.detector.calibration",
    "fuse": "mulde.detector.calibration",
    "log_tail": "mulde.detector.calibration",
    "max_over_objects": "mulde.detector.frames",
    "smooth": "mulde.detector.frames",
}

__all__ = [
    "AGGREGATIONS",
    "MULDE",
    "Aggregation",
    "Calibration",
    "EnergyNetwork",
    "fit_aggregation",
    "fuse",
    "log_tail",
    "max_over_objects",
    "smooth",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
