"""What is done to features before a density sees them, learnt from the training rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA

Array = NDArray[np.float64]
Scaling = Literal["feature", "common"]
ROWS_FOR_FIT = 50_000
"""Rows from which principal components are learnt; more would not change them."""
ROUNDING = 1e-11
"""Share of its values by which a column that is constant varies: 2^16 rows that are summed one after the
other lose up to 7e-12. Neighbours in float32 differ by 6e-8.
"""
LARGEST_STANDARDISED = 1e12  # keeps float32 finite; nothing normal is a trillion standard deviations away


@dataclass(frozen=True)
class Standardisation:
    """Shift and scale each feature; if asked to, keep few whitened principal components."""

    mean: Array
    """(d,) training mean."""
    scale: Array
    """(d,) what each feature is divided by, above 0."""
    whitening: Array | None
    """(d, k), from standardised features to whitened components; None where features stay as they are."""
    noise_sigma: float
    """Noise scale, in units of what a density sees, below which every column is measurement noise."""

    @classmethod
    def fit(
        cls,
        mean: Array,
        std: Array,
        rows: Array,
        *,
        scaling: Scaling = "feature",
        scale_floor: ArrayLike = 0.0,
        n_whitened: int | None = None,
    ) -> Standardisation:
        """Learn from normal rows.

        Args:
            mean, std: of all training rows, (d,) both.
            rows: training rows to learn components from, or a sample of them, (n, d); used if n_whitened is
                set.
            scaling, scale_floor, n_whitened: see `mulde.detector.MULDE`.
        """
        floor = np.broadcast_to(np.asarray(scale_floor, dtype=np.float64), std.shape)
        scale = np.where((std < floor) & (floor > 0), floor, scale_of(mean, std))
        if scaling == "common":
            scale = np.full_like(scale, scale.max())
        noise = floor / scale  # (d,)
        whitening = None if n_whitened is None else _whitening((rows - mean) / scale, n_whitened)
        if whitening is not None:
            noise = np.sqrt(noise**2 @ whitening**2)  # (k,), of features whose noise is independent
        return cls(mean, scale, whitening, float(noise.min()))

    def __call__(self, rows: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return standardised rows (n, k) float32 of rows (n, d); k = d without whitening."""
        with np.errstate(over="ignore"):  # beyond float64 is beyond the limit too
            values = (rows - self.mean) / self.scale
            if self.whitening is not None:
                values = values @ self.whitening
        return np.clip(values, -LARGEST_STANDARDISED, LARGEST_STANDARDISED).astype(np.float32)

    @property
    def n_outputs(self) -> int:
        """k, columns of what a density sees."""
        return len(self.mean) if self.whitening is None else int(self.whitening.shape[1])

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return what `from_arrays` rebuilds it from."""
        arrays = {"mean": self.mean, "scale": self.scale, "noise_sigma": np.array(self.noise_sigma)}
        return arrays if self.whitening is None else {**arrays, "whitening": self.whitening}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[np.float64]]) -> Standardisation:
        """Rebuild what `arrays` returned."""
        return cls(arrays["mean"], arrays["scale"], arrays.get("whitening"), float(arrays["noise_sigma"]))


def scale_of(mean: Array, std: Array) -> Array:
    """Return the standard deviation of each column, 1 where the column is constant up to rounding.

    Rounding is in proportion to the values, whatever their unit; those of a constant are near the mean.
    """
    return np.where(std <= ROUNDING * np.abs(mean), 1.0, std)


def _whitening(standardised: Array, n_components: int) -> Array:
    """Return (d, k) that maps standardised rows (n, d) to their whitened principal components.

    k is at most n_components, and fewer where the rows span fewer.
    """
    n_components = min(n_components, *standardised.shape)
    pca = PCA(n_components, svd_solver="full").fit(standardised)
    std = np.sqrt(pca.explained_variance_)
    spanned = std > 1e-6 * std.max() if std.max() > 0 else np.arange(len(std)) == 0
    return np.asarray((pca.components_[spanned] / np.where(std > 0, std, 1)[spanned, None]).T)
