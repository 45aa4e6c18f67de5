"""RBDC, TBDC and the AUC of boxes: whether scored boxes lie where the anomalies are.

Region-based and track-based detection criterion (Ramachandra & Jones, Street Scene, WACV 2020). The choices:

- A labelled region is found at a threshold if a box of that frame with that score or a higher one overlaps it
  with IoU ≥ 0.1. One box may find several regions, and each region counts once.
- A track is found if at least 10 % of its regions are found.
- A box that overlaps no region of its frame with IoU ≥ 0.1 is a false positive. Boxes that overlap one are
  never false positives, also where it has been found already.
- The rate of false positives is their number over that of all frames, normal ones included.
- The curve rises in straight lines where scores are tied. The area under it is taken from 0 to 1 false
  positive a frame, so it needs no norm; a method that makes fewer keeps its last detection rate up to there.

The program that Georgescu et al. (Background-Agnostic Framework, TPAMI 2021) publish, and others use, makes
these choices too, but for three: its boxes include x2 and y2 (write these one less), tied scores come in the
order of their files, and the curve ends level at the last point below 1, where ours is cut at 1 itself.

Of windows, of which many see one object, the highest of each place is what was detected: those that overlap
one with a higher score, by however little, are left out before both criteria.

The AUC of boxes judges scores without frames, maxima and smoothing: boxes that find a region against boxes
that touch none. Those that touch one too little are left out: there is something of the anomaly in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mulde.data.labels.regions import NO_TRACK, Regions
from mulde.pipeline.metrics.bootstrap import Draws, Statistic
from mulde.pipeline.metrics.roc import Ranking

_MAX_FALSE_POSITIVES_PER_FRAME = 1.0


@dataclass(frozen=True)
class RegionVideo:
    """The scored boxes of one video beside the abnormal regions; raises ValueError where they do not fit."""

    name: str
    n_frames: int
    frame: NDArray[np.int64]
    """(N,), 0-based, never decreasing: the frame of each box."""
    box_xyxy: NDArray[np.float32]
    """(N, 4), x1, y1, x2, y2 in pixels, half-open."""
    scores: NDArray[np.float64]
    """(N,), higher = more anomalous."""
    regions: Regions
    """Empty for a video that is normal throughout."""
    are_tracks_linked: bool = False
    """Whether it was found out here which regions are of one track, since the labels do not say."""
    n_passed_over: int = 0
    """Further frames of the video, in which nobody looked for boxes; no number above counts them."""
    are_windows: bool = False
    """Whether the boxes are windows, of which many see one object, and not objects themselves."""

    def __post_init__(self) -> None:
        n = len(self.frame)
        if self.box_xyxy.shape != (n, 4) or self.scores.shape != (n,):
            raise ValueError(
                f"{self.name}: frame ({n},), boxes {self.box_xyxy.shape} and scores {self.scores.shape} "
                "do not match"
            )
        for what, frame in (("boxes", self.frame), ("regions", self.regions.frame)):
            if frame.size and (frame[0] < 0 or frame[-1] >= self.n_frames or (np.diff(frame) < 0).any()):
                raise ValueError(
                    f"{self.name}: {what} span frames {frame.min()} to {frame.max()}, but they must be in "
                    f"order and within {self.n_frames} frames"
                )
        if np.isnan(self.scores).any():
            raise ValueError(f"{self.name}: the score of box {int(np.isnan(self.scores).argmax())} is NaN")

    def looked_at(self, frames: NDArray[np.int64]) -> RegionVideo:
        """Return the same without the regions of frames in which nobody looked for boxes.

        Args:
            frames: (T,), in order, in which somebody did.
        """
        is_seen = np.isin(self.regions.frame, frames)
        if not np.isin(self.frame, frames).all():
            raise ValueError(f"{self.name}: boxes are in frames that were not looked at")
        regions = Regions(
            np.searchsorted(frames, self.regions.frame[is_seen]),
            self.regions.box_xyxy[is_seen],
            self.regions.track[is_seen],
        )
        return replace(
            self,
            n_frames=len(frames),
            frame=np.searchsorted(frames, self.frame),
            regions=regions,
            n_passed_over=self.n_frames - len(frames),
        )

    @cached_property
    def detections(self) -> RegionVideo:
        """The same with one box a place: of windows, without those that overlap a higher one."""
        if not self.are_windows:
            return self
        import torch  # only here, for it takes a second
        from torchvision.ops import nms

        # copies, for files may hold any type of number, in any order of its bytes
        boxes, scores = (
            torch.from_numpy(np.array(a, np.float64, order="C")) for a in (self.box_xyxy, self.scores)
        )
        bounds = np.flatnonzero(np.diff(self.frame, prepend=-1, append=-1)).tolist()
        kept = [
            start + nms(boxes[start:stop], scores[start:stop], 0.0).numpy()
            for start, stop in pairwise(bounds)
        ]
        index = np.sort(np.concatenate(kept)) if kept else np.empty(0, dtype=np.int64)
        return replace(
            self,
            frame=self.frame[index],
            box_xyxy=self.box_xyxy[index],
            scores=self.scores[index],
            are_windows=False,
        )


def rbdc(videos: Sequence[RegionVideo]) -> Statistic:
    """Return the region-based criterion as a function of the videos' weights; in [0, 1], higher = better."""
    return _criterion(videos, [np.ones(len(v.regions), dtype=bool) for v in videos], by_track=False)


def tbdc(videos: Sequence[RegionVideo]) -> Statistic:
    """Return the track-based criterion as a function of the videos' weights; regions of no track stay out."""
    return _criterion(videos, [v.regions.track != NO_TRACK for v in videos], by_track=True)


def box_auc(videos: Sequence[RegionVideo]) -> Statistic:
    """Return the AUC of all boxes in one ROC curve as a function of the videos' weights; in [0, 1].

    Higher = better, 0.5 = chance; NaN where there are boxes of one kind alone.
    """
    sides = [split(video) for video in videos]
    ranking = Ranking.of([found for found, _ in sides], [others for _, others in sides])

    def measure(weights: Draws) -> float:
        curve = ranking.curve(weights)
        return curve.auc if curve.n_positives and curve.n_negatives else float("nan")

    return measure


def has_tracks(videos: Sequence[RegionVideo]) -> bool:
    """Whether any region belongs to a track."""
    return any((video.regions.track != NO_TRACK).any() for video in videos)


def _criterion(
    videos: Sequence[RegionVideo], counted: Sequence[NDArray[np.bool_]], *, by_track: bool
) -> Statistic:
    found, wrong, n_targets = [], [], []
    for video, is_counted in zip(videos, counted, strict=True):
        reached, false_positives = match(video.detections)
        reached, track = reached[is_counted], video.regions.track[is_counted]
        targets = _track_scores(reached, track) if by_track else reached
        found.append(targets[np.isfinite(targets)])
        n_targets.append(targets.size)
        wrong.append(false_positives)
    ranking = Ranking.of(found, wrong, n_positives=n_targets)
    n_frames = np.array([video.n_frames for video in videos], dtype=np.int64)

    def measure(weights: Draws) -> float:
        curve = ranking.curve(weights)
        if not curve.n_positives:
            return float("nan")
        return curve.area_up_to(_MAX_FALSE_POSITIVES_PER_FRAME * float(weights @ n_frames))

    return measure


def match(video: RegionVideo) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compare boxes with regions, frame by frame.

    Returns:
        The highest threshold that finds each region, (R,), −inf where no box overlaps it enough; and the
        scores of the boxes that overlap no region enough.
    """
    box, region, overlaps, _ = _pairs(video)
    reached = np.full(len(video.regions), -np.inf)
    np.maximum.at(reached, region[overlaps], video.scores[box[overlaps]])
    is_wrong = np.ones(video.frame.size, dtype=bool)
    is_wrong[box[overlaps]] = False
    return reached, video.scores[is_wrong]


def split(video: RegionVideo) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the scores of the boxes that overlap a region enough, and of those that touch none."""
    box, _, overlaps, touches = _pairs(video)
    finds, is_near = np.zeros((2, video.frame.size), dtype=bool)
    finds[box[overlaps]] = is_near[box[touches]] = True
    return video.scores[finds], video.scores[~is_near]


def _pairs(
    video: RegionVideo,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return each box with each region of its frame by their numbers, and whether they overlap enough, and at
    all; (M,) each.
    """
    regions = video.regions
    first = np.searchsorted(regions.frame, video.frame, side="left")
    n_pairs = np.searchsorted(regions.frame, video.frame, side="right") - first  # (N,) regions in its frame
    box = np.repeat(np.arange(video.frame.size), n_pairs)
    # Counted on from each box's first region: n_pairs [2, 0, 3], first [4, 6, 6]  ->  4 5 | | 6 7 8
    region = np.arange(box.size) - np.repeat(np.cumsum(n_pairs) - n_pairs - first, n_pairs)
    return box, region, *_overlap(video.box_xyxy[box], regions.box_xyxy[region])


def _overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return whether IoU ≥ 0.1, exactly for boxes of whole pixels, and whether it is > 0.

    Of (M, 4) and (M, 4)  ->  (M,) each.
    """
    a64, b64 = a.astype(np.float64), b.astype(np.float64)
    low, high = np.maximum(a64[:, :2], b64[:, :2]), np.minimum(a64[:, 2:], b64[:, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    union = np.prod(a64[:, 2:] - a64[:, :2], axis=1) + np.prod(b64[:, 2:] - b64[:, :2], axis=1) - shared
    touches = shared > 0
    return touches & (10 * shared >= union), touches


def _track_scores(reached: NDArray[np.float64], track: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the highest threshold that finds a tenth of each track's regions, −inf where none does."""
    order = np.lexsort((-reached, track))  # by track, in each from the highest score down
    starts = np.flatnonzero(np.diff(track[order], prepend=-1))
    lengths = np.diff(starts, append=track.size)
    needed = -(-lengths // 10)  # 10 regions  ->  1, 11  ->  2
    scores: NDArray[np.float64] = reached[order][starts + needed - 1]
    return scores
