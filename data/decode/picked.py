"""Read single frames, or a stretch of them, from anywhere in a video, by their numbers and times."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from mulde.data.decode.decoded import DecodedPicture
from mulde.data.decode.image_folders import decode_images, describe_images, list_frames
from mulde.data.decode.image_stacks import is_stack
from mulde.data.decode.orientation import Orientation
from mulde.data.decode.preflight import Probe, open_container, probe_file
from mulde.data.decode.readers import FRAMES_PER_SECOND, open_frames
from mulde.data.decode.report import Tally
from mulde.data.errors import VideoError
from mulde.data.video import IMAGES, Frame, Video

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

T = TypeVar("T")

MOST_FRAMES_IN_ORDER = 20_000
"""Where seeking does not work a video is read from its start, but no further than this."""
_NEAR_FRAMES = 100
"""A stretch that begins before this is read from the start: seeking costs as much."""
_SAME_TIME_SECONDS = 0.0015
"""Times that differ by less are of one frame: some containers count milliseconds."""
_MOST_DECODED_PER_FRAME = 1500
"""Where key frames are rarer, seeking is given up."""


def pick_frames(
    video: Video,
    wanted: Mapping[int, float],
    keep: Callable[[Frame], T],
    *,
    frames_per_second: float = FRAMES_PER_SECOND,
) -> dict[int, T]:
    """Return what is kept of frames of a video, by their numbers.

    In files it seeks; a frame is believed to be the one that was asked for only where its time agrees, and
    otherwise the file is read from its start. Frames that are not there any more, or lie too far into a file
    that cannot be sought in, are left out.

    Args:
        wanted: the times in seconds from the first frame on, by 0-based number of the frame, as reading all
            frames in order gave them.
        keep: what to keep of a frame, for a dozen large ones take half a gigabyte.
        frames_per_second: of folders of images, which do not say.

    Raises:
        VideoError: the video is not there or cannot be read.
    """
    if not wanted:
        return {}
    if not video.path.exists():
        raise VideoError(f"the video is not at {video.path} any more")
    if video.is_frame_folder:
        return _pick_images(video.path, sorted(wanted), keep, frames_per_second)
    found: dict[int, T] = {}
    if not is_stack(video.path):
        found = _pick_by_seeking(video.path, probe_file(video.path), wanted, keep)
    return found | _pick_in_order(video, {*wanted} - {*found}, keep, frames_per_second)


def read_between(
    video: Video,
    seconds: NDArray[np.float64],
    start_frame: int,
    stop_frame: int,
    *,
    frames_per_second: float = FRAMES_PER_SECOND,
) -> Generator[Frame, None, None]:
    """Yield the frames of a stretch of a video, half-open; it seeks as `pick_frames` does, where that pays.

    Args:
        seconds: (T,), when each frame of the video is shown, as reading all in order gave it.
        frames_per_second: of folders of images, which do not say.

    Raises:
        VideoError: the video is not there or cannot be read.
    """
    if not video.path.exists():
        raise VideoError(f"the video is not at {video.path} any more")
    if start_frame >= stop_frame:
        return
    if video.is_frame_folder:
        images = list_frames(video.path)
        info = describe_images(images, frames_per_second)
        yield from decode_images(
            images, info, range(start_frame, min(stop_frame, len(images))), Tally(IMAGES)
        )
        return
    if start_frame > _NEAR_FRAMES and not is_stack(video.path):
        n_read = 0
        for frame in _read_from(video.path, seconds, start_frame, stop_frame):
            n_read += 1
            yield frame
        if n_read:
            return
    with open_frames(video, frames_per_second=frames_per_second) as frames:
        for frame in frames:
            if frame.index >= stop_frame:
                return
            if frame.index >= start_frame:
                yield frame


def _read_from(
    path: Path, seconds: NDArray[np.float64], start_frame: int, stop_frame: int
) -> Generator[Frame, None, None]:
    """Yield frames from one that is sought; nothing where that cannot be found."""
    import av

    by_coding_time = probe_file(path).stamps_are_coding_times
    with open_container(path) as (container, stream):
        seeker = _Seeker(container, stream, by_coding_time=by_coding_time)
        # a damaged frame ends the stretch
        with contextlib.suppress(av.FFmpegError, LookupError):
            for shown_at, decoded in seeker.frames_from(float(seconds[start_frame])):
                index = int(np.searchsorted(seconds, shown_at - _SAME_TIME_SECONDS))
                if index >= stop_frame:
                    return
                if abs(seconds[index] - shown_at) < _SAME_TIME_SECONDS:
                    yield Frame(index, shown_at, DecodedPicture(decoded, Orientation.of(decoded)))


def _pick_images(
    folder: Path, wanted: list[int], keep: Callable[[Frame], T], frames_per_second: float
) -> dict[int, T]:
    images = list_frames(folder)
    there = [index for index in wanted if index < len(images)]
    info = describe_images(images, frames_per_second)
    return {frame.index: keep(frame) for frame in decode_images(images, info, there, Tally(IMAGES))}


def _pick_in_order(
    video: Video, wanted: set[int], keep: Callable[[Frame], T], frames_per_second: float
) -> dict[int, T]:
    near = {index for index in wanted if index < MOST_FRAMES_IN_ORDER}
    found: dict[int, T] = {}
    if near:
        with open_frames(video, frames_per_second=frames_per_second) as frames:
            for frame in frames:
                if frame.index in near:
                    found[frame.index] = keep(frame)
                if len(found) == len(near):
                    break
    return found


def _pick_by_seeking(
    path: Path, probe: Probe, wanted: Mapping[int, float], keep: Callable[[Frame], T]
) -> dict[int, T]:
    """Return what is kept of the frames whose times agree with those that are wanted."""
    import av

    found: dict[int, T] = {}
    with open_container(path) as (container, stream):
        seeker = _Seeker(container, stream, by_coding_time=probe.stamps_are_coding_times)
        for index, seconds in sorted(wanted.items()):
            try:
                decoded = seeker.frame_at(seconds)
            except (av.FFmpegError, LookupError):
                break
            if decoded is not None:
                found[index] = keep(Frame(index, seconds, DecodedPicture(decoded, Orientation.of(decoded))))
    return found


class _Seeker:
    """Finds frames by their times, counted from the first frame of a file."""

    def __init__(self, container: InputContainer, stream: VideoStream, *, by_coding_time: bool) -> None:
        self._container, self._stream = container, stream
        self._by_coding_time = by_coding_time
        self._unit_seconds = float(stream.time_base or 0)
        self._first: int | None = None

    def frame_at(self, seconds: float) -> VideoFrame | None:
        """Return the frame that is shown from `seconds` on; None where no frame begins then.

        Raises:
            LookupError: frames have no times.
            FFmpegError: seeking does not work.
        """
        with closing(self.frames_from(seconds)) as frames:
            return next((frame for _, frame in frames), None)

    def frames_from(self, seconds: float) -> Generator[tuple[float, VideoFrame], None, None]:
        """Yield the frame that is shown from `seconds` on, and those that follow, with their times.

        Nothing comes where no frame begins then.

        Raises:
            LookupError: frames have no times.
            FFmpegError: seeking does not work, or a frame is damaged.
        """
        first = self._first_stamp()
        self._container.seek(first + int(seconds / self._unit_seconds), stream=self._stream, backward=True)
        is_found = False
        for n_decoded, frame in enumerate(self._container.decode(self._stream)):
            stamp = self._stamp(frame)
            if stamp is None or (n_decoded > _MOST_DECODED_PER_FRAME and not is_found):
                raise LookupError("no time, or too far from a key frame")
            shown_at = (stamp - first) * self._unit_seconds
            is_found = is_found or abs(shown_at - seconds) < _SAME_TIME_SECONDS
            if is_found:
                yield shown_at, frame
            elif shown_at > seconds:
                return

    def _first_stamp(self) -> int:
        if self._first is None:
            frame = next(iter(self._container.decode(self._stream)), None)
            stamp = None if frame is None else self._stamp(frame)
            if stamp is None or not self._unit_seconds:
                raise LookupError("the frames have no times")
            self._first = stamp
        return self._first

    def _stamp(self, frame: VideoFrame) -> int | None:
        return frame.dts if self._by_coding_time else frame.pts
