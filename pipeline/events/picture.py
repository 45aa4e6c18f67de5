"""The picture of an event, with what was unusual framed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mulde.data.decode.readers import open_frames
from mulde.data.errors import VideoError
from mulde.data.video import Video
from mulde.pipeline.events.record import Event

_COLOUR = "#ff5a47"


def draw_event(video: Video, event: Event) -> NDArray[np.uint8]:
    """Return the peak frame of an event with its box drawn in, (H, W, 3) uint8 RGB.

    The video is decoded up to that frame.

    Raises:
        VideoError: it is not there, cannot be read, or has no such frame any more.
    """
    if not video.path.exists():
        raise VideoError(f"no picture: the video is not at {video.path} any more")
    with open_frames(video) as frames:
        rgb = next((frame.rgb for frame in frames if frame.index == event.peak_frame), None)
    if rgb is None:
        raise VideoError(f"no picture: {video.path} has no frame {event.peak_frame} any more")
    picture = Image.fromarray(rgb)
    if event.box_xyxy is not None:
        x1, y1, x2, y2 = event.box_xyxy
        width = max(2, round(picture.height / 240))
        ImageDraw.Draw(picture).rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), None, _COLOUR, width)
    return np.asarray(picture)
