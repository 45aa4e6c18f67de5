"""Tests of mulde.pipeline.metrics.bootstrap against naive resampling and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mulde.pipeline.metrics.bootstrap import bootstrap, bootstrap_over_videos, from_videos, weighted_mean
from mulde.pipeline.metrics.frames import macro_auc, micro_auc
from mulde.pipeline.metrics.video_scores import VideoScores


def make_videos(n: int, seed: int = 0) -> list[VideoScores]:
    rng = np.random.default_rng(seed)
    videos = []
    for number in range(n):
        labels = np.repeat([0, 1], [30, 10 * (number % 3)]).astype(np.uint8)
        videos.append(VideoScores(f"v{number}", np.round(rng.normal(size=labels.size) + labels, 1), labels))
    return videos


@pytest.mark.parametrize("n_videos", [0, 1])
def test_fewer_than_two_videos_have_no_interval(n_videos: int) -> None:
    videos = make_videos(n_videos)
    assert bootstrap_over_videos(videos, micro_auc, n_resamples=10, seed=0) is None


def test_fast_and_plain_metrics_give_the_same_interval() -> None:
    videos = make_videos(9)

    def plain(drawn: list[VideoScores]) -> float | None:
        labels = np.concatenate([video.labels for video in drawn])
        scores = np.concatenate([video.scores for video in drawn])
        return float(roc_auc_score(labels, scores)) if 0 < labels.sum() < labels.size else None

    fast = bootstrap_over_videos(videos, micro_auc, n_resamples=60, seed=4)
    slow = bootstrap_over_videos(videos, from_videos(plain), n_resamples=60, seed=4)
    assert fast is not None
    assert slow is not None
    np.testing.assert_allclose([fast.low, fast.high], [slow.low, slow.high], atol=1e-12)
    assert fast.n_undefined == slow.n_undefined


def test_resamples_of_one_class_are_left_out_and_counted() -> None:
    normal = VideoScores("a", np.zeros(3), np.zeros(3, dtype=np.uint8))
    abnormal = VideoScores("b", np.ones(3), np.ones(3, dtype=np.uint8))
    interval = bootstrap_over_videos([normal, abnormal], micro_auc, n_resamples=400, seed=0)
    assert interval is not None
    assert (interval.low, interval.high) == (1, 1)
    # both draws are the same video in half of the resamples
    assert 160 < interval.n_undefined < 240
    assert bootstrap_over_videos([normal, abnormal], macro_auc, n_resamples=9, seed=0) is None


def test_the_seed_decides() -> None:
    videos = make_videos(6)
    one, again, other = (bootstrap_over_videos(videos, micro_auc, n_resamples=50, seed=s) for s in (1, 1, 2))
    assert one == again != other


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution() -> None:
    values = np.random.default_rng(0).normal(size=400)
    interval = bootstrap(400, lambda w: {"mean": weighted_mean(values)(w)}, n_resamples=4000, seed=0)["mean"]
    half = 1.96 * values.std() / math.sqrt(400)
    np.testing.assert_allclose(
        [interval.low, interval.high], [values.mean() - half, values.mean() + half], atol=0.1 * half
    )


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Videos of two frames, one of each class: the AUC of each is 1 with probability Φ(1/√2)."""
    truth = 0.5 * (1 + math.erf(0.5))
    rng = np.random.default_rng(1)
    n_held = 0
    for trial in range(200):
        differences = rng.normal(1, math.sqrt(2), size=60) > 0
        statistic = weighted_mean(differences.astype(float))
        interval = bootstrap(60, lambda w, s=statistic: {"": s(w)}, n_resamples=300, seed=trial)[""]
        n_held += interval.low <= truth <= interval.high
    assert 0.89 < n_held / 200 < 0.99


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"n_resamples": 0}, "n_resamples is 0"), ({"level": 1.0}, "level is 1.0")],
    ids=["no resample", "level"],
)
def test_settings_that_mean_nothing_are_refused(changes: dict[str, float], message: str) -> None:
    options = {"n_resamples": 10, "seed": 0, **changes}
    with pytest.raises(ValueError, match=message):
        bootstrap_over_videos(make_videos(3), micro_auc, **options)  # type: ignore[arg-type]
