"""The distance to the nearest training rows, exact."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import neighbors
from sklearn.utils.validation import check_is_fitted

from mulde.detector.base import Detector, number_groups
from mulde.detector.rows import RowSource
from mulde.detector.settings import NearestSettings
from mulde.detector.standardisation import Scaling

_DEFAULTS = NearestSettings()
_N_FOLDS = 5
_MOST_FEATURES_FOR_TREES = 15  # beyond that a tree looks at nearly all rows too
_SPARE_CANDIDATES = 8
_ROWS_A_SEARCH = 4096


class NearestNeighbours(Detector):
    """Score feature vectors by the mean Euclidean distance to the k nearest training rows.

    Exact, and it keeps all training rows. Where `faiss` is installed (pip install 'mulde[faiss]'), it finds
    the neighbours among rows of many features; the distances are the same.

    Args:
        k, outlier_limit: see `mulde.detector.settings.NearestSettings`.
        scaling, scale_floor, n_whitened: how features are standardised, see `mulde.detector.MULDE`.
        contamination: share of the training rows that `predict` calls outliers, in (0, 0.5]. A training row
            finds itself among its nearest, so of new rows the share is larger; `training_scores` is without
            that.
        random_state: seed of the draw of rows for `offset_`, where there are very many.

    Attributes:
        search_: the training rows, standardised, in order, and how they are searched.

    Source: Reiss & Hoshen, AI-VAD (arXiv 2212.00789), §3.4.
    """

    settings = NearestSettings
    least_range: ClassVar[float] = 1.0
    """Standard deviations of a feature: scores are distances, not nats."""

    def __init__(
        self,
        *,
        k: int = _DEFAULTS.k,
        scaling: Scaling = "feature",
        scale_floor: Any = 0.0,
        n_whitened: int | None = None,
        outlier_limit: float | None = _DEFAULTS.outlier_limit,
        contamination: float = 0.01,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.k = k
        self.scaling = scaling
        self.scale_floor = scale_floor
        self.n_whitened = n_whitened
        self.outlier_limit = outlier_limit
        self.contamination = contamination
        self.random_state = random_state

    def training_scores(
        self,
        X: ArrayLike | RowSource,
        *,
        groups: ArrayLike | None = None,
        of: NDArray[np.int64] | None = None,
    ) -> NDArray[np.float64]:
        """Return the scores (n_samples_fit_,) of the rows it was fitted on, each found among others only.

        With groups the rows are split by whole groups into five folds, or as many as there are groups, and
        each fold is judged by the others; without, each row is judged by all others.
        """
        check_is_fitted(self)
        x = self.search_.rows
        of = np.arange(len(x)) if of is None else of
        numbers = None
        if groups is not None:
            kept = np.delete(number_groups(groups, len(x) + len(self.left_out_)), self.left_out_)
            numbers = number_groups(kept, len(x))  # a group may be left out as a whole
        if numbers is None or numbers.max() == 0:
            return self.search_.mean_distance(x[of], leave_nearest_out=True)  # which is the row itself
        folds = numbers % _N_FOLDS
        scores = np.empty(len(of))
        for fold in np.unique(folds[of]):
            others = ExactSearch(x[folds != fold], self.k)
            scores[folds[of] == fold] = others.mean_distance(x[of[folds[of] == fold]])
        return scores

    def _learn(self, source: RowSource, groups: NDArray[np.int64] | None, seed: int) -> None:
        self.search_ = ExactSearch(self.standardise_all(source), self.k)

    def _score(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        return self.search_.mean_distance(x)

    def _learnt_arrays(self) -> dict[str, NDArray[Any]]:
        return {"rows": self.search_.rows}

    def _restore_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.search_ = ExactSearch(arrays["rows"], self.k)


def find_faiss() -> Any:
    """Return the module faiss, or None where it is not installed."""
    try:
        return importlib.import_module("faiss")
    except ImportError:
        return None


class ExactSearch:
    """The k Euclidean nearest neighbours among rows (N, d): a tree for few features, all pairs for many."""

    def __init__(self, rows: NDArray[np.float32], k: int) -> None:
        self.rows, self.k = rows, k
        self._flat = self._nearest = None
        faiss = find_faiss() if rows.shape[1] > _MOST_FEATURES_FOR_TREES else None
        if faiss is not None:
            self._searched = rows
            self._flat = faiss.IndexFlatL2(rows.shape[1])
            self._flat.add(np.ascontiguousarray(rows))
        elif rows.shape[1] > _MOST_FEATURES_FOR_TREES:
            self._searched = rows
            self._nearest = neighbors.NearestNeighbors(algorithm="brute").fit(rows)
        else:
            # A tree cannot tell equal rows apart and looks at all of them: k + 1 of each are enough.
            distinct, counts = np.unique(rows, axis=0, return_counts=True)
            self._searched = np.repeat(distinct, np.minimum(counts, k + 1), axis=0)
            self._nearest = neighbors.NearestNeighbors(algorithm="kd_tree").fit(self._searched)

    def __reduce__(self) -> tuple[Any, ...]:
        return ExactSearch, (self.rows, self.k)  # an index of faiss cannot be pickled

    def mean_distance(
        self, x: NDArray[np.float32], *, leave_nearest_out: bool = False
    ) -> NDArray[np.float64]:
        """Return the mean distance (n,) of x (n, d) to its k nearest rows, or to all if there are fewer.

        Args:
            leave_nearest_out: the nearest does not count, for rows that are among those searched.
        """
        first = int(leave_nearest_out)
        n = min(self.k + first, len(self.rows))
        parts = [
            self._distances(x[start : start + _ROWS_A_SEARCH], n)[:, first:].mean(axis=1)
            for start in range(0, len(x), _ROWS_A_SEARCH)
        ]
        return np.concatenate([np.empty(0), *parts])

    def _distances(self, x: NDArray[np.float32], n: int) -> NDArray[np.float64]:
        """Return the distances to the n nearest rows, (len(x), n), nearest first."""
        if self._flat is None:
            n_candidates = n
            assert self._nearest is not None
            _, found = self._nearest.kneighbors(x, n)
        else:
            n_candidates = min(n + _SPARE_CANDIDATES, len(self._searched))
            _, found = self._flat.search(np.ascontiguousarray(x), n_candidates)
        # Fast searches subtract large squares; distances of near rows need all their digits.
        squares = np.empty((len(x), n_candidates))
        for column in range(n_candidates):
            apart = x.astype(np.float64) - self._searched[found[:, column]]
            squares[:, column] = np.einsum("ij,ij->i", apart, apart)
        return np.sqrt(np.sort(squares, axis=1)[:, :n])
