"""Small pictures of single frames with their scored boxes drawn in."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mulde.data.decode.readers import open_frames
from mulde.data.errors import VideoError
from mulde.data.video import Video
from mulde.pipeline.runs.scores import ScoredObjects

WIDTH_PX = 416
"""Twice what the page gives a picture, for dense screens."""
MAX_FRAMES_BEFORE = 20_000
"""A picture from further into a video would take longer to decode than the rest of the report."""

_N_BOXES = 3
_COLOURS = ("#ff5a47", "#ffb000", "#ffe08a")
"""Colours of the boxes, from the highest score down."""


def draw_frame(video: Video, frame: int, objects: ScoredObjects | None) -> bytes:
    """Return one frame as a JPEG file, with the boxes of its highest object scores.

    Args:
        frame: 0-based index among the frames that decode.
        objects: of the video; None for the frame alone.

    Raises:
        VideoError: the video is not there, cannot be read, or the frame lies too far into it.
    """
    if not video.path.exists():
        raise VideoError(f"no picture: the video is not at {video.path} any more")
    picture = Image.fromarray(_read_frame(video, frame))
    width = min(WIDTH_PX, picture.width)
    scale = width / picture.width
    picture = picture.resize((width, max(1, round(picture.height * scale))), Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(picture)
    boxes = [] if objects is None else _best_boxes(objects, frame)
    for box, colour in reversed(list(zip(boxes, _COLOURS, strict=False))):  # the best one on top
        x1, y1, x2, y2 = (box * scale).tolist()
        pen.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=colour, width=2)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=82)
    return file.getvalue()


def _read_frame(video: Video, index: int) -> NDArray[np.uint8]:
    if index >= MAX_FRAMES_BEFORE and not video.is_frame_folder:
        raise VideoError(f"no picture: frame {index} lies too far into the video to decode up to it")
    with open_frames(video) as frames:
        for frame in frames:
            if frame.index == index:
                return frame.rgb
    raise VideoError(f"no picture: the video has no frame {index} any more")


def _best_boxes(objects: ScoredObjects, frame: int) -> list[NDArray[np.float32]]:
    """Return the boxes of the highest scores in a frame, at most three of (4,), highest first."""
    inside = np.flatnonzero(objects.frame == frame)
    return list(objects.box_xyxy[inside[np.argsort(-objects.total[inside], kind="stable")[:_N_BOXES]]])
