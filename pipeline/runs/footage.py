"""Which videos a run has scored with the model of another, so that they can be found again."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mulde.data.errors import InputError
from mulde.data.sealed import read_json, write_json
from mulde.data.video import Video
from mulde.pipeline.runs.folder import RunFolder

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Footage:
    """Videos that no data set lists, and what they were scored with."""

    model_run: RunFolder
    videos: Mapping[str, Video]
    """By name."""
    frames_per_second: float
    """Of folders of images, which do not say."""


def require_own_names(run: RunFolder, videos: Sequence[Video]) -> None:
    """Check that videos take the place of no scores but their own.

    Raises:
        InputError: there are scores of another video of the same name.
    """
    try:
        known = read_footage(run)
    except InputError:  # nothing is known then; `record_footage` says so
        return
    for video in videos:
        if not run.csv(video.name).exists():
            continue
        before = None if known is None else known.videos.get(video.name)
        if before is None and not run.config.exists():
            continue
        if before is None or before.path.resolve() != video.path.resolve():
            other = before.path if before is not None else "a test video of this run"
            raise InputError(
                f"{run.csv(video.name)} has the scores of {other}, and {video.path} has the same name: "
                "choose another folder with --out DIR, or name the folder above both, so that their names "
                "have theirs in front; if the video has only moved, delete that file"
            )


def record_footage(
    run: RunFolder, model_run: RunFolder, videos: Sequence[Video], frames_per_second: float
) -> None:
    """Write footage.json; videos that were scored into the same folder before stay in it."""
    try:
        known = read_footage(run)
    except InputError as error:
        _log.warning("%s; only the videos of now are known from here on", error)
        known = None
    by_name = {**({} if known is None else known.videos), **{video.name: video for video in videos}}
    rows = {
        video.name: {
            "path": str(video.path.absolute()),
            "split_folder": str(video.split_folder.absolute()),
            "scene": video.scene,
        }
        for video in by_name.values()
    }
    content = {
        "model_run": str(model_run.folder.absolute()),
        "frames_per_second": frames_per_second,
        "videos": rows,
    }
    write_json(run.footage, content, indent=1)


def read_footage(run: RunFolder) -> Footage | None:
    """Return what `record_footage` wrote; None for a run of a data set.

    Raises:
        InputError: it is damaged.
    """
    try:
        content = read_json(run.footage)
        videos = {
            name: Video(name, Path(row["path"]), Path(row["split_folder"]), row["scene"])
            for name, row in content["videos"].items()
        }
        _require_below(videos)
        rate = float(content["frames_per_second"])
        if not 0 < rate < math.inf:
            raise ValueError(f"{rate} frames per second cannot be")
        return Footage(RunFolder(Path(content["model_run"])), videos, rate)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(f"{run.footage} is damaged ({error}): run `mulde score --model` again") from None


def _require_below(videos: Mapping[str, Video]) -> None:
    """Raise ValueError where a name leads elsewhere: scores and pictures are written below it."""
    for name, video in videos.items():
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or parts[0] == "/" or not isinstance(video.scene, str):
            raise ValueError(f"{name!r} is no name of a video")
