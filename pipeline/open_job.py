"""From a configuration to a job: find the videos, decide where the run is."""

from __future__ import annotations

import logging
from pathlib import Path

from mulde.data.cycles import no_cycles
from mulde.data.errors import InputError
from mulde.data.layouts.catalogue import open_dataset, open_folders
from mulde.data.layouts.dataset import Dataset
from mulde.pipeline.config.sections import Config, DataConfig
from mulde.pipeline.config.words import respelled
from mulde.pipeline.features.imported import open_imported, with_boxes_as_imported
from mulde.pipeline.progress import Progress, silent
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.job import Job

_log = logging.getLogger(__name__)


def open_job(config: Config, progress: Progress = silent, *, needs_test: bool = True) -> Job:
    """Find the videos and decide where the run is; nothing is written.

    Args:
        needs_test: whether there must be test videos; not where something is only to be learnt.

    Raises:
        InputError: no data were named, or they cannot be used.
    """
    dataset = _open_data(config, needs_test=needs_test)
    if config.extract.are_imported:
        config = with_boxes_as_imported(config)
    out = config.out or _default_out(dataset.name, config)
    return Job(config.model_copy(update={"out": out}), dataset, RunFolder(out), progress)


def tell_notes(job: Job) -> None:
    """Log what does not add up in the data set, and how its split was made."""
    for note in job.dataset.notes:
        _log.warning("data set %s: %s", job.dataset.name, note)
    if job.dataset.protocol:
        _log.info("%s: %s", job.dataset.name, job.dataset.protocol)


@no_cycles()
def find_data(data: DataConfig, *, needs_test: bool = True) -> Dataset:
    """Open the data that a configuration names.

    Args:
        needs_test: whether there must be test videos.

    Raises:
        InputError: neither a data set nor videos are named, or both, or they cannot be used.
    """
    folders = (data.normal, data.test)
    if data.dataset is not None:
        if any(folders) or data.labels is not None:
            raise InputError("give --dataset ROOT, or --normal, --test and --labels, not both")
        with respelled(layout="--layout NAME"):
            return open_dataset(data.dataset, data.layout)
    if data.normal is not None and data.test is None and needs_test:
        raise InputError(
            "there are normal videos, but none to score: `mulde score --model RUN VIDEO ...` scores any with "
            "a trained RUN, into RUN/new or what --out says, for `mulde clips`, `mulde render` and `mulde "
            "evaluate --scores RUN/new/scores --labels PATH`; or give --test PATH to `mulde run`"
        )
    if data.normal is None:
        raise InputError(
            "which videos? Give --normal PATH and --test PATH, or --dataset ROOT, or features that were "
            "imported with --normal-features NAME and --test-features NAME"
        )
    return open_folders(data.normal, data.test or (), data.labels if data.test else None)


def _open_data(config: Config, *, needs_test: bool) -> Dataset:
    if not config.extract.are_imported:
        return find_data(config.data, needs_test=needs_test)
    return open_imported(config)


def _default_out(dataset: str, config: Config) -> Path:
    kind = "-".join(config.extract.streams) if config.extract.are_imported else config.preset
    return Path("runs") / f"{dataset}-{kind}"
