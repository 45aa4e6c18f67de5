"""The scenes of a data set: learnt once from its normal videos, kept in the cache."""

from __future__ import annotations

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


def group_by_scene(normal: Sequence[Video], test: Sequence[Video]) -> dict[str, list[Video]]:
    """Sort the normal videos by camera.

    Sub-folders are taken for cameras only if each one of the test videos is one of the normal videos too.
    """
    groups: dict[str, list[Video]] = {}
    for video in normal:
        groups.setdefault(video.scene, []).append(video)
    if {video.scene for video in test} <= groups.keys():
        return groups
    return {_WHOLE: list(normal)}


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
