"""What every density here is: a scikit-learn outlier detector that standardises, scores, saves and loads."""

from __future__ import annotations

import json
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from typing_extensions import Self

from mulde.data.ranges import misfits
from mulde.detector.calibration import LEAST_RANGE_NATS
from mulde.detector.outliers import LEAST_ROWS, MOST_LEFT_OUT, RowsWithout, Usual, find_outliers
from mulde.detector.rows import (
    ROWS_A_READ,
    Moments,
    RowSource,
    check_finite,
    is_row_source,
    iterate,
    measure,
    sample,
)
from mulde.detector.settings import DensitySettings
from mulde.detector.standardisation import ROWS_FOR_FIT, Standardisation
from mulde.detector.store import Description, StoredModel, read_model, write_model

_LARGEST_FEATURE = 1e150  # its square is finite
_log = logging.getLogger(__name__)
_ROWS_FOR_USUAL = 10_000
_NOT_STORED = ("progress", "device", "checkpoint")
_FEATURE_NAMES = "feature_names"  # as UTF-8 of JSON, for tensors hold no text


class Detector(OutlierMixin, BaseEstimator, ABC):  # type: ignore[misc]  # scikit-learn has no types
    """A density of normal feature vectors.

    Sub-classes have the parameters below beside their own, and write `_learn`, `_score`, `_learnt_arrays` and
    `_restore_arrays`; rows reach them standardised.

    Args:
        scaling, scale_floor, n_whitened, outlier_limit: how features are standardised, see
            `mulde.detector.MULDE`.
        contamination: share of the training rows that `predict` calls outliers, in (0, 0.5].
        random_state: seed.

    Attributes:
        n_features_in_: d.
        feature_names_in_: (d,) names of the columns, where it was fitted on a table that has them.
        n_samples_fit_: rows it was fitted on, without those left out.
        standardisation_: what is done to features first.
        left_out_: (n_left_out,) numbers of the rows given to `fit` that `outlier_limit` left out, growing.
        offset_: threshold on `score_samples` below which `predict` says −1.
    """

    settings: ClassVar[type[DensitySettings]]
    """Those of its parameters that a run configures, with their ranges."""
    can_stream: ClassVar[bool] = False
    """Whether `fit` takes a `RowSource` that does not fit into memory as it is; others read all of it."""
    least_range: ClassVar[float] = LEAST_RANGE_NATS
    """See `mulde.detector.Calibration.fit`."""

    scaling: Any
    scale_floor: Any
    n_whitened: int | None
    outlier_limit: float | None
    contamination: float
    random_state: int | np.random.RandomState | None

    def fit(self, X: ArrayLike | RowSource, y: object = None, *, groups: ArrayLike | None = None) -> Self:
        """Learn the density of normal rows.

        Args:
            X: features, (n_samples, n_features), at least two rows, finite; or a `RowSource` of them.
            y: ignored.
            groups: (n_samples,) which rows belong together, such as the number of the video that a row is
                from; what is held out is held out by whole groups. None: every row stands for itself.

        Raises:
            ValueError: X is no finite matrix, groups do not fit it, an argument of the constructor is out of
                range, or the density cannot be learnt.
        """
        self._check_params()
        source = self._open(X)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        numbered = None if groups is None else number_groups(groups, source.shape[0])
        moments = measure(source)
        if moments.largest > _LARGEST_FEATURE:
            raise ValueError(f"features reach {moments.largest:.3g}, too large to standardise")
        self.left_out_ = self._find_outliers(source, moments, seed)
        if len(self.left_out_):
            source = self._learnt_rows(source)
            moments = measure(source)
            numbered = None if numbered is None else np.delete(numbered, self.left_out_)
        self.n_samples_fit_ = moments.n_rows
        some = sample(source, ROWS_FOR_FIT, seed).astype(np.float64)
        self.standardisation_ = Standardisation.fit(
            moments.mean,
            moments.std,
            some,
            scaling=self.scaling,
            scale_floor=self.scale_floor,
            n_whitened=self.n_whitened,
        )
        self._learn(source, numbered, seed)
        scores = -self._score(self.standardisation_(some))
        self.offset_ = float(np.percentile(scores, 100 * self.contamination))
        return self

    def anomaly_score(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return anomaly scores (n_samples,); higher = more anomalous.

        Raises:
            ValueError: X is no finite matrix or has other columns than the training features.
        """
        x = self._standardised(X)
        if x.shape[1] > 1:
            return self._score_in_blocks(x)
        # of one feature, such as the speed where nothing moves, most rows are like others
        distinct, place = np.unique(x[:, 0], return_inverse=True)
        return self._score_in_blocks(distinct[:, None])[place]

    def _score_in_blocks(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return anomaly scores (n,) of standardised rows: what is made on the way is many times larger."""
        blocks = range(0, len(x), ROWS_A_READ)
        return np.concatenate(
            [np.empty(0), *(self._score(x[start : start + ROWS_A_READ]) for start in blocks)]
        )

    def training_scores(
        self,
        X: ArrayLike | RowSource,
        *,
        groups: ArrayLike | None = None,
        of: NDArray[np.int64] | None = None,
    ) -> NDArray[np.float64]:
        """Return anomaly scores (n_samples_fit_,) of the rows it was fitted on, as new rows would have them.

        Args:
            X: the rows that `fit` was given, in the same order; those it left out are left out again.
            groups: as for `fit`. A density that keeps its rows judges each by those of other groups; for all
                others these scores are `anomaly_score`.
            of: numbers of the rows whose scores are returned, (n,), growing, in [0, n_samples_fit_); None for
                all.
        """
        check_is_fitted(self)
        given = X if is_row_source(X) else RowsOfArray(self._validated(X, reset=False))
        learnt = self._learnt_rows(given)
        parts = (
            rows if of is None else rows[_within(of, start, len(rows))] for start, rows in iterate(learnt)
        )
        return np.concatenate([np.empty(0), *(self.anomaly_score(rows) for rows in parts if len(rows))])

    def deciding_sigma(self, X: ArrayLike) -> NDArray[np.float64] | None:
        """Return the noise scale at which each row is most unusual, (n_samples,), in standardised units.

        Large: it is far from all that was learnt; small: it fell between. None where the density has no noise
        scales, or does not tell them apart.
        """
        return None

    def score_samples(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return log-likelihoods (n_samples,) up to a constant; higher = more normal."""
        return -self.anomaly_score(X)

    def score(self, X: ArrayLike, y: object = None) -> float:
        """Return the mean of `score_samples`, a log-likelihood up to a constant; higher = better.

        It is what scikit-learn's model selection maximises where no `scoring` is given. An energy network
        leaves the constant open: it differs with noise scales, aggregation, scaling and whitening, and a
        little from fit to fit, so differences of a few hundredths say nothing. `NearestNeighbours` and `MSMA`
        are no likelihoods: it is the mean of their negative scores.

        Args:
            X: normal rows, (n_samples, n_features).
            y: ignored.
        """
        return float(self.score_samples(X).mean())

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return `score_samples` above the threshold, (n_samples,); negative = outlier."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """Return −1 for outliers and 1 for inliers, (n_samples,)."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    @property
    def mean_(self) -> NDArray[np.float64]:
        """Training mean of each feature, (d,)."""
        return self.standardisation_.mean

    @property
    def scale_(self) -> NDArray[np.float64]:
        """What each feature is divided by, (d,)."""
        return self.standardisation_.scale

    @property
    def whitening_(self) -> NDArray[np.float64] | None:
        """From standardised features to whitened components, (d, k); None where there are none."""
        return self.standardisation_.whitening

    def save(
        self,
        folder: str | os.PathLike[str],
        *,
        description: Description | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the fitted detector to a folder: safetensors and a JSON manifest.

        Args:
            folder: made if need be; a detector that is there is replaced.
            description: what the features are, such as {"stream": "velocity", "key": "3f2a…"}; `load`
                can compare it with the features to score.
            provenance: more to remember about the training, anything that JSON holds; the number of rows and
                the like are there already.
        """
        check_is_fitted(self)
        standardisation = {f"standardisation.{k}": v for k, v in self.standardisation_.arrays().items()}
        write_model(
            folder,
            StoredModel(
                kind=type(self).__name__,
                params=self._storable_params(),
                n_features=self.n_features_in_,
                description=dict(description or {}),
                provenance={
                    **(provenance or {}),
                    "n_samples": self.n_samples_fit_,
                    **self._provenance(),
                },
                tensors={
                    "offset": np.array(self.offset_),
                    "left_out": self.left_out_,
                    **standardisation,
                    **self._feature_names(),
                    **self._learnt_arrays(),
                },
            ),
        )

    @classmethod
    def load(
        cls, folder: str | os.PathLike[str], *, expect: Description | None = None, device: str = "auto"
    ) -> Self:
        """Read a detector that `save` wrote; its scores on the same device are the same, bit for bit.

        Args:
            folder: where it is.
            expect: description of the features that will be scored, compared with the one given to `save`.
            device: where to score, whatever it was trained on; for detectors that use one.

        Raises:
            ValueError: it is missing, damaged, changed, from a later version, of another kind, or was fitted
                on other features than expected.
        """
        stored = read_model(folder, expect)
        if stored.kind != cls.__name__:
            raise ValueError(f"{os.fspath(folder)} holds a {stored.kind}, not a {cls.__name__}")
        return cls.from_stored(stored, device)

    @classmethod
    def from_stored(cls, stored: StoredModel, device: str) -> Self:
        """Make a detector of what `read_model` read.

        Raises:
            ValueError: its parts do not fit together, or there is no such device.
        """
        if "device" in cls._get_param_names():
            resolve_device(device)  # which is no fault of the model
        try:
            detector = cls._rebuilt(stored, device)
            n_columns = len(detector.standardisation_.mean)
            if n_columns != stored.n_features:
                raise ValueError(f"it is of {n_columns} features, not of {stored.n_features}")
            detector.anomaly_score(np.zeros((1, n_columns), np.float32))
            if _FEATURE_NAMES in stored.tensors:
                names = json.loads(stored.tensors[_FEATURE_NAMES].tobytes())
                if len(names) != n_columns:
                    raise ValueError(f"it has {n_columns} features, but names for {len(names)}")
                detector.feature_names_in_ = np.array(names, dtype=object)
            return detector
        except Exception as error:  # arrays of other shapes, of other names, of text, …
            told = " ".join(str(error).split())
            raise ValueError(
                f"the parts of this {cls.__name__} do not fit together ({told}): restore it or train again"
            ) from error

    @classmethod
    def _rebuilt(cls, stored: StoredModel, device: str) -> Self:
        with_device = {"device": device} if "device" in cls._get_param_names() else {}
        params = {name: tuple(v) if isinstance(v, list) else v for name, v in stored.params.items()}
        detector = cls(**params, **with_device)
        detector.n_features_in_ = stored.n_features
        detector.n_samples_fit_ = stored.provenance["n_samples"]
        detector.left_out_ = stored.tensors.get("left_out", np.zeros(0, np.int64))
        detector.standardisation_ = Standardisation.from_arrays(
            arrays_below("standardisation.", stored.tensors)
        )
        detector.offset_ = float(stored.tensors["offset"])
        detector._restore_arrays(stored.tensors)
        return detector

    @abstractmethod
    def _learn(self, source: RowSource, groups: NDArray[np.int64] | None, seed: int) -> None:
        """Learn from raw rows; `standardisation_` is there, and `standardise_all` gives them standardised."""

    @abstractmethod
    def _score(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return anomaly scores (n,) of standardised rows (n, k)."""

    @abstractmethod
    def _learnt_arrays(self) -> dict[str, NDArray[Any]]:
        """Return all that `_restore_arrays` needs."""

    @abstractmethod
    def _restore_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Set the learnt attributes from what `_learnt_arrays` returned."""

    def _provenance(self) -> dict[str, Any]:
        """Return more about the training."""
        return {}

    def _feature_names(self) -> dict[str, NDArray[np.uint8]]:
        """Return the names of the columns, where it was fitted on a table that has some."""
        names = getattr(self, "feature_names_in_", None)
        if names is None:
            return {}
        return {_FEATURE_NAMES: np.frombuffer(json.dumps(list(names)).encode(), np.uint8)}

    def _check_params(self) -> None:
        for name, value, allowed in misfits(self.settings, self):
            raise ValueError(f"{name} is {value!r}, but must be {allowed}")
        checks = {
            "scaling": (self.scaling in ("feature", "common"), "feature or common"),
            "scale_floor": (bool(np.all(np.asarray(self.scale_floor) >= 0)), "at least 0"),
            "n_whitened": (self.n_whitened is None or self.n_whitened >= 1, "None or at least 1"),
            "contamination": (0 < self.contamination <= 0.5, "in (0, 0.5]"),
        }
        for name, (is_valid, allowed) in checks.items():
            if not is_valid:
                raise ValueError(f"{name} is {getattr(self, name)!r}, but must be {allowed}")

    def _open(self, X: ArrayLike | RowSource) -> RowSource:
        if not is_row_source(X):
            return RowsOfArray(self._validated(X, reset=True))
        if X.shape[0] < 2 or X.shape[1] < 1:
            raise ValueError(f"features of shape {X.shape} are too few to learn from")
        self.n_features_in_ = X.shape[1]
        return X if self.can_stream else RowsOfArray(X.read(0, X.shape[0]))

    def _find_outliers(self, source: RowSource, moments: Moments, seed: int) -> NDArray[np.int64]:
        """Return which rows not to learn from, growing, and say so."""
        n_rows = source.shape[0]
        if self.outlier_limit is None or n_rows < LEAST_ROWS:
            return np.zeros(0, np.int64)
        some = sample(source, _ROWS_FOR_USUAL, seed).astype(np.float64)
        usual = Usual.fit(some, scale_floor=self.scale_floor, has_one_unit=self.scaling == "common")
        farthest_first = find_outliers(source, moments, usual, self.outlier_limit)
        left_out = np.sort(farthest_first[: max(1, int(MOST_LEFT_OUT * n_rows))])
        if len(left_out):
            _log.warning(
                "%d of %d training rows lie more than %g times the usual spread out; the farthest %d are "
                "left out (row %d is the first). If they are normal, set outlier_limit=None",
                len(farthest_first),
                n_rows,
                self.outlier_limit,
                len(left_out),
                left_out[0],
            )
        return left_out

    def _learnt_rows(self, source: RowSource) -> RowSource:
        """Return the rows without those left out, in memory if they were there."""
        if not len(self.left_out_):
            return source
        if isinstance(source, RowsOfArray):
            return RowsOfArray(np.delete(source.read(0, source.shape[0]), self.left_out_, axis=0))
        return RowsWithout(source, self.left_out_)

    def standardise_all(self, source: RowSource) -> NDArray[np.float32]:
        """Return all rows of a source as the density sees them, (n, k)."""
        return self.standardisation_(source.read(0, source.shape[0]))

    def _standardised(self, X: ArrayLike) -> NDArray[np.float32]:
        check_is_fitted(self)
        values = self._validated(X, reset=False)
        check_finite(values)
        return self.standardisation_(values)

    def _validated(self, X: ArrayLike, *, reset: bool) -> NDArray[Any]:
        try:
            values: NDArray[Any] = validate_data(
                self,
                X,
                reset=reset,
                dtype=[np.float64, np.float32],
                ensure_all_finite=False,
                ensure_min_samples=2 if reset else 1,
            )
        except ValueError as error:
            if reset or "features as input" not in str(error):
                raise
            raise ValueError(
                f"{error} The features have {np.shape(X)[1]} columns, but this detector was fitted on "
                f"{self.n_features_in_}: was another extractor used?"
            ) from None
        return values

    def _storable_params(self) -> dict[str, Any]:
        params = {name: value for name, value in self.get_params().items() if name not in _NOT_STORED}
        params["scale_floor"] = np.asarray(self.scale_floor, dtype=np.float64).tolist()
        if isinstance(self.random_state, np.random.RandomState):
            params["random_state"] = None
        return {name: _plain(value) for name, value in params.items()}


class RowsOfArray:
    """An array as a `RowSource`."""

    def __init__(self, values: NDArray[Any]) -> None:
        self._values = values

    @property
    def shape(self) -> tuple[int, int]:
        """(n_samples, n_features)."""
        return self._values.shape[0], self._values.shape[1]

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return the rows start to stop, half-open."""
        return self._values[start:stop]


def resolve_device(name: str) -> torch.device:
    """Return the torch device of "auto", "cpu", "cuda" or "cuda:N".

    Raises:
        ValueError: the name is none of these, or there is no such GPU.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if name != "cpu" and (kind != "cuda" or (index and not index.isdecimal())):
        raise ValueError(f"device is {name!r}, but must be auto, cpu, cuda or cuda:N")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device is {name!r}, but torch sees {torch.cuda.device_count()} GPUs here: use cpu or auto"
        )
    return torch.device(name)


def arrays_below(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the arrays whose name starts with the prefix, without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def number_groups(groups: ArrayLike, n_rows: int) -> NDArray[np.int64]:
    """Return the groups as numbers from 0 on, (n_rows,).

    Raises:
        ValueError: there is not one a row.
    """
    values = np.asarray(groups)
    if values.shape != (n_rows,):
        raise ValueError(f"groups have shape {values.shape}, but there are {n_rows} rows: give one a row")
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _plain(value: Any) -> Any:
    """Return a parameter as JSON holds it."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (tuple, list, np.ndarray)):
        return [_plain(item) for item in value]
    return value


def _within(numbers: NDArray[np.int64], start: int, n_rows: int) -> NDArray[np.int64]:
    """Return which of the rows from `start` on are meant by growing numbers of rows, counted from there."""
    first, last = np.searchsorted(numbers, (start, start + n_rows))
    return numbers[first:last] - start
