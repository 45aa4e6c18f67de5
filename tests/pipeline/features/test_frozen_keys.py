"""Cache keys, fingerprints and files of four configurations, frozen: code that moves must change none.

What changes on purpose (a code version, a setting) is changed here in the same commit, which says why. Rows
and scores are made up and only written, so that no version of a library decides what is compared.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mulde.data.cache.store import FeatureCache, StreamKey, read_entry
from mulde.data.exchange.imports import ImportRequest, import_features
from mulde.data.exchange.sources import ForeignSource
from mulde.data.features import FeatureRows
from mulde.data.identity import SourceIdentity
from mulde.data.labels.files import read_labels
from mulde.data.layouts.dataset import Dataset
from mulde.data.video import DecodeReport, Video
from mulde.extractors.scene import SceneModel
from mulde.pipeline.config.load import load_config
from mulde.pipeline.config.sections import Config
from mulde.pipeline.features.inventory import CachedVideo, Inventory
from mulde.pipeline.features.recipe import Recipe, build_recipe
from mulde.pipeline.features.scenes import Scenes
from mulde.pipeline.open_job import open_job
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.job import Job
from mulde.pipeline.runs.scores import ScoredVideo, object_datasets, write_scores
from mulde.pipeline.stages import evaluate, report, score, train
from mulde.pipeline.stages.stage import Situation

SCENE = SceneModel((64, 48), np.full((1, 48, 64), 128, np.uint8), 20.0, 0.0, (20.0, 20.0), aspect=0.5)
CONFIGURATIONS = {
    "motion": ("extract.streams=[velocity,direction,stillness,hog]",),
    "camera": ("preset=camera",),
    "object with local weights": (
        "preset=object",
        "extract.boxes.yolo.weights=WEIGHTS",
        "extract.pose.weights=WEIGHTS",
        "extract.appearance.encoder=torchvision/mobilenet_v2",
        "extract.appearance.weights=WEIGHTS",
    ),
    "frame with random weights": (
        "preset=frame",
        "extract.clip.encoder=torchvision/s3d",
        "extract.clip.weights=random",
    ),
}
FROZEN = {
    "motion": {
        "boxes": "e267ffd1f80c-adbf3e",
        "velocity": "77c497349157-adbf3e",
        "direction": "de09024b31bf-adbf3e",
        "stillness": "86ba13dc29dc-adbf3e",
        "hog": "0ebda6e60b68-adbf3e",
    },
    "camera": {
        "boxes": "52169c4234b4-adbf3e",
        "place": "ca9b838509c0-adbf3e",
        "texture": "6a4eb92adc76-adbf3e",
    },
    "object with local weights": {
        "boxes": "38ee99414d3b-adbf3e",
        "velocity": "1c54faf35276-adbf3e",
        "pose": "fc31babaee3e-adbf3e",
        "appearance": "9dcc46da7745-adbf3e",
    },
    "frame with random weights": {"clip": "5bb25ecb5650-adbf3e"},
    "imported": {"imported": "eded44eda3eb"},
}
FROZEN_FILES = {
    "motion": {
        "train": "e67c707ddf08", "score": "0e8d6096cde9", "evaluate": "c927532293e6",
        "report": "f8351dcb691d", "cache": "5e487cd02e6d", "scores": "fe4ae4293569",
    },
    "camera": {
        "train": "ff2b30e24c78", "score": "35b8d9ea64bc", "evaluate": "a32be89b9376",
        "report": "9c1356208161", "cache": "123bb3044372", "scores": "fe4ae4293569",
    },
    "object with local weights": {
        "train": "7ed37c39ac59", "score": "a3b52c799794", "evaluate": "0ac41a5b4c76",
        "report": "943cc67a48c9", "cache": "5e9a75966ee3", "scores": "fe4ae4293569",
    },
    "frame with random weights": {
        "train": "6335e77c733d", "score": "6e931a083f52", "evaluate": "b642a641da08",
        "report": "6a011efe631a", "cache": "76c5f3c65443", "scores": "6b4e123a11ee",
    },
    "imported": {
        "train": "8d36cbfff840", "score": "2d15e35eca76", "evaluate": "f5ab2a96563a",
        "report": "44fb0a13cc2e", "cache": "bc5155f38a3b", "scores": "33b6b5bbdd0f",
    },
}  # fmt: skip
"""Hashes: a fingerprint per stage, all files of the cache, all score files."""


def overrides_of(configuration: str, folder: Path) -> list[str]:
    weights = folder / "weights.pt"
    weights.write_bytes(b"the same bytes everywhere")
    return [text.replace("WEIGHTS", str(weights)) for text in CONFIGURATIONS[configuration]]


def keys(*overrides: str) -> dict[str, str]:
    recipe = build_recipe(load_config(overrides=list(overrides)).extract, SCENE)
    return {name: key.key for name, key in recipe.keys(Path("/videos")).items()}


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_keys_are_what_they_were(configuration: str, tmp_path: Path) -> None:
    assert keys(*overrides_of(configuration, tmp_path)) == FROZEN[configuration]


def test_key_of_imported_features_is_what_it_was() -> None:
    key = StreamKey("imported", {"name": "tracks", "is_of_objects": True})
    assert key.key == FROZEN["imported"]["imported"]


def made_up(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return (np.arange(np.prod(shape), dtype=np.float32) / 8 - 1).reshape(shape)


def write_video(cache: FeatureCache, recipe: Recipe, split: str, name: str) -> CachedVideo:
    """Have the cache write made-up rows of a video that is nowhere, in each stream."""
    folder = Path("/videos") / split
    video, streams, entries = Video(name, folder / f"{name}.mp4", folder), recipe.keys(folder), {}
    report = DecodeReport("pyav", 4, 5, 25.0, 64, 48, warnings=("one packet was refused",))
    frame = np.array([0, 1, 1])
    boxes = made_up(3, 4) if recipe.finder else None
    spans = {} if recipe.finder else {"start": frame, "stop": frame + 2}
    for stream, key in streams.items():
        n_extra = recipe.n_extra_of(stream)
        with cache.writer(
            key, video, 2, has_boxes=boxes is not None, has_spans=bool(spans), n_extra=n_extra
        ) as writer:
            extra = made_up(3, n_extra) if n_extra else None
            writer.append(FeatureRows(made_up(3, 2), frame, boxes, extra=extra, **spans))
            writer.commit(SourceIdentity(7, 8, 1, f"content of {name}"), report, np.arange(4) / 25)
        entries[stream] = read_entry(cache.entry_path(key, name))
    return CachedVideo(video, streams, entries, is_stale=False)


def extracted(config: Config, folder: Path) -> Situation:
    """Return a run of two videos whose features are in the cache."""
    recipe = build_recipe(config.extract, SCENE)
    cache = FeatureCache(config.cache)
    normal, test = (write_video(cache, recipe, *which) for which in (("normal", "a"), ("test", "cam/b")))
    (folder / "labels.csv").write_text("video,start,end\ncam/b,1,2\n")
    data = Dataset("made up", (normal.video,), (test.video,), read_labels(folder / "labels.csv"))
    situation = Situation(Job(config, data, RunFolder(folder / "run")))
    situation.inventory = Inventory(Scenes({"": SCENE}), (normal,), (test,))
    return situation


def imported(folder: Path) -> Situation:
    """Return a run of two videos whose features were imported."""
    for split, name in (("normal", "a"), ("test", "b")):
        np.save(folder / f"{name}.npy", made_up(4, 2))
        request = ImportRequest(ForeignSource(folder / f"{name}.npy"), "pose", split, fps=25.0)
        import_features(request, folder / "cache")
    (folder / "labels.csv").write_text("video,start,end\nb,1,2\n")
    data = {"normal_features": "normal", "test_features": "test", "labels": folder / "labels.csv"}
    options = {f"data.{name}": value for name, value in data.items()}
    config = load_config(
        options={**options, "out": folder / "run", "cache": folder / "cache"},
        overrides=["extract.streams=[pose]"],
    )
    return Situation(open_job(config))


def write_made_up_scores(situation: Situation) -> None:
    """Have the run's folder keep made-up scores of its test video, with what they were made from."""
    run, (cached,) = situation.job.run, situation.inventory.test
    scores, name = made_up(4).astype(np.float64), cached.video.name
    boxes = made_up(3, 4) if "boxes" in cached.keys else None
    datasets = object_datasets(np.array([0, 1, 1]), boxes, {"one": scores[1:]}, 2 * scores[1:])
    write_scores(run, ScoredVideo(name, scores, scores / 3, np.arange(4) / 25, 25.0, ("a",), "b"), datasets)
    model = train.fingerprint(situation)
    run.remember("score", score.fingerprints([cached], situation.job.config, model))


def fingerprints(situation: Situation) -> dict[str, str]:
    (name,) = (cached.video.name for cached in situation.inventory.test)
    return {
        "train": train.fingerprint(situation),
        "score": situation.job.run.fingerprints("score")[name],
        "evaluate": evaluate.fingerprint(situation.job, [name]),
        "report": report.fingerprint(situation, [name]),
    }


def contents(paths: Sequence[Path], root: Path) -> Iterator[str]:
    """Yield what is in files, without when, where and by which version they were written."""
    for path in paths:
        yield path.relative_to(root).as_posix()
        if path.suffix == ".h5":
            with h5py.File(path, "r") as file:
                attributes = {key: str(value) for key, value in file.attrs.items() if key not in _OF_THE_DAY}
                if "source" in file.attrs:
                    attributes["source"] = {**json.loads(file.attrs["source"]), "mtime_ns": 0}
                yield json.dumps(attributes, sort_keys=True)
                names: list[str] = []
                file.visit(names.append)
                datasets = {name: file[name] for name in names if isinstance(file[name], h5py.Dataset)}
                for name, item in datasets.items():
                    yield f"{name} {item.dtype.str} {item.shape} {item[()].tobytes().hex()}"
        elif path.suffix == ".json":
            said = json.loads(path.read_text())
            yield json.dumps({name: value for name, value in said.items() if name not in _OF_THE_DAY})
        else:
            yield path.read_text()


_OF_THE_DAY = {"provenance", "source_path", "imported_at", "from", "checksum"}


def digests(situation: Situation) -> dict[str, str]:
    """Return a hash of each fingerprint, of all files of the cache and of those of the scores."""
    found = {name: value[:12] for name, value in fingerprints(situation).items()}
    for name, root in (("cache", situation.job.config.cache), ("scores", situation.job.run.scores)):
        paths = sorted(path for path in root.rglob("*") if path.suffix in (".h5", ".json", ".csv"))
        assert paths
        found[name] = hashlib.sha256("\n".join(contents(paths, root)).encode()).hexdigest()[:12]
    return found


@pytest.mark.parametrize("configuration", [*CONFIGURATIONS, "imported"])
def test_fingerprints_and_files_are_what_they_were(configuration: str, tmp_path: Path) -> None:
    if configuration == "imported":
        situation = imported(tmp_path)
    else:
        options = {"cache": tmp_path / "cache", "out": tmp_path / "run"}
        overrides = overrides_of(configuration, tmp_path)
        situation = extracted(load_config(options=options, overrides=overrides), tmp_path)
    write_made_up_scores(situation)
    assert digests(situation) == FROZEN_FILES[configuration]
