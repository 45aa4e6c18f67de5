"""The densities by name; to add one, write a sub-class of `Detector` and give it a line in two dicts.

The other dict is `SETTINGS` in `mulde.detector.settings`.
"""

from __future__ import annotations

import os

from mulde.detector.base import Detector
from mulde.detector.gaussian import GaussianMixtureDensity, Mahalanobis
from mulde.detector.mulde import MULDE
from mulde.detector.nearest import NearestNeighbours
from mulde.detector.score_norms import MSMA
from mulde.detector.single_scale import SingleScale
from mulde.detector.store import Description, read_model

DETECTORS: dict[str, type[Detector]] = {
    "mulde": MULDE,
    "msma": MSMA,
    "single_scale": SingleScale,
    "knn": NearestNeighbours,
    "gmm": GaussianMixtureDensity,
    "mahalanobis": Mahalanobis,
}


def load_detector(
    folder: str | os.PathLike[str], *, expect: Description | None = None, device: str = "auto"
) -> Detector:
    """Read a detector of any kind; see `Detector.load`.

    Raises:
        ValueError: as `Detector.load`; or it is of a kind that is not in `DETECTORS`.
    """
    stored = read_model(folder, expect)
    for detector in DETECTORS.values():
        if detector.__name__ == stored.kind:
            return detector.from_stored(stored, device)
    known = ", ".join(detector.__name__ for detector in DETECTORS.values())
    raise ValueError(f"{os.fspath(folder)} holds a {stored.kind}, but known are {known}: upgrade mulde")
