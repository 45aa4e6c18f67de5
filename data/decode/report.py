"""What every decoder tells: the facts known before the first frame, and the counts kept while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field

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
    n_frames: int = 0
    n_bad_packets: int = 0
    n_hidden_packets: int = 0
    """Packets that an edit list hides: the container counts them, no player shows them."""
    n_restarts: int = 0
    """How often the clock of the recording started again."""
    n_skipped: int = 0
    """Frames that the recorder skipped: AVI counts them, though it holds nothing for them."""
    n_skipped_at_once: int = 0
    """The last time that it did."""
    warnings: list[str] = field(default_factory=list)


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
        ),
    )


def _claim_warning(info: VideoInfo, tally: Tally) -> list[str]:
    if info.n_frames_claimed is None:
        return []
    claimed = info.n_frames_claimed - tally.n_hidden_packets - tally.n_skipped
    if abs(claimed - tally.n_frames) <= (tally.n_skipped_at_once if info.claim_is_exact else 1):
        return []
    about = "" if info.claim_is_exact else "about "
    return [f"container claims {about}{claimed} frames, {tally.n_frames} decode"]


def _clock_warning(tally: Tally) -> list[str]:
    if tally.n_restarts == 0:
        return []
    times = "once" if tally.n_restarts == 1 else f"{tally.n_restarts} times"
    return [f"the clock of the recording starts again {times}: times go on from there"]


def _packet_warning(tally: Tally) -> list[str]:
    if tally.n_bad_packets == 0:
        return []
    return [f"{tally.n_bad_packets} damaged packet{'s' if tally.n_bad_packets > 1 else ''} skipped"]
