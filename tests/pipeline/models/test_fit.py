"""What a stream's scores are calibrated on, where there are very many rows."""

from __future__ import annotations

import numpy as np
import pytest

from mulde.pipeline.models import fit
from mulde.pipeline.models.fit import StreamRows, _number_frames, build_detector, fit_stream


def stream(n_frames: int, rows_a_frame: int) -> StreamRows:
    """Rows of 20 videos, in frames of several rows each."""
    rng = np.random.default_rng(0)
    n_rows = n_frames * rows_a_frame
    frames = np.repeat(np.arange(n_frames), rows_a_frame)
    x = rng.normal(size=(n_rows, 2)).astype(np.float32)
    has_several = rows_a_frame > 1
    return StreamRows(
        "velocity", x, frames * 20 // n_frames, frames, frames if has_several else None, False, 0.0, None
    )


@pytest.mark.parametrize("rows_a_frame", [1, 5])
@pytest.mark.parametrize("kind", ["mahalanobis", "gmm", "knn"])
def test_a_calibration_on_some_frames_is_nearly_that_on_all(
    kind: str, rows_a_frame: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = stream(10_000, rows_a_frame)
    detector = build_detector(kind, {}, rows, device="cpu", seed=0)
    of_all = fit_stream(detector, rows).calibration
    scored = []
    whole = type(detector).training_scores
    monkeypatch.setattr(
        type(detector),
        "training_scores",
        lambda *args, **more: scored.append(more["of"]) or whole(*args, **more),
    )
    monkeypatch.setattr(fit, "_ROWS_FOR_CALIBRATION", len(rows.source) // 2)
    of_some = fit_stream(detector, rows).calibration
    (some,) = scored
    assert len(rows.source) * 0.47 < len(some) < len(rows.source) * 0.53
    _, n_each = np.unique(rows.frame[some], return_counts=True)
    assert set(n_each.tolist()) == {rows_a_frame}  # whole frames
    span = of_all.high - of_all.low
    assert abs(of_some.high - of_all.high) < 0.1 * span
    assert abs(of_some.mean - of_all.mean) < 0.02 * span
    assert 0 <= of_some.low - of_all.low < 0.05 * span


@pytest.mark.parametrize(("groups", "frame", "expected"), [
    ([0], [4], None),
    ([0, 0, 1, 1], [3, 5, 5, 6], None),
    ([0, 0], [3, 3], [0, 0]),
    ([0, 0, 0, 1, 1, 4, 4], [3, 3, 8, 8, 9, 9, 9], [0, 0, 1, 2, 3, 4, 4]),
])  # fmt: skip
def test_each_frame_of_each_video_has_a_number(
    groups: list[int], frame: list[int], expected: list[int] | None
) -> None:
    numbers = _number_frames(np.array(groups), np.array(frame))
    assert (None if numbers is None else numbers.tolist()) == expected
