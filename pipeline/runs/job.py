"""What all stages of a command share: configuration, videos, cache and run folder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from mulde.data.cache.store import FeatureCache
from mulde.data.decode.readers import FRAMES_PER_SECOND
from mulde.data.layouts.dataset import Dataset
from mulde.pipeline.config.sections import Config
from mulde.pipeline.progress import Progress, silent
from mulde.pipeline.runs.folder import RunFolder


@dataclass(frozen=True)
class Job:
    """A configuration put to work."""

    config: Config
    dataset: Dataset
    run: RunFolder
    progress: Progress = silent
    """What is told how far long work is."""

    @cached_property
    def cache(self) -> FeatureCache:
        """The feature cache."""
        return FeatureCache(self.config.cache)

    @property
    def is_imported(self) -> bool:
        """Whether the features were made elsewhere, so that there are no videos; see `pipeline.imported`."""
        return self.config.extract.are_imported

    @property
    def frames_per_second(self) -> float:
        """Rate of folders of images, which do not say it themselves."""
        return self.config.data.frames_per_second or self.dataset.frames_per_second or FRAMES_PER_SECOND
