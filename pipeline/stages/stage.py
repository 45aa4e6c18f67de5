"""What every stage is: it looks at what there is to do, and does it; `run` and `plan` both ask it."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Generic, TypeVar

from mulde.data.cycles import no_cycles
from mulde.data.errors import InputError
from mulde.data.layouts.common import name_some
from mulde.data.spelling import counted
from mulde.pipeline.features.given_boxes import GivenBoxes, open_given
from mulde.pipeline.features.imported import imported_inventory
from mulde.pipeline.features.inventory import CachedVideo, Inventory, Recipes, look_up_all
from mulde.pipeline.features.recipe import stream_digests
from mulde.pipeline.features.scenes import find_scenes, group_by_scene
from mulde.pipeline.marks.excerpts import open_excerpt
from mulde.pipeline.marks.record import Mark, read_marks
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.job import Job

R = TypeVar("R")
_log = logging.getLogger(__name__)

_MOST_NAMED = 3
WHOLE = ""
"""The unit of a stage that works on the run as a whole."""


@dataclass
class Situation:
    """What a stage finds: the job, what the cache has of it, and which stages before have work to do."""

    job: Job
    pending: set[str] = field(default_factory=set)
    """Names of stages; only in a plan, for whoever runs stages runs them in order."""
    at_a_glance: bool = False
    """Whether no stage reads features, so that the inventory need not know of every stream."""

    @cached_property
    def recipes(self) -> Recipes:
        """What would make the features, scene by scene; extraction replaces them when scenes are learnt."""
        config, dataset = self.job.config, self.job.dataset
        groups = group_by_scene(dataset.normal, dataset.test, merge=config.data.merge_cameras)
        scenes = find_scenes(self.job.cache, groups, config.extract.scene)
        return Recipes(config.extract, scenes, self.given)

    @cached_property
    def given(self) -> GivenBoxes | None:
        """Boxes that others made, where a file of them is named."""
        dataset = self.job.dataset
        return open_given(self.job.config.extract, (*dataset.normal, *dataset.test))

    @cached_property
    def inventory(self) -> Inventory:
        """What the cache has, or what was imported; extraction replaces it with what it has made."""
        if self.job.is_imported:
            return imported_inventory(self.job)
        return look_up_all(self.job, self.recipes, at_a_glance=self.at_a_glance)

    @cached_property
    def marked(self) -> Mapping[Mark, CachedVideo]:
        """The events that were marked as normal, as far as their features are like those of now."""
        marks = read_marks(self.job.run)
        digests = stream_digests(self.job.config.extract) if marks else {}
        usable = {}
        for mark in marks:
            folder = self.job.run.normal / mark.event.folder_name
            try:
                usable[mark] = open_excerpt(folder, digests)
            except InputError as error:
                _log.warning("marked as normal: %s; it is left out: mark it again", error)
        return usable

    @property
    def learnt_marks(self) -> tuple[CachedVideo, ...]:
        """Those that are learnt from as well."""
        return tuple(self.marked.values()) if self.job.config.train.marked == "learn" else ()

    @property
    def stream_digests(self) -> dict[str, str]:
        """What decides the features of each stream, imported or not; see `Recipe.stream_digests`."""
        extract = self.job.config.extract
        return stream_digests(extract) if self.job.is_imported else self.recipes.any.stream_digests


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

    def those_there(self, run: RunFolder, units: Iterable[str]) -> set[str]:
        """Return the units of which the outputs are there."""
        return {unit for unit in units if self.is_there(run, unit)}

    @no_cycles()
    def look(self, situation: Situation) -> Work:
        """Compare what is wanted with what is there."""
        return self.compare(situation.job.run, self.wanted(situation))

    def compare(self, run: RunFolder, wanted: Mapping[str, str | None], note: str = "") -> Work:
        """Compare what is wanted by unit with what is in a run."""
        made_from = run.fingerprints(self.name)
        there = self.those_there(run, wanted)
        current = {u for u in there if wanted[u] is not None and made_from.get(u) == wanted[u]}
        not_current = there - current
        stale = tuple(unit for unit in wanted if unit in not_current)
        other = [unit for unit in stale if wanted[unit] is not None]
        gone = [unit for unit in wanted if unit in made_from and unit not in there]
        again = [
            name_again(other, "made from something else than now"),
            name_again(gone, "gone or damaged"),
            "again if what earlier stages make is another than it was" if len(other) < len(stale) else "",
        ]
        return Work(
            self.name,
            tuple(unit for unit in wanted if unit not in current),
            tuple(unit for unit in wanted if unit in current),
            stale,
            note or "; ".join(filter(None, again)),
        )


def name_again(units: Sequence[str], why: str = "made from something else, changed or damaged since") -> str:
    """Name the videos that were done before, and are done again, for the user; "" for none."""
    names = [unit for unit in units if unit != WHOLE]
    if not names:
        return ""
    n_videos = counted(len(names), "video")
    return f"{n_videos} again, {why}: {name_some(names, _MOST_NAMED)}"
