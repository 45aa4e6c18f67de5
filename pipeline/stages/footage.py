"""Score videos that no data set lists, with the model of a run."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mulde.data.cache.store import FeatureCache
from mulde.data.decode.readers import FRAMES_PER_SECOND
from mulde.data.errors import InputError
from mulde.data.layouts.find_videos import find_all
from mulde.data.sealed import is_whole
from mulde.data.spelling import spell
from mulde.data.video import Video
from mulde.pipeline.config.dotted import flat, in_yaml
from mulde.pipeline.config.load import load_config
from mulde.pipeline.config.sections import Config
from mulde.pipeline.config.words import in_users_words
from mulde.pipeline.features.devices import check_device
from mulde.pipeline.features.given_boxes import GivenBoxes, open_given, tell_notes
from mulde.pipeline.features.inventory import STAGE, CachedVideo, Recipes, look_up
from mulde.pipeline.features.recipe import require_all, stream_digests
from mulde.pipeline.features.scenes import Scenes
from mulde.pipeline.models.model import load_model, model_digest, read_manifest, read_scenes
from mulde.pipeline.progress import Progress, silent
from mulde.pipeline.runs.folder import Failure, RunFolder
from mulde.pipeline.runs.footage import record_footage, require_own_names
from mulde.pipeline.runs.shards import Heart, Shard
from mulde.pipeline.stages.extract import extract_missing, record_weights
from mulde.pipeline.stages.find_events import FindEvents, Found
from mulde.pipeline.stages.mend import discarding_damage
from mulde.pipeline.stages.score import Score
from mulde.pipeline.stages.train import STAGE as TRAIN_STAGE

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoredFootage:
    """What is known of videos now."""

    videos: tuple[Video, ...]
    """Those that are scored, now or before."""
    found: Found
    """The events in them."""


def videos_at(paths: Sequence[Path]) -> list[Video]:
    """Return the videos that paths name, each of the camera that its folder, or that one's name, says.

    Raises:
        InputError: a path holds no video, or two videos would have the same name.
    """
    found = find_all(paths)
    for note in found.notes:
        _log.warning("%s", note)
    return [
        video if video.scene else replace(video, scene=spell(video.split_folder.resolve().name))
        for video in found.videos
    ]


def _require_fit(model_run: RunFolder, config: Config) -> None:
    """Check that a model can score what these settings give.

    Raises:
        InputError: it is damaged, or of features that other settings give; these are named.
    """
    stream_digests(config.extract)  # streams, plug-ins and weights that are not there speak for themselves
    try:
        load_model(model_run.model, config.extract, "cpu")
    except InputError:
        own = load_config(model_run.model_config)
        if {*own.extract.streams} != {*config.extract.streams}:
            raise
        if own.extract.plugins != config.extract.plugins:  # those of a run from elsewhere must not be run
            raise
        load_model(model_run.model, own.extract, "cpu")  # so does what is damaged
        now, before = (flat(each.extract.model_dump(mode="json"), "extract.") for each in (config, own))
        other = [name for name in now if now[name] != before.get(name)]
        other = [name for name in other if _decides(name, now[name], model_run, own)] or other
        if not other:
            raise
        raise InputError(
            f"{_in_words(now, other)} does not fit the model in {model_run.folder}, which was made with "
            f"{_in_words(before, other)}: leave it out, or train again with it"
        ) from None


def _decides(name: str, value: object, model_run: RunFolder, own: Config) -> bool:
    """Whether features are others than those of a model, of that configuration, if one setting is changed."""
    try:
        other = load_config(model_run.model_config, options={name: value})
        return stream_digests(other.extract) != stream_digests(own.extract)
    except InputError:  # it does not go with the others
        return True


def _in_words(values: Mapping[str, Any], names: Iterable[str]) -> str:
    return ", ".join(f"{name}={in_yaml(values.get(name))}" for name in names)


@in_users_words()
def score_footage(
    model_run: RunFolder,
    out: RunFolder,
    config: Config,
    paths: Sequence[Path],
    progress: Progress = silent,
) -> ScoredFootage:
    """Extract and score videos, and find the events in them.

    Videos that fail are recorded in `out`; the others go on.

    Raises:
        InputError: the model or the device cannot be used, or no video can be read.
    """
    if config.extract.are_imported:
        raise InputError(
            f"the model in {model_run.folder} was made from imported features: import those of the new "
            "videos as well, and name them with --test-features"
        )
    if not is_whole(model_run.model_config):
        raise InputError(f"{model_run.model_config} was changed after it was written: train again")
    check_device(config.device)
    videos = videos_at(paths)
    _require_fit(model_run, config)  # now, before a long extraction
    frames_per_second = _frames_per_second(model_run)
    out.require_writable()
    require_own_names(out, videos)
    record_weights(out, require_all(config.extract, offline=config.offline))
    given = open_given(config.extract, videos)
    tell_notes(given)
    extraction = _Extraction(
        videos, config, read_scenes(model_run.model), frames_per_second, given, out, progress
    )
    # a model may be all that was copied of its run
    trained_as = model_run.fingerprint(TRAIN_STAGE) or model_digest(model_run.model) or ""

    def score(some: Sequence[CachedVideo]) -> ScoredFootage:
        videos = tuple(cached.video for cached in some)
        record_footage(out, model_run, videos, frames_per_second)  # before there are scores of them
        Score().score(out, some, config, trained_as, model_folder=model_run.model, progress=progress)
        return ScoredFootage(videos, FindEvents().find_missing(out, model_run, some, config))

    complete = extraction.run()
    with discarding_damage(config.cache, complete) as damaged:
        scored = score(complete)
    if damaged:
        if extraction.is_done:  # it stays where it cannot be deleted
            raise damaged[0]
        scored = score(extraction.run())
    return scored


class _Extraction:
    """Has the features of videos in the cache; what fails is recorded in a run."""

    def __init__(
        self,
        videos: Sequence[Video],
        config: Config,
        scenes: Scenes,
        frames_per_second: float,
        given: GivenBoxes | None,
        out: RunFolder,
        progress: Progress,
    ) -> None:
        self._videos, self._config, self._scenes, self._given = videos, config, scenes, given
        self._frames_per_second, self._out, self._progress = frames_per_second, out, progress
        self._cache, self._recipes = FeatureCache(config.cache), Recipes(config.extract, scenes, given)

    @property
    def is_done(self) -> bool:
        """Whether the cache has all."""
        return all(cached.is_complete for cached in self._look())

    def run(self) -> list[CachedVideo]:
        """Extract what is missing, and return what is there then.

        Raises:
            InputError: the cache cannot be written, or there is nothing.
        """
        missing = [cached for cached in self._look() if not cached.is_complete]
        heart = Heart(self._out, Shard(1, 1))
        n_videos = len(self._videos)
        heart.beat(now=True, state="running", n_videos=n_videos, n_cached=n_videos - len(missing))
        failures: list[Failure] = []
        if missing:
            self._cache.require_writable()
            failures = extract_missing(
                missing,
                self._scenes,
                self._config,
                self._frames_per_second,
                self._out,
                self._progress,
                self._given,
                heart=heart,
            )
        found = self._look()
        self._cache.index.save()
        failed = {failure.path for failure in failures}
        lost = [cached.video for cached in found if not cached.is_complete]
        failures += [
            Failure(video.name, STAGE, f"{video.path} was changed or deleted after it was read", str(path))
            for video in lost
            if str(path := video.path.absolute()) not in failed
        ]
        self._out.record_failures(STAGE, failures)
        heart.beat(now=True, state="ended", n_failed=len(failures), share=1.0)
        complete = [cached for cached in found if cached.is_complete]
        if not complete:
            raise InputError(f"no video can be scored: {failures[0].reason}")
        return complete

    def _look(self) -> list[CachedVideo]:
        return [
            look_up(self._cache, video, self._recipes.keys(video), self._frames_per_second)
            for video in self._videos
        ]


def _frames_per_second(model_run: RunFolder) -> float:
    """Return the rate of folders of images, which do not say it, that a model was made with."""
    rate = read_manifest(model_run.model)["provenance"].get("frames_per_second", FRAMES_PER_SECOND)
    if not isinstance(rate, int | float) or not 0 < rate < math.inf:
        raise InputError(
            f"the model in {model_run.model} was made at {rate!r} frames per second: train again"
        )
    return float(rate)
