"""Progress inside a video while its rows are scored."""

from __future__ import annotations

import numpy as np
import pytest

from mulde.data.features import FeatureRows
from mulde.detector import Mahalanobis
from mulde.detector.calibration import Calibration
from mulde.pipeline.models.model import StreamModel
from mulde.pipeline.stages.score import _ROWS_SHOWN, _score_rows


@pytest.mark.parametrize("n_rows", [0, 1, _ROWS_SHOWN, 2 * _ROWS_SHOWN + 3])
def test_rows_are_counted_while_they_are_scored(n_rows: int) -> None:
    rng = np.random.default_rng(0)
    model = StreamModel(
        Mahalanobis().fit(rng.normal(size=(50, 2)).astype(np.float32)), Calibration(0.0, 1.0, 0.5)
    )
    rows = FeatureRows(rng.normal(size=(n_rows, 2)).astype(np.float32), np.zeros(n_rows, np.int64))
    seen: list[tuple[int, int]] = []
    scores = _score_rows(
        {"a": model, "b": model}, {"a": rows, "b": rows}, lambda *progress: seen.append(progress)
    )
    for stream in "ab":
        np.testing.assert_allclose(scores[stream], model.score(rows.features), rtol=1e-12)
    done = [n_done for n_done, _ in seen]
    assert done == sorted(set(done))
    assert seen[-1:] == ([(2 * n_rows, 2 * n_rows)] if n_rows else [])
    assert max(np.diff([0, *done]), default=0) <= _ROWS_SHOWN
