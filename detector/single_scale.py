"""The energy at one noise scale: denoising score matching without the scales."""

from __future__ import annotations

import inspect
from typing import Any

from mulde.detector.mulde import MULDE
from mulde.detector.settings import MuldeSettings, SingleScaleSettings

_OF_MANY_SCALES = MuldeSettings.__dataclass_fields__.keys() - SingleScaleSettings.__dataclass_fields__.keys()


def _signature() -> inspect.Signature:
    """Return that of `MULDE`, which scikit-learn reads the parameters from, with sigma for the scales."""
    signature = inspect.signature(MULDE.__init__)
    sigma = inspect.Parameter(
        "sigma", inspect.Parameter.KEYWORD_ONLY, default=SingleScaleSettings().sigma, annotation="float"
    )
    self, *others = (p for p in signature.parameters.values() if p.name not in _OF_MANY_SCALES)
    return signature.replace(parameters=[self, sigma, *others])


class SingleScale(MULDE):
    """Score feature vectors by an energy that is trained, and evaluated, at one noise scale only.

    It is `MULDE(sigma_low=sigma, sigma_high=sigma, n_scales=1, aggregation="largest")`, bit for bit.

    Args:
        sigma: the noise scale, in units of standardised features.
        others: as of `MULDE`, but for those that the line above sets.

    The attributes are those of `MULDE`.

    Source: Vincent, "A connection between score matching and denoising autoencoders", Neural Computation
        2011.
    """

    settings = SingleScaleSettings

    def __init__(self, *, sigma: float = SingleScaleSettings().sigma, **others: Any) -> None:
        if others.keys() & _OF_MANY_SCALES:
            raise TypeError(f"SingleScale has one noise scale: give sigma, not {', '.join(others)}")
        super().__init__(**others, n_scales=1, aggregation="largest")
        self.sigma = sigma

    __init__.__signature__ = _signature()  # type: ignore[attr-defined]

    @property
    def _noise_range(self) -> tuple[float, float]:
        return self.sigma, self.sigma
