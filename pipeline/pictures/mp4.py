"""Write H.264 in MP4 with PyAV: frames at times of their own, and the sound of the file they came from."""

from __future__ import annotations

import logging
import math
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mulde.data.atomic import replacing
from mulde.data.decode.preflight import open_container
from mulde.data.errors import InputError, VideoError
from mulde.data.pictures import BT709, yuv_of_rgb

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer

_log = logging.getLogger(__name__)
_UNIT = Fraction(1, 90_000)
"""Of time, in seconds: what MPEG counts in, and fine enough for any rate."""
_ENCODER = "libx264"
_OPTIONS = {"crf": "20", "preset": "veryfast", "bf": "0"}
"""No frame is coded out of order: MP4 would lose how long the last of uneven frames are shown."""
_KEPT_AS_THEY_ARE = frozenset({"aac", "ac3", "alac", "eac3", "mp3", "opus"})
"""Codecs of sound that MP4 holds and players know; others become AAC."""


def require_encoder() -> None:
    """Raise InputError, with the way out, where PyAV cannot write H.264."""
    import av

    if _ENCODER not in av.codecs_available:
        raise InputError(
            f"this PyAV ({av.__version__}) was built without {_ENCODER}, which writes H.264: install the one "
            "from PyPI (pip install --force-reinstall av)"
        )


@dataclass(frozen=True)
class Sound:
    """Where the sound of a video comes from, and which part of it."""

    path: Path
    start_seconds: float = 0.0
    """From the first frame of the file's video on."""
    stop_seconds: float = math.inf


class Mp4Writer:
    """Writes one file; `open_mp4` makes it."""

    def __init__(self, container: OutputContainer, frames_per_second: float, sound: Sound | None) -> None:
        self._container = container
        rate = Fraction(frames_per_second).limit_denominator(1001)
        self._stream: Any = container.add_stream(_ENCODER, rate=rate, options=_OPTIONS)
        self._usual_length = max(1, round(1 / (frames_per_second * _UNIT)))
        self._lengths: dict[int, int] = {}  # by stamp, of frames that are inside the encoder
        self._has_begun = False
        self._waiting: tuple[NDArray[np.uint8], int] | None = None  # (3/2 H, W)
        self._packets = None if sound is None else _packets_of(sound, container)
        self._next_packet = None if self._packets is None else next(self._packets, None)

    def write(self, rgb: NDArray[np.uint8], seconds: float) -> None:
        """Add a frame, (H, W, 3), that is shown from `seconds` on, later than the one before."""
        self.write_yuv(yuv_of_rgb(_even(rgb)), seconds)

    def write_yuv(self, yuv: NDArray[np.uint8], seconds: float) -> None:
        """Add a frame as `Picture.to_yuv` gives it, (3/2 H, W)."""
        stamp = round(seconds / _UNIT)
        if self._waiting is not None:
            before, shown_at = self._waiting
            self._encode(before, shown_at, max(1, stamp - shown_at))
            stamp = max(stamp, shown_at + 1)
        self._waiting = yuv, stamp

    def finish(self, stop_seconds: float | None) -> None:
        """Write what is left.

        Args:
            stop_seconds: when the last frame is no longer shown; if not given, after the usual time.
        """
        if self._waiting is None:
            raise VideoError("there is no frame to write")
        yuv, shown_at = self._waiting
        length = self._usual_length if stop_seconds is None else round(stop_seconds / _UNIT) - shown_at
        self._encode(yuv, shown_at, max(1, length))
        self._mux(self._stream.encode(None))
        self._mux_sound(math.inf)

    def _encode(self, yuv: NDArray[np.uint8], stamp: int, length: int) -> None:
        import av

        frame = av.VideoFrame.from_ndarray(yuv, format="yuv420p")
        if not self._has_begun:
            self._begin(frame.width, frame.height)
        frame.pts, frame.time_base = stamp, _UNIT
        self._lengths[stamp] = length
        self._mux_sound(float(stamp * _UNIT))
        self._mux(self._stream.encode(frame))

    def _begin(self, width: int, height: int) -> None:
        self._has_begun = True
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        codec = self._stream.codec_context
        codec.time_base = _UNIT
        codec.color_range, codec.colorspace = 1, BT709
        codec.color_primaries, codec.color_trc = BT709, BT709

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            packet.duration = self._lengths.pop(packet.pts, self._usual_length)
            self._container.mux(packet)

    def _mux_sound(self, until_seconds: float) -> None:
        """Write the sound that is heard before a time, so that picture and sound lie side by side."""
        while self._packets is not None and self._next_packet is not None:
            seconds, packet = self._next_packet
            if seconds > until_seconds:
                return
            self._container.mux(packet)
            self._next_packet = next(self._packets, None)


@contextmanager
def open_mp4(
    path: Path, frames_per_second: float, *, sound: Sound | None = None, stop_seconds: float | None = None
) -> Iterator[Mp4Writer]:
    """Give a writer; the file is there, whole, when the block ends without an error.

    Args:
        frames_per_second: about how many there are.
        sound: None for none.
        stop_seconds: when the last frame is no longer shown.

    Raises:
        InputError: PyAV cannot write H.264.
        VideoError: no frame was written.
    """
    import av

    require_encoder()
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"movflags": "+faststart"}
    with (
        replacing(path) as temporary,
        av.open(str(temporary), "w", format="mp4", options=options) as container,
    ):
        writer = Mp4Writer(container, frames_per_second, sound)
        yield writer
        writer.finish(stop_seconds)


def _even(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture whose sides are even, as H.264 wants: its last row or column may be there twice."""
    height, width = rgb.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return rgb
    return np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _packets_of(sound: Sound, into: OutputContainer) -> Generator[tuple[float, Any], None, None]:
    """Yield packets for a stream of sound with the time at which each is heard; the stream is made first.

    Nothing comes where the file has no sound, and no more from where its clock goes back.
    """
    import av

    first = _first_seconds(sound.path)
    with open_container(sound.path) as (source, _):
        stream = source.streams.best("audio")
        if stream is None or first is None or stream.codec_context is None:
            yield from ()
            return
        start = first + sound.start_seconds
        length = sound.stop_seconds - sound.start_seconds
        as_it_is = stream.codec_context.name in _KEPT_AS_THEY_ARE
        packets = _copied if as_it_is else _as_aac
        last = -math.inf
        try:
            for seconds, packet in packets(source, stream, into, start):
                if seconds >= length or seconds < last:
                    return
                last = seconds
                if seconds >= 0:
                    yield seconds, packet
        except av.FFmpegError as error:
            _log.warning("the sound of %s ends where it is damaged (%s)", sound.path, error.strerror)


def _copied(source: InputContainer, stream: Any, into: Any, start: float) -> Iterator[tuple[float, Any]]:
    written = into.add_stream_from_template(stream)
    _seek(source, stream, start)
    unit = stream.time_base
    offset = round(start / unit)
    for packet in source.demux(stream):
        if packet.pts is None or packet.size == 0:
            continue
        packet.pts -= offset
        packet.dts = packet.pts
        seconds = float(packet.pts * unit)
        packet.stream = written
        yield seconds, packet


def _as_aac(source: InputContainer, stream: Any, into: Any, start: float) -> Iterator[tuple[float, Any]]:
    import av

    rate = stream.codec_context.sample_rate
    written = into.add_stream("aac", rate=rate)
    written.codec_context.layout = "mono" if stream.codec_context.layout.nb_channels == 1 else "stereo"
    resampler = av.AudioResampler(format="fltp", layout=written.codec_context.layout, rate=rate)
    _seek(source, stream, start)
    unit = Fraction(1, rate)

    def encoded(frame: Any) -> Iterator[tuple[float, Any]]:
        for packet in written.encode(frame):
            yield float(packet.pts * packet.time_base), packet

    for decoded in source.decode(stream):
        if decoded.pts is None:
            continue
        seconds = float(decoded.pts * decoded.time_base) - start
        if seconds < 0:
            continue
        decoded.pts, decoded.time_base = round(seconds / unit), unit
        for frame in resampler.resample(decoded):
            yield from encoded(frame)
    yield from encoded(None)


def _seek(source: InputContainer, stream: Any, seconds: float) -> None:
    import av

    try:
        source.seek(int(seconds / stream.time_base), stream=stream, backward=True)
    except av.FFmpegError:
        source.seek(0)


def _first_seconds(path: Path) -> float | None:
    """Return the time of the first frame of a file's video by its own clock; None where frames have none."""
    with open_container(path) as (source, stream):
        for frame in source.decode(stream):
            return None if frame.time is None else float(frame.time)
    return None
