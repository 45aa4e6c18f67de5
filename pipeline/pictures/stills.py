"""Stills of events: the frame of the peak, and a strip of frames around it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mulde.data.decode.picked import pick_frames
from mulde.data.errors import VideoError
from mulde.data.video import Frame, Video
from mulde.pipeline.events.record import BoxXyxy, Event

WIDTH_PX, SMALL_WIDTH_PX = 960, 400
"""Of the frame of the peak, and of the frames of the strip; smaller frames stay as they are."""
_N_STRIP = 5
_SHORTEST_STEP_SECONDS, _LONGEST_STEP_SECONDS = 0.2, 2.0
_CLOSE_UP_SHARE, _CLOSE_UP_BOXES, _CLOSE_UP_ASPECT = 0.3, 2.5, 1.6
"""A close-up is at least so large a share of the frame, and so many times as tall and as wide as the box."""
_JPEG = b"\xff\xd8"


@dataclass(frozen=True)
class Still:
    """A frame of a video, or a part of one, as a JPEG file."""

    frame: int
    seconds: float
    jpeg: bytes
    size: tuple[int, int]
    """(width, height) in pixels of the frame; the JPEG may be smaller."""

    def __post_init__(self) -> None:
        if not self.jpeg.startswith(_JPEG):
            raise ValueError(f"the picture of frame {self.frame} is not a JPEG file")


@dataclass(frozen=True)
class EventStills:
    """What can be seen of an event."""

    peak: Still
    strip: tuple[Still, ...]
    """Frames around the peak and its own, in order, close up around the box; fewer at an end of the video."""


def take_stills(
    video: Video, events: Sequence[Event], seconds: NDArray[np.float64], *, frames_per_second: float
) -> list[EventStills | None]:
    """Return the stills of events of one video; None for those whose frame is not there any more.

    Args:
        seconds: (T,), when each frame of the video is shown.
        frames_per_second: of folders of images, which do not say.

    Raises:
        VideoError: the video is not there or cannot be read.
    """
    strips = [strip_frames(event, seconds) for event in events]
    wanted = {frame: float(seconds[frame]) for strip in strips for frame in strip}

    def keep(frame: Frame) -> _Kept:
        """Keep what the events need of a frame, which may be in the strips of several."""
        rgb, kept = frame.rgb, _Kept()
        for number, (event, strip) in enumerate(zip(events, strips, strict=True)):
            if frame.index in strip:
                kept.small[number] = _still(frame, close_up(rgb, event.box_xyxy), SMALL_WIDTH_PX)
            if frame.index == event.peak_frame:
                kept.large = _still(frame, rgb, WIDTH_PX)
        return kept

    found = pick_frames(video, wanted, keep, frames_per_second=frames_per_second)
    stills: list[EventStills | None] = []
    for number, (event, strip) in enumerate(zip(events, strips, strict=True)):
        peak = found[event.peak_frame].large if event.peak_frame in found else None
        small = tuple(found[frame].small[number] for frame in strip if frame in found)
        stills.append(None if peak is None else EventStills(peak, small))
    return stills


@dataclass
class _Kept:
    """What is kept of a frame."""

    large: Still | None = None
    small: dict[int, Still] = field(default_factory=dict)
    """By the number of the event."""


def close_up(rgb: NDArray[np.uint8], box_xyxy: BoxXyxy | None) -> NDArray[np.uint8]:
    """Return the part of a picture, (H, W, 3), around a box, with room for what comes and goes.

    Without a box that is all of it. Its shape is 16:10, but for boxes nearly as large as the picture.
    """
    if box_xyxy is None:
        return rgb
    height, width = rgb.shape[:2]
    x1, y1, x2, y2 = box_xyxy
    wide = max(
        _CLOSE_UP_SHARE * width, _CLOSE_UP_BOXES * (x2 - x1), _CLOSE_UP_BOXES * (y2 - y1) * _CLOSE_UP_ASPECT
    )
    left, right = _span((x1 + x2) / 2, wide, width)
    top, bottom = _span((y1 + y2) / 2, wide / _CLOSE_UP_ASPECT, height)
    return rgb[top:bottom, left:right]


def _span(centre: float, length: float, most: int) -> tuple[int, int]:
    """Return a span of a length around a centre, moved and cut so that it lies within [0, most)."""
    whole = min(max(1, round(length)), most)
    start = min(max(0, round(centre - whole / 2)), most - whole)
    return start, start + whole


def strip_frames(event: Event, seconds: NDArray[np.float64]) -> list[int]:
    """Return which frames show what came before the peak of an event and after: its own in the middle.

    They are a quarter of the event apart, but no less than 0.2 and no more than 2 seconds.
    """
    if event.peak_frame >= seconds.size:
        raise VideoError(f"{event.video} has no frame {event.peak_frame}: run `mulde score` again")
    step = min(max(event.n_seconds / 4, _SHORTEST_STEP_SECONDS), _LONGEST_STEP_SECONDS)
    offsets = (np.arange(_N_STRIP) - _N_STRIP // 2) * step
    nearest = [int(np.abs(seconds - (seconds[event.peak_frame] + offset)).argmin()) for offset in offsets]
    return sorted({*nearest, event.peak_frame})


def to_jpeg(rgb: NDArray[np.uint8], most_width: int) -> bytes:
    """Return a picture, (H, W, 3), as a JPEG file no wider than `most_width`."""
    picture = Image.fromarray(rgb)
    if picture.width > most_width:
        height = max(1, round(picture.height * most_width / picture.width))
        picture = picture.resize((most_width, height), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=82, optimize=True)
    return file.getvalue()


def _still(frame: Frame, rgb: NDArray[np.uint8], most_width: int) -> Still:
    return Still(frame.index, frame.seconds, to_jpeg(rgb, most_width), (rgb.shape[1], rgb.shape[0]))
