"""Turn features into anomaly scores: densities, aggregation, calibration, on arrays alone.

Nothing is imported before it is asked for: a command line that only wants `--help` does not pay for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mulde.data.threads import wait_briefly

if TYPE_CHECKING:
    from mulde.detector.aggregation import AGGREGATIONS, Aggregation, fit_aggregation
    from mulde.detector.base import Detector
    from mulde.detector.calibration import Calibration, fuse, log_tail
    from mulde.detector.frames import (
        box_of_overlapping,
        highest_overlapping,
        interpolate_frames,
        max_over_objects,
        mean_of_overlapping,
        smooth,
    )
    from mulde.detector.gaussian import GaussianMixtureDensity, Mahalanobis
    from mulde.detector.kinds import DETECTORS, load_detector
    from mulde.detector.mulde import MULDE
    from mulde.detector.nearest import NearestNeighbours
    from mulde.detector.network import EnergyNetwork
    from mulde.detector.rows import RowSource
    from mulde.detector.score_norms import MSMA
    from mulde.detector.settings import PAPER
    from mulde.detector.single_scale import SingleScale
    from mulde.detector.training import Look

_HOME = {
    "Detector": "mulde.detector.base",
    "MULDE": "mulde.detector.mulde",
    "MSMA": "mulde.detector.score_norms",
    "SingleScale": "mulde.detector.single_scale",
    "NearestNeighbours": "mulde.detector.nearest",
    "GaussianMixtureDensity": "mulde.detector.gaussian",
    "Mahalanobis": "mulde.detector.gaussian",
    "DETECTORS": "mulde.detector.kinds",
    "load_detector": "mulde.detector.kinds",
    "PAPER": "mulde.detector.settings",
    "RowSource": "mulde.detector.rows",
    "Look": "mulde.detector.training",
    "EnergyNetwork": "mulde.detector.network",
    "AGGREGATIONS": "mulde.detector.aggregation",
    "Aggregation": "mulde.detector.aggregation",
    "fit_aggregation": "mulde.detector.aggregation",
    "Calibration": "mulde.detector.calibration",
    "box_of_overlapping": "mulde.detector.frames",
    "fuse": "mulde.detector.calibration",
    "highest_overlapping": "mulde.detector.frames",
    "interpolate_frames": "mulde.detector.frames",
    "log_tail": "mulde.detector.calibration",
    "max_over_objects": "mulde.detector.frames",
    "mean_of_overlapping": "mulde.detector.frames",
    "smooth": "mulde.detector.frames",
}

wait_briefly()

__all__ = [
    "AGGREGATIONS",
    "DETECTORS",
    "MSMA",
    "MULDE",
    "PAPER",
    "Aggregation",
    "Calibration",
    "Detector",
    "EnergyNetwork",
    "GaussianMixtureDensity",
    "Look",
    "Mahalanobis",
    "NearestNeighbours",
    "RowSource",
    "SingleScale",
    "box_of_overlapping",
    "fit_aggregation",
    "fuse",
    "highest_overlapping",
    "interpolate_frames",
    "load_detector",
    "log_tail",
    "max_over_objects",
    "mean_of_overlapping",
    "smooth",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
