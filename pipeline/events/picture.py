"""The picture of an event, with what was unusual framed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mulde.data.decode.picked import pick_frames
from mulde.data.errors import VideoError
from mulde.data.video import Video
from mulde.pipeline.events.record import BoxXyxy, Event

_COLOUR = "#ff5a47"


def draw_event(video: Video, event: Event, peak_seconds: float) -> NDArray[np.uint8]:
    """Return the peak frame of an event with its box drawn in, (H, W, 3) uint8 RGB.

    Args:
        peak_seconds: when that frame is shown, in seconds from the first frame on.

    Raises:
        VideoError: it is not there, cannot be read, or has no such frame any more.
    """
    found = pick_frames(video, {event.peak_frame: peak_seconds}, lambda frame: frame.rgb)
    if event.peak_frame not in found:
        raise VideoError(f"no picture: {video.path} has no frame {event.peak_frame} any more")
    return draw_box(found[event.peak_frame], event.box_xyxy)


def draw_box(rgb: NDArray[np.uint8], box_xyxy: BoxXyxy | None) -> NDArray[np.uint8]:
    """Return a picture, (H, W, 3) uint8 RGB, with a box drawn in, if there is one."""
    picture = Image.fromarray(rgb)
    if box_xyxy is not None:
        x1, y1, x2, y2 = box_xyxy
        width = max(2, round(picture.height / 240))
        ImageDraw.Draw(picture).rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), None, _COLOUR, width)
    return np.asarray(picture)
