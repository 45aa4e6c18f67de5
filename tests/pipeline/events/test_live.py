"""What is told while scores come is what is found when all are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mulde.pipeline.events.find import Rule, Track, find_stretches
from mulde.pipeline.events.live import Began, Ended, LiveStretches

RULE = Rule(least_seconds=0.3, merge_gap_seconds=0.5, release=0.5, usual=0.0)


def told(scores: list[float], seconds: list[float], rule: Rule = RULE) -> list[Began | Ended]:
    live = LiveStretches(1.0, rule)
    said = [
        each
        for frame, (score, time) in enumerate(zip(scores, seconds, strict=True))
        for each in live.push(frame, time, score, 0.1)
    ]
    return said + live.finish()


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([], []),
        ([0.0] * 9, []),
        ([0, 2, 2, 2, 0], [("began", 1), ("ended", 1, 4)]),
        ([0, 2, 0, 0], []),  # too short
        ([0, 2, 0, 2, 0], [("began", 1), ("ended", 1, 4)]),  # long enough once the second has joined
        ([0.6, 0.6, 2, 0], [("began", 0), ("ended", 0, 3)]),  # from the release score on
        ([0.6] * 9, []),  # never reaches the threshold
        ([2] * 3 + [0] * 6 + [2] * 3, [("began", 0), ("ended", 0, 3), ("began", 9), ("ended", 9, 12)]),
        ([2] * 3 + [0] * 3 + [2] * 3, [("began", 0), ("ended", 0, 9)]),
    ],
)
def test_table(scores: list[float], expected: list[tuple[object, ...]]) -> None:
    said = told(scores, [0.1 * k for k in range(len(scores))])
    found = [
        ("began", each.start) if isinstance(each, Began) else ("ended", each.stretch.start, each.stretch.stop)
        for each in said
    ]
    assert found == expected


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.4, 0.6, 1.0, 1.5, 2.0]), st.sampled_from([1, 1, 1, 1, 7, 27])),
        max_size=40,
    ),
    st.sampled_from([0.0, 0.2, 0.5]),
    st.sampled_from([0.0, 0.3]),
)
def test_equals_what_is_found_afterwards(frames: list[tuple[float, int]], gap: float, least: float) -> None:
    """Frames are a tenth of a second apart, but for steps of 0.7 s, and pauses of 2.7 s."""
    rule = Rule(least, gap, 0.5, 0.0)
    scores = [score for score, _ in frames]
    seconds = (np.cumsum([steps for _, steps in frames]) / 10).tolist() if frames else []
    track = Track(np.array(scores), np.array(seconds), 10.0)
    track.step_seconds = 0.1  # few frames do not tell
    said = told(scores, seconds, rule)
    assert [each.stretch for each in said if isinstance(each, Ended)] == find_stretches(track, 1.0, rule)
    began = [each.start for each in said if isinstance(each, Began)]
    assert began == [each.stretch.start for each in said if isinstance(each, Ended)]


@given(st.lists(st.floats(-0.002, 0.002), min_size=8, max_size=8))
def test_what_has_begun_ends(jitter: list[float]) -> None:
    """Three frames are just long enough, or not quite: it depends on when the next one comes."""
    seconds = [0.1 * k + late for k, late in enumerate(jitter)]
    said = told([0, 0, 2, 2, 2, 0, 0, 0], seconds)
    assert [type(each) for each in said] in ([], [Began, Ended])
