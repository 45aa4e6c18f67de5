"""The scenes of a data set: learnt once from its normal videos, kept in the cache."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from mulde.data.cache.store import FeatureCache, StreamKey, digest_of
from mulde.data.decode.readers import sample_frames
from mulde.data.errors import InputError, VideoError
from mulde.data.identity import identify
from mulde.data.video import Frame, Video
from mulde.extractors.images import to_grey
from mulde.extractors.scene import CODE_VERSION, SceneModel, learn_scene
from mulde.extractors.settings import SceneSettings
from mulde.pipeline.console import Bar

SCENES = "scene"
"""Name of the cached product."""
_WHOLE = "all"

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
    if not unknown:
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
        arrays = cache.read_arrays(_scene_key(videos, settings), name or _WHOLE)
        if arrays is None:
            return None
        found[name] = SceneModel.from_arrays(arrays)
    return Scenes(found)


def learn_scenes(
    cache: FeatureCache,
    groups: Mapping[str, Sequence[Video]],
    settings: SceneSettings,
    frames_per_second: float,
) -> Scenes:
    """Learn the scenes that are not in the cache, and keep them there.

    Raises:
        InputError: no normal video of a scene can be read.
    """
    found = {}
    for name, videos in groups.items():
        key = _scene_key(videos, settings)
        arrays = cache.read_arrays(key, name or _WHOLE)
        if arrays is None:
            arrays = _learn(name, videos, settings, frames_per_second).to_arrays()
            cache.write_arrays(key, name or _WHOLE, arrays)
        found[name] = SceneModel.from_arrays(arrays)
    return Scenes(found)


def _learn(
    name: str, videos: Sequence[Video], settings: SceneSettings, frames_per_second: float
) -> SceneModel:
    n_each = max(1, -(-settings.n_samples // len(videos)))  # rounded up
    step = -(-len(videos) // settings.n_samples)  # with very many videos, not every one is needed
    greys: list[NDArray[np.uint8]] = []
    chosen = videos[::step]
    with Bar(f"scene {name}".strip(), len(chosen), "videos") as bar:
        for done, video in enumerate(chosen, 1):
            try:
                greys += sample_frames(video, n_each, grey_of, frames_per_second=frames_per_second)
            except VideoError as error:
                _log.debug("%s", error)  # extraction reports it
            bar.update(done)
    if not greys:
        raise InputError(
            f"none of the {len(videos)} normal videos can be read, the first is {videos[0].path}"
        )
    greys = _of_the_commonest_size(greys)
    model = learn_scene(greys, settings)
    _log.info(
        "scene %s: background of %d frames from %d videos, objects %.0f to %.0f px tall",
        name or _WHOLE, len(greys), len(chosen), *model.height_range,
    )  # fmt: skip
    return model


def grey_of(frame: Frame) -> NDArray[np.uint8]:
    """Return what scenes are learnt from, (H, W) uint8."""
    return to_grey(frame.rgb)


def _of_the_commonest_size(images: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    shapes = [image.shape for image in images]
    commonest = max(sorted(set(shapes)), key=shapes.count)
    return [image for image in images if image.shape == commonest]


def _scene_key(videos: Iterable[Video], settings: SceneSettings) -> StreamKey:
    videos = list(videos)
    sources = []
    for video in videos:
        try:
            identity = identify(video, with_digest=False)
        except VideoError:  # extraction reports it
            continue
        sources.append([video.name, identity.size_bytes, identity.mtime_ns, identity.n_files])
    return StreamKey(
        SCENES,
        {
            "folder": str(videos[0].split_folder.resolve()),
            "code_version": CODE_VERSION,
            **asdict(settings),
            "n_videos": len(videos),
            "videos": digest_of(sources),
        },
    )
