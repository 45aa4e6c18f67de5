"""Stage train: one detector a stream, from the cached features of the normal videos."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from mulde.data.atomic import write_text
from mulde.data.cache import digest_of, read_features
from mulde.data.errors import InputError
from mulde.detector import Calibration
from mulde.extractors.base import Extractor
from mulde.pipeline.console import Bar
from mulde.pipeline.extract import CachedVideo, Inventory, usable
from mulde.pipeline.job import Job
from mulde.pipeline.model import RunModel, StreamModel
from mulde.pipeline.recipe import build_recipe, stream_digest

STAGE = "train"
CODE_VERSION = 1
"""Raise it when the same features and settings give another model than before."""
_MIN_ROWS = 2
_log = logging.getLogger(__name__)


def train(job: Job, inventory: Inventory) -> None:
    """Train and save the model of a run, unless the one that is there was made from the same.

    Raises:
        InputError: features are missing, or too few to learn from.
    """
    videos = usable(job, inventory.normal, "normal")
    assert inventory.scenes is not None
    wanted = fingerprint(job, inventory)
    if is_current(job, wanted):
        _log.info("train: up to date, %s", job.run.model)
        return
    started = time.monotonic()
    scene = next(iter(inventory.scenes.models.values()))  # streams do not depend on which
    extractors = build_recipe(job.config.extract, scene).extractors
    streams = {extractor.name: _train_stream(job, extractor, videos) for extractor in extractors}
    job.run.model.mkdir(parents=True, exist_ok=True)
    RunModel(streams, inventory.scenes).save(
        job.run.model,
        job.config.extract,
        {"dataset": job.dataset.name, "n_videos": len(videos), "seed": job.config.seed},
    )
    write_text(job.run.model_config, job.config.to_yaml())
    job.run.remember(STAGE, {"": wanted})
    _log.info("train: %s in %.1f s", ", ".join(streams), time.monotonic() - started)


def fingerprint(job: Job, inventory: Inventory) -> str:
    """Return a hash of all that the model is made from: features, detector settings and seed."""
    assert inventory.scenes is not None
    return digest_of(
        {
            "features": sorted(source_of(cached) for cached in inventory.normal if cached.is_complete),
            "streams": {name: stream_digest(job.config.extract, name) for name in job.config.extract.streams},
            "scenes": inventory.scenes.digest,
            "code_version": CODE_VERSION,
            "detector": job.config.detector.model_dump(mode="json"),
            "seed": job.config.seed,
        }
    )


def is_current(job: Job, wanted: str) -> bool:
    """Whether the run's model was made from what the fingerprint stands for."""
    return job.run.fingerprint(STAGE) == wanted and (job.run.model / "manifest.json").exists()


def source_of(cached: CachedVideo) -> list[str]:
    """Return what the rows of a video are made from: its name, the keys of its streams, its content."""
    keys = [f"{name}:{key.key}" for name, key in sorted(cached.keys.items())]
    return [cached.video.name, *keys, next(iter(cached.entries.values())).identity.digest]


def _train_stream(job: Job, extractor: Extractor, videos: Sequence[CachedVideo]) -> StreamModel:
    name = extractor.name
    features = read_features([cached.entries[name].path for cached in videos])
    if len(features) < _MIN_ROWS:
        raise InputError(
            f"the {len(videos)} normal videos hold {len(features)} objects, too few to learn {name} from: is "
            "there motion in them? Lower extract.boxes.windows.min_coverage or threshold, or add videos"
        )
    from mulde.detector import MULDE  # only here, for it imports torch

    settings = job.config.detector
    n_steps = settings.epochs * -(-len(features) // settings.batch_size)
    with Bar(f"train {name}", min(settings.max_steps or n_steps, n_steps), "steps") as bar:
        detector = MULDE(
            **settings.model_dump(),
            scaling="common" if extractor.has_one_unit else "feature",
            scale_floor=extractor.noise_floor,
            n_whitened=extractor.n_whitened,
            device=job.config.device,
            random_state=job.config.seed,
            progress=lambda step, n_steps, loss: bar.update(step, f"loss {loss:.4f}"),
        )
        try:
            detector.fit(features)
        except ValueError as error:
            raise InputError(f"{name} cannot be learnt: {error}") from None
    _log.info(
        "train %s: %d rows of %d features, %d steps, loss %.4f",
        name, *features.shape, len(detector.losses_), detector.losses_[-50:].mean(),
    )  # fmt: skip
    scores = detector.anomaly_score(features)
    return StreamModel(detector, Calibration.fit(scores))
