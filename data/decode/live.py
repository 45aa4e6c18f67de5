"""Read frames from what has no end: a camera, a stream of a network, a pipe, a file that grows."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mulde.data.address import shown_address
from mulde.data.decode.clock import Clock
from mulde.data.decode.decoded import DecodedPicture
from mulde.data.decode.orientation import Orientation
from mulde.data.decode.preflight import (
    Probe,
    any_encoding,
    check_frame,
    describe,
    is_refused,
    no_playlists,
    prepare,
)
from mulde.data.decode.report import Tally, VideoInfo
from mulde.data.errors import VideoError
from mulde.data.video import Frame

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame

OPEN_SECONDS, READ_SECONDS = 15.0, 10.0
"""How long a sender may take to answer, and to send the next bytes."""
_POLL_SECONDS, _PIPE_POLL_SECONDS = 0.2, 0.02


@dataclass(frozen=True)
class LiveFrames:
    """Footage without interruption."""

    info: VideoInfo
    frames: Iterator[Frame]
    """Indices and times from 0 on; it ends where the sender does, and with VideoError where it is lost."""
    is_finite: bool = False
    """Whether it is known how long it lasts."""


@contextmanager
def open_live(source: str | io.RawIOBase) -> Iterator[LiveFrames]:
    """Open an address that FFmpeg knows (rtsp://, http://, a device, a pipe), or bytes as they come.

    Raises:
        VideoError: nothing answers, or what comes is no video.
    """
    import av
    from av.video.stream import VideoStream

    name = shown_address(source) if isinstance(source, str) else str(getattr(source, "name", "stream"))
    try:
        container = av.open(
            source, timeout=(OPEN_SECONDS, READ_SECONDS), **_options(source), **any_encoding()
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        if not isinstance(source, str) and is_refused(error):
            raise VideoError(
                f"{name} cannot be opened: it is a list of other files or connections, as only what an "
                "address names may be, or it is damaged"
            ) from None
        raise VideoError(f"{name} cannot be opened ({_reason(error)})") from None
    with container:
        stream = container.streams.best("video")
        if not isinstance(stream, VideoStream) or stream.codec_context is None:
            raise VideoError(f"{name} has no video that can be decoded")
        prepare(stream, name)
        decoded = _decoded(container, stream, name)
        first = next(decoded, None)
        if first is None:
            raise VideoError(f"{name} ended before its first frame")
        check_frame(name, first.width, first.height)  # a header may claim less
        info = describe(container, stream, first)
        probe = Probe(
            info,
            frozenset(container.format.name.split(",")),
            stream.codec_context.codec.name,
            first.format.name,
        )
        frames = _frames(first, decoded, Clock(probe, stream, Tally("pyav")), info, name)
        yield LiveFrames(info, frames, is_finite=container.duration is not None)


def _options(source: object) -> dict[str, Any]:
    if not isinstance(source, str):  # nobody has named an address: what comes must not name one either
        return no_playlists("none")
    if source.startswith("rtsp"):
        return {"options": {"rtsp_transport": "tcp"}}  # packets that are lost would smear the picture
    return {"format": "v4l2"} if source.startswith("/dev/video") else {}


def _reason(error: Exception) -> str:
    """Return why FFmpeg gives up, without the address, with which the text of an error ends."""
    return str(getattr(error, "strerror", None) or type(error).__name__)


def _decoded(container: InputContainer, stream: Any, name: str) -> Generator[VideoFrame, None, None]:
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except (av.FFmpegError, OSError) as error:
            raise VideoError(f"{name} was lost ({_reason(error)})") from None
        if packet is None:
            break
        if packet.size:
            try:
                yield from packet.decode()
            except av.FFmpegError:  # a damaged packet; the next ones may be whole
                continue
    try:
        yield from stream.codec_context.decode(None)
    except av.FFmpegError:
        return


def _frames(
    first: VideoFrame, others: Iterator[VideoFrame], clock: Clock, info: VideoInfo, name: str
) -> Generator[Frame, None, None]:
    frame: VideoFrame | None = first
    index = 0
    while frame is not None:
        picture = DecodedPicture(frame, Orientation.of(frame))
        if picture.size != (info.width, info.height):
            width, height = picture.size
            raise VideoError(
                f"{name} sends frames of {width}x{height} now, no longer {info.width}x{info.height}"
            )
        yield Frame(index, clock.seconds(frame), picture)
        index += 1
        frame = next(others, None)


class NamedPipe(io.RawIOBase):
    """A named pipe: reading waits for whoever writes, but never so that an interrupt would not be heard."""

    def __init__(self, path: Path, is_ended: Callable[[], bool]) -> None:
        """Open a pipe, to which nobody has to write yet; `is_ended` says that nobody wants to read on."""
        self._is_ended = is_ended
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.name = str(path)
        self._has_begun = False

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return bytes, at most `size`; b"" when the writer, who has written, has gone."""
        while not self._is_ended():
            with suppress(BlockingIOError):  # somebody is there, and has nothing to say yet
                chunk = os.read(self._descriptor, size if size > 0 else io.DEFAULT_BUFFER_SIZE)
                if chunk or self._has_begun:
                    self._has_begun = True
                    return chunk
            time.sleep(_PIPE_POLL_SECONDS)
        return b""

    def close(self) -> None:
        """Let go of the pipe."""
        if not self.closed:
            os.close(self._descriptor)
        super().close()


class GrowingFile(io.RawIOBase):
    """A file that somebody still writes to: at its end, reading waits for more."""

    def __init__(self, path: Path, *, patience_seconds: float, is_ended: Callable[[], bool]) -> None:
        """Open a file.

        Args:
            patience_seconds: after so long without more bytes it is taken to be whole.
            is_ended: whether it is known to be whole, so that nobody has to wait.
        """
        self._file = path.open("rb", buffering=0)
        self.name = str(path)
        self._patience_seconds, self._is_ended, self._is_whole = patience_seconds, is_ended, False

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return bytes, at most `size`; b"" where the file is whole."""
        waited_since = time.monotonic()
        while True:
            chunk = self._file.read(size)
            if chunk:
                return chunk
            if self._is_whole:  # FFmpeg asks again
                return b""
            # what was written between the last look and its end is still to be read
            self._is_whole = self._is_ended() or time.monotonic() - waited_since > self._patience_seconds
            if not self._is_whole:
                time.sleep(_POLL_SECONDS)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
        super().close()
