"""Tests of mulde.pipeline.metrics.roc: weighted curves are those of repeated videos."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from mulde.pipeline.metrics.roc import Ranking, RocCurve

Videos = list[tuple[list[int], list[int]]]
"""Scores of positives and of negatives, a pair a video."""

SCORES = st.lists(st.integers(-4, 4), max_size=8)
VIDEOS = st.lists(st.tuples(SCORES, SCORES), min_size=1, max_size=4)


def rank(videos: Videos) -> Ranking:
    return Ranking.of(
        [np.array(positives, dtype=float) for positives, _ in videos],
        [np.array(negatives, dtype=float) for _, negatives in videos],
    )


def flat(videos: Videos) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and scores of all frames."""
    positives = [score for part, _ in videos for score in part]
    negatives = [score for _, part in videos for score in part]
    return np.repeat([1, 0], [len(positives), len(negatives)]), np.array(positives + negatives, dtype=float)


def test_nothing_at_all() -> None:
    curve = rank([([], [])]).curve()
    assert not curve.is_defined
    assert not Ranking.of([], []).curve().is_defined


@given(st.data(), VIDEOS)
def test_weights_count_videos_as_often(data: st.DataObject, videos: Videos) -> None:
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(videos), max_size=len(videos)))
    repeated = [video for video, n in zip(videos, weights, strict=True) for _ in range(n)]
    labels, scores = flat(repeated)
    assume(0 < labels.sum() < labels.size)
    curve = rank(videos).curve(np.array(weights))
    np.testing.assert_allclose(curve.auc, roc_auc_score(labels, scores), atol=1e-12)
    np.testing.assert_allclose(curve.average_precision, average_precision_score(labels, scores), atol=1e-12)
    plain = rank(repeated).curve()
    np.testing.assert_allclose(curve.equal_error_rate, plain.equal_error_rate, atol=1e-12)
    np.testing.assert_allclose(curve.area_up_to(2.5), plain.area_up_to(2.5), atol=1e-12)


@given(VIDEOS)
def test_the_polyline_is_that_of_scikit_learn(videos: Videos) -> None:
    labels, scores = flat(videos)
    assume(0 < labels.sum() < labels.size)
    curve = rank(videos).curve()
    false_rate, true_rate, _ = roc_curve(labels, scores, drop_intermediate=False)
    ours = list(zip(curve.false_positive_rate, curve.true_positive_rate, strict=True))
    for point in zip(false_rate, true_rate, strict=True):
        before = [p for p in ours if p[0] <= point[0] and p[1] <= point[1]][-1]
        after = next(p for p in ours if p[0] >= point[0] and p[1] >= point[1])
        way = np.subtract(after, before)
        on_line = np.cross([*way, 0], [*np.subtract(point, before), 0])[2]
        np.testing.assert_allclose(on_line, 0, atol=1e-12)


@given(VIDEOS, st.integers(1, 60))
def test_area_up_to_a_limit_equals_the_integral(videos: Videos, tenths: int) -> None:
    limit = tenths / 10
    curve = rank(videos).curve()
    assume(curve.is_defined)
    x = curve.false_positive_rate * curve.n_negatives
    y = curve.true_positive_rate
    # The last point at each x counts, except that a rise at x = 0 starts there: cut by hand, step by step.
    area = 0.0
    for (x0, y0), (x1, y1) in zip(zip(x, y, strict=True), zip(x[1:], y[1:], strict=True), strict=False):
        stop = min(x1, limit)
        if x1 > x0 and stop > x0:
            area += (stop - x0) * (y0 + (y0 + (y1 - y0) * (stop - x0) / (x1 - x0))) / 2
    area += max(limit - x[-1], 0) * y[-1]
    np.testing.assert_allclose(curve.area_up_to(limit), area / limit, atol=1e-12)


@pytest.mark.parametrize(
    ("n_positives", "limit", "expected"),
    [(2, 10, 1.0), (4, 10, 0.5), (2, 1, 1.0)],
    ids=["all found", "two without a score", "one allowed"],
)
def test_positives_without_a_score_are_never_found(n_positives: int, limit: int, expected: float) -> None:
    ranking = Ranking.of([np.array([5.0, 4.0])], [np.array([3.0, 2.0])], n_positives=[n_positives])
    assert ranking.curve().area_up_to(limit) == expected


def test_a_curve_of_labels_and_scores() -> None:
    curve = RocCurve.from_scores(np.array([0, 1, 0, 1], dtype=np.uint8), np.array([1.0, 2.0, 2.0, 3.0]))
    assert curve.auc == 0.875
    np.testing.assert_allclose(curve.false_positive_rate, [0, 0, 0, 0, 0.5, 1])
    np.testing.assert_allclose(curve.true_positive_rate, [0, 0, 0.5, 0.5, 1, 1])
