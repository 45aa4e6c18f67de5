"""Bring together the scored boxes of a run and the labelled regions of its data set."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from mulde.data.decode.readers import FRAMES_PER_SECOND
from mulde.data.errors import InputError
from mulde.data.labels.labels import Labels
from mulde.data.labels.regions import NO_TRACK, Regions
from mulde.data.spelling import counted
from mulde.extractors.boxes.linking import Linker
from mulde.pipeline.metrics.regions import RegionVideo
from mulde.pipeline.metrics.video_scores import VideoScores
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.scores import open_scores

_SECONDS_LOST = 0.5
"""How long a labelled object may be without a region, and still be the same."""
_log = logging.getLogger(__name__)


def read_region_videos(
    run: RunFolder, labels: Labels, videos: Sequence[VideoScores], *, are_windows: bool
) -> tuple[list[RegionVideo], str]:
    """Return the videos whose abnormal regions are known, or none and the reason.

    Where no label says which regions are of one track, they are linked.

    Videos that are normal throughout are among them. One with abnormal frames but without region labels is
    left out, with a warning.

    Args:
        are_windows: see `RegionVideo`.

    Raises:
        InputError: scores or regions cannot be read, or regions lie outside of their video.
    """
    if not labels.has_regions:
        return [], "no region labels"
    known = {video.name: labels.regions(video.name) for video in videos}
    unknown = [name for name, regions in known.items() if regions is None]
    if unknown:
        _log.warning(
            "evaluate: %s without region labels left out of RBDC and TBDC, the first is %s",
            counted(len(unknown), "video"),
            unknown[0],
        )
    found = []
    links = not any((each.track != NO_TRACK).any() for each in known.values() if each is not None)
    for video in videos:
        regions = known[video.name]
        if regions is not None:
            of_tracks = _linked(regions, video.fps) if links else regions
            read = _read(run, video, of_tracks, are_linked=links, are_windows=are_windows)
            if read is None:
                return [], "the scores are of whole frames, without boxes"
            found.append(read)
    return found, "" if found else "no region labels of these videos"


def _read(
    run: RunFolder, video: VideoScores, regions: Regions, *, are_linked: bool, are_windows: bool
) -> RegionVideo | None:
    with open_scores(run, video.name) as files:
        objects, looked_at = files.objects(), files.looked_at()
    if objects is None:
        return None
    try:
        read = RegionVideo(
            video.name,
            video.n_frames,
            objects.frame,
            objects.box_xyxy,
            objects.total.astype(np.float64),
            _fit(regions, video.n_frames),
            are_linked,
            are_windows=are_windows,
        )
        return read if looked_at is None else read.looked_at(looked_at)
    except ValueError as error:
        raise InputError(str(error)) from None


def _linked(regions: Regions, fps: float | None) -> Regions:
    """Return the same with tracks: regions of one object, by their overlap from frame to frame."""
    linker, track = Linker(_SECONDS_LOST), np.full(len(regions), NO_TRACK)
    frames = np.arange(regions.frame[0], regions.frame[-1] + 1) if len(regions) else regions.frame
    starts, stops = (np.searchsorted(regions.frame, frames, side=side) for side in ("left", "right"))
    for frame, start, stop in zip(frames, starts, stops, strict=True):
        track[start:stop] = linker.link(frame / (fps or FRAMES_PER_SECOND), regions.box_xyxy[start:stop])
    return Regions(regions.frame, regions.box_xyxy, track)


def _fit(regions: Regions, n_frames: int) -> Regions:
    """Drop regions of the one frame after the last, by which decoders differ, as with labels of frames."""
    is_after = regions.frame == n_frames
    if not is_after.any():
        return regions
    return Regions(regions.frame[~is_after], regions.box_xyxy[~is_after], regions.track[~is_after])
