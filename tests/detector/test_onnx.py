"""The exported graph scores as the detector does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from mulde.data.errors import InputError
from mulde.detector import MSMA, MULDE
from mulde.detector.aggregation import AGGREGATIONS
from mulde.detector.onnx import INPUT_NAME, ScoringPath, export_onnx, torch_aggregation

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")


def test_onnxruntime_scores_the_same(small: Callable[..., MULDE], rows: np.ndarray, tmp_path: Path) -> None:
    detector = small(aggregation="gmm", n_whitened=2).fit(rows)
    export_onnx(detector, tmp_path / "detector.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "detector.onnx", providers=["CPUExecutionProvider"])
    for n in (1, 7, 300):
        x = (rows[:n] * 3).astype(np.float32)
        (scores,) = session.run(None, {INPUT_NAME: x})
        assert scores.shape == (n,)
        np.testing.assert_allclose(scores, detector.anomaly_score(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", AGGREGATIONS)
def test_every_aggregation_has_a_twin_in_torch(
    small: Callable[..., MULDE], rows: np.ndarray, kind: str
) -> None:
    import torch

    detector = small(aggregation=kind).fit(rows)
    x = np.concatenate([rows[:50], rows[:5] * 10])
    energies = detector.energies(x)
    got = torch_aggregation(detector.aggregation_)(torch.from_numpy(energies))
    np.testing.assert_allclose(got, detector.aggregation_.anomaly_score(energies), rtol=1e-9, atol=1e-9)
    whole = ScoringPath(detector).eval()(torch.from_numpy(x).float()).detach()
    np.testing.assert_allclose(whole, detector.anomaly_score(x.astype(np.float32)), rtol=1e-3, atol=1e-3)


def test_an_unfitted_detector_is_refused(small: Callable[..., MULDE], tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        export_onnx(small(), tmp_path / "detector.onnx")


def test_norms_of_gradients_are_refused(rows: np.ndarray, tmp_path: Path) -> None:
    detector = MSMA(widths=(8,), max_steps=5, random_state=0).fit(rows)
    with pytest.raises(InputError, match="export a MULDE"):
        export_onnx(detector, tmp_path / "detector.onnx")
    assert not (tmp_path / "detector.onnx").exists()
