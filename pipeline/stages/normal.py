"""Mark events as normal, and take marks back; `train` then has them count."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mulde.data.atomic import writing
from mulde.data.cache.store import FeatureCache, read_frame_seconds, read_rows
from mulde.data.errors import InputError
from mulde.data.features import FeatureRows
from mulde.data.spelling import counted
from mulde.data.video import Video
from mulde.pipeline.config.sections import Config
from mulde.pipeline.config.words import in_users_words
from mulde.pipeline.events.files import events_if_any, read_events
from mulde.pipeline.events.find import Track
from mulde.pipeline.events.record import Event
from mulde.pipeline.features.given_boxes import open_given
from mulde.pipeline.features.inventory import CachedVideo, Recipes, look_up
from mulde.pipeline.features.recipe import stream_digests
from mulde.pipeline.marks.excerpts import (
    ABOUT,
    EXCERPTS,
    SPREADS_AROUND,
    Excerpt,
    ExcerptRows,
    copy_excerpt,
    open_excerpt,
    read_event,
    write_excerpt,
)
from mulde.pipeline.marks.record import Mark, ToldEvent, event_id, read_marks, told_of, write_marks
from mulde.pipeline.models.fuse import frames_looked_at
from mulde.pipeline.models.model import read_scenes
from mulde.pipeline.open_job import open_job
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.footage import read_footage
from mulde.pipeline.runs.origin import load_run_config
from mulde.pipeline.runs.scores import read_scores


@dataclass(frozen=True)
class _Scored:
    """An event of a video that was scored into a folder."""

    event: Event
    folder: RunFolder


@in_users_words()
def mark_as_normal(
    run: RunFolder, names: Sequence[str], place: Path | None = None, *, trust: bool = False
) -> list[Mark]:
    """Mark events as normal; return the marks that are new.

    Args:
        run: the run with the model that found them.
        names: their ids, or ranks: 1 is the first row of events.csv.
        place: the folder with their events.csv, or of what was watched; if not given, the run, its `new` and
            its `watch`.

    Raises:
        InputError: there is no such event, or its features are not there any more.
    """
    if not run.model_config.exists():
        raise InputError(f"{run.folder} is no run with a trained model: name the run whose model found them")
    run.require_inside(run.normal)
    places = [run.folder, run.folder / "new", run.folder / "watch"] if place is None else [place]
    found = [_find(name, [RunFolder(each) for each in places]) for name in names]
    known = {(mark.event.id, mark.event.source) for mark in read_marks(run)}
    marks = []
    for each in found:
        event = _keep_features(run, each, trust=trust)
        if (event.id, event.source) not in known:
            known.add((event.id, event.source))
            marks.append(Mark(event, datetime.now().astimezone().isoformat(timespec="seconds")))
    write_marks(run, [*read_marks(run), *marks])
    return marks


def take_back(run: RunFolder, names: Sequence[str]) -> list[Mark]:
    """Take marks back; return them.

    Args:
        names: their ids, or rows of the list of marks: 1 is the first.

    Raises:
        InputError: there is no such mark, or there are several.
    """
    marks = read_marks(run)
    chosen = [_marked(name, marks) for name in names]
    taken = [mark for mark in marks if mark in chosen]
    write_marks(run, [mark for mark in marks if mark not in taken])
    for mark in taken:
        shutil.rmtree(run.normal / mark.event.folder_name, ignore_errors=True)
    return taken


def _marked(name: str, marks: Sequence[Mark]) -> Mark:
    found = [mark for mark in marks if mark.event.id == name]
    if name.isdecimal():
        found = list(marks[int(name) - 1 : int(name)]) if int(name) else []
    if len(found) == 1:
        return found[0]
    if found:
        sources = ", ".join(mark.event.source for mark in found)
        raise InputError(f"{name} is marked in several files, {sources}: give the row in --list")
    known = ", ".join(sorted({mark.event.id for mark in marks})) or "none"
    raise InputError(f"{name} is not marked as normal; marked are: {known}")


def _find(name: str, places: Sequence[RunFolder]) -> _Scored | Path:
    """Return the event that a name means, or the folder of its excerpt.

    Raises:
        InputError: there is none, or there are several.
    """
    if name.isdecimal():
        having = (place for place in places if events_if_any(place))
        return _of_rank(int(name), next(having, places[0]))
    scored = [each for place in places for each in _scored(place) if event_id(each.event) == name]
    excerpts = dict.fromkeys(
        folder for place in places for folder in _excerpts(place)
    )  # one may hold another
    watched = [folder for folder in excerpts if _is_of(folder, name)]
    found: list[_Scored | Path] = [*(scored or watched)]
    if len(found) == 1:
        return found[0]
    where = ", ".join(str(place.folder) for place in places)
    if found:
        raise InputError(f"there are {len(found)} events {name} below {where}: name one folder with --from")
    raise InputError(
        f"there is no event {name} in {where}: give a rank, which is a row of events.csv, or "
        "VIDEO:START_FRAME, or the event_id that `mulde watch` gave, of whose events the last ones are kept"
    )


def _of_rank(rank: int, place: RunFolder) -> _Scored:
    if not place.events_json.exists():
        raise InputError(
            f"there are no events in {place.folder}: those of `mulde score --out DIR` are found with --from "
            "DIR, and those of `mulde watch` by the event_id that it gave, such as 3:270"
        )
    events = read_events(place)
    if not 1 <= rank <= len(events):
        raise InputError(f"{place.events} has {counted(len(events), 'event')}: there is no {rank}. one")
    return _Scored(events[rank - 1], place)


def _scored(place: RunFolder) -> Iterator[_Scored]:
    yield from (_Scored(event, place) for event in events_if_any(place))


def _excerpts(place: RunFolder) -> list[Path]:
    """Return the folders of what was kept of watched events, also of several cameras."""
    above = (place.folder.glob(f"{inside}{EXCERPTS}/*/{ABOUT}") for inside in ("", "*/"))
    return sorted(path.parent for paths in above for path in paths)


def _is_of(excerpt: Path, name: str) -> bool:
    with suppress(InputError):  # one that is damaged is no other's concern
        return read_event(excerpt).id == name
    return False


def _keep_features(run: RunFolder, found: _Scored | Path, *, trust: bool) -> ToldEvent:
    """Have the features of an event in the folder of the run; return the event."""
    if isinstance(found, Path):
        config = load_run_config(run.model_config, trust=trust)
        cached = open_excerpt(found, stream_digests(config.extract))
        event = read_event(found)
        with writing(run.folder):
            copy_excerpt(cached, run.normal / event.folder_name)
        return event
    file = run.config if found.folder == run else run.model_config
    config = load_run_config(file, options={"out": run.folder}, trust=trust)
    if config.extract.are_imported:
        raise InputError(
            "features of these events were imported: import them among the normal ones in place of marking"
        )
    cached = _look_up(run, found, config)
    scored = read_scores(found.folder, found.event.video)
    watched_seconds = Track(scored.scores, scored.seconds, scored.fps).n_seconds
    event = told_of(found.event, cached.video, str(cached.video.path.absolute()), watched_seconds)
    around = SPREADS_AROUND * config.score.smoothing_sigma_seconds
    rows = _cut(cached, config.extract.streams, event.start_seconds - around, event.stop_seconds + around)
    write_excerpt(run.normal, Excerpt(event, rows), stream_digests(config.extract))
    return event


def _look_up(run: RunFolder, found: _Scored, config: Config) -> CachedVideo:
    """Return what the cache has of the video of an event.

    Raises:
        InputError: it is not known where the video is, or its features are not there any more.
    """
    name, footage = found.event.video, read_footage(found.folder)
    if footage is not None:
        videos: Mapping[str, Video] = footage.videos
        rate = footage.frames_per_second
    else:
        job = open_job(config)
        videos, rate = {video.name: video for video in job.dataset.test}, job.frames_per_second
    if name not in videos:
        raise InputError(f"where the video {name} is, is not known any more: run `mulde score` again")
    given = open_given(config.extract, [videos[name]])
    recipes = Recipes(config.extract, read_scenes(run.model), given)
    cached = look_up(FeatureCache(config.cache), videos[name], recipes.keys(videos[name]), rate)
    if not cached.is_complete:
        raise InputError(
            f"the features of {name} are not in {config.cache} any more: run `mulde score` again, then mark "
            "the event"
        )
    return cached


def _cut(cached: CachedVideo, streams: Sequence[str], start: float, stop: float) -> ExcerptRows:
    """Return the rows of a stretch of time of a video; its frames are those that were looked at."""
    rows = {stream: read_rows(cached.entries[stream].path) for stream in streams}
    seconds = read_frame_seconds(next(iter(cached.entries.values())).path)
    looked_at = frames_looked_at(cached, rows, seconds)
    if looked_at is None:
        looked_at = np.unique(np.concatenate([part.frame for part in rows.values()]))
    times = seconds[looked_at]
    kept = looked_at[(times >= start) & (times < stop)]
    return ExcerptRows(
        {stream: _among(part, kept) for stream, part in rows.items()},
        seconds[kept] - (seconds[kept[0]] if len(kept) else 0.0),
        cached.report.fps,
    )


def _among(rows: FeatureRows, frames: NDArray[np.int64]) -> FeatureRows:
    """Return the rows of some frames, whose numbers become their positions among these."""
    is_among = np.isin(rows.frame, frames)
    boxes = None if rows.box_xyxy is None else rows.box_xyxy[is_among]
    return FeatureRows(
        rows.features[is_among], np.searchsorted(frames, rows.frame[is_among]).astype(np.int64), boxes
    )
