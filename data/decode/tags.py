"""What a video file says of itself beside its frames."""

from __future__ import annotations

from mulde.data.decode.preflight import open_container
from mulde.data.errors import VideoError
from mulde.data.video import Video


def read_tags(video: Video) -> dict[str, str]:
    """Return the metadata of a video file and its video stream by name; none where they cannot be read."""
    if not video.path.is_file():
        return {}
    try:
        with open_container(video.path) as (container, stream):
            return {**stream.metadata, **container.metadata}
    except VideoError:  # it decoded before, or its features were imported: what it says is a nicety
        return {}
