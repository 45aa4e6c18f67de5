"""What every decoder tells: the facts known before the first frame, and the counts kept while it runs."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import numpy as np

from mulde.data.times import usual_rate
from mulde.data.video import DecodeReport


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video before its frames are read."""

    width: int
    """In pixels, rotation applied."""
    height: int
    """In pixels, rotation applied."""
    fps: float
    """Frames a second, > 0."""
    n_frames_claimed: int | None
    """The container's own count, or duration × fps; None where it makes no claim."""
    claim_is_exact: bool = True
    """False where the claim comes from the duration, which is right to within a frame."""
    rotation_degrees: int = 0
    """Counter-clockwise turn that was applied: 0, 90, 180 or 270."""
    is_upright: bool = True
    """Whether pictures are stored as they are shown, neither turned nor mirrored."""
    interlaced: bool = False
    """Whether the first frame is interlaced."""
    warnings: tuple[str, ...] = ()
    """Sentences for the user about the header."""


@dataclass
class Tally:
    """What one pass over a video counts; the decoder adds to it, the report reads it at the end."""

    backend: str
    seconds: array[float] = field(default_factory=lambda: array("d"))
    """When each frame is shown."""
    n_bad_packets: int = 0
    n_hidden_packets: int = 0
    """Packets that an edit list hides: the container counts them, no player shows them."""
    end_byte: int = 0
    """Where the last packet ends, in bytes from the start of the file."""
    n_unread_bytes: int = 0
    """Bytes of a recording that was joined to this one, and is not read."""
    restart_frames: list[int] = field(default_factory=list)
    """The frames at which the clock of the recording started again."""
    tick_seconds: float = 0.0
    """The tick of a container that counts those, as AVI does, with a frame in it or not; 0 of others."""
    warnings: list[str] = field(default_factory=list)

    @property
    def n_frames(self) -> int:
        """How many frames decoded so far."""
        return len(self.seconds)


def make_report(info: VideoInfo, tally: Tally) -> DecodeReport:
    """Compare what decoded with what was claimed, after the last frame."""
    return DecodeReport(
        backend=tally.backend,
        n_frames=tally.n_frames,
        n_frames_claimed=info.n_frames_claimed,
        fps=info.fps,
        width=info.width,
        height=info.height,
        n_bad_packets=tally.n_bad_packets,
        rotation_degrees=info.rotation_degrees,
        interlaced=info.interlaced,
        warnings=(
            *info.warnings,
            *tally.warnings,
            *_claim_warning(info, tally),
            *_packet_warning(tally),
            *_clock_warning(tally),
            *_joined_warning(tally),
        ),
    )


def _claim_warning(info: VideoInfo, tally: Tally) -> list[str]:
    if info.n_frames_claimed is None:
        return []
    if not info.claim_is_exact:
        return _duration_warning(info.n_frames_claimed, info.fps, tally)
    n_empty, slack = _empty_ticks(tally)
    claimed = info.n_frames_claimed - tally.n_hidden_packets - n_empty
    if abs(claimed - tally.n_frames) <= slack:
        return []
    return [f"container claims {claimed} frames, {tally.n_frames} decode"]


def _empty_ticks(tally: Tally) -> tuple[int, int]:
    """Return how many ticks between the frames hold none, and how many more there may be after the last."""
    if tally.tick_seconds == 0 or tally.n_frames < 2:
        return 0, 0
    n_ticks = round(tally.seconds[-1] / tally.tick_seconds) + 1
    usual = 1 / (usual_rate(np.asarray(tally.seconds)) or 1 / tally.tick_seconds)
    return n_ticks - tally.n_frames, max(round(usual / tally.tick_seconds) - 1, 0)


def _duration_warning(n_frames_claimed: int, fps: float, tally: Tally) -> list[str]:
    """Compare frames with a duration: at the rate of the header, or at the one that frames really have."""
    if tally.restart_frames:  # the duration is that of one part of the recording
        return []
    claims, missing, gaps = [n_frames_claimed], 0, np.zeros(0)
    steps = np.diff(np.asarray(tally.seconds))
    if rate := usual_rate(np.asarray(tally.seconds)):
        usual = 1 / rate
        claims.append(round(n_frames_claimed / fps * rate))
        missing = int((np.round(steps / usual) - 1).clip(min=0).sum())
        gaps = steps[steps > 1.5 * usual]
    claimed = min((claim - tally.n_hidden_packets for claim in claims), key=lambda c: abs(c - tally.n_frames))
    if abs(claimed - tally.n_frames) <= 1:
        return []
    if not gaps.size or abs(claimed - tally.n_frames - missing) > 2 + missing / 1000:
        return [f"container claims about {claimed} frames, {tally.n_frames} decode"]
    after = int(steps.argmax())
    if len(gaps) == 1:
        where = f"for {gaps[0]:.1f} s after frame {after}"
    else:
        where = f"in {len(gaps)} places, {gaps.sum():.1f} s together, the longest after frame {after}"
    return [f"no frames {where}: the recording paused, or they are lost"]


def _clock_warning(tally: Tally) -> list[str]:
    if not tally.restart_frames:
        return []
    n, first = len(tally.restart_frames), tally.restart_frames[0]
    when = f"at frame {first}" if n == 1 else f"{n} times, first at frame {first}"
    return [f"the clock of the recording starts again {when}: times go on from there"]


def _joined_warning(tally: Tally) -> list[str]:
    if tally.n_unread_bytes == 0:
        return []
    return [
        f"another recording of {tally.n_unread_bytes:,} bytes was joined to the file and cannot be read: "
        "join with ffmpeg (-f concat), or keep the recordings apart"
    ]


def _packet_warning(tally: Tally) -> list[str]:
    if tally.n_bad_packets == 0:
        return []
    return [f"{tally.n_bad_packets} damaged packet{'s' if tally.n_bad_packets > 1 else ''} skipped"]
