"""Where an extractor works: the camera's scene, the machine, and how motion is seen there."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from mulde.extractors.movement import Arrivals, Movement
from mulde.extractors.networks.machine import Machine
from mulde.extractors.scene import SceneModel
from mulde.extractors.settings import ArrivalSettings, FlowSettings, WindowSettings
from mulde.extractors.streams.flow import DenseFlow
from mulde.extractors.unlikeness import Unlikeness, Unseen


@dataclass(frozen=True)
class Site:
    """What extractors may know beside their own settings."""

    scene: SceneModel
    machine: Machine
    flow_settings: FlowSettings
    window_settings: WindowSettings
    arrival_settings: ArrivalSettings
    frames_per_second: float
    """How many frames are looked at in a second of video, at most."""

    @property
    def movement(self) -> Movement:
        """What moves."""
        windows = self.window_settings
        return Movement(self.scene.size, windows.threshold, windows.seconds_back)

    @property
    def arrivals(self) -> Arrivals:
        """What came to stay."""
        return Arrivals(self.scene.digest, scene=self.scene, **asdict(self.arrival_settings))

    @property
    def unlikeness(self) -> Unlikeness:
        """What was never seen where it is."""
        return Unlikeness(self.scene.looks_digest, self.scene)

    @property
    def unseen(self) -> Unseen | None:
        """Where that is so by as much as windows want; None where they do not ask."""
        least = self.window_settings.least_novelty
        return None if least is None else Unseen(self.unlikeness, least)

    @property
    def flow(self) -> DenseFlow:
        """Optical flow of what moves."""
        return DenseFlow(self.movement, self.flow_settings.preset)

    @property
    def seconds_around(self) -> float:
        """How long before and after a frame flow is averaged."""
        return self.flow_settings.seconds_around

    @property
    def n_frames_around(self) -> int:
        """How many frames that can be."""
        return math.ceil(self.flow_settings.seconds_around * self.frames_per_second - 1e-6)
