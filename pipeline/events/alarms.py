"""Which frames of a video belong to an alarm."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from mulde.pipeline.events.record import Event, Threshold


def alarm_frames(
    events: Iterable[Event], threshold: Threshold, video: str, n_frames: int
) -> NDArray[np.bool_] | None:
    """Return which frames (n_frames,) are of an event that is an alarm; None where that cannot be told.

    Args:
        events: of any videos.
        video: the name of the one in question.
    """
    if threshold.score is None:
        return None
    is_alarm = np.zeros(n_frames, bool)
    for event in events:
        if event.video == video and threshold.is_alarm(event.score):
            is_alarm[event.start_frame : event.stop_frame] = True
    return is_alarm
