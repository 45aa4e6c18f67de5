"""Fewer, uncorrelated coordinates for features of many dimensions."""

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

_ROWS_FOR_FIT = 50_000


def whitening(standardised: NDArray[np.float64], n_components: int, seed: int) -> NDArray[np.float64]:
    """Return the matrix (d, k) that maps standardised rows to their whitened principal components.

    Args:
        standardised: training rows, (n, d), with mean 0.
        n_components: most components; fewer where the rows span fewer.
        seed: which rows are taken where there are very many.
    """
    rows = standardised
    if len(rows) > _ROWS_FOR_FIT:
        rows = rows[np.random.default_rng(seed).permutation(len(rows))[:_ROWS_FOR_FIT]]
    n_components = min(n_components, *rows.shape)
    pca = PCA(n_components, svd_solver="full").fit(rows)
    std = np.sqrt(pca.explained_variance_)
    spanned = std > 1e-6 * std.max() if std.max() > 0 else np.arange(len(std)) == 0
    return np.asarray((pca.components_[spanned] / np.where(std > 0, std, 1)[spanned, None]).T)
