import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from mulde.detector.frames import (
    box_of_overlapping,
    highest_overlapping,
    interpolate_frames,
    max_over_objects,
    mean_of_overlapping,
    smooth,
)


@pytest.mark.parametrize(
    ("scores", "frame", "n_frames", "expected"),
    [
        ([], [], 0, []),
        ([], [], 2, [0, 0]),  # no object in the whole video
        ([3], [1], 3, [0, 3, 0]),
        ([3, 5, 4], [1, 1, 0], 2, [4, 5]),
        ([-2], [0], 1, [-2]),  # a frame with an object keeps its score, even below "nothing there"
    ],
)
def test_max_over_objects(
    scores: list[float], frame: list[int], n_frames: int, expected: list[float]
) -> None:
    np.testing.assert_array_equal(max_over_objects(scores, frame, n_frames, nothing=0.0), expected)


def test_a_frame_without_an_object_has_the_score_of_nothing() -> None:
    np.testing.assert_array_equal(max_over_objects([3.0], [1], 3, nothing=-1.5), [-1.5, 3.0, -1.5])


@pytest.mark.parametrize(
    ("scores", "frame", "message"),
    [
        ([1, 2], [0], "equally long"),
        ([[1]], [[0]], "one-dimensional"),
        ([1], [0.5], "integers"),
        ([1], [3], r"frame spans \[3, 3\], but the video has 3 frames"),
        ([1], [-1], "frame spans"),
        ([1, np.nan], [0, 1], "score of object 1 is NaN"),
    ],
)
def test_max_over_objects_refuses(scores: list[float], frame: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        max_over_objects(scores, frame, 3, nothing=0.0)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("scores", [[], [2.0], [1.0, 5.0, 2.0]])
def test_sigma_zero_changes_nothing(scores: list[float], causal: bool) -> None:
    np.testing.assert_array_equal(smooth(scores, 0, causal=causal), scores)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("scores", [[], [2.0], [2.0] * 30])
def test_constant_scores_stay(scores: list[float], causal: bool) -> None:
    np.testing.assert_allclose(smooth(scores, 3, causal=causal), scores)


def test_smoothing_is_the_gaussian_of_scipy() -> None:
    scores = np.random.default_rng(0).random(50)
    np.testing.assert_array_equal(smooth(scores, 3), gaussian_filter1d(scores, 3))


def test_causal_smoothing_is_a_weighted_mean_of_the_past() -> None:
    scores, sigma = np.random.default_rng(0).random(40), 2.5
    expected = []
    for t in range(40):
        past = np.arange(max(0, t - 10), t + 1)  # 4 σ
        weights = np.exp(-(((t - past) / sigma) ** 2) / 2)
        expected.append(weights @ scores[past] / weights.sum())
    np.testing.assert_allclose(smooth(scores, sigma, causal=True), expected)


@given(scores=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), now=st.integers(0, 39))
def test_causal_smoothing_never_sees_the_future(scores: list[float], now: int) -> None:
    before = smooth(scores, 3, causal=True)[: now + 1]
    changed = scores[: now + 1] + [1e9] * (len(scores) - now - 1)
    np.testing.assert_allclose(smooth(changed, 3, causal=True)[: now + 1], before, rtol=1e-9, atol=1e-3)


@given(scores=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), sigma=st.floats(0, 20))
@pytest.mark.parametrize("causal", [False, True])
def test_smoothing_stays_within_range(scores: list[float], sigma: float, causal: bool) -> None:
    smoothed = smooth(scores, sigma, causal=causal)
    assert smoothed.shape == (len(scores),)
    assert min(scores) - 1e-6 <= smoothed.min() <= smoothed.max() <= max(scores) + 1e-6


@pytest.mark.parametrize(
    ("scores", "sigma", "message"),
    [([[1.0]], 1, "one-dimensional"), ([1.0], -1, "at least 0"), ([1.0], np.nan, "at least 0")],
)
def test_smooth_refuses(scores: list[float], sigma: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        smooth(scores, sigma)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("sigma", [0.0, 0.1, 2.5, 30.0])
@pytest.mark.parametrize("n_frames", [0, 1, 2, 50])
def test_evenly_spaced_frames_are_smoothed_by_number(n_frames: int, sigma: float, causal: bool) -> None:
    scores = np.random.default_rng(0).random(n_frames)
    found = smooth(scores, sigma, causal=causal, position=np.arange(n_frames))
    np.testing.assert_array_equal(found, smooth(scores, sigma, causal=causal))


_STEPS = st.sampled_from([1.0, 1.0, 1.0, 0.0, 0.125, 0.4375, 2.0, 25.0, 1e5])


@given(
    frames=st.lists(st.tuples(_STEPS, st.floats(-9, 9)), max_size=60),
    sigma=st.sampled_from([0.1, 0.3, 1.0, 2.6]),
)
@pytest.mark.parametrize("causal", [False, True])
def test_beside_other_steps_frames_are_weighed_by_distance(
    frames: list[tuple[float, float]], sigma: float, causal: bool
) -> None:
    """A naive twin. Where all is even, ends of the footage are mirrored: those frames are left out."""
    position = np.cumsum([step for step, _ in frames])
    scores = np.array([score for _, score in frames])
    found, reach = smooth(scores, sigma, causal=causal, position=position), 4 * sigma + 0.5
    n_around = int(reach) + 1
    for index, value in enumerate(found):
        steps = np.diff(position[max(index - n_around, 0) : index + (1 if causal else n_around + 1)])
        is_inside = causal or n_around <= index < len(frames) - n_around
        if not is_inside and (steps == 1).all():
            continue
        distance = position - position[index]
        near = (np.abs(distance) <= reach) & (not causal or np.arange(len(frames)) <= index)
        weights = np.exp(-0.5 * (distance[near] / sigma) ** 2)
        np.testing.assert_allclose(value, weights @ scores[near] / weights.sum(), atol=1e-9)


@pytest.mark.parametrize("sigma", [0.5, 3.0])
def test_nothing_reaches_over_a_pause(sigma: float) -> None:
    """Of the past alone, footage with a pause has the scores of its parts; else those before it depend on
    nothing after it.
    """
    first, second = np.random.default_rng(0).random((2, 40))
    position = np.concatenate([np.arange(40.0), 5000 + np.arange(40)])
    both = smooth([*first, *second], sigma, causal=True, position=position)
    parts = [smooth(part, sigma, causal=True) for part in (first, second)]
    np.testing.assert_allclose(both, np.concatenate(parts))
    loud = smooth([*first, *(second + 1e6)], sigma, position=position)[:40]
    np.testing.assert_array_equal(loud, smooth([*first, *second], sigma, position=position)[:40])
    far = slice(0, 40 - int(4 * sigma + 0.5) - 1)
    np.testing.assert_array_equal(loud[far], smooth(first, sigma)[far])


def test_a_second_weighs_a_second_however_many_frames_it_has() -> None:
    """One frame a second after 25: of a spread of 0.3 s, neighbours weigh exp(-0.5 / 0.09) each."""
    position = np.concatenate([np.arange(200), 200 + 25 * np.arange(50)])
    scores = np.zeros(250)
    scores[220] = 10
    weight = np.exp(-0.5 / 0.3**2)
    found = smooth(scores, 0.3 * 25, position=position)
    np.testing.assert_allclose(found[219:222], np.array([weight, 1, weight]) * 10 / (1 + 2 * weight))
    assert not found[:219].any() and not found[222:].any()


def test_smooth_refuses_positions_of_others() -> None:
    with pytest.raises(ValueError, match=r"\(3,\) scores have positions \(2,\)"):
        smooth([1.0, 2, 3], 1, position=[0, 1])


@pytest.mark.parametrize(
    ("scores", "frame", "wanted"),
    [
        ([], [], [9, 9, 9, 9, 9]),
        ([3], [2], [3, 3, 3, 3, 3]),
        ([0, 4], [0, 4], [0, 1, 2, 3, 4]),
        ([4, 0], [4, 0], [0, 1, 2, 3, 4]),
        ([1, 5], [1, 3], [1, 1, 3, 5, 5]),
        ([1, 7, 3], [0, 2, 2], [1, 4, 7, 7, 7]),
    ],
)
def test_interpolation(scores: list[float], frame: list[int], wanted: list[float]) -> None:
    got = interpolate_frames(scores, np.array(frame, np.int64), np.arange(5), nothing=9.0)
    np.testing.assert_allclose(got, wanted)


def test_every_frame_has_a_row_and_keeps_its_score() -> None:
    scores = np.random.default_rng(0).normal(size=20)
    np.testing.assert_array_equal(
        interpolate_frames(scores, np.arange(20), np.arange(20), nothing=0.0), scores
    )


@pytest.mark.parametrize(("scores", "frame"), [([1.0, np.nan], [0, 1]), ([1.0], [0, 1]), ([[1.0]], [[0]])])
def test_interpolation_refuses(scores: object, frame: object) -> None:
    with pytest.raises(ValueError, match=r"NaN|equally long"):
        interpolate_frames(scores, frame, np.arange(3), nothing=0.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("n", [1, 3])
def test_no_window_has_no_mean(n: int) -> None:
    assert mean_of_overlapping([], [], np.empty((0, 4)), n).shape == (0,)


def test_a_window_that_nothing_overlaps_has_its_share() -> None:
    boxes = [[0, 0, 2, 2], [2, 0, 4, 2], [10, 10, 12, 12]]  # the first two only touch
    np.testing.assert_allclose(mean_of_overlapping([6, 3, 9], [0, 0, 0], boxes, 3), [2, 1, 3])
    np.testing.assert_array_equal(mean_of_overlapping([6, 3, 9], [0, 0, 0], boxes, 1), [6, 3, 9])
    np.testing.assert_allclose(mean_of_overlapping([6.0], [0], [[1, 1, 1, 1]], 3), [2])  # an empty one


def test_the_highest_that_overlap_are_averaged_within_a_frame() -> None:
    boxes = np.tile([[0, 0, 4, 4]], (6, 1))
    frame = [2, 2, 2, 2, 5, 5]
    np.testing.assert_allclose(
        mean_of_overlapping([1, 2, 3, 4, 10, 20], frame, boxes, 3), [3, 3, 3, 3, 10, 10]
    )


@given(
    scores=st.lists(st.floats(-10, 1e3), min_size=1, max_size=30),
    n=st.integers(1, 12),
    seed=st.integers(0, 99),
)
def test_means_of_overlapping_are_those_by_definition(scores: list[float], n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    frame = np.sort(rng.integers(0, 4, len(scores)))
    corner, size = rng.integers(0, 20, (len(scores), 2)), rng.integers(1, 12, (len(scores), 2))
    boxes = np.concatenate([corner, corner + size], axis=1)
    found = mean_of_overlapping(scores, frame, boxes, n)
    for i, (x1, y1, x2, y2) in enumerate(boxes):
        near = [
            score
            for score, other, (u1, v1, u2, v2) in zip(scores, frame, boxes, strict=True)
            if other == frame[i] and x1 < u2 and u1 < x2 and y1 < v2 and v1 < y2
        ]
        highest = sorted(near, reverse=True)[:n]
        expected = scores[i] if n == 1 else sum(highest) / n
        start, stop = np.searchsorted(frame, (frame[i], frame[i] + 1))
        of_frame = np.array(scores[start:stop])
        seeing = highest_overlapping(of_frame, boxes[start:stop], i - start, n)
        alone = mean_of_overlapping(of_frame[seeing], frame[start:stop][seeing], boxes[start:stop][seeing], n)
        assert alone[seeing == i - start] == pytest.approx(found[i], rel=1e-9, abs=1e-9)
        if n > 1 and (of_frame >= 0).all():
            assert alone.max() == pytest.approx(found[i], rel=1e-9, abs=1e-9)
        assert found[i] == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([1, 1, 9], [1, 0, 5, 4]),  # what lies apart has no part in it
        ([1, 3, 9], [1.5, 0, 5.5, 4]),
        ([0, 3, 9], [2, 0, 6, 4]),
        ([-8, 3, 9], [2, 0, 6, 4]),
        ([0, 0, 9], [0, 0, 4, 4]),  # nothing is unusual: its own
    ],
)
def test_a_box_is_the_mean_of_those_that_overlap(scores: list[float], expected: list[float]) -> None:
    boxes = np.array([[0, 0, 4, 4], [2, 0, 6, 4], [6, 0, 9, 4]], np.float32)
    np.testing.assert_allclose(box_of_overlapping(np.array(scores), boxes, 0), expected)


@pytest.mark.parametrize(
    ("frame", "boxes", "n"),
    [([0], [[0, 0, 1, 1]], 2), ([0, 0], [[0, 0, 1, 1]], 2), ([0, 0], [[0, 0, 1, 1]] * 2, 0)],
)
def test_windows_that_do_not_match_are_refused(frame: list[int], boxes: list[list[int]], n: int) -> None:
    with pytest.raises(ValueError, match=r"do not match|mean of 0 scores"):
        mean_of_overlapping([1.0, 2.0], frame, boxes, n)
