"""Measure settings without any label: on normal videos held out, and on anomalies made from them.

    python benchmarks/yardstick.py NORMAL_VIDEOS FOLDER [--clips 6] [--seconds 20] [--stalled] [key=value ...]
    python benchmarks/yardstick.py NORMAL_VIDEOS FOLDER --whole [--clips 6] [--stalled] [key=value ...]

Half of the videos are learnt from. Of the others, cut to `--seconds`, copies are made that differ in one
thing: played a quarter faster, backwards, frozen for a while, with an object of another clip pasted in at
another place smaller or larger than it is, with one that is left standing, with one that hurries where it
was, and with the light changed halfway, which is no anomaly. Then `mulde run` with the given settings, and
for each kind the micro AUC in % of its abnormal frames against all frames of the held-out videos as they
are; of the changed light, of its second half: 50 is right there. With `--stalled` all videos, the learnt
ones too, show one picture in ten for up to four frames, as a camera does that is late.

With `--whole` the videos that are held out are left as long as they are, for hours have what clips have not:
light that wanders, chairs that are moved. Every minute and a half something is pasted into them: what moves,
smaller or larger than it is or in a hurry, for four seconds, or a still for a minute. Their frames are
measured against all others of these videos but for those of ten seconds after each. They are all held in
memory, twice.

A default is changed when it gains here over all cameras at hand. The clips stay in FOLDER for the next
settings.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from mulde.data.decode.readers import open_frames
from mulde.data.layouts.find_videos import find_videos
from mulde.data.times import usual_rate
from mulde.data.video import Video
from mulde.extractors.scene import SceneModel, foreground, learn_scene
from mulde.extractors.settings import SceneSettings

Frames = NDArray[np.uint8]
Flags = NDArray[np.bool_]
FASTER = 1.25
AS_IS = "as it is"
KINDS = "kinds.csv"
SECONDS_BETWEEN, SECONDS_MOVING, SECONDS_STANDING, SECONDS_AFTER = 90.0, 4.0, 60.0, 10.0
"""Of objects in videos that are held out whole."""
_STALLS, _LONGEST_STALL = 0.1, 3
"""Share of pictures that are shown again, and how often at most."""


@dataclass(frozen=True)
class Source:
    """A clip of normal footage."""

    name: str
    greys: Frames
    """(T, H, W) uint8."""
    rate: float
    """Frames a second."""


@dataclass(frozen=True)
class Pasted:
    """How an object of one clip appears in another."""

    kind: str
    scale: float = 1.0
    """How many times as tall as it is."""
    speed: float = 1.0
    """How many frames of its clip go by in one; 0: a still of it."""
    in_its_place: bool = False
    """Whether it is where it was in its own clip, or anywhere."""

    @property
    def stands(self) -> bool:
        """Whether it is a still."""
        return self.speed == 0


OBJECTS = (
    Pasted("smaller", scale=0.6),
    Pasted("larger", scale=1.7),
    Pasted("left", speed=0),
    Pasted("hurried", speed=1.5, in_its_place=True),
)


@dataclass(frozen=True)
class Clip:
    """What is written of one."""

    name: str
    greys: Frames
    rate: float
    flags: dict[str, Flags] = field(default_factory=dict)
    """Which frames are abnormal, (T,), by kind."""

    @classmethod
    def of(cls, source: Source) -> Clip:
        """Return it as it is."""
        return cls(source.name, source.greys, source.rate)


def main() -> None:
    """Make the clips if they are not there, run, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("normal", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("settings", nargs="*", metavar="key=value")
    parser.add_argument("--clips", type=int, default=6, help="most videos that are held out")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of a clip that is held out")
    parser.add_argument(
        "--stalled", action="store_true", help="show pictures again, as a camera that is late"
    )
    parser.add_argument("--whole", action="store_true", help="paste objects into whole videos")
    options = parser.parse_intermixed_args()
    videos = find_videos(options.normal)
    learnt, held_out = videos[::2], videos[1::2][: options.clips]
    wanted = f"{options.normal.resolve()} {options.clips} {options.seconds} {options.stalled} {options.whole}"
    wanted += f" {' '.join(map(str, OBJECTS))}"
    made = options.folder / "made.txt"
    if not made.exists():
        make(learnt, held_out, options)
        made.write_text(wanted)
    if made.read_text() != wanted:
        sys.exit(f"{options.folder} holds clips that were made otherwise: take another folder")
    paths = sorted((options.folder / "learnt").iterdir()) if options.stalled else [v.path for v in learnt]
    labels = options.folder / "labels.csv"
    command = [sys.executable, "-m", "mulde", "run"]
    command += [word for path in paths for word in ("--normal", path)]
    command += ["--test", options.folder / "test", "--labels", labels, "--out", options.folder / "run"]
    command += ["--cache", options.folder / "cache", "--quiet", *options.settings]
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
    results = measure(options.folder)
    width = max(map(len, results))
    for kind, auc in results.items():
        print(f"{kind:{width}} {auc:6.2f}")
    print(f"{'mean':{width}} {np.mean([auc for kind, auc in results.items() if kind != 'light']):6.2f}")


def read_clip(video: Video, seconds: float) -> Source:
    """Read the luminance of the first seconds of a video."""
    greys, times = [], []
    with open_frames(video) as frames:
        for frame in frames:
            if frame.seconds >= seconds:
                break
            greys.append(frame.grey())
            times.append(frame.seconds)
    return Source(video.name.replace("/", "_"), np.stack(greys), usual_rate(np.array(times)) or 10.0)


def make(learnt: Sequence[Video], held_out: Sequence[Video], options: argparse.Namespace) -> None:
    """Write all videos that are made, and labels."""
    change = stalled if options.stalled else lambda clip: clip
    for video in learnt if options.stalled else ():
        write_clip(options.folder / "learnt", change(Clip.of(read_clip(video, np.inf))))
    seconds = np.inf if options.whole else options.seconds
    sources, scene = scene_of([read_clip(video, seconds) for video in held_out])
    rows: list[tuple[str, int | str, int | str, str]] = []
    for clip in (whole_of if options.whole else clips_of)(sources, scene):
        clip = change(clip)
        write_clip(options.folder / "test", clip)
        events = [(start, stop, kind) for kind, flags in clip.flags.items() for start, stop in runs_of(flags)]
        rows += [(clip.name, *event) for event in events] or [(clip.name, "", "", "")]
    if not any(kind for *_, kind in rows):
        sys.exit(f"the videos of {options.normal} are too short for --whole")
    with (options.folder / KINDS).open("w", newline="") as file:
        csv.writer(file).writerows([("video", "start", "end", "kind"), *rows])
    with (options.folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("video", "start", "end"), *(row[:3] for row in rows)])


def clips_of(sources: Sequence[Source], scene: SceneModel) -> Iterator[Clip]:
    """Yield each clip as it is and in every kind of change."""
    for index, source in enumerate(sources):
        other = sources[(index + 1) % len(sources)]
        random = np.random.default_rng(index)
        for kind, (greys, rate, flags) in changed(source, other, scene, random):
            yield Clip(f"{source.name}-{kind}", greys, rate, {kind: flags})


def whole_of(sources: Sequence[Source], scene: SceneModel) -> Iterator[Clip]:
    """Yield each video with objects in it every now and then."""
    for index, source in enumerate(sources):
        other = sources[(index + 1) % len(sources)]
        random = np.random.default_rng(index)
        greys = source.greys.copy()
        n, step = len(greys), round(SECONDS_BETWEEN * source.rate)
        by_kind = {pasted.kind: np.zeros(n, bool) for pasted in OBJECTS}
        for count, first in enumerate(range(step, n - step, step)):
            pasted = OBJECTS[count % len(OBJECTS)]
            seconds = SECONDS_STANDING if pasted.stands else SECONDS_MOVING
            length = _length(pasted, seconds, source.rate, other)
            frames = range(first, first + length)
            by_kind[pasted.kind] |= _paste_into(greys, frames, other, scene, random, pasted)
        yield Clip(source.name, greys, source.rate, by_kind)


def scene_of(sources: Sequence[Source]) -> tuple[Sequence[Source], SceneModel]:
    """Return those that have the size of the first, and what they show."""
    shape = sources[0].greys.shape[1:]
    sources = [source for source in sources if source.greys.shape[1:] == shape]
    greys = [grey for source in sources for grey in source.greys[:: max(1, len(source.greys) // 16)]]
    return sources, learn_scene(greys, SceneSettings())


def changed(
    source: Source, other: Source, scene: SceneModel, random: np.random.Generator
) -> Iterator[tuple[str, tuple[Frames, float, Flags]]]:
    """Yield each kind of clip: frames, frames a second, and which frames are abnormal."""
    greys, rate = source.greys, source.rate
    n, everywhere = len(greys), np.ones(len(greys), bool)
    yield AS_IS, (greys, rate, ~everywhere)
    yield "faster", (greys, rate * FASTER, everywhere)
    yield "backwards", (greys[::-1], rate, everywhere)
    middle = (np.arange(n) >= n // 3) & (np.arange(n) < 2 * n // 3)
    yield "frozen", (np.where(middle[:, None, None], greys[n // 3], greys), rate, middle)
    for pasted in OBJECTS:
        yield pasted.kind, _paste(source, other, scene, random, pasted)
    late = np.arange(n) >= n // 2
    darker = np.clip(greys * 0.6 + 25, 0, 255).astype(np.uint8)
    yield "light", (np.where(late[:, None, None], darker, greys), rate, late)


def _paste(
    source: Source, other: Source, scene: SceneModel, random: np.random.Generator, pasted: Pasted
) -> tuple[Frames, float, Flags]:
    """Return a clip with what moves in a window of another clip for two seconds, or a still of it from a
    third of the clip to its end.
    """
    greys = source.greys.copy()
    length = min(_length(pasted, 2.0, source.rate, other), len(greys) // 2)
    first = len(greys) // 3 if pasted.stands else int(random.integers(0, len(greys) - length + 1))
    frames = range(first, len(greys) if pasted.stands else first + length)
    return greys, source.rate, _paste_into(greys, frames, other, scene, random, pasted)


def _length(pasted: Pasted, seconds: float, rate: float, other: Source) -> int:
    """Return how many frames so many seconds are; of what moves no more than the other clip lasts."""
    length = round(seconds * rate)
    return length if pasted.stands else min(length, int(len(other.greys) / pasted.speed))


def _paste_into(
    greys: Frames,
    frames: range,
    other: Source,
    scene: SceneModel,
    random: np.random.Generator,
    pasted: Pasted,
) -> Flags:
    """Paste what moves in a window of another clip, or a still of it, into frames; return where it is."""
    flags = np.zeros(len(greys), bool)
    height, width = greys.shape[1:]
    background = cv2.resize(scene.backgrounds[0], (width, height))
    n_taken = (
        min(round(2 * other.rate), len(other.greys)) if pasted.stands else int(len(frames) * pasted.speed)
    )
    start, (x1, y1, x2, y2) = _find_object(other, background, scene, random, n_taken, pasted)
    size = min(width, round((x2 - x1) * pasted.scale)), min(height, round((y2 - y1) * pasted.scale))
    left, top = x1, y1
    if not pasted.in_its_place:
        left, top = random.integers(0, width - size[0] + 1), random.integers(0, height - size[1] + 1)
    for step, index in enumerate(frames):
        taken = other.greys[start + int(step * pasted.speed)]
        mask = cv2.dilate(foreground(taken, background, 15).astype(np.uint8), np.ones((3, 3), np.uint8))
        share = cv2.GaussianBlur(cv2.resize(mask[y1:y2, x1:x2].astype(np.float32), size), (3, 3), 0)
        place = greys[index, top : top + size[1], left : left + size[0]]
        place[:] = share * cv2.resize(taken[y1:y2, x1:x2], size) + (1 - share) * place
        flags[index] = share.mean() > 0.05
    return flags


def _find_object(
    clip: Source,
    background: NDArray[np.uint8],
    scene: SceneModel,
    random: np.random.Generator,
    length: int,
    pasted: Pasted,
) -> tuple[int, tuple[int, int, int, int]]:
    """Return a frame, and the place around an object of it: as wide as it will move, if it does."""
    height, width = background.shape
    low, high = scene.height_range_in_frame
    best = (-1.0, 0, (0, 0, 1, 1))
    for _ in range(60):
        start = int(random.integers(0, max(1, len(clip.greys) - length)))
        tall = min(height, round((low + high) / 2))
        wide = min(width, round(tall * scene.aspect))
        x, y = int(random.integers(0, width - wide + 1)), int(random.integers(0, height - tall + 1))
        mask = foreground(clip.greys[start if pasted.stands else start + length // 2], background, 15)
        filled = float(mask[y : y + tall, x : x + wide].mean())
        aside = round(2 * wide * pasted.speed)
        box = max(0, x - aside), y, min(width, x + wide + aside), y + tall
        best = max(best, (filled, start, box))
    return best[1], best[2]


def stalled(clip: Clip) -> Clip:
    """Return the same with some pictures shown again in place of the next ones."""
    random, shown, left = np.random.default_rng(len(clip.greys)), [], 0
    for index in range(len(clip.greys)):
        shown.append(shown[-1] if left else index)
        left = left - 1 if left else int(random.integers(1, _LONGEST_STALL + 1)) * (random.random() < _STALLS)
    return Clip(
        clip.name, clip.greys[shown], clip.rate, {kind: flags[shown] for kind, flags in clip.flags.items()}
    )


def write_clip(folder: Path, clip: Clip) -> None:
    """Encode frames so that nearly nothing is lost."""
    folder.mkdir(parents=True, exist_ok=True)
    with av.open(str(folder / f"{clip.name}.mp4"), "w") as container:
        exact_rate = Fraction(clip.rate).limit_denominator(1001)
        stream = container.add_stream("libx264", rate=exact_rate, options={"crf": "12"})
        stream.height, stream.width = (side // 2 * 2 for side in clip.greys.shape[1:])
        stream.pix_fmt = "yuv420p"
        for grey in clip.greys[:, : stream.height, : stream.width]:
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(grey), format="gray"))
            )
        container.mux(stream.encode(None))


def runs_of(flags: Flags) -> list[tuple[int, int]]:
    """Return the half-open runs of true flags."""
    edges = np.flatnonzero(np.diff([0, *flags.astype(int), 0]))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def measure(folder: Path) -> dict[str, float]:
    """Return by kind the micro AUC in %: against videos as they are, or frames without anything in them."""
    events: dict[str, list[tuple[int, int, str]]] = {}
    with (folder / KINDS).open() as file:
        for row in csv.DictReader(file):
            events.setdefault(row["video"], [])
            if row["start"]:
                events[row["video"]].append((int(row["start"]), int(row["end"]), row["kind"]))
    are_clips = any(name.endswith(AS_IS) for name in events)
    normal: list[NDArray[np.float64]] = []
    found: dict[str, list[NDArray[np.float64]]] = {}
    for name, of_video in events.items():
        file = folder / "run" / "scores" / f"{name}.csv"
        seconds, scores = np.loadtxt(file, delimiter=",", skiprows=1, usecols=(1, 2)).T
        is_normal = np.full(len(scores), not are_clips or name.endswith(AS_IS))
        for start, stop, kind in of_video:
            found.setdefault(kind, []).append(scores[start:stop])
            is_normal[start : np.searchsorted(seconds, seconds[stop - 1] + SECONDS_AFTER)] = False
        normal.append(scores[is_normal])
    others = np.concatenate(normal)
    return {kind: auc(np.concatenate(parts), others) for kind, parts in sorted(found.items())}


def auc(abnormal: NDArray[np.float64], normal: NDArray[np.float64]) -> float:
    """Return the area under the ROC curve in %."""
    labels = np.repeat([1, 0], [len(abnormal), len(normal)])
    return 100 * float(roc_auc_score(labels, np.concatenate([abnormal, normal])))


if __name__ == "__main__":
    main()
