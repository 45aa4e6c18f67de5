"""How long videos are, as their headers say: nothing is decoded."""

from __future__ import annotations

from mulde.data.decode.preflight import claimed_seconds, open_container
from mulde.data.decode.readers import FRAMES_PER_SECOND
from mulde.data.errors import VideoError
from mulde.data.files import list_images
from mulde.data.identity import identify
from mulde.data.video import Video

_BYTES_PER_SECOND = 250_000
"""Of a video whose header does not say how long it is, such as a bare stream: a guess."""


def claimed_length(video: Video, frames_per_second: float = FRAMES_PER_SECOND) -> float:
    """Return how long a video is in seconds, or seems to be by its size; 0 where it cannot be read.

    Args:
        frames_per_second: of folders of images, which do not say.
    """
    try:
        if video.is_frame_folder:
            return len(list_images(video.path)) / frames_per_second
        seconds = _header_seconds(video)
        return (
            identify(video, with_digest=False).size_bytes / _BYTES_PER_SECOND if seconds is None else seconds
        )
    except (VideoError, OSError):  # extraction reports it
        return 0.0


def _header_seconds(video: Video) -> float | None:
    with open_container(video.path) as (container, stream):
        return claimed_seconds(container, stream)
