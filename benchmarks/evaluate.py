"""Print how long the evaluation of a UCF-Crime-sized test set takes, with all intervals, and its peak memory.

    python benchmarks/evaluate.py [--videos 290] [--frames 1110000] [--boxes 2000000] [--resamples 1000]

Synthetic: half of the videos are normal, the others hold a few events; lengths are log-normal with a few
giants, scores rise with the label, smoothed and not. The boxes of a second set, with labelled regions, are
measured on their own.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
from scipy.ndimage import gaussian_filter1d

from mulde.data.labels.regions import Regions
from mulde.pipeline.metrics.bootstrap import bootstrap
from mulde.pipeline.metrics.measure import VideoScores, evaluate_frames
from mulde.pipeline.metrics.regions import RegionVideo, rbdc, tbdc
from mulde.pipeline.metrics.settings import EvaluateConfig


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--videos", type=int, default=290)
    parser.add_argument("--frames", type=int, default=1_110_000)
    parser.add_argument("--boxes", type=int, default=2_000_000)
    parser.add_argument("--resamples", type=int, default=1000)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    raw = make_videos(options.videos, options.frames, rng)
    smooth = [VideoScores(v.name, gaussian_filter1d(v.scores, 3.0), v.labels, fps=30.0) for v in raw]
    print(f"before: {peak_megabytes():.0f} MB at most")

    started = time.perf_counter()
    settings = EvaluateConfig(n_resamples=options.resamples)
    metrics = evaluate_frames(smooth, unsmoothed=raw, settings=settings)
    n_frames = metrics.counts.frames
    print(f"frames: {len(raw)} videos, {n_frames} frames, {options.resamples} resamples, smoothed and not")
    for number in metrics.numbers:
        if number.value is not None:
            print(f"  {number.key:18s} {number.value:.4f}  {number.interval}")
    print(f"  {time.perf_counter() - started:.1f} s, {peak_megabytes():.0f} MB at most")

    boxes = make_boxes(20, 100_000, options.boxes, rng)
    started = time.perf_counter()
    criteria = {"rbdc": rbdc(boxes), "tbdc": tbdc(boxes)}
    intervals = bootstrap(
        len(boxes),
        lambda weights: {key: criterion(weights) for key, criterion in criteria.items()},
        n_resamples=options.resamples,
        seed=0,
    )
    print(f"boxes: {len(boxes)} videos, 100000 frames, {options.boxes} boxes")
    for key, criterion in criteria.items():
        print(f"  {key:18s} {criterion(np.ones(len(boxes), dtype=np.int64)):.4f}  {intervals[key]}")
    print(f"  {time.perf_counter() - started:.1f} s, {peak_megabytes():.0f} MB at most")


def make_videos(n_videos: int, n_frames: int, rng: np.random.Generator) -> list[VideoScores]:
    """Draw videos whose lengths sum to about `n_frames`."""
    lengths = rng.lognormal(0, 1.2, n_videos)
    lengths = np.maximum(lengths / lengths.sum() * n_frames, 30).astype(int)
    videos = []
    for number, length in enumerate(lengths):
        labels = np.zeros(length, dtype=np.uint8)
        for start in rng.integers(0, length, size=rng.integers(1, 3) if number % 2 else 0):
            labels[start : start + length // 8] = 1
        scores = rng.normal(size=length) + labels + rng.normal()
        videos.append(VideoScores(f"v{number:03d}", scores, labels, fps=30.0))
    return videos


def make_boxes(n_videos: int, n_frames: int, n_boxes: int, rng: np.random.Generator) -> list[RegionVideo]:
    """Draw videos with as many boxes per frame, and one walking anomaly in the middle third of each."""
    length, per_frame = n_frames // n_videos, n_boxes // n_frames
    videos = []
    for number in range(n_videos):
        frame = np.repeat(np.arange(length), per_frame)
        corner = rng.uniform(0, 320, size=(frame.size, 2))
        abnormal = np.arange(length // 3, 2 * length // 3)
        walk = np.stack([abnormal % 300, np.full(abnormal.size, 100)], axis=1)
        regions = Regions(abnormal, np.hstack([walk, walk + 40]).astype(np.float32), abnormal // 300)
        box, scores = np.hstack([corner, corner + 40]).astype(np.float32), rng.normal(size=frame.size)
        box[abnormal * per_frame] = regions.box_xyxy  # the first box of an abnormal frame is on the anomaly
        scores[abnormal * per_frame] += 2
        videos.append(RegionVideo(f"v{number}", length, frame, box, scores, regions))
    return videos


def peak_megabytes() -> float:
    """Return the most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
