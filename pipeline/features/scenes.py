"""The scenes of a data set: learnt once from its normal videos, kept in the cache."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mulde.data.atomic import WriteError, writing
from mulde.data.cache.store import FeatureCache, StreamKey, digest_of
from mulde.data.decode.readers import CODE_VERSION as DECODING_VERSION
from mulde.data.decode.readers import sample_frames
from mulde.data.errors import InputError, VideoError
from mulde.data.identity import identify
from mulde.data.spelling import counted
from mulde.data.video import Frame, Video
from mulde.extractors.scene import CODE_VERSION, SceneModel, learn_scene
from mulde.extractors.settings import SceneSettings
from mulde.pipeline.executors.base import Executor, Tick
from mulde.pipeline.executors.kinds import open_executor
from mulde.pipeline.progress import Progress, Tracked, silent

SCENES = "scene"
"""Name of the cached product."""
_WHOLE = "all"
_MOST_ROUNDS = 5
"""Each round leaves out the videos that could not be read in the one before."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scenes:
    """The learnt scenes by name."""

    models: Mapping[str, SceneModel]

    def of(self, video: Video) -> SceneModel:
        """Return the scene of a video.

        Raises:
            InputError: there are several scenes, and the video is in none of them.
        """
        if len(self.models) == 1:
            return next(iter(self.models.values()))
        if video.scene not in self.models:
            raise InputError(
                f"{video.path} belongs to no known camera: put it into a folder named after one of "
                f"{', '.join(sorted(self.models))}"
            )
        return self.models[video.scene]

    @property
    def digest(self) -> str:
        """A hash of all scenes."""
        return digest_of({name: model.digest for name, model in self.models.items()})


def group_by_scene(
    normal: Sequence[Video], test: Sequence[Video], *, merge: bool = False
) -> dict[str, list[Video]]:
    """Sort the normal videos by camera.

    Sub-folders are cameras where the test videos are of the same ones. Where they have nothing in common with
    those of the normal videos, they are something else (days, say), and all videos are of one camera.

    Args:
        merge: whether one background is learnt from all cameras where the test videos have another one.

    Raises:
        InputError: some test videos are of a camera that the normal ones lack, and `merge` is not set.
    """
    groups: dict[str, list[Video]] = {}
    for video in normal:
        groups.setdefault(video.scene, []).append(video)
    unknown = sorted({video.scene for video in test} - groups.keys())
    if not test and len(groups) > 1 and not merge:
        _log.info(
            "without test videos, the folders of the normal ones are taken for cameras: %s; "
            "data.merge_cameras=true learns one background from all",
            ", ".join(name or "no sub-folder" for name in groups),
        )
    if not unknown and not (merge and not test):
        return groups
    if not merge:
        _refuse_unknown_cameras(unknown, sorted(filter(None, groups)), {video.scene for video in test})
    return {_WHOLE: list(normal)}


def _refuse_unknown_cameras(unknown: Sequence[str], known: Sequence[str], in_test: set[str]) -> None:
    """Raise InputError where sub-folders are cameras, as some of the names agree or nearly do."""
    by_small_letters = {name.casefold(): name for name in known}
    near = [
        by_small_letters[match]
        for name in unknown
        for match in difflib.get_close_matches(name.casefold(), by_small_letters, n=1, cutoff=0.8)
    ]
    if not near and not in_test & set(known):
        return
    guess = f" (is {unknown[0] or 'the folder itself'} meant to be {near[0]}?)" if near else ""
    places = ", ".join(name or "no sub-folder" for name in unknown)
    raise InputError(
        f"the test videos in {places} are of a camera that the normal videos lack, which are of "
        f"{', '.join(known)}{guess}: name the folders alike below both, take these videos out, or learn one "
        "background from all cameras with data.merge_cameras=true"
    )


def find_scenes(
    cache: FeatureCache, groups: Mapping[str, Sequence[Video]], settings: SceneSettings
) -> Scenes | None:
    """Return the scenes if all are in the cache."""
    found = {}
    for name, videos in groups.items():
        model = _read(cache, name, videos, settings)
        if model is None:
            return None
        found[name] = model
    return Scenes(found)


@dataclass(frozen=True)
class SampleTask:
    """What a worker needs to take frames from a video for its scene."""

    video: Video
    n_frames: int
    frames_per_second: float
    folder: Path | None = None
    """Where the frames are left for `learn_scenes`, which need not have them all in memory."""


def learn_scenes(
    cache: FeatureCache,
    groups: Mapping[str, Sequence[Video]],
    settings: SceneSettings,
    frames_per_second: float,
    *,
    workers: int,
    stall_seconds: float,
    progress: Progress = silent,
) -> Scenes:
    """Learn the scenes that are not in the cache, and keep them there.

    Videos are decoded in worker processes of this machine: one that cannot be read, or whose decoder hangs
    for `stall_seconds`, is left out of its scene.

    Raises:
        InputError: no normal video of a scene can be read.
    """
    found = find_scenes(cache, groups, settings)
    if found is not None:
        with suppress(WriteError):  # a cache that cannot be written serves as well
            _settle(cache, groups, settings)
        return found
    models = {}
    n_videos = sum(map(len, groups.values()))
    with open_executor("local", min(workers, n_videos), stall_seconds, _MOST_ROUNDS * n_videos) as pool:
        for name, videos in groups.items():
            known = _read(cache, name, videos, settings)
            models[name] = known or _learn(cache, pool, name, videos, settings, frames_per_second, progress)
    return Scenes(models)


def _settle(cache: FeatureCache, groups: Mapping[str, Sequence[Video]], settings: SceneSettings) -> None:
    """Keep scenes that were found where the videos were before they moved."""
    for name, videos in groups.items():
        cache.settle_arrays(_scene_key(videos, settings), name or _WHOLE, made_from=videos)


def sample_greys(task: SampleTask, tick: Tick) -> list[NDArray[np.uint8]]:
    """Return what scenes are learnt from of frames that are spread over a video, (H, W) uint8 each.

    Raises:
        VideoError: the video cannot be read.
    """
    n_kept = 0

    def keep(frame: Frame) -> NDArray[np.uint8]:
        nonlocal n_kept
        n_kept += 1
        tick(n_kept)
        return grey_of(frame)

    return sample_frames(task.video, task.n_frames, keep, frames_per_second=task.frames_per_second)


def _learn(
    cache: FeatureCache,
    pool: Executor,
    name: str,
    videos: Sequence[Video],
    settings: SceneSettings,
    frames_per_second: float,
    progress: Progress,
) -> SceneModel:
    """Learn a scene and keep it, as that of all videos and as that of those which can be read.

    It is the same with and without a video that cannot be read, so that taking one out changes nothing.
    """
    usable, last = list(videos), ""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for _ in range(_MOST_ROUNDS):
            chosen = _chosen(usable, settings, frames_per_second, Path(folder))
            files, errors = _sample(pool, f"scene {name}".strip(), chosen, progress)
            usable = [video for video in usable if video not in errors]
            if not usable:
                break
            last = next(iter(errors.values()), last)
            known = _read(cache, name, usable, settings) if errors else None
            if known is not None:
                _write(cache, name, videos, settings, known, usable=usable)
                return known
            if not errors:
                break
        if not files:
            reason = last or next(iter(errors.values()))
            raise InputError(f"none of the {len(videos)} normal videos can be read, the first: {reason}")
        greys = _of_the_commonest_size([np.load(file, mmap_mode="c") for file in files])
        model = learn_scene(greys, settings)
        _log.info(
            "scene %s: background of %s from %s, objects %.0f to %.0f px tall",
            name or _WHOLE, counted(len(greys), "frame"), counted(len(chosen) - len(errors), "video"),
            *model.height_range_in_frame,
        )  # fmt: skip
    for some in [usable, videos] if len(usable) < len(videos) else [videos]:
        _write(cache, name, some, settings, model, usable=usable)
    return model


def _chosen(
    videos: Sequence[Video], settings: SceneSettings, frames_per_second: float, folder: Path
) -> list[SampleTask]:
    """Return of which videos how many frames are taken."""
    n_each = max(1, -(-settings.n_samples // len(videos)))  # rounded up
    step = -(-len(videos) // settings.n_samples)  # with very many videos, not every one is needed
    return [
        SampleTask(video, n_each, frames_per_second, Path(mkdtemp(dir=folder))) for video in videos[::step]
    ]


def _sample(
    pool: Executor, title: str, tasks: Sequence[SampleTask], progress: Progress
) -> tuple[list[Path], dict[Video, str]]:
    """Return files with the frames, in the order of the tasks, and why videos have none."""
    files, errors = dict[Video, list[Path]](), dict[Video, str]()
    for task in tasks:
        pool.submit(_leave_greys, task)
    with Tracked(progress, title, len(tasks), "videos") as tracked:
        for done, outcome in enumerate(pool.outcomes(), 1):
            video: Video = outcome.task.video
            if outcome.error is None:
                files[video] = outcome.result or []
            elif isinstance(outcome.error, InputError) and not isinstance(outcome.error, VideoError):
                raise outcome.error  # a full disk, say, which the other videos would meet too
            else:
                errors[video] = _reason(video, outcome.error)
            tracked.update(done)
    return [file for task in tasks for file in files.get(task.video, [])], errors


def _reason(video: Video, error: BaseException) -> str:
    if isinstance(error, VideoError):
        _log.debug("%s", error)  # extraction reports it
        return str(error)
    reason = f"{video.path}: {type(error).__name__}: {error}"
    _log.debug("in a worker", exc_info=error)
    _log.warning("%s; it is left out of the scene", reason)
    return reason


def _leave_greys(task: SampleTask, tick: Tick) -> list[Path]:
    """Write samples of a video into files; runs in a worker process."""
    assert task.folder is not None
    tick(0)  # the start of the process is over; from here on the decoder is watched
    files = []
    for index, grey in enumerate(sample_greys(task, tick)):
        file = task.folder / f"{index}.npy"
        with writing(task.folder):
            np.save(file, grey)
        files.append(file)
    return files


def grey_of(frame: Frame) -> NDArray[np.uint8]:
    """Return what scenes are learnt from, (H, W) uint8."""
    return frame.grey()


def _of_the_commonest_size(images: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    shapes = [image.shape for image in images]
    commonest = max(sorted(set(shapes)), key=shapes.count)
    return [image for image in images if image.shape == commonest]


def _read(
    cache: FeatureCache, name: str, videos: Sequence[Video], settings: SceneSettings
) -> SceneModel | None:
    arrays = cache.read_arrays(_scene_key(videos, settings), name or _WHOLE, made_from=videos)
    if arrays is None and not settings.with_looks:  # one with looks is the same but for these
        with_looks = _scene_key(videos, replace(settings, with_looks=True))
        arrays = cache.read_arrays(with_looks, name or _WHOLE, made_from=videos)
        arrays = arrays and {part: array for part, array in arrays.items() if part != "looks"}
    try:
        return None if arrays is None else SceneModel.from_arrays(arrays)
    except ValueError as error:
        _log.warning("scene %s in the cache is damaged (%s); it will be made again", name or _WHOLE, error)
        return None


def _write(
    cache: FeatureCache,
    name: str,
    videos: Sequence[Video],
    settings: SceneSettings,
    model: SceneModel,
    *,
    usable: Sequence[Video],
) -> None:
    known = set(usable)
    left_out = [video for video in videos if video not in known]
    key = _scene_key(videos, settings)
    cache.write_arrays(key, name or _WHOLE, model.to_arrays(), made_from=usable, left_out=left_out)


def _deciding(settings: SceneSettings) -> dict[str, Any]:
    """Return what a scene depends on: one without looks is what it was before there were any."""
    return {name: value for name, value in asdict(settings).items() if name != "with_looks" or value}


def _scene_key(videos: Sequence[Video], settings: SceneSettings) -> StreamKey:
    """Return the key of the scene of videos, whose contents are compared when it is read."""
    sources = []
    for video in videos:
        try:
            identity = identify(video, with_digest=False)
        except VideoError:  # extraction reports it
            continue
        sources.append([video.name, identity.size_bytes, identity.n_files])
    return StreamKey(
        SCENES,
        {
            "folder": str(videos[0].split_folder.resolve()),
            "code_version": CODE_VERSION,
            "decoding": DECODING_VERSION,
            **_deciding(settings),
            "n_videos": len(sources),
            "videos": digest_of(sources),
        },
    )
