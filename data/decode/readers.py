"""Read the frames of a video, one after the other, in bounded memory whatever its length."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeVar

from mulde.data.decode.image_folders import decode_images, describe_images, list_frames
from mulde.data.decode.image_stacks import decode_stack, is_stack, open_stack
from mulde.data.decode.preflight import Probe, preflight, probe_file
from mulde.data.decode.report import Tally, VideoInfo, make_report
from mulde.data.decode.video_files import (
    decode_with_decord,
    decode_with_pyav,
    has_decord,
    open_decord,
    sample_by_seeking,
)
from mulde.data.errors import InputError, VideoError
from mulde.data.video import IMAGES, DecodeReport, Frame, Video

T = TypeVar("T")

Decoder = Literal["auto", "decord", "pyav"]

MEMORY_BUDGET_BYTES = 2**30
"""What decord may take: it decodes ahead without bound, so only videos that fit whole are given to it."""

CODE_VERSION = 3
"""Raise it when the same file gives other frames or other times than before."""

FRAMES_PER_SECOND = 25.0
"""Assumed of folders of images, which do not say."""


class FrameReader:
    """The frames of one video in order, once: an iterator of `Frame` and a context manager.

    `open_frames` makes it; `info` is known at once, `report` after the last frame.
    """

    def __init__(self, info: VideoInfo, frames: Generator[Frame, None, None], tally: Tally) -> None:
        self.info = info
        self._report: DecodeReport | None = None
        self._frames = self._count(frames, tally)

    @property
    def report(self) -> DecodeReport:
        """What decoding found.

        Raises:
            RuntimeError: the last frame has not been read yet.
        """
        if self._report is None:
            raise RuntimeError("there is no decode report before the last frame has been read")
        return self._report

    def close(self) -> None:
        """Let go of the file; no more frames come."""
        self._frames.close()

    def __iter__(self) -> FrameReader:
        return self

    def __next__(self) -> Frame:
        return next(self._frames)

    def __enter__(self) -> FrameReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _count(self, frames: Generator[Frame, None, None], tally: Tally) -> Generator[Frame, None, None]:
        with closing(frames):
            for frame in frames:
                tally.seconds.append(frame.seconds)
                yield frame
        self._report = make_report(self.info, tally)


def open_frames(
    video: Video,
    *,
    decoder: Decoder = "auto",
    memory_budget_bytes: int = MEMORY_BUDGET_BYTES,
    frames_per_second: float = FRAMES_PER_SECOND,
) -> FrameReader:
    """Open a video to read its frames in order.

    Args:
        video: A file, which may be an image of several pages, or a folder with one image per frame.
        decoder: "pyav" reads whatever can be read, and so does "auto", which is PyAV: decord fills damaged
            places with copies of frames, and saves a tenth of the processor's time of decoding and no wall
            time. "decord" reads only files that a complete look finds regular and undamaged (see
            `preflight`), and gives identical frames. Images need neither.
        memory_budget_bytes: the most that a video may take decoded, for decord to be given it.
        frames_per_second: the frame rate of folders of images and of TIFF stacks; files have their own.

    Raises:
        VideoError: the video cannot be read, or `decoder` is "decord" and the file is not for it. It can also
            come with a later frame, such as a damaged image.
        InputError: `decoder` is "decord", which is not installed.
    """
    if decoder not in ("auto", "decord", "pyav"):
        raise InputError(f"unknown decoder {decoder!r}: it is auto, decord or pyav")
    if decoder == "decord" and not has_decord():
        raise InputError("decord is not installed: pip install decord2, or use decoder auto")
    if video.is_frame_folder:
        return _open_folder(video.path, frames_per_second)
    if is_stack(video.path):
        return _open_stack(video.path, frames_per_second)
    probe = probe_file(video.path)
    if decoder != "decord":
        return _open_with_pyav(video.path, probe)
    regular = preflight(video.path, probe, memory_budget_bytes)
    backend = None if regular.irregularity else open_decord(video.path)
    if backend is None:
        reason = regular.irregularity or "decord cannot open it"
        raise VideoError(f"{video.path} is not for decord ({reason}): use decoder auto or pyav")
    tally = Tally("decord")
    frames = decode_with_decord(video.path, backend, probe, regular, tally)
    return FrameReader(probe.info, frames, tally)


def sample_frames(
    video: Video,
    n_frames: int,
    keep: Callable[[Frame], T],
    *,
    frames_per_second: float = FRAMES_PER_SECOND,
) -> list[T]:
    """Take about `n_frames` frames spread evenly over a video, to learn what its background looks like.

    In files it seeks, so that a long video costs no more than a group of pictures a sample. `Frame.index` is
    then the time × fps, which may be off by a few frames; MPEG-TS samples can come a group of pictures late.
    Where seeking fails or does not pay, it reads the video once (twice where it holds less than half of the
    frames that it claims) and holds up to 2 × `n_frames` frames meanwhile. A video with no more than
    `n_frames` frames gives all of them. The same file always gives the same frames.

    Args:
        keep: what to keep of a frame, for a hundred large ones take half a gigabyte.

    Raises:
        VideoError: the video cannot be read.
    """
    if n_frames < 1:
        raise ValueError(f"n_frames must be at least 1, not {n_frames}")
    if video.is_frame_folder:
        images = list_frames(video.path)
        info = describe_images(images, frames_per_second)
        wanted = spread(len(images), n_frames)
        return [keep(frame) for frame in decode_images(images, info, wanted, Tally(IMAGES))]
    if is_stack(video.path):
        stack = open_stack(video.path, frames_per_second)
        wanted = spread(len(stack.seconds), n_frames)
        return [keep(frame) for frame in decode_stack(stack, wanted, Tally(IMAGES))]
    probe = probe_file(video.path)
    if n_frames < (probe.info.n_frames_claimed or 0):
        samples = sample_by_seeking(video.path, probe, n_frames, keep)
        if samples:
            return samples
    n_claimed = probe.info.n_frames_claimed or 0
    while True:
        with _open_with_pyav(video.path, probe) as frames:
            samples = _thin_out(frames, n_frames, keep, n_claimed)
        if len(samples) == min(n_frames, frames.report.n_frames):
            return samples
        n_claimed = frames.report.n_frames  # it holds less than half of what it claims


def spread(n_total: int, n: int) -> list[int]:
    """Return `n` of the indices 0 … n_total − 1, evenly spread; all where there are no more than `n`.

    >>> spread(10, 2)
    [2, 7]
    """
    if n_total <= n:
        return list(range(n_total))
    return [(2 * k + 1) * n_total // (2 * n) for k in range(n)]


def _open_folder(folder: Path, frames_per_second: float) -> FrameReader:
    images = list_frames(folder)
    info = describe_images(images, frames_per_second)
    tally = Tally(IMAGES)
    return FrameReader(info, decode_images(images, info, range(len(images)), tally), tally)


def _open_stack(path: Path, frames_per_second: float) -> FrameReader:
    stack, tally = open_stack(path, frames_per_second), Tally(IMAGES)
    return FrameReader(stack.info, decode_stack(stack, range(len(stack.seconds)), tally), tally)


def _open_with_pyav(path: Path, probe: Probe) -> FrameReader:
    tally = Tally("pyav")
    return FrameReader(probe.info, decode_with_pyav(path, probe, tally), tally)


def _thin_out(frames: FrameReader, n_frames: int, keep: Callable[[Frame], T], n_claimed: int) -> list[T]:
    """Take `n_frames` evenly spread frames, never holding more than twice as many.

    The container may claim too many or too few frames, or none: twice as many as wanted are kept, so that
    half of what it claims is enough, and every other one is let go when they become more.
    """
    stride = max(n_claimed / (2 * n_frames), 1.0)
    kept: list[T] = []
    for frame in frames:
        if frame.index >= len(kept) * stride:
            kept.append(keep(frame))
        if len(kept) > 2 * n_frames:
            kept = kept[::2]
            stride *= 2
    return [kept[position] for position in spread(len(kept), n_frames)]
