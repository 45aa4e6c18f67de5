"""The settings of all extraction, with their defaults and ranges; light to import.

Ranges are annotations: the configuration checks them when it reads values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt


@dataclass(frozen=True)
class SceneSettings:
    """How a scene's background and object sizes are learnt from its normal videos."""

    n_samples: Annotated[int, Ge(3)] = 96
    """Frames taken from all normal videos of the scene together."""
    threshold: Annotated[int, Ge(1), Le(255)] = 20
    """Grey levels by which a blurred pixel must differ from the background to be foreground."""
    height_quantile: Annotated[float, Gt(0), Lt(1)] = 0.4
    """Quantile of blob heights that is taken for an object's height; below 0.5, since blobs merge."""
    min_blobs: Annotated[int, Ge(1)] = 30
    """With fewer blobs than this, `fallback_height_share` gives the object height."""
    fallback_height_share: Annotated[float, Gt(0), Le(1)] = 0.125
    """Object height as a share of the frame's height where nothing could be learnt."""


@dataclass(frozen=True)
class WindowSettings:
    """Windows of an object's size on a lattice, kept where enough of them differs from the background."""

    scales: tuple[Annotated[float, Gt(0)], ...] = (1.0,)
    """Window heights as multiples of an object's height where the window stands."""
    overlap: Annotated[float, Ge(0), Le(0.95)] = 0.5
    """Share of its size that a window has in common with its neighbour."""
    threshold: Annotated[int, Ge(1), Le(255)] = 20
    """Grey levels by which a blurred pixel must differ from the background."""
    min_coverage: Annotated[float, Gt(0), Le(1)] = 0.1
    """Share of a window that must be foreground."""


@dataclass(frozen=True)
class GradientSettings:
    """Regions that change from one frame to the next (AI-VAD, arXiv 2212.00789, §3.2)."""

    threshold: Annotated[int, Ge(1), Le(255)] = 18
    """Grey levels by which a blurred pixel must change."""
    min_area_px: Annotated[float, Ge(0)] = 100.0
    """Contours that enclose less are left out; 10² on Ped2, 40² on larger frames."""
    max_aspect: Annotated[float, Ge(1)] = 10.0
    """Boxes longer than this many times their width, or the other way round, are left out."""
    grow_px: Annotated[int, Ge(0)] = 2
    """Pixels added on each side."""


@dataclass(frozen=True)
class BoxSettings:
    """Which finder looks for objects, and how."""

    finder: Literal["windows", "gradient"] = "windows"
    windows: WindowSettings = WindowSettings()
    gradient: GradientSettings = GradientSettings()


@dataclass(frozen=True)
class FlowSettings:
    """Dense optical flow."""

    preset: Literal["ultrafast", "fast", "medium"] = "medium"
    """Of OpenCV's DIS: how thorough the search is."""
    scale: Annotated[float, Gt(0), Le(4)] | Literal["auto"] = "auto"
    """Factor on the frame's size before flow is computed; "auto" makes objects about 60 pixels tall."""
    frames_averaged_around: Annotated[int, Ge(0), Le(50)] = 2
    """Frames before and after over which the flow is averaged: limbs swing, bodies travel."""


@dataclass(frozen=True)
class VelocitySettings:
    """Speed by direction."""

    n_bins: Annotated[int, Ge(1), Le(64)] = 1
    """Sectors of direction."""
    with_coverage: bool = True
    """Whether the share of the box that is foreground is a feature as well."""


@dataclass(frozen=True)
class StillnessSettings:
    """Something that appeared and does not change any more."""

    frames_unchanged: Annotated[int, Ge(2), Le(1000)] = 10
    """Frames over which a pixel must look the same: a second at 10 frames a second."""
    threshold: Annotated[int, Ge(1), Le(255)] = 10
    """Grey levels by which it may differ meanwhile."""


@dataclass(frozen=True)
class HogSettings:
    """Appearance by gradients."""

    patch_height_px: Annotated[int, Ge(8)] = 64
    patch_width_px: Annotated[int, Ge(8)] = 32
    cell_px: Annotated[int, Ge(2)] = 8
    n_bins: Annotated[int, Ge(2)] = 9

    def __post_init__(self) -> None:
        if self.patch_height_px % self.cell_px or self.patch_width_px % self.cell_px:
            size = f"{self.patch_height_px}x{self.patch_width_px}"
            raise ValueError(f"a patch of {size} px does not divide into cells of {self.cell_px} px")
