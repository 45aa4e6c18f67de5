"""Print seconds and memory of the commands that look at everything, on made-up caches and runs.

    python benchmarks/many.py [--videos 100000] [--frames 1000000] [--folder DIR]

First a data set of very many videos: their files, every stream of theirs in the cache, a trained model, the
scores of all test videos and some events are made up, by copying what the pipeline itself has written of one
video. Then `plan`, `cache list`, an `extract` that finds all there, `status` and `report` are run on it, each
in a process of its own. Then one video with very many frames, from its cached features on: `run`, and a
report once more.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from mulde.data import sealed
from mulde.data.cache.storage import FileState
from mulde.data.cache.store import FeatureCache
from mulde.data.features import FeatureRows
from mulde.data.identity import identify
from mulde.data.video import DecodeReport, Video
from mulde.extractors.scene import SceneModel
from mulde.pipeline.config.load import load_config
from mulde.pipeline.config.sections import Config
from mulde.pipeline.events.files import STAGE as EVENTS
from mulde.pipeline.events.files import write_events, write_threshold
from mulde.pipeline.events.record import Event, sort_events
from mulde.pipeline.features import scenes
from mulde.pipeline.features.recipe import build_recipe
from mulde.pipeline.open_job import open_job
from mulde.pipeline.runs.origin import write_signed
from mulde.pipeline.runs.scores import note_written
from mulde.pipeline.stages import find_events, hold_out, score, train
from mulde.pipeline.stages.stage import WHOLE, Situation

FPS = 25.0
SIZE = (320, 240)
_ZEROS = b"0" * 32


@dataclass(frozen=True)
class Made:
    """A made-up data set with its cache and run."""

    folder: Path

    @property
    def options(self) -> list[str]:
        """What every command is given."""
        return [
            *("--normal", str(self.folder / "normal"), "--test", str(self.folder / "test")),
            *("--out", str(self.folder / "run"), "--cache", str(self.folder / "cache"), "--device", "cpu"),
            *("detector.kind=mahalanobis", "report.n_pictures=0"),
        ]

    def config(self) -> Config:
        """The same for the pipeline itself."""
        return load_config(
            None,
            options={
                "data.normal": self.folder / "normal",
                "data.test": self.folder / "test",
                "out": self.folder / "run",
                "cache": self.folder / "cache",
                "device": "cpu",
            },
            overrides=["detector.kind=mahalanobis", "report.n_pictures=0"],
        )


def make(folder: Path, n_videos: int, n_normal: int, n_frames: int) -> Made:
    """Make up a data set, with all of it in the cache."""
    made = Made(folder)
    for split, count in (("normal", n_normal), ("test", n_videos - n_normal)):
        (folder / split).mkdir(parents=True)
        for index in range(count):
            path = folder / split / f"{_name(index)}.mp4"
            path.write_bytes(b"made up")
            os.utime(path, (1.7e9, 1.7e9))  # so that all have one identity
    job = open_job(made.config())
    groups = scenes.group_by_scene(job.dataset.normal, job.dataset.test)
    scene = SceneModel(SIZE, np.full((1, SIZE[1], SIZE[0]), 90, np.uint8), 40.0, 0.1, (30.0, 70.0), 0.5)
    for name, videos in groups.items():
        scenes._write(job.cache, name, videos, job.config.extract.scene, scene, usable=videos)
    for of_split in (job.dataset.normal, job.dataset.test):
        _make_entries(job.cache, made.config(), scene, of_split, n_frames)
    job.cache.index.save()  # as `extract` does
    return made


def _make_entries(
    cache: FeatureCache, config: Config, scene: SceneModel, videos: Sequence[Video], n_frames: int
) -> None:
    recipe, first = build_recipe(config.extract, scene), videos[0]
    random = np.random.default_rng(0)
    frame = np.repeat(np.arange(0, n_frames, 3), 2)  # two objects in every third frame
    box = np.tile(np.array([[20, 30, 50, 90]], np.float32), (len(frame), 1))
    report = DecodeReport("pyav", n_frames, n_frames, FPS, *SIZE)
    identity = identify(first, with_digest=True)
    for name, key in recipe.keys(first.split_folder).items():
        n_features = recipe.width_of(name)
        with cache.writer(key, first, n_features, has_boxes=True, n_extra=recipe.n_extra_of(name)) as writer:
            features = random.normal(size=(len(frame), n_features)).astype(np.float32)
            n_extra = recipe.n_extra_of(name)
            extra = np.zeros((len(frame), n_extra), np.float32) if n_extra else None
            writer.append(FeatureRows(features, frame, box, extra=extra))
            writer.commit(identity, report, np.arange(n_frames) / FPS)
        path = cache.entry_path(key, first.name)
        content, entry = path.read_bytes(), cache.find(key, first)
        assert entry is not None and entry.source is not None
        for video in videos[1:]:
            copy = path.with_name(f"{video.name}.h5")
            _write_renamed(content, first.name, video.name, copy)
            source = entry.source.replace(first.name, video.name)
            said = entry._replace(name=video.name, video=video.name, source=source)
            state = FileState(copy.stat().st_size, copy.stat().st_mtime_ns)
            cache.index.learn(str(path.parent), video.name, state, said)


def _write_renamed(content: bytes, old: str, new: str, path: Path) -> None:
    place = sealed._PLACE.search(content[:4096])
    assert place is not None and len(old) == len(new)
    blank = content[: place.start(1)] + _ZEROS + content[place.end(1) :]
    path.write_bytes(sealed.seal(blank.replace(old.encode(), new.encode())))


def _name(index: int) -> str:
    return f"v{index:07d}"


def make_run(made: Made) -> None:
    """Train for real on the normal videos; make up scores and events of the test videos."""
    job = open_job(made.config())
    situation = Situation(job)
    inventory = situation.inventory
    train.Train().run(situation)
    hold_out.HoldOut().run(situation)
    model, first = train.fingerprint(situation), inventory.test[0]
    score.Score().score(job.run, [first], job.config, model)
    threshold, _ = find_events.learn_threshold(job.run, job.config.score)
    table, objects = (
        job.run.csv(first.video.name).read_bytes(),
        job.run.objects(first.video.name).read_bytes(),
    )
    for cached in inventory.test[1:]:
        job.run.csv(cached.video.name).write_bytes(table)
        job.run.objects(cached.video.name).write_bytes(objects)
    made_from = score.fingerprints(inventory.test, job.config, model)
    job.run.remember(score.STAGE, made_from)
    note_written(job.run, *made_from)
    names = [cached.video.name for cached in inventory.test]
    level = threshold.score or 1.0
    events = [
        Event(name, 3, 9, 3 / FPS, 9 / FPS, None, 5, level + index % 97, (20, 30, 50, 90), "velocity", "fast")
        for index, name in enumerate(names[::10])
    ]
    write_threshold(job.run, threshold)
    write_events(job.run, sort_events(events))
    wanted = find_events.fingerprint(job.run, job.run, job.config, names)
    job.run.remember(EVENTS, {WHOLE: wanted})
    write_signed(job.run.config, job.config)


@dataclass(frozen=True)
class Cost:
    """What a command took."""

    seconds: float
    cpu_seconds: float
    """On a machine with other work, the better measure."""
    megabytes: float
    """The most memory of its process at a time."""
    written_megabytes: float


# A process has at first the memory of the one that it was split off from, so a small one starts the command
_STARTER = """
import json, resource, subprocess, sys, time
started = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
seconds, usage = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
if done.returncode:
    sys.exit(done.stdout.decode()[-4000:])
cpu, memory = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
print(json.dumps([seconds, cpu, memory, usage.ru_oublock * 512 / 2**20]))
"""


def measure(arguments: Sequence[str]) -> Cost:
    """Run a command in a process of its own; leave the program where it fails."""
    command = [sys.executable, "-c", _STARTER, sys.executable, "-m", "mulde", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"mulde {' '.join(arguments)} failed:\n{done.stderr}")
    return Cost(*json.loads(done.stdout))


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="mulde-many-") as folder:
        yield Path(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--videos", type=int, default=100_000)
    parser.add_argument("--normal", type=int, default=100, help="of them, normal ones")
    parser.add_argument("--frames", type=int, default=1_000_000, help="of the one long video")
    parser.add_argument("--folder", type=Path, help="where to make it all, kept; made already if it is there")
    arguments = parser.parse_args()
    table = Table("what", "seconds", "CPU seconds", "MB of memory", "MB written", box=None, pad_edge=False)

    def show(what: str, *command: str) -> None:
        cost = measure(command)
        table.add_row(
            what,
            f"{cost.seconds:.1f}",
            f"{cost.cpu_seconds:.1f}",
            f"{cost.megabytes:.0f}",
            f"{cost.written_megabytes:.0f}",
        )
        print(f"{what}: {cost}", file=sys.stderr, flush=True)

    with _folder(arguments.folder) as folder:
        many = Made(folder / "many")
        if arguments.videos and not many.folder.exists():
            started = time.perf_counter()
            make(many.folder, arguments.videos, arguments.normal, n_frames=20)
            make_run(many)
            print(f"made up in {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
        if arguments.videos:
            cache = ["--cache", str(many.folder / "cache")]
            (many.folder / "run" / "report" / "index.html").unlink(missing_ok=True)
            show(f"{arguments.videos} videos, plan", "plan", *many.options)
            show(f"{arguments.videos} videos, cache list", "cache", "list", *cache)
            show(f"{arguments.videos} videos, extract, all cached", "extract", *many.options)
            show(f"{arguments.videos} videos, status", "status", str(many.folder / "run"))
            show(f"{arguments.videos} videos, report", "report", *many.options)
        long = Made(folder / "long")
        if arguments.frames:
            if not long.folder.exists():
                make(long.folder, 2, 1, arguments.frames)
            show(f"{arguments.frames} frames, run", "run", *long.options)
            (long.folder / "run" / "report" / "index.html").unlink(missing_ok=True)
            show(f"{arguments.frames} frames, plan", "plan", *long.options)
            show(f"{arguments.frames} frames, report", "report", *long.options)
    Console().print(table)


if __name__ == "__main__":
    main()
