"""Tests of mulde.pipeline.metrics.regions against a loop over thresholds, frames, boxes and regions."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mulde.data.labels.regions import NO_TRACK, Regions
from mulde.pipeline.metrics.regions import RegionVideo, box_auc, has_tracks, match, rbdc, tbdc

Box = tuple[int, int, int, int]


def make_video(
    name: str, n_frames: int, boxes: list[tuple[int, Box, float]], regions: list[tuple[int, Box, int]]
) -> RegionVideo:
    """Make a video of boxes (frame, box, score) and regions (frame, box, track)."""
    boxes, regions = sorted(boxes), sorted(regions)
    return RegionVideo(
        name,
        n_frames,
        np.array([frame for frame, _, _ in boxes], dtype=np.int64),
        np.array([box for _, box, _ in boxes], dtype=np.float32).reshape(-1, 4),
        np.array([score for _, _, score in boxes], dtype=np.float64),
        Regions.from_rows([(frame, *box, track) for frame, box, track in regions]),
    )


def once(videos: list[RegionVideo]) -> np.ndarray:
    return np.ones(len(videos), dtype=np.int64)


def iou(a: np.ndarray, b: np.ndarray) -> Fraction:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(int(width), 0) * max(int(height), 0)
    areas = [int((box[2] - box[0]) * (box[3] - box[1])) for box in (a, b)]
    return Fraction(shared, sum(areas) - shared)


def count(video: RegionVideo, threshold: float) -> tuple[list[bool], int]:
    """Return which regions are found at a threshold, and how many boxes are false positives."""
    found, n_false = [False] * len(video.regions), 0
    for frame, box, score in zip(video.frame, video.box_xyxy, video.scores, strict=True):
        if score < threshold:
            continue
        is_false = True
        for number in range(len(video.regions)):
            same_frame = video.regions.frame[number] == frame
            if same_frame and iou(box, video.regions.box_xyxy[number]) >= Fraction(1, 10):
                found[number], is_false = True, False
        n_false += is_false
    return found, n_false


def naive(videos: list[RegionVideo], *, by_track: bool) -> float:
    """Integrate the detection rate over false positives a frame, threshold by threshold."""
    scores = sorted({score for video in videos for score in video.scores}, reverse=True)
    n_frames = sum(video.n_frames for video in videos)
    points = [(0.0, 0.0)]
    for threshold in scores:
        n_false = n_hit = n_targets = 0
        for video in videos:
            found, wrong = count(video, threshold)
            n_false += wrong
            targets = [[hit] for hit in found]
            if by_track:
                tracks = video.regions.track
                targets = [
                    [hit for hit, t in zip(found, tracks, strict=True) if t == track]
                    for track in set(tracks.tolist()) - {NO_TRACK}
                ]
            n_targets += len(targets)
            n_hit += sum(Fraction(sum(hits), len(hits)) >= Fraction(1, 10) for hits in targets)
        points.append((n_false / n_frames, n_hit / n_targets))
    points.append((max(points[-1][0], 1.0), points[-1][1]))
    area = 0.0
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        stop = min(x1, 1.0)
        if stop > x0:
            area += (stop - x0) * (y0 + (y0 + (y1 - y0) * (stop - x0) / (x1 - x0))) / 2
    return area


@st.composite
def scenes(draw: st.DrawFn) -> list[RegionVideo]:
    """Draw one to three videos with up to a dozen boxes and regions each, and one region at least."""
    corner, size = st.integers(0, 9), st.integers(1, 8)
    box = st.tuples(corner, corner, size, size).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))
    videos = []
    for number in range(draw(st.integers(1, 3))):
        n_frames = draw(st.integers(1, 5))
        frame = st.integers(0, n_frames - 1)
        boxes = draw(st.lists(st.tuples(frame, box, st.integers(0, 5)), max_size=12))
        regions = draw(st.lists(st.tuples(frame, box, st.integers(-1, 2)), min_size=number == 0, max_size=12))
        videos.append(make_video(f"v{number}", n_frames, boxes, regions))
    return videos


@settings(deadline=None)
@given(scenes())
def test_rbdc_equals_a_loop_over_thresholds(videos: list[RegionVideo]) -> None:
    np.testing.assert_allclose(rbdc(videos)(once(videos)), naive(videos, by_track=False), atol=1e-12)


@settings(deadline=None)
@given(scenes())
def test_tbdc_equals_a_loop_over_thresholds(videos: list[RegionVideo]) -> None:
    value = tbdc(videos)(once(videos))
    if has_tracks(videos):
        np.testing.assert_allclose(value, naive(videos, by_track=True), atol=1e-12)
    else:
        assert math.isnan(value)


@settings(deadline=None, max_examples=30)
@given(st.data(), scenes())
def test_weights_count_videos_as_often(data: st.DataObject, videos: list[RegionVideo]) -> None:
    weights = data.draw(st.lists(st.integers(0, 2), min_size=len(videos), max_size=len(videos)))
    repeated = [v for v, n in zip(videos, weights, strict=True) for _ in range(n)]
    for criterion in (rbdc, tbdc):
        expected = criterion(repeated)(once(repeated)) if repeated else math.nan
        np.testing.assert_allclose(criterion(videos)(np.array(weights)), expected, atol=1e-12)


# --- Worked examples ---

ON = (0, 0, 10, 10)
OFF = (50, 50, 60, 60)

EXAMPLES = {
    # boxes, regions, RBDC, TBDC, over 4 frames
    "no box": ([], [(0, ON, 0)], 0.0, 0.0),
    "found without a mistake": ([(0, ON, 2)], [(0, ON, 0)], 1.0, 1.0),
    "in another frame": ([(1, ON, 2)], [(0, ON, 0)], 0.0, 0.0),
    "a false box before": ([(0, OFF, 3), (0, ON, 2)], [(0, ON, 0)], 0.75, 0.75),
    "a false box after": ([(0, OFF, 1), (0, ON, 2)], [(0, ON, 0)], 1.0, 1.0),
    "a false box with the same score": ([(0, OFF, 2), (0, ON, 2)], [(0, ON, 0)], 0.875, 0.875),
    "found twice": ([(0, ON, 3), (0, (0, 0, 9, 9), 2)], [(0, ON, 0), (1, ON, 0)], 0.5, 1.0),
    "one box on two regions": ([(0, ON, 1)], [(0, ON, 0), (0, (1, 1, 9, 9), 1)], 1.0, 1.0),
    "too many false boxes": ([*[(f, OFF, 3) for f in range(4)], (0, ON, 2)], [(0, ON, 0)], 0.0, 0.0),
    "overlap of exactly a tenth": ([(0, (0, 0, 10, 1), 1)], [(0, ON, 0)], 1.0, 1.0),
    "overlap of less than a tenth": ([(0, (0, 0, 9, 1), 1)], [(0, ON, 0)], 0.0, 0.0),
}


@pytest.mark.parametrize(("boxes", "regions", "by_region", "by_track"), EXAMPLES.values(), ids=EXAMPLES)
def test_worked_example(boxes, regions, by_region: float, by_track: float) -> None:
    videos = [make_video("a", 4, boxes, regions)]
    np.testing.assert_allclose(rbdc(videos)(once(videos)), by_region, atol=1e-12)
    np.testing.assert_allclose(tbdc(videos)(once(videos)), by_track, atol=1e-12)


@pytest.mark.parametrize(("length", "n_found", "is_found"), [(10, 1, 1), (11, 1, 0), (11, 2, 1), (1, 1, 1)])
def test_a_tenth_of_a_track_is_enough(length: int, n_found: int, is_found: int) -> None:
    boxes = [(frame, ON, 1.0) for frame in range(n_found)]
    videos = [make_video("a", length, boxes, [(frame, ON, 7) for frame in range(length)])]
    assert tbdc(videos)(once(videos)) == is_found


def test_match_gives_the_best_score_of_each_region() -> None:
    video = make_video("a", 2, [(0, ON, 1), (0, ON, 4), (1, OFF, 9)], [(0, ON, 0), (1, ON, 0)])
    reached, wrong = match(video)
    assert reached.tolist() == [4, -np.inf]
    assert wrong.tolist() == [9]


@pytest.mark.parametrize(
    ("boxes", "regions", "expected"),
    [
        ([], [], math.nan),
        ([(0, ON, 2)], [(0, ON, 0)], math.nan),
        ([(0, ON, 2)], [], math.nan),
        ([(0, ON, 2), (0, OFF, 1)], [(0, ON, 0)], 1.0),
        ([(0, ON, 1), (1, ON, 2), (1, ON, 1), (1, ON, 0)], [(0, ON, 0)], 0.5),
        # what touches a region and is not on it does not count
        ([(0, ON, 2), (0, (9, 9, 30, 30), 9), (0, OFF, 1)], [(0, ON, 0)], 1.0),
        # nor does it where it is on another one
        ([(0, (0, 0, 9, 9), 2), (0, (70, 70, 80, 80), 1)], [(0, ON, 0), (0, (8, 8, 60, 60), 1)], 1.0),
    ],
)
def test_auc_of_boxes(boxes, regions, expected: float) -> None:
    videos = [make_video("a", 4, boxes, regions)]
    np.testing.assert_allclose(box_auc(videos)(once(videos)), expected)


def test_auc_of_boxes_is_scikit_learns() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    scores = rng.integers(0, 9, 60)
    boxes = [(k % 4, ON if k % 3 else OFF, float(score)) for k, score in enumerate(scores)]
    videos = [make_video(name, 4, boxes[k::2], [(f, ON, 0) for f in range(4)]) for k, name in enumerate("ab")]
    found = [video.box_xyxy[:, 0] == 0 for video in videos]
    expected = roc_auc_score(np.concatenate(found), np.concatenate([video.scores for video in videos]))
    np.testing.assert_allclose(box_auc(videos)(once(videos)), expected)


def test_frames_that_nobody_looked_at_do_not_count() -> None:
    regions = [(frame, ON, 0) for frame in range(12)]
    seen = [(frame, box, 2.0) for frame in range(0, 12, 3) for box in (ON, OFF)]
    video = make_video("a", 12, seen, regions)
    every = np.array([0, 3, 6, 9])
    among = video.looked_at(every)
    assert (among.n_frames, among.n_passed_over, len(among.regions)) == (4, 8, 4)
    for criterion in (rbdc, box_auc):
        alone = make_video("a", 4, [(f // 3, *rest) for f, *rest in seen], [(f, ON, 0) for f in range(4)])
        assert criterion([among])(once([among])) == criterion([alone])(once([alone]))
    assert video.looked_at(np.arange(12)).n_passed_over == 0
    with pytest.raises(ValueError, match="not looked at"):
        video.looked_at(np.array([0, 3]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": np.zeros(2)}, r"a: frame \(1,\), boxes \(1, 4\) and scores \(2,\) do not match"),
        ({"n_frames": 0}, "a: boxes span frames 0 to 0"),
        ({"scores": np.array([np.nan])}, "a: the score of box 0 is NaN"),
        ({"regions": Regions.from_rows([(3, *ON, 0)])}, "a: regions span frames 3 to 3"),
    ],
    ids=["lengths", "frame outside", "NaN", "region outside"],
)
def test_arrays_that_do_not_fit_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(make_video("a", 1, [(0, ON, 1)], []), **changes)


WINDOWS = [
    (0, (0, 0, 10, 10), 3.0),
    (0, (5, 0, 15, 10), 5.0),
    (0, (14, 0, 24, 10), 4.0),  # overlaps the highest, and goes
    (0, (23, 0, 33, 10), 2.0),  # overlaps only one that goes, and stays
    (0, (40, 0, 50, 10), 1.0),
    (1, (0, 0, 10, 10), 3.0),
]


def test_of_windows_the_highest_of_each_place_is_a_detection() -> None:
    video = make_video("a", 2, WINDOWS, [(0, (5, 0, 15, 10), 1)])
    assert video.detections is video
    kept = replace(video, are_windows=True).detections
    assert kept.scores.tolist() == [5.0, 2.0, 1.0, 3.0]
    assert kept.frame.tolist() == [0, 0, 0, 1]
    empty = replace(make_video("none", 2, [], []), are_windows=True)
    assert len(empty.detections.frame) == 0


def test_windows_around_an_anomaly_are_no_false_positives_where_one_is_on_it() -> None:
    # an object seen by windows at every pixel, of which those furthest off overlap it by less than a tenth
    around = [(0, (50 + x, 0, 70 + x, 20), 9.0 - abs(x) / 9) for x in range(-19, 20)]
    regions = [(0, (50, 0, 70, 20), 1), (0, (200, 0, 220, 20), 2)]
    video = make_video("a", 1, [*around, (0, (200, 0, 220, 20), 1.0)], regions)
    assert rbdc([video])(once([video])) == pytest.approx(0.5)  # the other object comes after six false ones
    windows = replace(video, are_windows=True)
    assert rbdc([windows])(once([windows])) == tbdc([windows])(once([windows])) == pytest.approx(1.0)
