"""When the frames of a file are shown, from its packets alone: nothing is decoded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mulde.data.decode.preflight import Probe, open_container

_WITH_HIDDEN_FRAMES = frozenset({"vp8"})
"""FFmpeg's names of the codecs that have packets of which nothing is shown."""


def read_packet_seconds(path: Path, probe: Probe) -> NDArray[np.float64] | None:
    """Read when each frame is shown, (n_frames,) seconds from the first on, if all packets decode.

    None where packets do not tell: they have no times, their clock starts again, or they cannot all be read.

    Raises:
        VideoError: the file cannot be opened.
    """
    import av

    if probe.codec in _WITH_HIDDEN_FRAMES:
        return None
    stamps: list[int] = []
    last = None
    with open_container(path) as (container, stream):
        try:
            for packet in container.demux(stream):
                if packet.size == 0 or packet.is_discard:
                    continue
                stamp = packet.dts if probe.stamps_are_coding_times else packet.pts
                goes_back = last is not None and packet.dts is not None and packet.dts < last
                if stamp is None or goes_back:
                    return None
                stamps.append(stamp)
                last = packet.dts
        except av.FFmpegError:
            return None
        unit_seconds = float(stream.time_base or 0)
    if not stamps or unit_seconds == 0:
        return None
    seconds: NDArray[np.float64] = (np.sort(stamps) - min(stamps)) * unit_seconds
    return seconds
