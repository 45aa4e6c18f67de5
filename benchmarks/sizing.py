"""Print what much video costs in machine hours, storage and reading, and check it by a simulation.

    python benchmarks/sizing.py [--milliseconds 8.6] [--bytes-per-frame 4600] [--megabits 4] [--cores 32]

Left the arithmetic: hours × frames × milliseconds of a core, as `benchmarks/extract.py` prints them. Right
a simulation, video by video: lengths vary (log-normal), one machine in twenty is half as fast, machines fail
(once in 500 hours each) and are back after ten minutes, and the videos that they were at begin again. "parts"
is `--shard I/N`, where each machine has its own videos from the start; "queue" is Ray, where who is free
takes the next. There are at most 100 000 videos, so that those of a million hours are longer ones.
"""

from __future__ import annotations

import argparse
import heapq
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from mulde.data.video import Video
from mulde.pipeline.runs.shards import split_by_length

SLOW_SHARE, SLOW_SPEED = 0.05, 0.5
HOURS_BETWEEN_FAILURES, HOURS_DOWN = 500.0, 1 / 6
FRAMES_PER_HOUR = 25 * 3600
MOST_VIDEOS = 100_000


@dataclass(frozen=True)
class Outcome:
    """How a simulated extraction ended."""

    hours: float
    """Until the last video is done."""
    wasted: float
    """Core hours of work that began again, as a share of all that was needed."""


def simulate(
    work: NDArray[np.float64], n_machines: int, cores: int, *, queue: bool, seed: int = 0
) -> Outcome:
    """Run videos on machines that are unequal and fail.

    Args:
        work: (n,) core hours of each.
        queue: whether whoever is free takes the next, or each machine has its own part.
    """
    random = np.random.default_rng(seed)
    speed = np.where(random.random(n_machines) < SLOW_SHARE, SLOW_SPEED, 1.0)
    fails = random.exponential(HOURS_BETWEEN_FAILURES, n_machines)  # the next time of each
    if queue:
        shared = list(range(len(work)))[::-1]
        left = [shared] * n_machines
    else:
        videos = [Video(str(i), Path(str(i)), Path()) for i in range(len(work))]
        parts = split_by_length(videos, work.tolist(), n_machines)
        left = [[int(video.name) for video in part][::-1] for part in parts]
    free = [(0.0, machine, core) for machine in range(n_machines) for core in range(cores)]
    heapq.heapify(free)
    end = wasted = 0.0
    while free:
        now, machine, core = heapq.heappop(free)
        while fails[machine] + HOURS_DOWN <= now:  # it failed while this core had nothing to lose
            fails[machine] += HOURS_DOWN + random.exponential(HOURS_BETWEEN_FAILURES)
        if fails[machine] <= now:
            heapq.heappush(free, (fails[machine] + HOURS_DOWN, machine, core))
            continue
        if not left[machine]:
            continue
        video = left[machine].pop()
        done = now + work[video] / speed[machine]
        if done > fails[machine]:  # lost, and again where there is a free core
            wasted += (fails[machine] - now) * speed[machine]
            left[machine].append(video)
            done = fails[machine] + HOURS_DOWN
        else:
            end = max(end, done)
        heapq.heappush(free, (done, machine, core))
    return Outcome(end, wasted / float(work.sum()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--milliseconds", type=float, default=8.6, help="of a core, per frame")
    parser.add_argument("--bytes-per-frame", type=float, default=4600.0, help="of features")
    parser.add_argument("--megabits", type=float, default=4.0, help="a second, of the videos")
    parser.add_argument("--cores", type=int, default=32, help="of a machine")
    parser.add_argument("--minutes", type=float, default=30.0, help="mean length of a video")
    arguments = parser.parse_args()
    core_hours_per_hour = FRAMES_PER_HOUR * arguments.milliseconds / 1000 / 3600
    table = Table("hours of video", "machines", "core hours", "features GB", "read GB/s", "hours: arithmetic",
                  "parts", "queue", "done again, parts", "queue", box=None, pad_edge=False)  # fmt: skip
    for hours, n_machines in ((1_000, 1), (1_000, 8), (100_000, 32), (1_000_000, 32), (1_000_000, 256)):
        needed = hours * core_hours_per_hour
        by_arithmetic = needed / n_machines / arguments.cores
        n_videos = min(round(hours * 60 / arguments.minutes), MOST_VIDEOS)
        lengths = np.random.default_rng(0).lognormal(0, 0.8, n_videos)
        work = lengths / lengths.sum() * needed
        parts = simulate(work, n_machines, arguments.cores, queue=False)
        shared = simulate(work, n_machines, arguments.cores, queue=True)
        gigabytes = hours * FRAMES_PER_HOUR * arguments.bytes_per_frame / 1e9
        read = hours * 3600 * arguments.megabits / 8000 / (by_arithmetic * 3600)
        table.add_row(
            f"{hours:,}", str(n_machines), f"{needed:,.0f}", f"{gigabytes:,.0f}", f"{read:.2f}",
            f"{by_arithmetic:,.1f}", f"{parts.hours:,.1f}", f"{shared.hours:,.1f}",
            f"{100 * parts.wasted:.2f} %", f"{100 * shared.wasted:.2f} %",
        )  # fmt: skip
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
