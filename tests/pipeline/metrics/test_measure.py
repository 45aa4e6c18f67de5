"""Tests of mulde.pipeline.metrics.measure against scikit-learn, naive twins and invariances."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from mulde.data.labels.regions import Regions
from mulde.pipeline.metrics.measure import VideoScores, evaluate_frames, roc_curve, video_auc
from mulde.pipeline.metrics.protocols import PROTOCOLS, Smoothing, Treatment
from mulde.pipeline.metrics.records import Metrics
from mulde.pipeline.metrics.regions import RegionVideo
from mulde.pipeline.metrics.settings import EvaluateConfig

KEYS = ("micro_auc", "macro_auc", "macro_auc_padded", "average_precision", "eer")
ALL_KEYS = (*KEYS[:3], "scene_auc", *KEYS[3:], "rbdc", "tbdc", "box_auc")
POINT_ONLY = EvaluateConfig(n_resamples=0)


def video(name: str, scores: Sequence[float], labels: Sequence[int]) -> VideoScores:
    return VideoScores(name, np.array(scores, dtype=np.float64), np.array(labels, dtype=np.uint8))


def evaluate(videos: Sequence[VideoScores], **options: Any) -> Metrics:
    """Measure without intervals, which take most of the time."""
    return evaluate_frames(videos, settings=POINT_ONLY, **options)


def values(metrics: Metrics) -> dict[str, float | None]:
    return {key: metrics[key].value for key in KEYS}


def naive_auc(videos: Sequence[VideoScores]) -> float:
    """Return the part of (abnormal, normal) pairs in the right order, ties counted half."""
    frames = [(s, y) for v in videos for s, y in zip(v.scores, v.labels, strict=True)]
    abnormal = [s for s, y in frames if y]
    normal = [s for s, y in frames if not y]
    return sum((a > n) + (a == n) / 2 for a in abnormal for n in normal) / (len(abnormal) * len(normal))


def naive_eer(videos: Sequence[VideoScores]) -> float:
    """Walk the thresholds from the highest down and intersect the ROC segment that crosses FPR = FNR."""
    scores = np.concatenate([v.scores for v in videos])
    labels = np.concatenate([v.labels for v in videos])
    before = (0.0, 1.0)
    for threshold in sorted(set(scores.tolist()), reverse=True):
        flagged = scores >= threshold
        after = (float(flagged[labels == 0].mean()), float((~flagged)[labels == 1].mean()))
        if after[0] >= after[1]:
            gap_before, gap_after = before[1] - before[0], after[0] - after[1]
            return before[0] + (after[0] - before[0]) * gap_before / (gap_before + gap_after)
        before = after
    raise AssertionError("the lowest threshold flags every frame")


@st.composite
def video_sets(draw: st.DrawFn) -> list[VideoScores]:
    """Draw one to four short videos that hold both classes between them, with many tied scores."""
    lengths = draw(st.lists(st.integers(0, 12), min_size=1, max_size=4))
    videos = []
    for number, n_frames in enumerate(lengths):
        scores = draw(st.lists(st.integers(-6, 6), min_size=n_frames, max_size=n_frames))
        labels = draw(st.lists(st.integers(0, 1), min_size=n_frames, max_size=n_frames))
        videos.append(video(f"v{number}", scores, labels))
    assume(0 < sum(v.n_abnormal for v in videos) < sum(v.n_frames for v in videos))
    return videos


# --- Sets that define little or nothing ---


@pytest.mark.parametrize(
    ("videos", "reason"),
    [
        ([], "no labelled test frames"),
        ([video("a", [], [])], "no labelled test frames"),
        ([video("a", [1, 2], [0, 0]), video("b", [3], [0])], "no test frame is labelled abnormal"),
        ([video("a", [1, 2], [1, 1])], "every test frame is labelled abnormal"),
    ],
    ids=["no video", "no frame", "all normal", "all abnormal"],
)
def test_a_set_without_both_classes_has_reasons_instead_of_values(
    videos: list[VideoScores], reason: str
) -> None:
    metrics = evaluate(videos, unsmoothed=videos)
    document = json.loads(metrics.to_json())
    for key in KEYS:
        assert document[key] is None
        assert reason in document["reasons"][key]
        assert document["unsmoothed"][key] is None
    assert roc_curve(videos) is None
    assert [v.auc for v in metrics.per_video] == [None] * len(videos)


def test_macro_auc_is_undefined_where_every_video_is_of_one_class() -> None:
    metrics = evaluate([video("a", [1, 2], [0, 0]), video("b", [3, 4], [1, 1])])
    assert metrics["macro_auc"].value is None
    assert "every video is of one class" in metrics["macro_auc"].reason
    assert metrics["micro_auc"].value == 1
    assert metrics["macro_auc_padded"].value == 1


# --- Values against scikit-learn and worked examples ---

AWKWARD = {
    "ties across classes": [video("a", [1, 1, 2, 2], [0, 1, 0, 1]), video("b", [1, 2], [1, 0])],
    "constant scores": [video("a", [5, 5, 5], [0, 1, 0]), video("b", [5, 5], [1, 1])],
    "one-class videos": [
        video("a", [1, 9, 3], [0, 1, 0]),
        video("b", [2, 2], [0, 0]),
        video("c", [4, 1], [1, 1]),
    ],
    "one frame a video": [video("a", [1], [0]), video("b", [2], [1])],
    "always wrong": [video("a", [3, 2, 1, 0], [0, 0, 1, 1])],
    "extreme magnitudes": [video("a", [1e-308, 1e300, -1e300, 4e5], [0, 1, 0, 1])],
}


@pytest.mark.parametrize("videos", AWKWARD.values(), ids=AWKWARD.keys())
def test_micro_auc_and_average_precision_equal_scikit_learn(videos: list[VideoScores]) -> None:
    scores = np.concatenate([v.scores for v in videos])
    labels = np.concatenate([v.labels for v in videos])
    metrics = evaluate(videos)
    np.testing.assert_allclose(metrics["micro_auc"].value, roc_auc_score(labels, scores), atol=1e-12)
    np.testing.assert_allclose(
        metrics["average_precision"].value, average_precision_score(labels, scores), atol=1e-12
    )


def test_one_class_videos_are_left_out_or_padded() -> None:
    metrics = evaluate(AWKWARD["one-class videos"])
    assert metrics["macro_auc"].value == 1  # only video a has both classes
    # Padded with normal 1 and abnormal 9: a is perfect; b has normal 2, 2, 1 below 9; c has abnormal 4, 1, 9
    # against normal 1: two pairs right and one tied, (1 + 1 + 0.5) / 3.
    np.testing.assert_allclose(metrics["macro_auc_padded"].value, (1 + 1 + 2.5 / 3) / 3, atol=1e-12)
    assert [v.auc for v in metrics.per_video] == [1, None, None]
    assert metrics.counts.videos == 3
    assert metrics.counts.frames == 7
    assert metrics.counts.abnormal_frames == 3
    assert metrics.counts.one_class_videos == 2


def test_a_video_without_frames_does_not_lift_the_padded_auc() -> None:
    wrong = video("a", [2, 1], [0, 1])
    with_empty = evaluate([wrong, video("empty", [], [])])
    assert with_empty["macro_auc_padded"].value == evaluate([wrong])["macro_auc_padded"].value


@pytest.mark.parametrize(
    ("scores", "labels", "expected"),
    [
        ([0, 1, 2, 3], [0, 0, 1, 1], 0.0),
        ([3, 2, 1, 0], [0, 0, 1, 1], 1.0),
        ([7, 7, 7, 7], [0, 1, 0, 1], 0.5),
        ([1, 3, 2, 4], [0, 0, 1, 1], 0.5),
    ],
    ids=["perfect", "always wrong", "constant", "one swap of four"],
)
def test_equal_error_rate(scores: list[float], labels: list[int], expected: float) -> None:
    np.testing.assert_allclose(evaluate([video("a", scores, labels)])["eer"].value, expected, atol=1e-12)


@given(video_sets())
def test_micro_auc_counts_pairs_in_the_right_order(videos: list[VideoScores]) -> None:
    np.testing.assert_allclose(evaluate(videos)["micro_auc"].value, naive_auc(videos), atol=1e-12)


@given(video_sets())
def test_average_precision_equals_scikit_learn(videos: list[VideoScores]) -> None:
    scores, labels = (np.concatenate([getattr(v, what) for v in videos]) for what in ("scores", "labels"))
    expected = average_precision_score(labels, scores)
    np.testing.assert_allclose(evaluate(videos)["average_precision"].value, expected, atol=1e-12)


@given(video_sets())
def test_equal_error_rate_equals_a_walk_over_thresholds(videos: list[VideoScores]) -> None:
    np.testing.assert_allclose(evaluate(videos)["eer"].value, naive_eer(videos), atol=1e-12)


@given(video_sets())
def test_macro_auc_is_the_mean_over_naive_aucs(videos: list[VideoScores]) -> None:
    aucs = [naive_auc([v]) for v in videos if v.has_both_classes]
    macro = evaluate(videos)["macro_auc"].value
    if aucs:
        np.testing.assert_allclose(macro, np.mean(aucs), atol=1e-12)
    else:
        assert macro is None


@given(video_sets())
def test_area_under_the_roc_curve_is_the_micro_auc(videos: list[VideoScores]) -> None:
    curve = roc_curve(videos)
    assert curve is not None
    x, y = curve.false_positive_rate, curve.true_positive_rate
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    area = np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2)
    np.testing.assert_allclose(area, evaluate(videos)["micro_auc"].value, atol=1e-12)


# --- Invariances ---

# Strictly monotone and still without ties in float64 on the whole numbers from -6 to 6.
MONOTONE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "affine": lambda s: 3 * s - 100,
    "cubic": lambda s: s**3 + s,
    "exponential": np.exp,
    "saturating": np.arctan,
}


@pytest.mark.parametrize("transform", MONOTONE.values(), ids=MONOTONE.keys())
@settings(max_examples=40)
@given(videos=video_sets())
def test_strictly_monotone_transforms_change_nothing(
    transform: Callable[[np.ndarray], np.ndarray], videos: list[VideoScores]
) -> None:
    transformed = [VideoScores(v.name, transform(v.scores), v.labels) for v in videos]
    assert values(evaluate(transformed)) == values(evaluate(videos))


@given(st.data(), video_sets())
def test_the_order_of_videos_does_not_matter(data: st.DataObject, videos: list[VideoScores]) -> None:
    shuffled = data.draw(st.permutations(videos))
    assert values(evaluate(shuffled)) == values(evaluate(videos))
    assert evaluate(shuffled, unsmoothed=videos)["micro_auc"].value is not None


@given(video_sets())
def test_doubling_every_video_changes_no_metric(videos: list[VideoScores]) -> None:
    twins = [VideoScores(f"{v.name} again", v.scores, v.labels) for v in videos]
    before, after = values(evaluate(videos)), values(evaluate([*videos, *twins]))
    for key in KEYS:
        if before[key] is None:
            assert after[key] is None
        else:
            np.testing.assert_allclose(after[key], before[key], atol=1e-12)


@given(video_sets())
def test_negated_scores_mirror_the_auc(videos: list[VideoScores]) -> None:
    negated = [VideoScores(v.name, -v.scores, v.labels) for v in videos]
    auc, mirrored = evaluate(videos)["micro_auc"].value, evaluate(negated)["micro_auc"].value
    assert auc is not None
    np.testing.assert_allclose(mirrored, 1 - auc, atol=1e-12)


# --- Scenes, events, intervals, regions ---


def test_scene_auc_is_the_mean_of_the_micro_aucs_within_scenes() -> None:
    cameras = {"a": [1, 2, 3, 4], "b": [4, 3, 2, 1]}
    videos = [
        dataclasses.replace(video(f"{scene}/{n}", scores[n : n + 2], [0, 1]), scene=scene)
        for scene, scores in cameras.items()
        for n in (0, 2)
    ]
    one_class = dataclasses.replace(video("c/0", [9], [0]), scene="c")
    metrics = evaluate([*videos, one_class])
    # a: normal 1, 3, abnormal 2, 4: three of four pairs; b is its mirror image
    assert [(row.scene, row.auc) for row in metrics.per_scene] == [("a", 0.75), ("b", 0.25), ("c", None)]
    assert metrics["scene_auc"].value == 0.5
    alone = evaluate([v for v in videos if v.scene == "a"])
    assert alone["scene_auc"].reason == "the videos are of one scene"
    assert alone.per_scene == ()


def test_events_need_a_frame_rate_and_an_event() -> None:
    a = video("a", [1, 9, 2], [0, 1, 0])
    metrics = evaluate([a])
    assert metrics.events is None
    assert "frame rate of 1 video is not known, the first is a" in metrics.no_events_reason
    known = dataclasses.replace(a, fps=1.0)
    table = evaluate([known]).events
    assert table is not None
    assert (table.n_events, table.hours) == (1, 3 / 3600)
    assert [(point.found, point.false_alarms) for point in table.points] == [(1, 0)] * 4
    assert (
        "no test frame is labelled abnormal"
        in evaluate([dataclasses.replace(known, labels=np.zeros(3, dtype=np.uint8))]).no_events_reason
    )


def test_hours_of_events_go_by_the_times_of_frames_without_pauses() -> None:
    steady = dataclasses.replace(video("a", [1, 9, 2, 2], [0, 1, 0, 0]), fps=10.0)
    paused = dataclasses.replace(steady, name="b", seconds=np.array([0, 0.1, 0.2, 3600]))
    rests = dataclasses.replace(steady, name="c", seconds=np.array([0, 1.5, 1.6, 1.7]))
    untold = dataclasses.replace(steady, name="d", seconds=np.zeros(4))
    for videos, seconds in (
        ([steady], 0.4),
        ([untold], 0.4),
        ([rests], 1.7 + 0.1),
        ([paused], 0.4),
        ([steady, rests], 2.2),
    ):
        table = evaluate(videos).events
        assert table is not None
        assert table.hours == pytest.approx(seconds / 3600, rel=1e-4)
    with pytest.raises(ValueError, match=r"a: \(4,\) scores have times \(2,\)"):
        dataclasses.replace(steady, seconds=np.zeros(2))


def test_every_number_has_an_interval_that_holds_it() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 0], 20)
    videos = [
        dataclasses.replace(video(f"v{n}", rng.normal(size=60) + 2 * labels, labels), scene=f"cam{n % 2}")
        for n in range(8)
    ]
    metrics = evaluate_frames(videos, unsmoothed=videos, settings=EvaluateConfig(n_resamples=200), seed=3)
    for key in ("micro_auc", "macro_auc", "macro_auc_padded", "scene_auc", "average_precision", "eer"):
        interval, value = metrics[key].interval, metrics[key].value
        assert interval is not None
        assert value is not None
        assert interval.low <= value <= interval.high
        assert interval.n_resamples == 200
    assert "200 bootstrap resamples of the 8 videos, seed 3" in metrics.interval_protocol
    assert "rough guide" in metrics.interval_protocol
    assert metrics.unsmoothed is not None
    assert metrics.unsmoothed["eer"].interval == metrics["eer"].interval
    shuffled = evaluate_frames(videos[::-1], settings=EvaluateConfig(n_resamples=200), seed=3)
    assert shuffled.numbers == metrics.numbers
    assert evaluate_frames(videos[:1], settings=EvaluateConfig(n_resamples=9))["eer"].interval is None


def region_video(track: int) -> RegionVideo:
    one = np.array([[0, 0, 10, 10]], dtype=np.float32)
    regions = Regions(np.array([1]), one, np.array([track]))
    return RegionVideo("a", 3, np.array([1]), one, np.array([2.0]), regions)


def test_rbdc_and_tbdc_say_why_they_are_missing() -> None:
    a = [video("a", [1, 9, 2], [0, 1, 0])]
    assert evaluate(a)["rbdc"].reason == "no region labels"
    assert evaluate(a, no_regions_reason="no boxes")["tbdc"].reason == "no boxes"
    metrics = evaluate(a, regions=[region_video(track=-1)])
    assert metrics["rbdc"].value == 1
    assert "no tracks" in metrics["tbdc"].reason
    assert evaluate(a, regions=[region_video(track=5)])["tbdc"].value == 1
    assert "scores of boxes, not smoothed" in metrics["rbdc"].protocol
    assert "on the 1 of 1 videos whose regions are known" in metrics["rbdc"].protocol
    assert metrics["box_auc"].reason == "no box lies on a region, or all do"


def test_protocols_say_what_the_labels_and_the_frames_lack() -> None:
    a = [video("a", [1, 9, 2], [0, 1, 0])]
    given = evaluate(a, regions=[region_video(track=5)])
    assert "linked" not in given["tbdc"].protocol
    assert "looked at" not in given["rbdc"].protocol
    linked = dataclasses.replace(region_video(track=5), are_tracks_linked=True, n_passed_over=6)
    numbers = evaluate(a, regions=[linked])
    assert "whose tracks are linked by overlap, since the labels hold none" in numbers["tbdc"].protocol
    assert "linked" not in numbers["rbdc"].protocol
    assert "in the 3 of 9 frames that were looked at" in numbers["rbdc"].protocol


# --- The file ---

SMOOTHED = Treatment("mulde", "scores smoothed over time", Smoothing(3))


def test_json_holds_numbers_protocols_counts_and_the_unsmoothed_block() -> None:
    smoothed = [video("cam/a", [1, 2, 3, 4], [0, 1, 0, 1]), video("b", [1, 2], [0, 0])]
    raw = [video("cam/a", [4, 3, 2, 1], [0, 1, 0, 1]), video("b", [1, 2], [0, 0])]
    metrics = evaluate(smoothed, treatment=SMOOTHED, unsmoothed=raw)
    document = json.loads(metrics.to_json())
    assert document["micro_auc"] == metrics["micro_auc"].value
    assert document["per_video"]["cam/a"] == {"auc": 0.75, "frames": 4, "abnormal_frames": 2}
    assert document["per_video"]["b"]["auc"] is None
    assert document["counts"] == {"videos": 2, "frames": 6, "abnormal_frames": 2, "one_class_videos": 1}
    assert document["protocol"]["smoothing"] == {"sigma_frames": 3, "causal": False, "sigma_seconds": 0.0}
    assert document["protocols"].keys() == {*ALL_KEYS, "intervals", "per_video", "per_scene"}
    assert all(document["protocols"][key].endswith("; scores smoothed over time.") for key in KEYS)
    assert document["unsmoothed"]["macro_auc"] == 0.25
    assert all("not smoothed" in document["unsmoothed"]["protocols"][key] for key in KEYS)
    assert "rbdc" not in document["unsmoothed"]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_what_uses_the_test_set_says_so_beside_every_number(name: str) -> None:
    protocol = PROTOCOLS[name]
    metrics = evaluate(AWKWARD["one-class videos"], treatment=protocol.describe(name, Smoothing(3)))
    document = json.loads(metrics.to_json())
    is_marked = ["uses the test scores" in document["protocols"][key] for key in KEYS]
    assert is_marked == [bool(protocol.uses_test_data)] * len(KEYS)
    assert ("uses the test" in document["protocol"]["uses_test_data"]) == bool(protocol.uses_test_data)


@pytest.mark.parametrize("videos", [[], *AWKWARD.values()], ids=["no video", *AWKWARD.keys()])
def test_json_round_trip(videos: list[VideoScores]) -> None:
    few = EvaluateConfig(n_resamples=20)
    with_scenes = [dataclasses.replace(v, scene=v.name, fps=25.0) for v in videos]
    for some in (videos, with_scenes):
        metrics = evaluate_frames(
            some, treatment=SMOOTHED, unsmoothed=some, regions=[region_video(0)], settings=few
        )
        assert Metrics.from_json(metrics.to_json()) == metrics
        cautious = dataclasses.replace(metrics, caution="of chance")
        assert Metrics.from_json(cautious.to_json()) == cautious
        assert json.loads(cautious.to_json())["caution"] == "of chance"
    assert Metrics.from_json(evaluate(videos).to_json()).unsmoothed is None


def test_metrics_know_their_titles_and_name_what_is_known() -> None:
    metrics = evaluate([])
    assert metrics["eer"].title == "Equal error rate"
    assert metrics.get("auc") is None
    with pytest.raises(KeyError, match=r"no metric 'auc': known are micro_auc, macro_auc"):
        metrics["auc"]


# --- Input that is refused ---


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_name_the_video_and_frame(bad: float) -> None:
    with pytest.raises(
        ValueError, match=r"cam2/door: 1 of 3 scores are NaN or infinite, the first at frame 1"
    ):
        video("cam2/door", [0, bad, 1], [0, 0, 1])


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([1, 2], [0], r"a: scores \(2,\) and labels \(1,\) differ"),
        ([[1, 2]], [[0, 1]], r"a: scores \(1, 2\)"),
        ([1, 2], [0, 2], "a: labels must be 0"),
    ],
    ids=["other length", "two dimensions", "another class"],
)
def test_arrays_that_do_not_fit_are_refused(scores: list[float], labels: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        video("a", scores, labels)


def test_videos_that_do_not_belong_together_are_refused() -> None:
    a, b = video("a", [1, 2], [0, 1]), video("b", [1, 2], [0, 1])
    with pytest.raises(ValueError, match="share a name: a:"):
        evaluate([a, a])
    with pytest.raises(ValueError, match="differ in videos: b"):
        evaluate([a, b], unsmoothed=[a])
    with pytest.raises(ValueError, match="a: smoothed and unsmoothed scores come with different labels"):
        evaluate([a], unsmoothed=[video("a", [1, 2], [1, 1])])


def test_video_auc_alone() -> None:
    assert video_auc(video("a", [1, 2], [0, 1])) == 1
    assert video_auc(video("a", [1, 2], [1, 1])) is None
