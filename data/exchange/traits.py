"""What a detector has to know of features beside their numbers: exports carry it, imports take it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from mulde.data.errors import InputError


@dataclass(frozen=True)
class FeatureTraits:
    """What holds for all features of a stream, and no row tells."""

    has_one_unit: bool = False
    """Whether all features are components of one quantity, so that a detector must not scale them apart."""
    n_whitened: int | None = None
    """Principal components that a detector keeps; None for all features."""
    noise_floor: float = 0.0
    """Differences of a feature far below this are measurement noise, whatever the training rows say."""
    are_windows: bool = False
    """Whether boxes are windows, of which many see one object, and not objects themselves."""

    def told(self) -> dict[str, Any]:
        """Return by name what is not as it is where nobody says anything."""
        return {name: value for name, value in asdict(self).items() if value != getattr(UNKNOWN, name)}

    @property
    def text(self) -> str:
        """In words, "" where there is nothing to tell."""
        words = {
            "has_one_unit": "one unit",
            "n_whitened": f"{self.n_whitened} whitened components",
            "noise_floor": f"noise up to {self.noise_floor:g}",
            "are_windows": "boxes that are windows",
        }
        return ", ".join(words[name] for name in self.told())


UNKNOWN = FeatureTraits()
"""Of features of which nobody said anything."""
TRAITS = tuple(field.name for field in fields(FeatureTraits))


def read_traits(told: Mapping[str, Any], where: str) -> FeatureTraits:
    """Return what is told under the names of the fields, by whomever.

    Args:
        where: for messages.

    Raises:
        InputError: a value is none that is allowed.
    """
    given = {}
    for name in TRAITS:
        if told.get(name) is not None:
            given[name] = _number(told[name], name, where)
    n_whitened = given.get("n_whitened")
    return FeatureTraits(
        bool(given.get("has_one_unit", False)),
        None if n_whitened is None else int(n_whitened),
        given.get("noise_floor", 0.0),
        bool(given.get("are_windows", False)),
    )


def _number(value: Any, name: str, where: str) -> float:
    array = np.asarray(value)
    number = float(array.item()) if array.size == 1 and array.dtype.kind in "biuf" else float("nan")
    is_allowed = {
        "has_one_unit": number in (0, 1),
        "are_windows": number in (0, 1),
        "n_whitened": number >= 1 and number % 1 == 0,
        "noise_floor": 0 <= number < float("inf"),
    }[name]
    if not is_allowed:
        allowed = {"n_whitened": "a whole number from 1 on", "noise_floor": "a number from 0 on"}
        raise InputError(f"{where}: {name} must be {allowed.get(name, '0 or 1')}")
    return number
