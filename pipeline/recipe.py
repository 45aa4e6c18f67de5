"""The composition root of extraction: from configuration and scene to finders, extractors and cache keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mulde.data.cache import StreamKey, digest_of
from mulde.extractors.base import BoxFinder, Extractor
from mulde.extractors.flow import DenseFlow, suitable_scale
from mulde.extractors.hog import Hog
from mulde.extractors.motion_boxes import MotionGradient, MotionWindows
from mulde.extractors.scene import SceneModel
from mulde.extractors.stillness import Stillness
from mulde.extractors.velocity import Direction, Velocity
from mulde.pipeline.config import ExtractConfig

BOXES = "boxes"
"""Name of the stream that holds the boxes themselves."""


@dataclass(frozen=True)
class Recipe:
    """All operators for the videos of one scene."""

    finder: BoxFinder
    extractors: tuple[Extractor, ...]

    def keys(self, folder: Path) -> dict[str, StreamKey]:
        """Return the cache key of each stream, boxes first, for the videos below a split folder.

        The folder is part of the key, so that training/01 and testing/01 do not meet in one file.
        """
        home = str(folder.resolve())
        boxes = StreamKey(BOXES, {"folder": home, "finder": self.finder.name, **self.finder.settings()})
        streams = {BOXES: boxes}
        for extractor in self.extractors:
            settings = {"folder": home, **extractor.settings(), "boxes": boxes.key}
            streams[extractor.name] = StreamKey(extractor.name, settings)
        return streams


def build_recipe(config: ExtractConfig, scene: SceneModel) -> Recipe:
    """Build the finder and the extractors that a configuration asks for."""
    flow = _flow(config, scene)
    around = config.flow.frames_averaged_around
    extractors: dict[str, Callable[[], Extractor]] = {
        "velocity": lambda: Velocity(flow, around, config.velocity),
        "direction": lambda: Direction(flow, around),
        "stillness": lambda: Stillness(scene, config.boxes.windows.threshold, config.stillness),
        "hog": lambda: Hog(config.hog),
    }
    return Recipe(_finder(config, scene), tuple(extractors[name]() for name in config.streams))


def stream_digest(config: ExtractConfig, stream: str) -> str:
    """Return a hash of all settings behind a stream, whatever scene and folder its videos are from.

    A detector keeps it: features from other settings are then refused.
    """
    settings = config.model_dump(mode="json")
    relevant = {name: settings.get(name) for name in ("scene", "boxes", "flow", stream)}
    return digest_of({"stream": stream, **relevant})[:12]


def _finder(config: ExtractConfig, scene: SceneModel) -> BoxFinder:
    if config.boxes.finder == "gradient":
        return MotionGradient(config.boxes.gradient)
    return MotionWindows(scene, config.boxes.windows)


def _flow(config: ExtractConfig, scene: SceneModel) -> DenseFlow:
    scale = config.flow.scale
    return DenseFlow(config.flow.preset, suitable_scale(scene.typical_height) if scale == "auto" else scale)
