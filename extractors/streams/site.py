"""Where an extractor works: the camera's scene, the machine, and how flow is computed there."""

from __future__ import annotations

from dataclasses import dataclass

from mulde.extractors.networks.machine import Machine
from mulde.extractors.scene import SceneModel
from mulde.extractors.settings import FlowSettings
from mulde.extractors.streams.flow import DenseFlow, suitable_scale


@dataclass(frozen=True)
class Site:
    """What extractors may know beside their own settings."""

    scene: SceneModel
    machine: Machine
    flow_settings: FlowSettings
    foreground_threshold: int
    """Grey levels by which a blurred pixel must differ from the background."""

    @property
    def flow(self) -> DenseFlow:
        """Optical flow at a scale that suits the objects of the scene, or at the one that was asked for."""
        scale = self.flow_settings.scale
        if scale == "auto":
            scale = suitable_scale(self.scene.typical_height, self.scene.size)
        return DenseFlow(self.flow_settings.preset, scale)
