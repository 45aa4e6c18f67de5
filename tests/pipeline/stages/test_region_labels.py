"""Labelled regions without tracks are linked, so that tracks can be found."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_array_equal

from mulde.data.labels.regions import Regions
from mulde.pipeline.stages.region_labels import _linked


def test_no_regions_stay_none() -> None:
    assert len(_linked(Regions.from_rows([]), 10.0)) == 0


def test_regions_that_follow_each_other_are_of_one_track() -> None:
    there = [(t, 3 * t, 0, 3 * t + 20, 30, -1) for t in range(12)]
    back = [(t, 60 - 3 * t, 40, 80 - 3 * t, 70, -1) for t in range(4, 12)]
    later = [(t, 3 * t, 0, 3 * t + 20, 30, -1) for t in range(20, 22)]
    regions = Regions.from_rows([*there, *back, *later])
    found = _linked(regions, 10.0)
    assert_array_equal(found.frame, regions.frame)
    assert_array_equal(found.box_xyxy, regions.box_xyxy)
    is_back = regions.box_xyxy[:, 1] == 40
    assert {*found.track[is_back]} == {1}
    assert {*found.track[~is_back & (regions.frame < 12)]} == {0}
    assert {*found.track[regions.frame >= 20]} == {2}  # 0.9 s later it is another
    slower = _linked(regions, 25.0)
    assert {*slower.track[~is_back]} == {0}  # 0.36 s later it is not
    assert slower.track.dtype == np.int64
