"""Turn the time stamps of frames into seconds from the first frame on."""

from __future__ import annotations

from collections import deque
from statistics import median_low
from typing import TYPE_CHECKING

from mulde.data.decode.preflight import Probe
from mulde.data.decode.report import Tally

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_LEAST_STEP = 0.1
"""What a frame moves on by at least, as a share of the usual distance of frames."""
_MOST_FRAMES_MIXED_UP = 8
_MOST_SECONDS_MIXED_UP = 1.0
"""A damaged stream may hand out frames out of order, but no further apart than the larger of these two."""
_MOST_REPEATS = 1
"""A clock that shows the same time more often in a row stands still, and tells nothing."""
_N_STEPS = 9
"""Distances of frames of which the middle one is the usual: a pause in the recording must not be."""


class Clock:
    """Seconds that never stand still or go back, whatever the time stamps do.

    Where the clock of a recording starts again, as in files that were joined, times go on from there with the
    usual distance of frames, and the tally has the frame. A jump ahead is a pause in the recording: the time
    has passed.
    """

    def __init__(self, probe: Probe, stream: VideoStream, tally: Tally) -> None:
        self._stamps_are_coding_times = probe.stamps_are_coding_times
        self._unit_seconds = float(stream.time_base or 0)
        self._tally = tally
        if self._stamps_are_coding_times:
            tally.tick_seconds = self._unit_seconds
        self._header_step = 1 / probe.info.fps
        self._steps: deque[float] = deque(maxlen=_N_STEPS)
        self._n_frames = 0
        self._last = -self._header_step  # the first frame is at 0.0, with a time stamp or without
        self._offset: float | None = None  # from stamps to seconds; None before the first stamp
        self._first_stamp = self._last_stamp = 0.0  # of this part of the recording
        self._shown: int | None = None  # by the clock, as it is
        self._n_repeats = 0

    @property
    def _usual(self) -> float:
        """The usual distance of frames."""
        return median_low(self._steps) if self._steps else self._header_step

    def seconds(self, frame: VideoFrame) -> float:
        """Return the time of the frame that comes next."""
        stamp = frame.dts if self._stamps_are_coding_times else frame.pts
        if stamp is None or self._unit_seconds == 0 or self._stands_still(stamp):
            self._last += self._usual
            self._last_stamp += self._usual
        else:
            self._last = self._read(stamp * self._unit_seconds, is_key_frame=frame.key_frame)
        self._n_frames += 1
        return self._last

    def _stands_still(self, stamp: int) -> bool:
        self._n_repeats = self._n_repeats + 1 if stamp == self._shown else 0
        self._shown = stamp
        return self._n_repeats > _MOST_REPEATS

    def _read(self, stamp: float, *, is_key_frame: bool) -> float:
        if self._offset is None:
            offset = self._begin(stamp)
        elif self._starts_again(stamp, is_key_frame=is_key_frame):
            self._tally.restart_frames.append(self._n_frames)
            offset = self._begin(stamp)
        else:
            offset = self._offset
            if stamp > self._last_stamp:
                self._steps.append(stamp - self._last_stamp)
        self._last_stamp = stamp
        # where a late frame was handed out early the steps are small, so that the next are on time again
        return max(stamp + offset, self._last + _LEAST_STEP * self._usual)

    def _begin(self, stamp: float) -> float:
        """Let a part of the recording begin a frame after what was shown before."""
        self._first_stamp, self._offset = stamp, self._last + self._usual - stamp
        return self._offset

    def _starts_again(self, stamp: float, *, is_key_frame: bool) -> bool:
        """Whether time has gone back by more than a stream mixes up its frames.

        A recording begins with a key frame, so that one is believed sooner, above all where it takes time
        back to where it began.
        """
        usual = self._usual
        back, mixed_up = self._last_stamp - stamp, _MOST_FRAMES_MIXED_UP * usual
        if back > max(_MOST_SECONDS_MIXED_UP, mixed_up):
            return True
        is_from_the_start = back > usual / 2 and stamp < self._first_stamp + usual / 2
        return is_key_frame and (back > mixed_up or is_from_the_start)
