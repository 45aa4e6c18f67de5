"""A look at a video file before its frames are decoded: what it is, and whether decord may read it.

decord gives wrong frames for files that are not regular (cut without re-encoding, MPEG-TS, interlaced) and
decodes ahead without bound, and it hides damage behind copies of frames; so only files that this look finds
regular, whole and small are given to it, and only when somebody asks for it.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mulde.data.decode.joined import unread_bytes
from mulde.data.decode.orientation import Orientation
from mulde.data.decode.report import VideoInfo
from mulde.data.errors import InputError, VideoError
from mulde.data.foreign.limits import check_picture, most_pixels

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

DECORD_CONTAINERS = frozenset({"mp4", "matroska", "avi"})
"""FFmpeg's names; it reads mov as mp4 and webm as matroska."""
DECORD_PIXEL_FORMATS = frozenset({"yuv420p", "yuvj420p", "gbrp"})
"""FFmpeg's names; of all others decord's colours differ."""
_LEAST_DECORD_WIDTH = 128
DEFAULT_FPS = 25.0
_PLAYLISTS = frozenset(
    {"avisynth", "concat", "dash", "hls", "imf", "rtp", "rtsp", "sap", "sdp", "vapoursynth", "vobsub"}
    | {"webm_dash_manifest"}
)
"""FFmpeg's names of what opens further files or connections, whatever its own name ends in."""
_WITH_EDGES = 1.25
_MOST_PIXELS = 2**31 - 1
"""FFmpeg counts no further."""
_NO_TIMESTAMPS = 0x0080
"""FFmpeg's AVFMT_NOTIMESTAMPS, a flag of containers: the bare streams of H.264, HEVC, MPEG-2, MJPEG, …"""


@dataclass(frozen=True)
class Probe:
    """What the header and the first frame that decodes say about a video file."""

    info: VideoInfo
    containers: frozenset[str]
    """FFmpeg's names of the container: {"mov", "mp4", …}."""
    codec: str
    """FFmpeg's name, such as "h264"."""
    pixel_format: str
    """FFmpeg's name of what the codec stores, such as "yuv420p"."""

    @property
    def stamps_are_coding_times(self) -> bool:
        """Whether packets carry only the time of coding, as in AVI, which counts ticks of a constant rate."""
        return "avi" in self.containers


@dataclass(frozen=True)
class Preflight:
    """What reading all packets of a file, and decoding them once, found."""

    irregularity: str
    """Why decord may not read this file; "" where it may."""
    seconds: tuple[float, ...] = ()
    """(n_frames,) presentation times in display order from 0.0 on; empty where there is an irregularity."""


@contextmanager
def open_container(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a video file with PyAV, for one thread.

    Raises:
        VideoError: the file is missing, empty, no video, or in a codec that nothing here decodes.
    """
    import av
    from av.video.stream import VideoStream

    _check_file(path)
    try:
        # absolute: FFmpeg takes "cam1:door.mp4" for a protocol
        container = av.open(str(path.absolute()), **no_playlists("file"), **any_encoding())
    except (av.FFmpegError, OSError) as error:
        if is_refused(error):
            raise VideoError(
                f"{path} cannot be opened as a video: it is a list of other files, which have to be named "
                "themselves, or it is damaged"
            ) from error
        raise VideoError(
            f"{path} cannot be opened as a video ({_reason(error)}): it may be cut short or something else; "
            "copy it again, re-encode it with ffmpeg, or take it out of the folder"
        ) from error
    with container:
        stream = container.streams.best("video")
        if not isinstance(stream, VideoStream):
            raise VideoError(f"{path} has no video stream: take it out of the folder")
        if stream.codec_context is None:
            raise VideoError(
                f"{path} is in a codec that PyAV cannot decode: re-encode it with ffmpeg as H.264"
            )
        prepare(stream, str(path))
        yield container, stream


def no_playlists(protocol: str) -> dict[str, Any]:
    """Return arguments of `av.open` with which FFmpeg opens nothing but what it is given.

    Args:
        protocol: by which it is given that, such as file; "none" for bytes.
    """
    # as options of streams, too, they crash PyAV before 18 where a header names no streams (FLV, MPEG)
    return {"container_options": {"format_whitelist": _formats_of_one_file(), "protocol_whitelist": protocol}}


@cache
def _formats_of_one_file() -> str:
    import av

    return ",".join(sorted(name for name in av.formats_available if not {*name.split(",")} & _PLAYLISTS))


def is_refused(error: Exception) -> bool:
    """Whether `av.open` raised that for a format that `no_playlists` forbids, or seldom for damage."""
    return getattr(error, "errno", None) == errno.EINVAL


def pixel_limit() -> dict[str, str]:
    """Return the option of a decoder by which frames that are too large are not decoded.

    FFmpeg counts the edges that a decoder needs around a frame, too.
    """
    return {"max_pixels": str(min(int(_WITH_EDGES * most_pixels()), _MOST_PIXELS))}


def prepare(stream: VideoStream, where: str) -> None:
    """Have a stream decoded with one thread, and no frame that is too large.

    Raises:
        VideoError: the stream says that its frames are.
    """
    # one thread: what comes out of a damaged stream then does not vary, and workers share the processor
    stream.thread_count = 1
    stream.codec_context.options = pixel_limit()
    check_frame(where, stream.codec_context.width, stream.codec_context.height)


def check_frame(where: str, width: int, height: int) -> None:
    """Check the size of the frames of a video.

    Raises:
        VideoError: they are too large, see `check_picture`.
    """
    try:
        check_picture(where, width, height)
    except InputError as error:
        raise VideoError(str(error)) from None


def probe_file(path: Path) -> Probe:
    """Read the header and the first frame that decodes.

    Raises:
        VideoError: the file cannot be opened, or holds no frame that decodes.
    """
    with open_container(path) as (container, stream):
        frame = _first_frame(container, stream)
        if frame is None:
            raise VideoError(
                f"{path} holds no frame that decodes: copy it again or take it out of the folder"
            )
        check_frame(str(path), frame.width, frame.height)  # a header may claim less
        return Probe(
            info=describe(container, stream, frame),
            containers=frozenset(container.format.name.split(",")),
            codec=stream.codec_context.codec.name,
            pixel_format=frame.format.name,
        )


def preflight(path: Path, probe: Probe, memory_budget_bytes: int) -> Preflight:
    """Find out whether decord reads this file rightly and within `memory_budget_bytes` of decoded frames."""
    irregularity = _header_irregularity(probe, memory_budget_bytes)
    if irregularity:
        return Preflight(irregularity)
    times: list[float] = []
    with open_container(path) as (container, stream):
        irregularity = _packet_irregularity(container, stream, probe, memory_budget_bytes, times)
    irregularity = irregularity or _damage(path, n_expected=len(times))
    if irregularity:
        return Preflight(irregularity)
    times.sort()
    return Preflight("", tuple(times))


def any_encoding() -> dict[str, Any]:
    """Return what `av.open` has to be told so that metadata in any encoding do not end it.

    PyAV before 19 refuses what is not UTF-8 unless told otherwise; from 19 on it takes all, and no such word.
    """
    import av

    return {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise VideoError(
            f"{path} is not there (or no file): check the path, or whether a link in it is broken"
        )
    if path.stat().st_size == 0:
        raise VideoError(f"{path} is empty (0 bytes): copy it again or take it out of the folder")


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _first_frame(container: InputContainer, stream: VideoStream) -> VideoFrame | None:
    import av

    try:
        for packet in container.demux(stream):
            try:
                for frame in packet.decode():
                    return frame
            except av.FFmpegError:
                continue
    except av.FFmpegError:
        return None
    return None


def describe(container: InputContainer, stream: VideoStream, frame: VideoFrame) -> VideoInfo:
    rate = _header_rate(container, stream)
    fps = float(rate) if rate else DEFAULT_FPS
    seconds = claimed_seconds(container, stream)
    orientation = Orientation.of(frame)
    width, height = (frame.height, frame.width) if orientation.transposes else (frame.width, frame.height)
    return VideoInfo(
        width=width,
        height=height,
        fps=fps,
        n_frames_claimed=stream.frames or (None if seconds is None else round(seconds * fps)),
        claim_is_exact=stream.frames > 0,
        rotation_degrees=90 * (round(frame.rotation / 90) % 4),
        is_upright=orientation == Orientation(),
        interlaced=frame.interlaced_frame,
        warnings=() if rate else (f"container gives no frame rate, {DEFAULT_FPS:g} a second is assumed",),
    )


def _header_rate(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """Return the frames a second that the file says; None where it does not."""
    if container.format.flags & _NO_TIMESTAMPS:  # of a bare stream FFmpeg makes up 25 on average
        return stream.codec_context.framerate or None
    return stream.average_rate or stream.guessed_rate


def claimed_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """Return the duration of the video stream in seconds, None where the container does not say."""
    import av

    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    tag = re.fullmatch(r"(\d{1,9}):(\d{1,9}):(\d{1,9}(?:\.\d*)?)", stream.metadata.get("DURATION", ""))
    if tag:  # of Matroska; it is the time when the stream ends, which may begin late
        start = float((stream.start_time or 0) * (stream.time_base or 0))
        return max(int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3]) - start, 0.0)
    if container.duration is not None and len(container.streams) == 1:  # else sound may be what lasts longer
        start = 0 if container.start_time is None else container.start_time
        return max(container.duration - start, 0) / av.time_base
    return None


def _header_irregularity(probe: Probe, memory_budget_bytes: int) -> str:
    if not probe.containers & DECORD_CONTAINERS:
        return f"its container is {'/'.join(sorted(probe.containers))}"
    if probe.codec == "vp8":
        return "it is VP8"  # whose packets can hold frames that are not shown; decord repeats others instead
    if probe.info.interlaced:
        return "it is interlaced"  # decord converts the colours of such frames in another way
    if not probe.info.is_upright:
        return (
            "it is rotated or mirrored"  # decord gives four channels of nonsense where the codec stores RGB
        )
    if probe.pixel_format not in DECORD_PIXEL_FORMATS:
        return f"its pixels are {probe.pixel_format}"  # decord turns palettes black and one bit round
    if probe.info.width < _LEAST_DECORD_WIDTH:
        return f"it is less than {_LEAST_DECORD_WIDTH} pixels wide"  # some widths crash the process
    return _excess(probe, probe.info.n_frames_claimed or 0, memory_budget_bytes)


def _excess(probe: Probe, n_frames: int, memory_budget_bytes: int) -> str:
    n_bytes = n_frames * probe.info.height * probe.info.width * 3
    if n_bytes <= memory_budget_bytes:
        return ""
    return f"decoded it takes more than {memory_budget_bytes / 2**20:.0f} MiB"


def _packet_irregularity(
    container: InputContainer,
    stream: VideoStream,
    probe: Probe,
    memory_budget_bytes: int,
    times: list[float],
) -> str:
    """Read the packets up to the first that is not regular; `times` takes their seconds, in coding order."""
    import av

    last_dts: int | None = None
    end = 0
    try:
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            if last_dts is not None and packet.dts is not None and packet.dts < last_dts:
                return "its clock starts again"
            last_dts, end = packet.dts, max(end, (packet.pos or 0) + packet.size)
            if not times and not packet.is_keyframe:
                return "its first packet is not a key frame"
            if packet.is_discard or packet.is_corrupt:
                return "it has packets that are marked as hidden or corrupt"
            if packet.pts is None or packet.pts < 0:
                return "it has packets without a time or before time 0"
            times.append(float(packet.pts * packet.time_base))
            if _excess(probe, len(times), memory_budget_bytes):
                return _excess(probe, len(times), memory_budget_bytes)
    except av.FFmpegError as error:
        return f"its packets cannot all be read ({_reason(error)})"
    if unread_bytes(Path(container.name), probe.containers, end):
        return "another recording was joined to it"
    return _timing_irregularity(probe, times)


def _damage(path: Path, n_expected: int) -> str:
    """Decode the whole file and say what is damaged; decord conceals it with copies of frames."""
    import av

    n_frames = 0
    try:
        with open_container(path) as (container, stream):
            for frame in container.decode(stream):
                if frame.is_corrupt:
                    return f"frame {n_frames} is damaged"
                n_frames += 1
    except av.FFmpegError as error:
        return f"it is damaged after frame {n_frames} ({_reason(error)})"
    return "" if n_frames == n_expected else f"{n_expected} frames are expected, {n_frames} decode"


def _timing_irregularity(probe: Probe, times: list[float]) -> str:
    if not times or min(times) != 0:
        return "it does not start at time 0"
    if len(set(times)) < len(times):
        return "two of its packets have the same time"
    claimed = probe.info.n_frames_claimed
    if probe.info.claim_is_exact and claimed is not None and claimed != len(times):
        return f"it holds {len(times)} packets where its header claims {claimed}"
    return ""
