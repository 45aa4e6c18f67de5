"""Bring together the scored boxes of a run and the labelled regions of its data set."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from mulde.data.errors import InputError
from mulde.data.labels.labels import Labels
from mulde.data.labels.regions import Regions
from mulde.data.spelling import counted
from mulde.pipeline.metrics.regions import RegionVideo
from mulde.pipeline.metrics.video_scores import VideoScores
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.scores import read_objects

_log = logging.getLogger(__name__)


def read_region_videos(
    run: RunFolder, labels: Labels, videos: Sequence[VideoScores]
) -> tuple[list[RegionVideo], str]:
    """Return the videos whose abnormal regions are known, or none and the reason.

    Videos that are normal throughout are among them. One with abnormal frames but without region labels is
    left out, with a warning.

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
    for video in videos:
        regions = known[video.name]
        if regions is not None:
            read = _read(run, video, regions)
            if read is None:
                return [], "the scores are of whole frames, without boxes"
            found.append(read)
    return found, "" if found else "no region labels of these videos"


def _read(run: RunFolder, video: VideoScores, regions: Regions) -> RegionVideo | None:
    objects = read_objects(run, video.name)
    if objects is None:
        return None
    try:
        return RegionVideo(
            video.name,
            video.n_frames,
            objects.frame,
            objects.box_xyxy,
            objects.total.astype(np.float64),
            _fit(regions, video.n_frames),
        )
    except ValueError as error:
        raise InputError(str(error)) from None


def _fit(regions: Regions, n_frames: int) -> Regions:
    """Drop regions of the one frame after the last, by which decoders differ, as with labels of frames."""
    is_after = regions.frame == n_frames
    if not is_after.any():
        return regions
    return Regions(regions.frame[~is_after], regions.box_xyxy[~is_after], regions.track[~is_after])
