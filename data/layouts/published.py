"""What the complete benchmarks hold, as published, to compare with what is on disk."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """Counts of one data set; None where nobody published one."""

    normal_videos: int | None = None
    normal_frames: int | None = None
    test_videos: int | None = None
    test_frames: int | None = None
    abnormal_frames: int | None = None
    """Abnormal ones among the test frames."""
    roughly: frozenset[str] = frozenset()
    """Fields whose numbers are known only to about one per cent."""


PUBLISHED = {
    "UCSDped1": Published(34, 6_800, 36, 7_200, 4_005, frozenset({"abnormal_frames"})),
    "UCSDped2": Published(16, 2_550, 12, 2_010, 1_648),
    # 3 820 abnormal frames in the literature; AI-VAD's avenue.mat has 3 712
    "avenue": Published(16, 15_328, 21, 15_324, 3_820),
    "shanghaitech": Published(330, 274_515, 107, 40_791, 17_326),
    # one-class: of 268 training videos the normal ones
    "ubnormal": Published(186, None, 211, 92_640, 49_650),
    # one-class: of 1 610 training videos the normal ones
    "ucf_crime": Published(800, None, 290, 1_110_000, None, frozenset({"test_frames"})),
    # the training set has 3 954 videos; how many of them are normal is not in the sources that were read
    "xd_violence": Published(test_videos=800),
    "nwpu_campus": Published(normal_videos=305, test_videos=242),
}
"""By the name of the data set."""
