"""Decode video files: PyAV, which reads whatever can be read, and decord for regular files."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable, Generator, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mulde.data.decode.clock import Clock
from mulde.data.decode.decoded import DecodedPicture
from mulde.data.decode.joined import unread_bytes
from mulde.data.decode.orientation import Orientation
from mulde.data.decode.preflight import Preflight, Probe, open_container
from mulde.data.decode.report import Tally
from mulde.data.errors import VideoError
from mulde.data.video import Frame

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

T = TypeVar("T")
_log = logging.getLogger(__name__)


def decode_with_pyav(path: Path, probe: Probe, tally: Tally) -> Generator[Frame, None, None]:
    """Yield every frame that decodes, in display order; damaged packets are counted in `tally` and skipped.

    Raises:
        VideoError: the frame size changes within the file.
    """
    with open_container(path) as (container, stream):
        clock = Clock(probe, stream, tally)
        for index, decoded in enumerate(_decode_packets(container, stream, tally)):
            picture = DecodedPicture(decoded, Orientation.of(decoded))
            _check_size(path, index, picture.size, probe)
            yield Frame(index, clock.seconds(decoded), picture)
    tally.n_unread_bytes = unread_bytes(path, probe.containers, tally.end_byte)


def has_decord() -> bool:
    """Whether decord (package decord2) is installed; it is not imported."""
    return find_spec("decord") is not None


def _import_decord() -> Any:
    """Import decord, here and not above: it takes a second.

    It loads every CUDA library that torch has brought along, for all to use. One of them, NVBLAS, then takes
    the place of the processor's matrix product, and ends the process where there is no GPU. Only files are
    decoded here, on the processor: hide these libraries from it.
    """
    hidden = sys.modules.get("nvidia")
    sys.modules["nvidia"] = None  # type: ignore[assignment]  # makes find_spec say that there is none
    try:
        return importlib.import_module("decord")
    finally:
        if hidden is None:
            del sys.modules["nvidia"]
        else:
            sys.modules["nvidia"] = hidden


def open_decord(path: Path) -> Any:
    """Open a file with decord for one thread; None where decord refuses it."""
    decord = _import_decord()
    decord.logging.set_level(decord.logging.QUIET)
    try:
        return decord.VideoReader(str(path.absolute()), ctx=decord.cpu(0), num_threads=1)
    except (decord.DECORDError, RuntimeError, AssertionError, UnicodeEncodeError) as error:
        _log.debug("decord refuses %s: %s", path, error)
        return None


def decode_with_decord(
    path: Path, reader: Any, probe: Probe, regular: Preflight, tally: Tally
) -> Generator[Frame, None, None]:
    """Yield the frames of a regular file; where decord gives up, PyAV yields the rest.

    Up to the packet that decord refuses, both give the same frames.
    """
    n_frames = 0
    for rgb in _decord_frames(reader, n_frames_at_most=len(regular.seconds)):
        yield Frame.of_rgb(n_frames, regular.seconds[n_frames], rgb)
        n_frames += 1
    if n_frames == len(regular.seconds):
        return
    _log.debug("decord gave up on %s after frame %d, PyAV reads the rest", path, n_frames)
    tally.backend = "pyav"
    for frame in decode_with_pyav(path, probe, tally):
        if frame.index >= n_frames:
            yield frame


def sample_by_seeking(path: Path, probe: Probe, n_frames: int, keep: Callable[[Frame], T]) -> list[T]:
    """Decode the frames that are shown at `n_frames` evenly spread times, and keep something of each.

    Their indices are time × fps.

    Returns an empty list where seeking does not work, where key frames are so rare that it decodes half as
    many frames as the video has, or where pauses in the recording leave less than half as many samples:
    reading the video once, in order, is the better way then.
    """
    import av

    info = probe.info
    if probe.stamps_are_coding_times or info.n_frames_claimed is None:
        return []
    step_seconds = info.n_frames_claimed / info.fps / n_frames
    by_index: dict[int, T] = {}
    n_decoded = 0
    with open_container(path) as (container, stream):
        for k in range(n_frames):
            try:
                seconds, decoded, n_in_group = _seek(container, stream, (k + 0.5) * step_seconds)
            except (av.FFmpegError, LookupError):
                return []
            n_decoded += n_in_group
            if n_decoded > info.n_frames_claimed / 2:
                return []
            index = round(seconds * info.fps)
            by_index[index] = keep(Frame(index, seconds, DecodedPicture(decoded, Orientation.of(decoded))))
    if len(by_index) < n_frames / 2:
        return []
    return [by_index[index] for index in sorted(by_index)]


def _decode_packets(container: InputContainer, stream: VideoStream, tally: Tally) -> Iterator[VideoFrame]:
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            break
        except av.FFmpegError as error:
            tally.warnings.append(f"the file cannot be read to its end ({error.strerror})")
            break
        if packet.size == 0:  # it would end the decoder; `decode(None)` below does, after the last packet
            continue
        tally.n_hidden_packets += packet.is_discard
        tally.end_byte = max(tally.end_byte, (packet.pos or 0) + packet.size)
        try:
            yield from packet.decode()
        except av.FFmpegError:
            tally.n_bad_packets += 1
    try:
        yield from stream.codec_context.decode(None)
    except av.FFmpegError:
        tally.n_bad_packets += 1


def _decord_frames(reader: Any, n_frames_at_most: int) -> Iterator[NDArray[np.uint8]]:
    import decord

    for _ in range(n_frames_at_most):
        try:
            yield reader.next().asnumpy()
        except (StopIteration, decord.DECORDError):
            return


def _check_size(path: Path, index: int, size: tuple[int, int], probe: Probe) -> None:
    width, height = size
    if (width, height) != (probe.info.width, probe.info.height):
        raise VideoError(
            f"{path} changes its frame size from {probe.info.width}x{probe.info.height} to {width}x{height} "
            f"at frame {index}: re-encode it with ffmpeg at one size (-vf scale)"
        )


def _seek(container: InputContainer, stream: VideoStream, seconds: float) -> tuple[float, VideoFrame, int]:
    """Return the time of the frame shown at `seconds`, the frame, and how many were decoded to get there.

    Raises:
        LookupError: nothing with a time decodes there.
    """
    unit_seconds = float(stream.time_base or 0)
    if unit_seconds == 0:
        raise LookupError("the stream has no unit of time")
    start = stream.start_time or 0
    target = start + int(seconds / unit_seconds)
    container.seek(target, stream=stream, backward=True)
    found: tuple[int, VideoFrame] | None = None
    n_decoded = 0
    for frame in container.decode(stream):
        n_decoded += 1
        if frame.pts is None:
            continue
        if found is not None and frame.pts > target:
            break
        found = frame.pts, frame
    if found is None:
        raise LookupError("no frame decodes there")
    pts, decoded = found
    return max((pts - start) * unit_seconds, 0.0), decoded, n_decoded
