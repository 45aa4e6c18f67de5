"""What every stage is: it looks at what there is to do, and does it; `run` and `plan` both ask it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Generic, TypeVar

from mulde.data.layouts.common import name_some
from mulde.data.spelling import counted
from mulde.pipeline.features.imported import imported_inventory
from mulde.pipeline.features.inventory import Inventory, take_inventory
from mulde.pipeline.features.recipe import stream_digests
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.job import Job

R = TypeVar("R")

_MOST_NAMED = 3
WHOLE = ""
"""The unit of a stage that works on the run as a whole."""


@dataclass
class Situation:
    """What a stage finds: the job, what the cache has of it, and which stages before have work to do."""

    job: Job
    pending: set[str] = field(default_factory=set)
    """Names of stages; only in a plan, for whoever runs stages runs them in order."""

    @cached_property
    def inventory(self) -> Inventory:
        """What the cache has, or what was imported; extraction replaces it with what it has made."""
        return imported_inventory(self.job) if self.job.is_imported else take_inventory(self.job)

    @cached_property
    def stream_digests(self) -> dict[str, str]:
        """What decides the features of each stream; see `mulde.pipeline.features.recipe.stream_digests`."""
        return stream_digests(self.job.config.extract)


@dataclass(frozen=True)
class Work:
    """What a stage has to do, by unit: a video, or `WHOLE`."""

    stage: str
    todo: tuple[str, ...] = ()
    current: tuple[str, ...] = ()
    """Made from what is there now."""
    stale: tuple[str, ...] = ()
    """Those to do that were made before, from something else."""
    note: str = ""
    """For the user."""


class Stage(ABC, Generic[R]):
    """A stage of the pipeline."""

    name: ClassVar[str]

    @abstractmethod
    def look(self, situation: Situation) -> Work:
        """Return what there is to do; nothing is written."""

    @abstractmethod
    def run(self, situation: Situation) -> R:
        """Do it, and return what came out.

        Raises:
            InputError: something that it needs is missing or cannot be used.
        """


class RunStage(Stage[R]):
    """A stage whose outputs are in the run, which remembers what they were made from."""

    @abstractmethod
    def wanted(self, situation: Situation) -> Mapping[str, str | None]:
        """Return a hash of what each unit would be made from; None where earlier stages decide that."""

    @abstractmethod
    def is_there(self, run: RunFolder, unit: str) -> bool:
        """Whether the outputs of a unit are there, whatever they were made from."""

    def look(self, situation: Situation) -> Work:
        """Compare what is wanted with what is there."""
        return self.compare(situation.job.run, self.wanted(situation))

    def compare(self, run: RunFolder, wanted: Mapping[str, str | None], note: str = "") -> Work:
        """Compare what is wanted by unit with what is in a run."""
        made_from = run.fingerprints(self.name)
        there = {unit for unit in wanted if self.is_there(run, unit)}
        current = {u for u in there if wanted[u] is not None and made_from.get(u) == wanted[u]}
        stale = tuple(unit for unit in wanted if unit in there - current)
        again = [unit for unit in wanted if unit in stale or unit in made_from.keys() - there]
        return Work(
            self.name,
            tuple(unit for unit in wanted if unit not in current),
            tuple(unit for unit in wanted if unit in current),
            stale,
            note or name_again(again),
        )


def name_again(units: Sequence[str]) -> str:
    """Name the videos that were done before, and are done again, for the user; "" for none."""
    names = [unit for unit in units if unit != WHOLE]
    if not names:
        return ""
    n_videos = counted(len(names), "video")
    told = f"{n_videos} again, made from something else, changed or damaged since"
    return f"{told}: {name_some(names, _MOST_NAMED)}"
