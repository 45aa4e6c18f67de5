"""The composition root of extraction: from configuration and scene to finders, extractors and cache keys."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from mulde.data.boxes import NO_BOXES, VideoBoxes
from mulde.data.cache.entries import BOXES_STREAM
from mulde.data.cache.store import BOXES_PLACE, StreamKey, digest_of
from mulde.data.decode.readers import CODE_VERSION as DECODING_VERSION
from mulde.data.errors import InputError, PackageMissingError
from mulde.extractors.base import BoxFinder, Extractor, FrameExtractor, Operator
from mulde.extractors.boxes.detected import BoxDetector, DetectedBoxes, MotionOrWholeFrame
from mulde.extractors.boxes.given import FileBoxes
from mulde.extractors.boxes.motion import MotionFinder, MotionGradient, MotionWindows
from mulde.extractors.boxes.torchvision import TorchvisionDetector
from mulde.extractors.boxes.yolo import YoloDetector
from mulde.extractors.kinds import STREAMS
from mulde.extractors.networks.encoders import RANDOM
from mulde.extractors.networks.machine import Machine
from mulde.extractors.networks.weights import (
    WEIGHTS_FOLDER,
    Weights,
    WeightsMissingError,
    fetch,
    find_weights,
    is_offline,
    record_of,
)
from mulde.extractors.scene import SceneModel
from mulde.extractors.settings import BoxSettings, EncoderSettings
from mulde.extractors.streams.site import Site
from mulde.pipeline.config.sections import ExtractConfig
from mulde.pipeline.features.plugins import Plugin, load_plugins
from mulde.pipeline.features.scenes import SCENES

T = TypeVar("T")
BOXES = BOXES_STREAM
"""Name of the stream that holds the boxes themselves."""
ANY_SCENE = SceneModel((64, 64), np.zeros((1, 64, 64), np.uint8), 16.0, 0.0, (16.0, 16.0), 0.5)
"""For what does not depend on the scene: packages, weights, whether networks run, what decides features."""


@dataclass(frozen=True)
class Recipe:
    """All operators for the videos of one scene."""

    finder: BoxFinder | None
    """None where whole frames are described."""
    extractors: tuple[Extractor | FrameExtractor, ...]
    plugins: tuple[Plugin, ...] = ()
    """Those that the extractors may be from."""
    decoder: str = ""
    """What decodes the videos, and in which version: features of one are not taken for those of another."""
    rate: float | None = None
    """About how many frames a second are looked at; all if None."""
    boxes_from: tuple[str, ...] = ()
    """The files with the boxes, where others made them."""

    def keys(self, folder: Path, boxes: VideoBoxes = NO_BOXES) -> dict[str, StreamKey]:
        """Return the cache key of each stream, boxes first, for the videos below a split folder.

        The folder is part of the key, so that training/01 and testing/01 do not meet in one file.

        Args:
            boxes: those of the one video that is meant, where others made them.

        Raises:
            InputError: weights are not there, whose content would be part of a key.
        """
        keys = self.keys_at(str(folder.resolve()))
        if not isinstance(self.finder, FileBoxes):
            return keys
        place = {BOXES_PLACE: [str(Path(file).resolve()) for file in self.boxes_from]}
        return {
            name: StreamKey(name, {**key.settings, **place}, beside=boxes.digest)
            for name, key in keys.items()
        }

    def keys_at(self, home: str) -> dict[str, StreamKey]:
        """Return the keys for videos at a place that is named in any way, and no boxes in particular."""
        streams: dict[str, StreamKey] = {}
        inputs: dict[str, str] = {}
        code = {plugin.kind.name: plugin.code_digest for plugin in self.plugins}
        if self.finder is not None:
            settings = {
                "folder": home,
                "decoder": self.decoder,
                "rate": self.rate,
                "finder": self.finder.name,
                **self.finder.settings(),
            }
            streams[BOXES] = StreamKey(BOXES, settings)
            inputs = {"boxes": streams[BOXES].kind}
        for extractor in self.extractors:
            settings = {"folder": home, "decoder": self.decoder, **extractor.settings(), **inputs}
            if extractor.name in code:
                settings["plugin"] = code[extractor.name]
            streams[extractor.name] = StreamKey(extractor.name, settings)
        return streams

    def width_of(self, stream: str) -> int:
        """Return the number of columns of a stream, boxes included."""
        if stream == BOXES and self.finder is not None:
            return len(self.finder.measure_names)
        return next(e.n_features for e in self.extractors if e.name == stream)

    def n_extra_of(self, stream: str) -> int:
        """Return the number of columns of a stream that no detector sees."""
        return next((e.n_extra for e in self.extractors if e.name == stream and isinstance(e, Extractor)), 0)

    @property
    def may_run_networks(self) -> bool:
        """Whether an operator knows on what to run a network; of plugins it is not known."""
        return bool(self.plugins) or any(any(_parts(one, Machine)) for one in self._operators())

    @property
    def weights(self) -> list[Weights]:
        """All weights that operators ask for, in order."""
        found = (weights for one in self._operators() for weights in _parts(one, Weights))
        return list(dict.fromkeys(found))

    @property
    def stream_digests(self) -> dict[str, str]:
        """By stream a hash of all that decides its features, whatever scene, folder or decoder it is.

        A detector keeps that of its stream: features from other settings, weights or code are then refused.
        """
        keys = replace(self, decoder="").keys_at("")
        return {e.name: digest_of({"kind": keys[e.name].kind})[:12] for e in self.extractors}

    def check(self) -> None:
        """Raise InputError if a package or a file that an operator needs is not there."""
        for operator in self._operators():
            operator.check()

    def check_packages(self) -> None:
        """Raise InputError if packages are not installed; the text names all, and the command for them."""
        missing = []
        for operator in self._operators():
            try:
                operator.check()
            except PackageMissingError as error:
                missing.append(error)
            except WeightsMissingError:
                pass
        if missing:
            packages, extras = ({getattr(e, name): None for e in missing} for name in ("package", "extra"))
            verb = "is" if len(packages) == 1 else "are"
            raise InputError(
                f"{' and '.join(packages)} {verb} not installed: pip install 'mulde[{','.join(extras)}]'"
            )

    def _operators(self) -> Iterator[Operator]:
        if self.finder is not None:
            yield self.finder
        yield from self.extractors


def build_recipe(
    config: ExtractConfig,
    scene: SceneModel,
    *,
    device: str = "auto",
    works_ahead: bool = False,
    frames_per_second: float = 25.0,
    boxes: VideoBoxes = NO_BOXES,
) -> Recipe:
    """Build the finder and the extractors that a configuration asks for.

    Args:
        boxes: of the video, where others made them; keys do not depend on them.
        frames_per_second: of the video; keys do not depend on it.
        works_ahead: whether there is a core to spare for a thread that helps.

    Raises:
        InputError: streams of objects and streams of whole frames are mixed, or a plugin cannot be used.
    """
    machine = Machine(device, config.threads, config.weights_folder, works_ahead)
    plugins = load_plugins(config.plugins)
    rate = None if config.rate == "all" else config.rate
    site = Site(
        scene,
        machine,
        config.flow,
        config.boxes.windows,
        config.boxes.arrivals,
        min(rate or frames_per_second, frames_per_second),
    )
    extractors = _extractors(config, site, plugins)
    of_frames = [name for name in config.streams if isinstance(extractors[name], FrameExtractor)]
    if of_frames and len(of_frames) < len(config.streams):
        others = ", ".join(name for name in config.streams if name not in of_frames)
        raise InputError(
            f"extract.streams mixes {', '.join(of_frames)}, of whole frames, with {others}, of objects: "
            "make two runs"
        )
    chosen = tuple(extractors[name] for name in config.streams)
    if "windows" in (config.boxes.finder, config.boxes.join):
        _refuse_lattice(chosen)
    finder = None if of_frames else _finder(config.boxes, site, boxes)
    decoder = f"{'decord' if config.decoder == 'decord' else 'pyav'} {DECODING_VERSION}"
    rate = None if of_frames else rate
    return Recipe(finder, chosen, tuple(plugins.values()), decoder, rate, config.boxes.files)


def require_all(config: ExtractConfig, *, offline: bool) -> list[Weights]:
    """Make sure that all packages and weights are there; fetch what is missing, if it may be fetched.

    Raises:
        InputError: something is missing; the text has the command that gets it.
    """
    wanted = weights_of(config)
    for weights in wanted:
        if not weights.is_published:
            weights.require()  # before anything is fetched: a mistyped path is noticed now
    if any(weights.path is None for weights in wanted):
        build_recipe(config, ANY_SCENE).check_packages()
    fetch([w.name for w in wanted if record_of(w.name)], config.weights_folder, offline=offline)
    build_recipe(config, ANY_SCENE).check()
    return weights_of(config)


def weights_to_fetch(wanted: Sequence[Weights], folder: Path, *, offline: bool) -> list[str]:
    """Return the names, with licence and size, of the wanted weights that a run would fetch first.

    Raises:
        InputError: weights are missing that cannot be fetched, or nothing may be; the text has the way out.
    """
    missing = [weights for weights in wanted if weights.path is None]
    if is_offline(offline) or not all(weights.is_published for weights in missing):
        fetch([weights.name for weights in missing], folder, offline=True)
    records = [record for weights in missing if (record := record_of(weights.name))]
    return [f"{record.name} ({record.terms})" for record in records]


def runs_networks(config: ExtractConfig) -> bool:
    """Whether extraction with a configuration may run networks."""
    return build_recipe(config, ANY_SCENE).may_run_networks


def weights_of(config: ExtractConfig) -> list[Weights]:
    """Return all weights that a configuration asks for, in order."""
    return build_recipe(config, ANY_SCENE).weights


def caution(config: ExtractConfig) -> str:
    """Return what has to stand beside numbers that are made with a configuration; "" where nothing has to."""
    if config.are_imported:
        return ""
    options = [getattr(config, stream, None) for stream in config.streams]
    random = [one.encoder for one in options if isinstance(one, EncoderSettings) and one.weights == RANDOM]
    if not random:
        return ""
    return f"features of networks with random weights ({', '.join(random)}): numbers mean nothing"


def lacks_sources(config: ExtractConfig) -> bool:
    """Whether weights, or boxes that others made, are not there, whose content decides what is up to date."""
    if config.are_imported:
        return False
    files = config.boxes.files if config.boxes.finder == "file" else ()
    return not all(map(os.path.exists, files)) or any(w.path is None for w in weights_of(config))


def stream_digests(config: ExtractConfig) -> dict[str, str]:
    """Return what decides the features of each stream, imported or not; see `Recipe.stream_digests`."""
    if config.are_imported:  # nothing is known of where they come from, and no weights are needed
        return {name: digest_of({"stream": name, "is_imported": True})[:12] for name in config.streams}
    return build_recipe(config, ANY_SCENE).stream_digests


def _extractors(
    config: ExtractConfig, site: Site, plugins: Mapping[str, Plugin]
) -> dict[str, Extractor | FrameExtractor]:
    """Return the extractors that are asked for, by the name of their stream."""
    known: dict[str, Callable[[], Extractor | FrameExtractor]] = {
        name: partial(kind.build, getattr(config, name, None), site) for name, kind in STREAMS.items()
    }
    taken = plugins.keys() & {*known, BOXES, SCENES, WEIGHTS_FOLDER}
    if taken:
        raise InputError(
            f"a plugin is named {', '.join(sorted(taken))}, as something of mulde's own is: rename it"
        )
    for name, plugin in plugins.items():
        settings = config.plugin_settings.get(name, {})
        known[name] = partial(plugin.build, settings, site.scene, site.machine)
    unknown = [name for name in (*config.streams, *config.plugin_settings) if name not in known]
    if unknown:
        raise InputError(f"there is no stream {unknown[0]}: known are {', '.join(known)}")
    return {name: known[name]() for name in config.streams}


def _refuse_lattice(extractors: Sequence[Extractor | FrameExtractor]) -> None:
    """Raise InputError if an extractor is about boxes that fit objects."""
    names = [e.name for e in extractors if isinstance(e, Extractor) and e.needs_fitting_boxes]
    if names:
        raise InputError(
            f"extract.streams has {', '.join(names)}, about boxes that fit objects, and windows lie on a "
            "lattice: take extract.boxes.finder=file, yolo, torchvision or gradient, and "
            "extract.boxes.join=none or gradient"
        )


def _finder(boxes: BoxSettings, site: Site, given: VideoBoxes) -> BoxFinder:
    machine = site.machine
    motion: dict[str, Callable[[], MotionFinder]] = {
        "windows": lambda: MotionWindows(
            site.scene,
            boxes.windows,
            site.arrivals if boxes.windows.with_arrivals else None,
            site.unseen,
        ),
        "gradient": lambda: MotionGradient(boxes.gradient),
    }
    if boxes.finder in motion:
        finder = motion[boxes.finder]()
        return MotionOrWholeFrame(finder) if boxes.whole_frame_if_empty else finder
    detectors: dict[str, Callable[[], BoxDetector]] = {
        "yolo": lambda: YoloDetector(
            find_weights(boxes.yolo.weights, machine.weights_folder), boxes.yolo, machine
        ),
        "torchvision": lambda: TorchvisionDetector.from_settings(boxes.torchvision, machine),
    }
    joins_motion = boxes.join != "none"
    # without motion boxes, windows still say in how much of a box something moves
    beside = motion[boxes.join if joins_motion else "windows"]()
    if boxes.finder == "file":
        return FileBoxes(beside, joins_motion, boxes.whole_frame_if_empty, given)
    return DetectedBoxes(
        beside,
        joins_motion,
        boxes.whole_frame_if_empty,
        detectors[boxes.finder](),
        boxes.min_area_px,
        boxes.max_covered,
    )


def _parts(record: object, kind: type[T]) -> Iterator[T]:
    """Yield what is of a kind among the fields of an operator and of what it is made of."""
    if isinstance(record, kind):
        yield record
    elif is_dataclass(record):
        for part in fields(record):
            yield from _parts(getattr(record, part.name), kind)
