"""What was learnt of a scene, as pictures that a person can check."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mulde.extractors.scene import SceneModel

WIDTH_PX = 640
_N_SIZES = 6
_MARGIN = 0.06
"""Share of the picture's width that is left free at both sides."""
_COLOUR, _HALO = (255, 140, 60), (0, 0, 0)


def draw_scene(scene: SceneModel) -> list[NDArray[np.uint8]]:
    """Return the backgrounds, (H, W, 3) uint8 RGB each, with frames as large as objects are there.

    Their lower edges are at even distances, from the first row above which an object has room to the last.
    """
    scale = WIDTH_PX / scene.size[0]
    width, height = WIDTH_PX, max(1, round(scene.size[1] * scale))
    return [
        _draw_sizes(scene, cv2.resize(grey, (width, height), interpolation=cv2.INTER_CUBIC), scale)
        for grey in scene.backgrounds
    ]


def object_frames(scene: SceneModel) -> NDArray[np.float64]:
    """Return the frames that are drawn, x1, y1, x2, y2 in pixels at working size, (n, 4)."""
    width, height = scene.size
    bottoms = np.linspace(min(scene.height_range[0], height - 1), height - 1, _N_SIZES)
    heights = scene.object_height(bottoms)
    widths = heights * scene.aspect
    centres = np.linspace(_MARGIN, 1 - _MARGIN, _N_SIZES) * width
    left = np.clip(centres - widths / 2, 0, np.maximum(width - widths, 0))
    return np.stack([left, bottoms - heights, left + widths, bottoms], axis=1)


def scene_facts(scene: SceneModel) -> list[str]:
    """Return what was learnt, a sentence each."""
    low, high = scene.height_range_in_frame
    width, height = scene.frame_size
    size = f"{low:.0f} px tall" if round(low) == round(high) else f"{low:.0f} to {high:.0f} px tall"
    n_others = len(scene.backgrounds) - 1
    looks = "one look" if not n_others else f"{n_others + 1} looks"
    return [
        f"Objects are taken to be {size}, and {scene.aspect:.2f} times as wide, in frames of "
        f"{width}×{height} px: from the top of the picture to its bottom, as far as objects were seen.",
        f"Motion is looked for at {scene.size[0]}×{scene.size[1]} px.",
        f"The empty place has {looks}.",
    ]


def _draw_sizes(scene: SceneModel, grey: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    picture = np.repeat(grey[:, :, None], 3, axis=2)
    for box in np.round(object_frames(scene) * scale).astype(int).tolist():
        for colour, thickness in ((_HALO, 4), (_COLOUR, 2)):
            cv2.rectangle(picture, (box[0], box[1]), (box[2], box[3]), colour, thickness, cv2.LINE_AA)
    return picture
