"""The streams by name: to add one, write a module in `mulde.extractors.streams` and give it a line here.

Nothing heavy is imported before a stream is built, so that the configuration can know them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mulde.extractors.settings import (
    AppearanceSettings,
    ClipSettings,
    FrameSettings,
    HogSettings,
    PlaceSettings,
    PoseSettings,
    TrackSettings,
    VelocitySettings,
)

if TYPE_CHECKING:
    from mulde.extractors.base import Extractor, FrameExtractor
    from mulde.extractors.streams.site import Site


@dataclass(frozen=True)
class Kind:
    """One kind of stream."""

    place: str
    """Module and class below `mulde.extractors.streams`. The class has `build(options, site)`."""
    settings: type[Any] | None = None
    """A frozen dataclass, which becomes the group extract.<stream> of the configuration; None for none."""

    def build(self, options: Any, site: Site) -> Extractor | FrameExtractor:
        """Make the extractor with its settings, for the videos of one scene."""
        extractor: Extractor | FrameExtractor = self.load().build(options, site)
        return extractor

    def load(self) -> Any:
        """Return the class."""
        module, _, name = self.place.partition(".")
        return getattr(import_module(f"mulde.extractors.streams.{module}"), name)


STREAMS: dict[str, Kind] = {
    "velocity": Kind("velocity.Velocity", VelocitySettings),
    "direction": Kind("velocity.Direction"),
    "place": Kind("velocity.Place", PlaceSettings),
    "stillness": Kind("stillness.Stillness"),
    "texture": Kind("texture.Texture"),
    "track": Kind("track.Track", TrackSettings),
    "shape": Kind("shape.Shape"),
    "hog": Kind("hog.Hog", HogSettings),
    "pose": Kind("pose.Pose", PoseSettings),
    "appearance": Kind("appearance.Appearance", AppearanceSettings),
    "clip": Kind("clip.ClipEncoder", ClipSettings),
    "frame": Kind("frame.FrameEncoder", FrameSettings),
}
