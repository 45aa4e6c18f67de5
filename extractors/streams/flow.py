"""Dense optical flow, computed once a frame for all extractors that want it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from mulde.data.video import Frame
from mulde.extractors.base import Preparation
from mulde.extractors.images import box_means, resize, to_grey, to_pixels

Preset = Literal["ultrafast", "fast", "medium"]
_PRESETS: dict[str, int] = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}
_MIN_SIDE_PX = 32  # DIS throws on smaller images
_MOST_PIXELS = 2**19  # as many as 960x540 has; DIS-medium takes about 60 ms for them


@dataclass(frozen=True)
class FlowField:
    """Motion from the frame before, on a grid that is coarser or finer than the frame."""

    vectors_px: NDArray[np.float32]
    """(h, w, 2) float32, x and y, in pixels of the original frame for each frame of time."""
    grid_scale: tuple[float, float]
    """Grid points for each pixel of the original frame, in x and in y."""

    def box_means(self, image: NDArray[np.float32], box_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Average an image on this grid, (h, w, C), over boxes (n, 4) in pixels of the frame: (n, C)."""
        height, width = image.shape[:2]
        return box_means(image, to_pixels(box_xyxy * np.tile(self.grid_scale, 2), width, height))


@dataclass(frozen=True)
class DenseFlow(Preparation):
    """Motion from the frame before to this one; None for the first frame of a video.

    Source: DIS, Kroeger et al., ECCV 2016, as implemented in OpenCV.
    """

    preset: Preset = "medium"
    """How thorough the search is."""
    scale: float = 1.0
    """Frames are resized by this factor first; above 1 it resolves the motion of small objects."""

    def start(self) -> Callable[[Frame], FlowField | None]:
        """Return the flow from the previously given frame."""
        engine = cv2.DISOpticalFlow.create(_PRESETS[self.preset])
        previous: NDArray[np.uint8] | None = None

        def flow(frame: Frame) -> FlowField | None:
            nonlocal previous
            now = self._resize(to_grey(frame.rgb))
            before, previous = previous, now
            if before is None:
                return None
            # Half the resolution is kept: the flow of a patch-based method is smooth, and all that follows
            # costs a quarter.
            fine = engine.calc(before, now, None)
            vectors = cv2.resize(fine, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            height, width = frame.rgb.shape[:2]
            vectors *= np.array([width / now.shape[1], height / now.shape[0]], np.float32)
            return FlowField(vectors, (vectors.shape[1] / width, vectors.shape[0] / height))

        return flow

    def _resize(self, grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width = grey.shape
        size = (max(_MIN_SIDE_PX, round(width * self.scale)), max(_MIN_SIDE_PX, round(height * self.scale)))
        return resize(grey, size)


def mean_flow(fields: Sequence[FlowField | None]) -> FlowField | None:
    """Average the flow fields that exist; None if there is none, as in a video of one frame."""
    present = [field for field in fields if field is not None]
    if not present:
        return None
    total = present[0].vectors_px.copy()
    for field in present[1:]:
        total += field.vectors_px
    return FlowField(total / np.float32(len(present)), present[0].grid_scale)


def suitable_scale(
    object_height_px: float, frame_size: tuple[int, int], target_height_px: float = 60.0
) -> float:
    """Return the scale, in quarters from 1/4 to 2, at which an object is about `target_height_px` tall.

    Large frames have a smaller one, at which flow takes as long as on a frame of 960x540.

    Args:
        frame_size: (width, height) in pixels.
    """
    affordable = np.floor(4 * np.sqrt(_MOST_PIXELS / (frame_size[0] * frame_size[1]))) / 4
    return float(np.clip(min(round(4 * target_height_px / object_height_px) / 4, affordable), 0.25, 2.0))
