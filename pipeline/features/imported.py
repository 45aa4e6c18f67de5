"""Runs without videos, on features that were made elsewhere and imported with `mulde cache import`."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from mulde.data.cache.entries import Entry, StreamFolder, read_entry, read_rows
from mulde.data.errors import InputError
from mulde.data.exchange.exports import describe_boxes
from mulde.data.exchange.imports import ImportedSplit, list_imported
from mulde.data.exchange.traits import FeatureTraits, read_traits
from mulde.data.files import natural_key
from mulde.data.labels.files import read_labels
from mulde.data.labels.labels import Labels
from mulde.data.layouts.dataset import Dataset
from mulde.data.video import Video
from mulde.extractors.kinds import STREAMS
from mulde.pipeline.config.sections import Config
from mulde.pipeline.config.words import respelled
from mulde.pipeline.features.inventory import CachedVideo, Inventory
from mulde.pipeline.features.scenes import Scenes
from mulde.pipeline.metrics.video_scores import scene_of
from mulde.pipeline.runs.job import Job

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImportedStream:
    """What a detector has to know of an imported stream, under the names that an `Extractor` has for it."""

    name: str
    has_one_unit: bool
    n_whitened: int | None
    noise_floor: float


def open_imported(config: Config) -> Dataset:
    """Make a data set of two imported splits; a video's path is its file in the cache.

    Raises:
        InputError: the splits or streams were not imported, do not fit together, or the labels do not fit.
    """
    data = config.data
    if data.normal_features is None or data.test_features is None:
        raise InputError("imported features of which splits? Give --normal-features and --test-features")
    if any((data.normal, data.test, data.dataset)):
        raise InputError(
            "--normal-features and --test-features take the place of --normal, --test and --dataset: leave "
            "those out"
        )
    normal, test = _splits(config, data.normal_features), _splits(config, data.test_features)
    for learnt, scored in zip(normal, test, strict=True):
        if learnt.n_features != scored.n_features:
            raise InputError(
                f"{learnt.stream} has {learnt.n_features} features in {learnt.split}, but "
                f"{scored.n_features} in {scored.split}: import both from one source"
            )
    videos = _videos(test)
    labels = None if data.labels is None else read_labels(data.labels)
    return Dataset(
        name=_name(data.normal_features, data.test_features),
        normal=_videos(normal),
        test=videos,
        labels=labels,
        notes=_notes(labels, videos),
    )


def with_boxes_as_imported(config: Config) -> Config:
    """Return a configuration that says whether boxes are windows: as given, or as was said at the import.

    Raises:
        InputError: they are said to be, and the features that are scored have no boxes.
    """
    assert config.data.test_features is not None
    test = _splits(config, config.data.test_features)
    if "are_windows" not in config.score.model_fields_set:
        are_windows = any(stream.traits.are_windows for stream in test)
        score = config.score.model_copy(update={"are_windows": are_windows})
        config = config.model_copy(update={"score": score})
    first = next(iter(test[0].entries.values()), None)
    if config.score.are_windows and first is not None and read_rows(first).box_xyxy is None:
        raise InputError(
            f"score.are_windows = True is not allowed: {test[0].stream} of {test[0].split} was imported "
            "without boxes: leave it out, or import them with `mulde cache import --boxes`"
        )
    return config


def imported_inventory(job: Job) -> Inventory:
    """Return what the cache has of the imported splits: all of it; nothing has to be extracted.

    Raises:
        InputError: an entry is damaged, or several streams are not of the same objects.
    """
    data = job.config.data
    assert data.normal_features is not None and data.test_features is not None
    return Inventory(
        Scenes({}),
        _cached(job.dataset.normal, _splits(job.config, data.normal_features)),
        _cached(job.dataset.test, _splits(job.config, data.test_features)),
    )


def imported_streams(job: Job) -> tuple[ImportedStream, ...]:
    """Return what the detectors have to know of each stream, as said when the normal split was imported."""
    assert job.config.data.normal_features is not None
    return tuple(
        ImportedStream(
            found.stream, found.traits.has_one_unit, found.traits.n_whitened, found.traits.noise_floor
        )
        for found in _splits(job.config, job.config.data.normal_features)
    )


def known_traits(folder: StreamFolder) -> FeatureTraits | None:
    """Return what an export of a stream is to say of its features; None of a plug-in, which is not opened."""
    said = folder.description
    if "imported_as" in said:
        return read_traits(said, str(folder.home))
    if "plugin" in said or folder.stream not in STREAMS:
        return None
    kind, boxes = STREAMS[folder.stream].load(), describe_boxes(folder)
    finder = boxes.get("motion") if boxes.get("finder") == "motion or frame" else boxes.get("finder")
    return FeatureTraits(kind.has_one_unit, kind.n_whitened, kind.noise_floor, finder == "windows")


def _splits(config: Config, split: str) -> list[ImportedSplit]:
    """Return the streams of a split in the order of `extract.streams`."""
    with respelled(cache="--cache DIR"):
        there = {found.stream: found for found in list_imported(config.cache, split)}
    if not there:
        known = sorted({found.split for found in list_imported(config.cache)})
        near = difflib.get_close_matches(split, known, n=1, cutoff=0.4) or known
        told = f"; there is {', '.join(near)}" if near else ""
        raise InputError(
            f"no features were imported as {split} into {config.cache}{told}: see mulde cache import --help"
        )
    for stream in config.extract.streams:
        if stream not in there:
            raise InputError(
                f"{split} was imported with {', '.join(sorted(there))}, not with {stream}: set "
                f"extract.streams=[{','.join(sorted(there))}], or import {stream} as well"
            )
    return [there[stream] for stream in config.extract.streams]


def _videos(streams: Sequence[ImportedSplit]) -> tuple[Video, ...]:
    """Return the videos of a split, which all its streams must have."""
    first = streams[0]
    for other in streams[1:]:
        if other.entries.keys() != first.entries.keys():
            name = min(other.entries.keys() ^ first.entries.keys())
            raise InputError(
                f"{first.stream} and {other.stream} of {first.split} were imported with different videos: "
                f"{name} is in one of them only"
            )
    return tuple(
        Video(name, first.entries[name], first.home, scene=scene_of(name))
        for name in sorted(first.entries, key=natural_key)
    )


def _cached(videos: Sequence[Video], streams: Sequence[ImportedSplit]) -> tuple[CachedVideo, ...]:
    keys = {stream.stream: stream.key for stream in streams}
    if len({key.settings.get("rate") for key in keys.values()}) > 1:
        raise InputError(f"{', '.join(keys)} look at different frames: extract and import all at one rate")
    found = []
    for video in videos:
        entries = {stream.stream: read_entry(stream.entries[video.name]) for stream in streams}
        _check_same_length(video, entries)
        if any(stream.is_of_objects for stream in streams):
            _check_same_objects(video, entries)
        found.append(CachedVideo(video, keys, entries, is_stale=False))
    return tuple(found)


def _check_same_length(video: Video, entries: dict[str, Entry]) -> None:
    lengths = {name: entry.report.n_frames for name, entry in entries.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{n_frames} frames in {name}" for name, n_frames in lengths.items())
        raise InputError(f"{video.name} has {told}: import all from one version of the video")


def _check_same_objects(video: Video, entries: dict[str, Entry]) -> None:
    """Raise InputError unless row i is the same object in all streams, as far as frames tell."""
    (name, first), *others = entries.items()
    if not others:
        return
    frame = read_rows(first.path).frame
    for other_name, other in others:
        if other.n_rows != first.n_rows or not np.array_equal(read_rows(other.path).frame, frame):
            raise InputError(
                f"{name} and {other_name} of {video.name} are not of the same objects: their rows differ in "
                "frames, so their scores cannot be added. Use one, or import both from one set of boxes"
            )


def _name(normal: str, test: str) -> str:
    # ped2/training, ped2/testing -> ped2; two names that have nothing in common -> that of the test split
    above = PurePosixPath(test).parent
    return above.as_posix() if above.name and above == PurePosixPath(normal).parent else test


def _notes(labels: Labels | None, videos: Sequence[Video]) -> tuple[str, ...]:
    unlabelled = () if labels is None else labels.check_against(videos)
    if not unlabelled:
        return ()
    names = ", ".join(video.name for video in unlabelled[:5])
    return (f"{len(unlabelled)} of {len(videos)} test videos have no labels: {names}",)
