"""Parts of an extraction that run on machines of their own: which videos are whose, and how far each is.

    RUN/shards/2-of-4/progress.json     how far it is, written anew every few seconds
    RUN/shards/2-of-4/failures.json     which of its videos failed; run.log, … as in a run

No machine writes what another does, so that none has to ask another.
"""

from __future__ import annotations

import heapq
import math
import os
import re
import socket
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from mulde.data.atomic import WriteError
from mulde.data.errors import InputError
from mulde.data.processes import is_alive
from mulde.data.sealed import read_json, write_json
from mulde.data.video import Video
from mulde.pipeline.runs.folder import Failure, RunFolder

_FOLDER, _PROGRESS = "shards", "progress.json"
_BEAT_SECONDS = 5.0
SILENT_SECONDS = 60.0
"""A shard on another machine that has said nothing for so long is taken for killed."""


@dataclass(frozen=True)
class Shard:
    """One of several parts of the videos."""

    number: int
    """From 1 on."""
    n_shards: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.n_shards:
            raise ValueError(f"shard {self.number} of {self.n_shards} cannot be: they count from 1")

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read "2/4".

        Raises:
            InputError: it is none.
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        try:
            if found is not None:
                return cls(int(found[1]), int(found[2]))
        except ValueError:
            pass
        raise InputError(
            f"--shard {text} is no part: give I/N with I from 1 to N, such as 1/8; of a SLURM array with "
            "--array=1-8, $SLURM_ARRAY_TASK_ID/8"
        )

    def folder(self, run: RunFolder) -> RunFolder:
        """Return where this part keeps what it says of itself."""
        return RunFolder(run.folder / _FOLDER / f"{self.number}-of-{self.n_shards}")


def split_by_length(videos: Sequence[Video], seconds: Sequence[float], n_shards: int) -> list[list[Video]]:
    """Share out videos so that all parts are about equally long; the same on every machine.

    The longest goes first, each to the part that has least so far: no part is longer than a third above the
    best that is possible (Graham 1969).
    """
    parts: list[list[Video]] = [[] for _ in range(n_shards)]
    # a video of unknown length still takes time; of equal ones, the one with fewer videos, then the first
    loads = [(0.0, 0, index) for index in range(n_shards)]
    order = sorted(range(len(videos)), key=lambda i: (-seconds[i], videos[i].name, str(videos[i].path)))
    for index in order:
        load, count, part = heapq.heappop(loads)
        parts[part].append(videos[index])
        heapq.heappush(loads, (load + seconds[index], count + 1, part))
    return parts


@dataclass(frozen=True)
class ShardProgress:
    """How far an extraction is, or one part of it."""

    number: int
    n_shards: int
    host: str
    pid: int
    updated: float
    """Seconds since 1970, by the clock of `host`."""
    state: Literal["scene", "running", "ended"]
    """"scene": the background is learnt, or another part is waited for that learns it."""
    n_videos: int = 0
    """All of this part."""
    n_cached: int = 0
    """Of them, those that were there when it began."""
    n_done: int = 0
    """Of them, those that were extracted since, failed ones included."""
    n_failed: int = 0
    """Of them, those that failed, now or before."""
    hours: float = 0.0
    """How long all its videos are together."""
    seconds: float = 0.0
    """How long it has extracted."""
    n_frames: int = 0
    """Frames that it has extracted."""
    share: float = 0.0
    """Of the work that it began with, what is done, in [0, 1]."""

    def __post_init__(self) -> None:
        numbers = (self.updated, self.hours, self.seconds)
        if not (all(0 <= number < math.inf for number in numbers) and 0 <= self.share <= 1):
            raise ValueError(f"{numbers} and {self.share} of the work cannot be")

    @property
    def frames_per_second(self) -> float:
        """Frames extracted per second."""
        return self.n_frames / self.seconds if self.seconds else 0.0

    @property
    def n_finished(self) -> int:
        """Videos of which nothing is missing."""
        return self.n_cached + self.n_done - self.n_failed

    @property
    def seconds_left(self) -> float | None:
        """How long it will take if it goes on like this; None where that cannot be told."""
        if self.state == "ended":
            return 0.0
        left = self.seconds * (1 / self.share - 1) if self.share else math.inf
        return left if left < math.inf else None


class Heart:
    """Writes how far an extraction is into its folder, every few seconds and at its end."""

    def __init__(self, run: RunFolder, shard: Shard) -> None:
        self._path = run.folder / _PROGRESS
        self._last = ShardProgress(
            shard.number, shard.n_shards, socket.gethostname(), os.getpid(), time.time(), "scene"
        )
        self._written = 0.0

    def beat(self, *, now: bool = False, **changes: object) -> None:
        """Take down what has changed, and write it if that was not done a moment ago.

        Args:
            now: write it in any case.
        """
        self._last = replace(self._last, **changes, updated=time.time())  # type: ignore[arg-type]
        if now or time.monotonic() - self._written >= _BEAT_SECONDS:
            self._written = time.monotonic()
            with suppress(WriteError):  # a full disk ends the work that it is about, with its own words
                write_json(self._path, asdict(self._last))


@dataclass(frozen=True)
class ShardStatus:
    """What is known of a part from outside."""

    progress: ShardProgress
    state: Literal["scene", "running", "ended", "killed"]
    failures: tuple[Failure, ...]


_TYPE = TypeAdapter(ShardProgress)


def read_status(run: RunFolder) -> list[ShardStatus]:
    """Return how far each part of an extraction is, in order; of one in one piece, that.

    Of parts that were cut differently, such as 4 and then 8, those of the latest cut.
    """
    found = list(_read_all([run, *map(RunFolder, sorted((run.folder / _FOLDER).glob("*-of-*")))]))
    if not found:
        return []
    latest = max(found, key=lambda status: status.progress.updated).progress.n_shards
    return sorted(
        (status for status in found if status.progress.n_shards == latest),
        key=lambda status: status.progress.number,
    )


def failed_before(run: RunFolder, stage: str) -> dict[str, Failure]:
    """Return what failed in any part, by path of the video."""
    folders = map(RunFolder, sorted((run.folder / _FOLDER).glob("*-of-*")))
    return {
        failure.path: failure for each in folders for failure in each.failures() if failure.stage == stage
    }


def _read_all(folders: Iterable[RunFolder]) -> Iterable[ShardStatus]:
    for folder in folders:
        try:
            progress = _TYPE.validate_python(read_json(folder.folder / _PROGRESS))
        except (OSError, ValueError, ValidationError):  # not begun, or damaged: it is written again soon
            continue
        yield ShardStatus(progress, _state(progress), tuple(folder.failures()))


def _state(progress: ShardProgress) -> Literal["scene", "running", "ended", "killed"]:
    if progress.state == "ended":
        return "ended"
    if progress.host == socket.gethostname():
        return progress.state if is_alive(progress.pid) else "killed"
    patience = SILENT_SECONDS if progress.state == "running" else 10 * SILENT_SECONDS
    return progress.state if time.time() - progress.updated < patience else "killed"
