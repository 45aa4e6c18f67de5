"""Stage evaluate: metrics of the scores against the labels."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from mulde.data.cache.store import digest_of
from mulde.data.cycles import no_cycles
from mulde.data.errors import InputError
from mulde.data.labels.labels import Labels
from mulde.data.sealed import read_bytes, write_json
from mulde.data.spelling import counted
from mulde.data.times import shown_seconds
from mulde.pipeline.config.dotted import flat, in_yaml
from mulde.pipeline.config.load import load_config
from mulde.pipeline.config.sections import Config, ScoreConfig
from mulde.pipeline.events.alarms import alarm_frames
from mulde.pipeline.events.files import STAGE as EVENTS
from mulde.pipeline.events.files import read_events, read_threshold
from mulde.pipeline.features.recipe import caution
from mulde.pipeline.marks.record import marks_of, read_marks
from mulde.pipeline.metrics.alarms import AlarmCount, count_alarms
from mulde.pipeline.metrics.measure import CODE_VERSION, Metrics, VideoScores, evaluate_frames
from mulde.pipeline.metrics.protocols import Smoothing, find_protocol
from mulde.pipeline.metrics.settings import EvaluateConfig
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.job import Job
from mulde.pipeline.runs.scores import ScoredVideo, read_scores, with_scores
from mulde.pipeline.stages import score
from mulde.pipeline.stages.find_events import FindEvents
from mulde.pipeline.stages.region_labels import read_region_videos
from mulde.pipeline.stages.stage import WHOLE, RunStage, Situation, Work

_log = logging.getLogger(__name__)


class Evaluate(RunStage[Metrics | None]):
    """Measure the scores against the labels."""

    name = "evaluate"

    def wanted(self, situation: Situation) -> dict[str, str | None]:
        """Return what the metrics would be made from; nothing where there are no labels."""
        job = situation.job
        if job.dataset.labels is None:
            return {}
        is_scored = not {score.STAGE, EVENTS} & situation.pending
        return {WHOLE: fingerprint(job, names_of_scored(situation)) if is_scored else None}

    def is_there(self, run: RunFolder, unit: str) -> bool:
        """Whether there are metrics that can be read."""
        return read_metrics(run.metrics) is not None

    def look(self, situation: Situation) -> Work:
        """Compare what is wanted with what is there."""
        note = "left out: no labels" if situation.job.dataset.labels is None else ""
        return self.compare(situation.job.run, self.wanted(situation), note)

    def run(self, situation: Situation) -> Metrics | None:
        """Write metrics.json, unless it is up to date; return what it says, None where there are no labels.

        Raises:
            InputError: scores are missing or damaged, or labels do not fit them.
        """
        job = situation.job
        labels = job.dataset.labels
        if labels is None:
            _log.info("evaluate: left out, no labels were given (--labels)")
            job.run.metrics.unlink(missing_ok=True)
            return None
        names = require_scores(situation)
        if not self.look(situation).todo:
            _log.info("evaluate: up to date, %s", job.run.metrics)
            return read_metrics(job.run.metrics)
        scored = [read_scores(job.run, name) for name in names if labels.has(name)]
        if not scored:
            raise InputError("none of the scored videos has labels: nothing can be evaluated")
        labels.tell_doubt({video.name: video.seconds for video in scored})
        metrics = _measure(job, scored, labels)
        write_metrics(job.run.metrics, metrics)
        job.run.remember(self.name, {WHOLE: fingerprint(job, names)})
        _log.info("evaluate: %s, %s", counted(len(scored), "video"), job.run.metrics)
        return metrics


def names_of_scored(situation: Situation) -> list[str]:
    """Return the test videos that have scores, without those that can no longer be read."""
    run = situation.job.run
    failed = {failure.path for failure in run.failures()}
    videos = situation.job.dataset.test
    if failed:
        videos = tuple(video for video in videos if str(video.path.absolute()) not in failed)
    return with_scores(run, (video.name for video in videos))


@no_cycles()
def require_scores(situation: Situation) -> list[str]:
    """Return the names of the test videos that have scores, without those that can no longer be read.

    Raises:
        InputError: there are none, or some were made from other features or settings than these.
    """
    job, inventory = situation.job, situation.inventory
    names = names_of_scored(situation)
    if not names:
        raise InputError(f"there are no scores in {job.run.scores}: run `mulde score` first")
    if not inventory.scenes or not any(cached.is_complete or cached.is_stale for cached in inventory.test):
        _require_same_settings(job)  # the cache is gone: the scores are all there is, and taken as they are
    else:
        stale = score.Score().look(situation).todo
        if stale:
            raise InputError(
                f"the scores of {len(stale)} of {len(inventory.test)} test videos are missing or not up to "
                f"date, the first is {stale[0]}: run `mulde score` with the same options first, after "
                "`mulde extract` if a video is new"
            )
        if FindEvents().look(situation).todo:
            raise InputError(
                "the events are missing, or were found with other settings: run `mulde score` with the same "
                "options first"
            )
    return names


def _require_same_settings(job: Job) -> None:
    """Check that scores are asked for as they were made, where no features are there that tell.

    Raises:
        InputError: they were made with other settings.
    """
    if not job.run.config.is_file():
        return
    now, then = _settings_of_scores(job.config), _settings_of_scores(load_config(job.run.config))
    other = [name for name in now if now[name] != then.get(name)]
    if other:
        said = ", ".join(f"{name}={in_yaml(then.get(name))}" for name in other)
        raise InputError(
            f"the scores in {job.run.scores} were made with {said}, and the features to make others are not "
            "in the cache: leave the change out, or use `mulde run`, which extracts again"
        )


def _settings_of_scores(config: Config) -> dict[str, Any]:
    """Return what scores depend on, by name of the setting, but for files: they may have been moved since."""
    settings = flat(
        {
            "extract": config.extract.model_dump(mode="json", exclude={"weights_folder", "plugins"}),
            "detector": config.detector.resolved(),
            "train": {"by": config.train.by},
            "score": config.score.of_frames,
            "seed": config.seed,
        }
    )
    return {name: value for name, value in settings.items() if not name.endswith((".weights", ".file"))}


def fingerprint(job: Job, names: Sequence[str]) -> str:
    """Return a hash of all that the metrics are made from."""
    labels, scenes, made_from = job.dataset.labels, scenes_of(job), job.run.fingerprints(score.STAGE)
    unscored = _unscored(job, set(names))
    return digest_of(
        {
            **({"unscored": unscored} if unscored else {}),
            "code_version": CODE_VERSION,
            "scores": [[name, made_from.get(name), scenes.get(name, "")] for name in names],
            "events": job.run.fingerprint(EVENTS),
            "labels": labels.digest if labels else None,
            "settings": job.config.evaluate.model_dump(mode="json"),
            "are_windows": job.config.score.are_windows,
            "seed": job.config.seed,
        }
    )


_METRICS = TypeAdapter(Metrics)


def write_metrics(path: Path, metrics: Metrics) -> None:
    """Write metrics.json.

    Raises:
        WriteError: the disk is full, the folder is gone or may not be written.
    """
    write_json(path, metrics.as_dict(), allow_nan=False)


def read_metrics(path: Path) -> Metrics | None:
    """Read metrics back; None if they are missing, damaged, changed or of another version."""
    try:
        found = _METRICS.validate_python(asdict(Metrics.from_json(read_bytes(path).decode("utf-8"))))
        found.to_json()  # which takes no NaN
        return found
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def scenes_of(job: Job) -> Mapping[str, str]:
    """Return the scene of each test video by name."""
    return {video.name: video.scene for video in job.dataset.test}


def configured_smoothing(settings: ScoreConfig) -> Smoothing:
    """Return how the scores of a run are smoothed."""
    return Smoothing(0, settings.causal, settings.smoothing_sigma_seconds)


def apply_protocol(
    settings: EvaluateConfig, smoothed: Sequence[VideoScores], unsmoothed: Sequence[VideoScores]
) -> list[VideoScores]:
    """Return the scores that the protocol measures, from the same videos with and without smoothing."""
    protocol = find_protocol(settings.protocol)
    return [
        replace(video, scores=protocol.apply(video.scores, raw.scores))
        for video, raw in zip(smoothed, unsmoothed, strict=True)
    ]


def _measure(job: Job, scored: Sequence[ScoredVideo], labels: Labels) -> Metrics:
    scenes, settings = scenes_of(job), job.config.evaluate
    smoothed, raw = (
        [
            VideoScores(
                video.name,
                video.unsmoothed if is_raw else video.scores,
                labels.frames(video.name, len(video.scores), video.seconds),
                scenes.get(video.name, ""),
                video.fps,
                video.seconds,
            )
            for video in scored
        ]
        for is_raw in (False, True)
    )
    regions, no_regions_reason = read_region_videos(
        job.run, labels, raw, are_windows=job.config.score.are_windows
    )
    protocol = find_protocol(settings.protocol)
    metrics = evaluate_frames(
        apply_protocol(settings, smoothed, raw),
        treatment=protocol.describe(settings.protocol, configured_smoothing(job.config.score)),
        unsmoothed=raw,
        regions=regions,
        no_regions_reason=no_regions_reason,
        settings=settings,
        seed=job.config.seed,
    )
    alarms = _count_alarms(job.run, scored, smoothed, settings)
    unscored = _caution_of_unscored(job, {video.name for video in scored})
    cautions = filter(None, [caution(job.config.extract), _caution_of_marks(job), unscored])
    return replace(metrics, alarms=alarms, caution="; ".join(cautions))


def _labelled(job: Job) -> list[str]:
    """Return the test videos that have labels."""
    labels = job.dataset.labels
    return [video.name for video in job.dataset.test if labels is not None and labels.has(video.name)]


def _unscored(job: Job, scored: Collection[str]) -> list[str]:
    """Return the test videos that have labels and no scores, as where they cannot be read."""
    return [name for name in _labelled(job) if name not in scored]


def _caution_of_unscored(job: Job, scored: Collection[str]) -> str:
    """Return what is not in the metrics though it has labels; a part must not pass for the whole."""
    unscored = _unscored(job, scored)
    if not unscored:
        return ""
    some = ", ".join(unscored[:3]) + (", …" if len(unscored) > 3 else "")
    all_labelled = counted(len(_labelled(job)), "labelled test video")
    return f"{len(unscored)} of {all_labelled} without scores, and not measured: {some}"


def _caution_of_marks(job: Job) -> str:
    """Return why metrics are not of unseen footage, where events of it were marked as normal."""
    marks = read_marks(job.run)
    n_marked = 0 if job.is_imported else sum(len(marks_of(marks, v.path)) for v in job.dataset.test)
    if not n_marked:
        return ""
    return f"{counted(n_marked, 'event')} of these videos marked as normal: they are no unseen footage"


def _count_alarms(
    run: RunFolder, scored: Sequence[ScoredVideo], labelled: Sequence[VideoScores], settings: EvaluateConfig
) -> AlarmCount | None:
    """Compare what the threshold promised with what it did; None where there is none."""
    if run.fingerprint(EVENTS) is None:  # scores from before there were events
        return None
    events, threshold = read_events(run), read_threshold(run)
    if threshold.score is None:
        return None
    videos = []
    for video, truth in zip(scored, labelled, strict=True):
        alarm = alarm_frames(events, threshold, video.name, len(video.scores))
        assert alarm is not None
        videos.append((alarm, truth.labels, shown_seconds(video.seconds, video.fps)))
    return count_alarms(
        videos,
        promised_per_day=threshold.false_alarms_per_day,
        is_extrapolated=threshold.is_extrapolated,
        threshold=threshold.score,
        min_share=settings.event_min_share,
    )
