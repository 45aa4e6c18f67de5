"""Every density on every stream, by held-out normal rows and anomalies made from them: no label is needed.

    python benchmarks/densities.py CACHE/velocity/KEY CACHE/direction/KEY tracks/training
    python benchmarks/densities.py tracks/training --test tracks/testing --labels tracks/labels

A folder is that of a stream's normal videos in a cache, or one of .npz files with `features` (n, d), `frame`
(n,) and `n_frames`. For each seed a third of the videos is held out, and every density learns from the same
rows of the others. From a row in each of some held-out frames anomalies are made: half of its components
taken from a row of another video, its distance from the median times 1.5, 2 and 3, one component at an
extreme quantile, a point between two distant rows, and one drawn uniformly from the box around the whitened
rows; within its range each component takes a value that held-out rows have.
Two figures, AUC in %, mean over kinds: of rows, and of frames, which have the score of their highest row, as
in a run. They are means over seeds; behind them is the 95 % interval of the mean, by the seeds' spread.
Seconds are those of one processor.

With --test and --labels, each density learns from all rows, or --labelled-rows of them, and the labels of the
test videos give the micro AUC of frames, smoothed and not. That is for looking at, once; choose by the first.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

from mulde.data.cache.entries import read_entry, read_rows
from mulde.data.features import is_without_measurement
from mulde.detector import (
    MSMA,
    MULDE,
    PAPER,
    Calibration,
    Detector,
    GaussianMixtureDensity,
    Mahalanobis,
    NearestNeighbours,
    SingleScale,
    log_tail,
    max_over_objects,
    smooth,
)
from mulde.extractors.kinds import STREAMS

Rows = NDArray[np.float32]
Scores = NDArray[np.float64]
FARTHER = (1.5, 2.0, 3.0)
_EXTREME, _BOX = (0.0005, 0.9995), (0.001, 0.999)
_CANDIDATES = 8


@dataclass(frozen=True)
class Clip:
    """The rows of one video in one stream."""

    name: str
    features: Rows
    """(n, d), NaN where nothing was measured."""
    frame: NDArray[np.int64]
    """(n,)"""
    n_frames: int


@dataclass(frozen=True)
class Stream:
    """The measured rows of normal videos, and how a run would standardise them."""

    name: str
    rows: Rows
    """(N, d)"""
    clip: NDArray[np.int64]
    """(N,), the number of the video."""
    frame: NDArray[np.int64]
    """(N,), a number for each frame of any video, growing."""
    settings: dict[str, Any]
    """`scaling`, `scale_floor`, `n_whitened`."""

    @classmethod
    def of(cls, name: str, kind: str, clips: Sequence[Clip]) -> Stream:
        """Gather the measured rows of clips."""
        features = np.concatenate([clip.features for clip in clips])
        number = np.repeat(np.arange(len(clips)), [len(clip.features) for clip in clips])
        frame = np.concatenate([clip.frame for clip in clips])
        measured = ~is_without_measurement(features)
        pairs = np.stack([number, frame], axis=1)[measured]
        frames = np.unique(pairs, axis=0, return_inverse=True)[1].ravel()
        return cls(name, features[measured], number[measured], frames, settings_of(kind))


@dataclass(frozen=True)
class Judge:
    """Rows to learn from, and frames to judge by."""

    learnt: Rows
    learnt_clip: NDArray[np.int64]
    normal: Rows
    """(n, d), all rows of the held-out frames."""
    frame: NDArray[np.int64]
    """(n,), the frame of each, from 0."""
    chosen: NDArray[np.int64]
    """(n_frames,), in each frame the row that anomalies are made from."""
    abnormal: dict[str, Rows]
    """By kind, (n_frames, d)."""

    def measure(self, detector: Detector) -> dict[str, tuple[float, float]]:
        """Return by kind the AUC of rows and that of frames, in %."""
        score = detector.anomaly_score
        normal = score(self.normal)
        n_frames = len(self.chosen)
        highest, others = (np.full(n_frames, -np.inf) for _ in range(2))
        np.maximum.at(highest, self.frame, normal)
        is_other = np.ones(len(normal), bool)
        is_other[self.chosen] = False
        np.maximum.at(others, self.frame[is_other], normal[is_other])
        found = {}
        for kind, rows in self.abnormal.items():
            made = score(rows)
            found[kind] = auc(made, normal), auc(np.maximum(made, others), highest)
        return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("streams", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--densities", nargs="+", choices=DENSITIES, default=list(DENSITIES)[:-1])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=60_000, help="most rows to learn from")
    parser.add_argument("--judged", type=int, default=6_000, help="most held-out rows")
    parser.add_argument("--test", type=Path, help="the same stream of the labelled videos, for one FOLDER")
    parser.add_argument("--labels", type=Path, help="folder of 0/1 a frame, VIDEO.npy")
    parser.add_argument("--labelled-rows", type=int, help="most rows to learn from before labels are met")
    parser.add_argument("--sigma-frames", type=float, nargs="+", default=[0.0, 3.0])
    options = parser.parse_args()
    if options.test and len(options.streams) > 1:
        parser.error("--test is for one stream at a time")
    torch.set_num_threads(1)
    console = Console(width=110)
    for folder in options.streams:
        kind, clips = read_clips(folder)
        stream = Stream.of(f"{folder.parent.name}/{folder.name}", kind, clips)
        judges = [draw(stream, seed, options.rows, options.judged) for seed in range(options.seeds)]
        console.print(table_of(stream, judges, options.densities))
        if options.test:
            test = read_clips(options.test)[1]
            labels = [np.load(options.labels / f"{clip.name}.npy") for clip in test]
            seeds = range(options.seeds)
            for name in options.densities:
                figures = [labelled(stream, name, seed, test, labels, options) for seed in seeds]
                told = ", ".join(
                    f"σ = {sigma:g}: {mean_and_interval([figure[i] for figure in figures])}"
                    for i, sigma in enumerate(options.sigma_frames)
                )
                console.print(f"{stream.name}, {name}, micro AUC by labels, {told}")


def read_clips(folder: Path) -> tuple[str, list[Clip]]:
    """Return which stream a folder holds, and its videos."""
    if paths := sorted(folder.rglob("*.npz")):
        clips = []
        for path in paths:
            with np.load(path) as file:
                clips.append(Clip(path.stem, file["features"], file["frame"], int(file["n_frames"])))
        return folder.parent.name, clips
    clips = []
    for path in sorted(folder.rglob("*.h5")):
        rows, entry = read_rows(path), read_entry(path)
        clips.append(
            Clip(
                path.relative_to(folder).with_suffix("").as_posix(),
                rows.features,
                rows.frame,
                entry.report.n_frames,
            )
        )
    return folder.parent.name, clips


def settings_of(kind: str) -> dict[str, Any]:
    """Return how a run standardises a kind of stream; as it does foreign ones where the name is none."""
    if kind not in STREAMS:
        return {}
    extractor = STREAMS[kind].load()
    return {
        "scaling": "common" if extractor.has_one_unit else "feature",
        "scale_floor": extractor.noise_floor,
        "n_whitened": extractor.n_whitened,
    }


def draw(stream: Stream, seed: int, n_rows: int, n_judged: int) -> Judge:
    """Hold videos out, and make anomalies from their rows."""
    random = np.random.default_rng(seed)
    order = random.permutation(stream.clip.max() + 1)
    is_held = np.isin(stream.clip, order[: max(1, len(order) // 3)])
    learnt = np.sort(random.permutation(np.flatnonzero(~is_held))[:n_rows])
    held = np.flatnonzero(is_held)
    frames = random.permutation(np.unique(stream.frame[held]))
    sizes = np.bincount(stream.frame[held])[frames]
    frames = np.sort(frames[: max(1, int(np.searchsorted(np.cumsum(sizes), n_judged)))])
    normal = held[np.isin(stream.frame[held], frames)]
    frame = np.searchsorted(frames, stream.frame[normal])
    mixed = random.permutation(len(normal))
    chosen = np.empty(len(frames), np.int64)
    chosen[frame[mixed]] = mixed  # the last of each frame stays
    made = make_anomalies(stream.rows[learnt], stream, normal[chosen], held, random)
    return Judge(stream.rows[learnt], stream.clip[learnt], stream.rows[normal], frame, chosen, made)


def make_anomalies(
    learnt: Rows,
    stream: Stream,
    chosen: NDArray[np.int64],
    held: NDArray[np.int64],
    random: np.random.Generator,
) -> dict[str, Rows]:
    """Return by kind one anomaly (n, d) made from each chosen row; scales are those of learnt rows."""
    rows = stream.rows[chosen].astype(np.float64)
    n, d = rows.shape
    known = learnt.astype(np.float64)
    median = np.median(known, axis=0)
    spread = np.maximum(known.std(axis=0), 1e-12)
    others = held[random.integers(0, len(held), (n, _CANDIDATES))]  # of another video, where there is one
    is_same = stream.clip[others] == stream.clip[chosen][:, None]
    others = np.where(is_same.all(axis=1, keepdims=True) | ~is_same, others, -1)
    foreign = stream.rows[others].astype(np.float64)  # (n, 8, d)
    apart = np.where(others < 0, -1, np.square((foreign - rows[:, None]) / spread).sum(axis=2))
    farthest = foreign[np.arange(n), apart.argmax(axis=1)]
    some_other = foreign[np.arange(n), (others >= 0).argmax(axis=1)]
    made: dict[str, NDArray[np.float64]] = {}
    if d > 1:
        rank = random.random((n, d)).argsort(axis=1)
        made["exchanged"] = np.where(rank < d // 2, some_other, rows)
    for factor in FARTHER:
        made[f"x{factor:g}"] = median + factor * (rows - median)
    column, high = random.integers(0, d, n), random.integers(0, 2, n)
    made["extreme"] = rows.copy()
    made["extreme"][np.arange(n), column] = np.quantile(known, _EXTREME, axis=0)[high, column]
    share = random.uniform(0.3, 0.7, (n, 1))
    made["between"] = share * rows + (1 - share) * farthest
    pca = PCA(whiten=True, svd_solver="full").fit(known[:20_000] / spread)
    low, top = np.quantile(pca.transform(known[:20_000] / spread), _BOX, axis=0)
    made["box"] = pca.inverse_transform(random.uniform(low, top, (n, len(low)))) * spread
    taken = np.sort(stream.rows[held], axis=0)
    return {kind: _as_measured(values, taken).astype(np.float32) for kind, values in made.items()}


def _as_measured(values: NDArray[np.float64], taken: Rows) -> NDArray[np.float64]:
    """Return values (n, d) with each component at the nearest one in a sorted column of held-out rows (m, d).

    Places are on a grid and displacements whole pixels: what lies in between would be told by that alone.
    Beyond the range of the column they stay.
    """
    found = values.copy()
    for column, known in zip(found.T, taken.T, strict=True):
        above = np.clip(np.searchsorted(known, column), 1, len(known) - 1)
        low, high = known[above - 1], known[above]
        nearest = np.where(column - low < high - column, low, high)
        is_inside = (known[0] <= column) & (column <= known[-1])
        column[is_inside] = nearest[is_inside]
    return found


DENSITIES: dict[str, Callable[..., Detector]] = {
    "mulde": MULDE,
    "mulde, network alone": partial(
        MULDE, n_centres=0, sigma_low=1e-3, sigma_high=1.0, n_scales=16, spacing="linear", patience=10
    ),
    "single scale": SingleScale,
    "msma": MSMA,
    "1-nn": partial(NearestNeighbours, k=1),
    "5-nn": NearestNeighbours,
    "gmm": GaussianMixtureDensity,
    "gmm, 20": partial(GaussianMixtureDensity, n_components=20),
    "mahalanobis": Mahalanobis,
    "mulde, paper": partial(MULDE, **PAPER),
}
"""By name; all but the last, which takes hours without a GPU, are measured unless others are asked for."""


def build(name: str, settings: dict[str, Any], seed: int) -> Detector:
    """Return an unfitted density."""
    return DENSITIES[name](**settings, random_state=seed)


def table_of(stream: Stream, judges: Sequence[Judge], names: Sequence[str]) -> Table:
    """Measure densities on one stream."""
    shape = f"{len(judges[0].learnt)} of {len(stream.rows)} rows learnt, d = {stream.rows.shape[1]}"
    table = Table(box=None, pad_edge=False, title=f"{stream.name}: {shape}", title_justify="left")
    for title in ("", "rows", "frames", *judges[0].abnormal, "fit s", "score s"):
        table.add_column(title, justify="right" if title else "left")
    for name in names:
        found, fit_seconds, score_seconds = [], 0.0, 0.0
        for seed, judge in enumerate(judges):
            detector = build(name, stream.settings, seed)
            started = time.process_time()
            detector.fit(judge.learnt, groups=judge.learnt_clip)
            fitted = time.process_time()
            found.append(judge.measure(detector))
            fit_seconds += (fitted - started) / len(judges)
            score_seconds += (time.process_time() - fitted) / len(judges)
        means = [np.mean(list(figures.values()), axis=0) for figures in found]  # (rows, frames) each
        kinds = [np.mean([figures[kind][0] for figures in found]) for kind in found[0]]
        table.add_row(
            name,
            *(mean_and_interval([mean[which] for mean in means]) for which in (0, 1)),
            *(f"{figure:.1f}" for figure in kinds),
            f"{fit_seconds:.1f}",
            f"{score_seconds:.1f}",
        )
    return table


def labelled(
    stream: Stream,
    name: str,
    seed: int,
    test: Sequence[Clip],
    labels: Sequence[NDArray[Any]],
    options: argparse.Namespace,
) -> list[float]:
    """Return the micro AUC in % at each smoothing, scored as a run scores one stream of objects."""
    order = np.random.default_rng(seed).permutation(len(stream.rows))
    chosen = np.sort(order[: options.labelled_rows])
    rows, clip = stream.rows[chosen], stream.clip[chosen]
    frame = np.unique(stream.frame[chosen], return_inverse=True)[1]
    detector = build(name, stream.settings, seed).fit(rows, groups=clip)
    scores = detector.training_scores(rows, groups=clip)
    frame = np.delete(frame, detector.left_out_)
    calibration = Calibration.fit(scores, least_range=detector.least_range, frame=frame)
    found: list[list[Scores]] = [[] for _ in options.sigma_frames]
    for video in test:
        values = np.full(len(video.features), calibration.unmeasured)
        measured = ~is_without_measurement(video.features)
        if measured.any():
            values[measured] = calibration(detector.anomaly_score(video.features[measured]))
        highest = max_over_objects(log_tail(values), video.frame, video.n_frames, nothing=0.0)
        for part, sigma in zip(found, options.sigma_frames, strict=True):
            part.append(smooth(highest, sigma))
    flags = np.concatenate(labels)
    return [100 * float(roc_auc_score(flags, np.concatenate(part))) for part in found]


def mean_and_interval(values: Sequence[float]) -> str:
    """Return "mean ± half of the 95 % interval of the mean", by Student's t."""
    if len(values) < 2:
        return f"{values[0]:.2f}"
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):.2f} ±{half:.2f}"


def auc(abnormal: Scores, normal: Scores) -> float:
    """Return the area under the ROC curve in %."""
    labels = np.repeat([1, 0], [len(abnormal), len(normal)])
    return 100 * float(roc_auc_score(labels, np.concatenate([abnormal, normal])))


if __name__ == "__main__":
    main()
