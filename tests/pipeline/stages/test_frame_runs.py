"""Runs on whole frames and clips: from scores of rows to scores of frames, and the preset from end to end."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mulde.data.features import FeatureRows
from mulde.data.times import positions_of, usual_rate
from mulde.detector import log_tail, smooth
from mulde.pipeline.config.load import load_config
from mulde.pipeline.config.sections import ScoreConfig
from mulde.pipeline.models.fuse import FusedScores, fuse_streams, smooth_frames

RunCli = Callable[..., Any]
RANDOM_S3D = ["clip.encoder=torchvision/s3d", "clip.weights=random", "clip.every_frames=15"]
TWO_STREAMS = [
    "streams=[clip,frame]",
    "clip.encoder=torchvision/r3d_18",
    "clip.weights=random",
    "clip.every_frames=15",
    "clip.length_frames=4",
    "frame.encoder=torchvision/mobilenet_v3_small",
    "frame.weights=random",
    "frame.every_frames=5",
]


def rows(values: list[float], frames: list[int]) -> FeatureRows:
    return FeatureRows(np.array(values, np.float32).reshape(-1, 1), np.array(frames, np.int64))


def frames_of(streams: dict[str, FeatureRows], settings: ScoreConfig) -> FusedScores:
    """Fuse rows that are scored by their only feature; 0 without one, as a trained stream does it."""
    scores = {name: np.nan_to_num(part.features[:, 0].astype(np.float64)) for name, part in streams.items()}
    return fuse_streams(scores, streams, np.arange(6.0), settings, looked_at=None)


def test_objects_of_frames_that_were_looked_at_give_the_others_their_scores() -> None:
    """Frame 0 has two objects, 3 none and 5 one; 1, 2 and 4 were passed over."""
    boxes = np.zeros((3, 4), np.float32)
    objects = FeatureRows(np.zeros((3, 1), np.float32), np.array([0, 0, 5]), boxes)
    found = fuse_streams(
        {"velocity": np.array([0.2, 0.9, 0.4])},
        {"velocity": objects},
        np.arange(6.0),
        ScoreConfig(n_overlapping=1),
        looked_at=np.array([0, 3, 5]),
    )
    np.testing.assert_allclose(found.unsmoothed, [0.9, 0.6, 0.3, 0, 0.2, 0.4])
    np.testing.assert_array_equal(found.datasets["looked_at"], [0, 3, 5])
    assert "3 of 6 frames" in found.note


@pytest.mark.parametrize(
    ("fusion", "expected"),
    [
        pytest.param("sum", [1 + np.log(6) + 0.1, 2 + 2 * np.log(2.5)], id="two say more than one"),
        pytest.param("max", [1 + np.log(6), 1 + np.log(2.5)], id="the surest decides"),
    ],
)
def test_each_stream_is_bent_before_they_are_put_together(fusion: Any, expected: list[float]) -> None:
    settings = ScoreConfig(n_overlapping=1, fusion=fusion)
    objects = FeatureRows(np.zeros((2, 1), np.float32), np.array([0, 1]), np.zeros((2, 4), np.float32))
    streams = {"velocity": np.array([6.0, 2.5]), "place": np.array([0.1, 2.5])}
    looked_at = np.array([0, 1])
    found = fuse_streams(
        streams, dict.fromkeys(streams, objects), np.arange(2.0), settings, looked_at=looked_at
    )
    np.testing.assert_allclose(found.unsmoothed, expected)
    np.testing.assert_allclose(found.datasets["object_score/total"], expected)
    np.testing.assert_array_equal(found.datasets["object_score/velocity"], streams["velocity"])


@pytest.mark.parametrize(
    ("streams", "wanted"),
    [
        ({"clip": rows([], [])}, [0, 0, 0, 0, 0, 0]),
        ({"clip": rows([0.5], [3])}, [0.5] * 6),
        ({"clip": rows([0, 0.5, 0.3], [0, 4, 5])}, [0, 0.125, 0.25, 0.375, 0.5, 0.3]),
        ({"clip": rows([0, np.nan, 0.4], [0, 2, 4])}, [0, 0.1, 0.2, 0.3, 0.4, 0.4]),
        (
            {"clip": rows([0, 0.5], [0, 5]), "frame": rows([0.1] * 6, list(range(6)))},
            [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
        ),
        ({"clip": rows([0, 0.4], [0, 4]), "frame": rows([0.1, 0.5], [2, 4])}, [0.1, 0.2, 0.3, 0.6, 0.9, 0.9]),
    ],
)  # fmt: skip
def test_rows_become_frames(streams: dict[str, FeatureRows], wanted: list[float]) -> None:
    scored = frames_of(streams, ScoreConfig(log_tail=False))
    np.testing.assert_allclose(scored.unsmoothed, wanted, atol=1e-7)
    assert ("interpolated" in scored.note) == any(len(part) < 6 for part in streams.values())


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([0.0, 0.1, 0.2, 0.3, 0.4, 0.5], [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        ([0.0, 0.1, 0.2, 0.4, 0.5, 1.0], [0, 0.1, 0.2, 0.4, 0.5, 1.0]),
        ([0.0, 0.1, 3600.2, 3600.3, 3600.4, 3600.5], [0, 0, 1, 1, 1, 1]),  # a pause: each has its neighbour's
    ],
)
def test_scores_in_between_go_by_time(seconds: list[float], expected: list[float]) -> None:
    position = positions_of(np.array(seconds), 10.0)
    streams = {"clip": rows([0, 1], [0, 5])}
    scores = {"clip": np.array([0.0, 1.0])}
    found = fuse_streams(scores, streams, position, ScoreConfig(), looked_at=None)
    np.testing.assert_allclose(found.unsmoothed, expected, atol=1e-4)
    boxes = np.zeros((2, 4), np.float32)
    objects = FeatureRows(np.zeros((2, 1), np.float32), np.array([0, 5]), boxes)
    settings, looked_at = ScoreConfig(n_overlapping=1), np.array([0, 5])
    found = fuse_streams(scores, {"clip": objects}, position, settings, looked_at=looked_at)
    np.testing.assert_allclose(found.unsmoothed, expected, atol=1e-4)


@pytest.mark.parametrize("causal", [False, True])
def test_an_event_before_a_pause_raises_none_after_it(causal: bool) -> None:
    seconds = np.concatenate([np.arange(100), 36000 + np.arange(100)]) / 10
    scores = np.zeros(200)
    scores[97:100] = 10
    smoothed = smooth_frames(scores, seconds, 10.0, ScoreConfig(causal=causal))
    assert smoothed[:100].max() > 5
    assert not smoothed[100:].any()


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("rate", [2.0, 10.0, 29.97])
def test_frames_that_come_evenly_are_smoothed_by_number(rate: float, causal: bool) -> None:
    """To the bit, also where times are rounded to milliseconds, as some containers do."""
    rng = np.random.default_rng(0)
    scores, seconds = rng.random(300), np.arange(300) / rate
    for times in (seconds, np.round(seconds, 3)):
        sigma_frames = 0.3 * (usual_rate(times) or 0)
        found = smooth_frames(scores, times, 25.0, ScoreConfig(causal=causal))
        np.testing.assert_array_equal(found, smooth(scores, sigma_frames, causal=causal))


def test_of_frames_as_well_the_surest_stream_can_decide() -> None:
    streams = {"clip": rows([0, 0.5], [0, 5]), "frame": rows([0.2] * 6, list(range(6)))}
    scored = frames_of(streams, ScoreConfig(fusion="max"))
    np.testing.assert_allclose(scored.unsmoothed, [0.2, 0.2, 0.2, 0.3, 0.4, 0.5], atol=1e-7)


def test_the_tail_is_bent_before_scores_are_interpolated() -> None:
    scored = frames_of({"clip": rows([0, 1e5], [0, 5])}, ScoreConfig())
    highest = log_tail(np.array([1e5]))[0]
    np.testing.assert_allclose(scored.unsmoothed, np.linspace(0, highest, 6))


def test_the_preset_describes_clips() -> None:
    config = load_config(None, options={"preset": "frame"})
    assert config.extract.streams == ("clip",)


def test_frames_and_objects_do_not_mix(cli: RunCli, scene: Path) -> None:
    result = cli(
        "run", "--dataset", scene, "extract.streams=[velocity,frame]", "extract.frame.weights=random"
    )
    assert result.code == 2
    assert "make two runs" in result.err


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ([], "mulde weights fetch hiera/hiera_large_16x224"),
        (
            ["extract.clip.length_frames=8", "extract.clip.weights=random"],
            "extract.clip.length_frames = 8 is not allowed: ",
        ),
        (["extract.clip.encoder=torchvision/s3d"], "mulde weights fetch torchvision/s3d"),
        (
            ["extract.clip.encoder=open_clip/ViT-B-32"],
            "extract.clip.encoder = 'open_clip/ViT-B-32' is not allowed: ",
        ),
    ],
)
def test_what_is_missing_is_said_first(
    cli: RunCli, scene: Path, settings: list[str], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("hiera")
    monkeypatch.setenv("TORCH_HOME", str(scene / "empty"))
    result = cli("run", "--dataset", scene, "--preset", "frame", "--offline", *settings)
    assert result.code == 2, result.err
    assert text in " ".join(result.err.split())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "n_features"),
    [(RANDOM_S3D, {"clip": 1024}), (TWO_STREAMS, {"clip": 512, "frame": 1024})],
    ids=["s3d", "clip and frame"],
)
def test_from_videos_to_a_report(
    cli: RunCli, scene: Path, settings: list[str], n_features: dict[str, int]
) -> None:
    pytest.importorskip("torchvision")
    out, cache = scene / "run", scene / "cache"
    command = ["run", "--dataset", scene, "--preset", "frame", "--out", out, "--cache", cache, "--workers", 1]
    command += ["detector.max_steps=20", "detector.widths=[16]"]
    command += [f"extract.{setting}" for setting in settings]
    result = cli(*command)
    assert result.code == 0, result.err
    for stream, width in n_features.items():
        every = 15 if stream == "clip" else 5
        entries = sorted((cache / stream).glob("*/**/*.h5"))
        assert len(entries) == 5
        for entry in entries:
            with h5py.File(entry, "r") as file:
                assert file["frame"][()].tolist() == sorted({*range(0, 40, every), 39})
                assert file["features"].shape[1] == width
                assert (file["stop"][()] > file["start"][()]).all()
        marks = [json.loads(path.read_text()) for path in (cache / stream).glob("*/stream.json")]
        assert all(mark["weights"] == "random, seed 0" for mark in marks)
    scores = sorted((out / "scores").rglob("*.csv"))
    assert len(scores) == 2
    for path in scores:
        with path.open() as stream:
            assert len(list(csv.DictReader(stream))) == 40
        with h5py.File(path.with_suffix(".h5"), "r") as file:
            assert "interpolated" in file.attrs["interpolation"]
            assert set(file["row"]) == set(n_features)
            assert "object_score" not in file
    assert "interpolated" in (out / "run.log").read_text()
    page = (out / "report" / "index.html").read_text()
    assert "interpolated" in page
    said = "features of networks with random weights (torchvision/"
    assert said in page
    assert json.loads((out / "metrics.json").read_text())["caution"].startswith(said)
    assert f"caution: {said}" in result.out
    assert f"caution: {said}" in cli("evaluate", *command[1:]).out
    assert f"note: {out}: {said}" in cli("compare", out, out).out
    again = cli(*command)
    assert again.code == 0 and "score: up to date" in (out / "run.log").read_text()


@pytest.mark.slow
def test_workers_do_not_matter(cli: RunCli, scene: Path) -> None:
    pytest.importorskip("torchvision")
    found = []
    for workers in (1, 2):
        cache = scene / f"cache-{workers}"
        result = cli(
            "extract", "--dataset", scene, "--out", scene / "run", "--cache", cache, "--workers", workers,
            "extract.streams=[frame]", "extract.frame.encoder=torchvision/mobilenet_v3_small",
            "extract.frame.weights=random", "extract.frame.every_frames=5",
        )  # fmt: skip
        assert result.code == 0, result.err
        features = {}
        for entry in sorted((cache / "frame").glob("*/**/*.h5")):
            with h5py.File(entry, "r") as file:
                features[entry.relative_to(cache).as_posix()] = file["features"][()]
        found.append(features)
    assert len(found[0]) == 5 and found[0].keys() == found[1].keys()
    for name, features in found[0].items():
        np.testing.assert_array_equal(features, found[1][name])
