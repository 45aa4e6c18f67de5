"""What the cache has of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from mulde.data.boxes import NO_BOXES
from mulde.data.cache.store import Entry, FeatureCache, StreamKey
from mulde.data.cycles import no_cycles
from mulde.data.errors import InputError
from mulde.data.video import DecodeReport, Video
from mulde.extractors.scene import SceneModel
from mulde.pipeline.config.sections import ExtractConfig
from mulde.pipeline.features.given_boxes import GivenBoxes
from mulde.pipeline.features.recipe import ANY_SCENE, BOXES, Recipe, build_recipe
from mulde.pipeline.features.scenes import Scenes
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.job import Job

STAGE = "extract"
_VIDEOS_AT_ONCE = 500
_UNKNOWN = StreamKey(BOXES, {})  # before its scene is learnt, a video's keys are not known


@dataclass(frozen=True, slots=True)
class CachedVideo:
    """A video and what the cache has of it."""

    video: Video
    keys: dict[str, StreamKey]
    """Keys of every stream, boxes included."""
    entries: dict[str, Entry]
    """Entries of the streams that are there and up to date."""
    is_stale: bool
    """Whether something is there that was made from another file of this name."""
    is_glance: bool = False
    """Whether only the first stream was looked for; whoever reads rows must know of all."""

    @property
    def is_complete(self) -> bool:
        """Whether nothing has to be extracted; after a glance, whether what is there is up to date."""
        return len(self.entries) == (1 if self.is_glance else len(self.keys))

    def is_elsewhere(self, cache: FeatureCache) -> bool:
        """Whether something was found at another place, where the video was before it moved."""
        return not all(cache.is_settled(self.keys[name], entry) for name, entry in self.entries.items())

    @property
    def report(self) -> DecodeReport:
        """What decoding found; only of a complete video."""
        return next(iter(self.entries.values())).report  # one pass wrote them all, so they agree


@dataclass(frozen=True)
class Inventory:
    """What the cache has of a data set."""

    scenes: Scenes | None
    """None where they have not been learnt; then nothing else is known either."""
    normal: tuple[CachedVideo, ...]
    test: tuple[CachedVideo, ...]

    @property
    def missing(self) -> tuple[CachedVideo, ...]:
        """The videos that are not complete."""
        return tuple(cached for cached in (*self.normal, *self.test) if not cached.is_complete)


def without_failed(run: RunFolder, videos: Sequence[CachedVideo]) -> list[CachedVideo]:
    """Leave out what failed when it was last extracted, and what no stage can use until it is mended."""
    failed = {failure.path for failure in run.failures() if failure.stage == STAGE}
    if not failed:
        return list(videos)
    return [
        cached
        for cached in videos
        if cached.is_complete or cached.is_stale or str(cached.video.path.absolute()) not in failed
    ]


def usable(job: Job, videos: Sequence[CachedVideo], split: str) -> tuple[CachedVideo, ...]:
    """Return the videos whose features are there, without those that failed.

    Raises:
        InputError: some were never extracted, or all failed.
    """
    failed = {failure.path: failure.reason for failure in job.run.failures() if failure.stage == STAGE}
    complete = tuple(cached for cached in videos if cached.is_complete)
    todo = [
        cached
        for cached in videos
        if not cached.is_complete and str(cached.video.path.absolute()) not in failed
    ]
    if todo:
        raise InputError(
            f"features of {len(todo)} of {len(videos)} {split} videos are not in the cache, the first is "
            f"{todo[0].video.name}: run `mulde extract` with the same options first"
        )
    if not complete:
        raise InputError(f"no {split} video can be used: {failed[str(videos[0].video.path.absolute())]}")
    return complete


class Recipes:
    """The recipe of each scene, built when it is first asked for; weights are those that are there then."""

    def __init__(self, config: ExtractConfig, scenes: Scenes | None, given: GivenBoxes | None = None) -> None:
        """Take scenes, or None where they have not been learnt: then no video's keys are known.

        Args:
            given: boxes that others made, where no finder of ours is to look.
        """
        self.scenes = scenes
        self._config, self._given = config, given
        self._known: dict[int, Recipe] = {}
        self._keys: dict[tuple[int, Path, str], dict[str, StreamKey]] = {}

    @property
    def any(self) -> Recipe:
        """The recipe of any scene, for what does not depend on which."""
        return self._of(ANY_SCENE if self.scenes is None else next(iter(self.scenes.models.values())))

    def keys(self, video: Video) -> dict[str, StreamKey]:
        """Return the cache keys of a video's streams; scenes have to be known.

        Raises:
            InputError: the video is of no known scene.
        """
        assert self.scenes is not None
        boxes = NO_BOXES if self._given is None else self._given.of(video)
        scene = self.scenes.of(video)
        place = id(scene), video.split_folder, boxes.digest
        if place not in self._keys:
            self._keys[place] = self._of(scene).keys(video.split_folder, boxes)
        return self._keys[place]

    def _of(self, scene: SceneModel) -> Recipe:
        if id(scene) not in self._known:  # as long as these scenes live
            self._known[id(scene)] = build_recipe(self._config, scene)
        return self._known[id(scene)]


def look_up(
    cache: FeatureCache, video: Video, keys: dict[str, StreamKey], frames_per_second: float
) -> CachedVideo:
    """Return what the cache has of a video."""
    return _cached(cache, video, keys, cache.find_all(keys, video, frames_per_second), keys)


def _cached(
    cache: FeatureCache,
    video: Video,
    keys: dict[str, StreamKey],
    entries: dict[str, Entry],
    asked: dict[str, StreamKey],
) -> CachedVideo:
    missing = () if len(entries) == len(asked) else asked.keys() - entries.keys()
    is_stale = any(cache.has_file(keys[name], video.name) for name in missing)
    return CachedVideo(video, keys, entries, is_stale, is_glance=asked is not keys)


def _first_of(keys: dict[str, StreamKey]) -> dict[str, StreamKey]:
    return dict(islice(keys.items(), 1))


@no_cycles()
def look_up_all(job: Job, recipes: Recipes, *, at_a_glance: bool = False) -> Inventory:
    """Look up what the cache has of all videos of a job; nothing is decoded and nothing written.

    Args:
        at_a_glance: whether to look for the first stream of each alone, which tells whether the video and the
            settings are those of before; with a hundred thousand videos it takes half the time.

    Raises:
        InputError: a video's files cannot be read, or it is of no known scene.
    """

    cache, frames_per_second = job.cache, job.frames_per_second
    cache.look_anew()

    def all_of(videos: Sequence[Video]) -> tuple[CachedVideo, ...]:
        if recipes.scenes is None:
            return tuple(CachedVideo(video, {BOXES: _UNKNOWN}, {}, is_stale=False) for video in videos)
        found, first = list[CachedVideo](), dict[int, dict[str, StreamKey]]()  # keys are shared
        for start in range(0, len(videos), _VIDEOS_AT_ONCE):
            some = [(video, recipes.keys(video)) for video in videos[start : start + _VIDEOS_AT_ONCE]]
            asked = some
            if at_a_glance:
                first |= {id(keys): _first_of(keys) for _, keys in some if id(keys) not in first}
                asked = [(video, first[id(keys)]) for video, keys in some]
            entries = cache.find_many(asked, frames_per_second)
            found += [
                _cached(cache, *each, of, those)
                for each, of, (_, those) in zip(some, entries, asked, strict=True)
            ]
        return tuple(found)

    return Inventory(recipes.scenes, all_of(job.dataset.normal), all_of(job.dataset.test))
