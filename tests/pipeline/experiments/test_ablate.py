"""Training, ablation and comparison on a few imported vectors: no video, no picture."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mulde.data.errors import InputError
from mulde.pipeline.config.sections import DetectorConfig
from mulde.pipeline.experiments.ablate import mean_and_deviation, parse_density

RunCli = Callable[..., Any]
N_FRAMES = 60
DATA = ["--normal-features", "a/normal", "--test-features", "a/test", "--labels", "labels.csv"]
QUICK = ["extract.streams=[one,two]", "evaluate.n_resamples=50", "detector.max_steps=20"]
SMALL = [*QUICK, "detector.widths=[16,16]"]


@pytest.fixture
def imported(cli: RunCli) -> RunCli:
    """Import two streams of four normal and three test videos, a row per frame; half of each is abnormal."""
    rng = np.random.default_rng(0)
    for split, n_videos, shift in (("normal", 4, 0.0), ("test", 3, 4.0)):
        for stream in ("one", "two"):
            folder = Path(split) / stream
            folder.mkdir(parents=True)
            for video in range(n_videos):
                rows = rng.normal(size=(N_FRAMES, 2)).astype(np.float32)
                rows[N_FRAMES // 2 :] += shift
                np.save(folder / f"v{video}.npy", rows)
            result = cli("cache", "import", folder, "--stream", stream, "--as", f"a/{split}", "--fps", "10")
            assert result.code == 0, result.err
    lines = [f"v{video},{N_FRAMES // 2},{N_FRAMES}" for video in range(3)]
    Path("labels.csv").write_text("\n".join(["video,start,end", *lines, ""]))
    return cli


@pytest.mark.parametrize("kind", ["mulde", "knn"])
def test_an_ablation_has_the_numbers_of_runs(imported: RunCli, kind: str) -> None:
    more = SMALL if kind == "mulde" else [*QUICK[:2], "detector.kind=knn"]
    assert imported("train", *DATA, *more, "--out", "run").code == 0
    assert imported("score", *DATA, *more, "--out", "run").code == 0
    assert imported("evaluate", *DATA, *more, "--out", "run").code == 0
    result = imported(
        "ablate", *DATA, *SMALL, "--out", "run", "--densities", f"{kind},mahalanobis", "--seeds", "1",
        *(["--aggregations", "resolved,largest"] if kind == "mulde" else []), "--streams", "one,one+two",
    )  # fmt: skip
    assert result.code == 0, result.err
    metrics = json.loads(Path("run/metrics.json").read_text())
    rows = list(csv.DictReader(Path("run/ablation.csv").read_text().splitlines()))
    assert len(rows) == 2 * ((2 if kind == "mulde" else 1) + 1)
    (same,) = [
        row for row in rows
        if (row["streams"], row["density"]) == ("one+two", kind) and row["aggregation"] in ("", "resolved")
    ]  # fmt: skip
    assert float(same["micro_auc_mean"]) == pytest.approx(metrics["micro_auc"], abs=1e-9)
    assert float(same["macro_auc_mean"]) == pytest.approx(metrics["macro_auc"], abs=1e-9)
    assert float(same["micro_auc_low"]) <= metrics["micro_auc"] <= float(same["micro_auc_high"])
    compared = imported("compare", "run", "--json")
    assert json.loads(compared.out)[0]["metrics"]["micro_auc"] == metrics["micro_auc"]
    assert kind in imported("compare", "run", "run").out


def test_training_again_keeps_what_is_done(imported: RunCli) -> None:
    train = ["train", *DATA, *SMALL[1:], "--out", "run"]
    assert imported(*train, "extract.streams=[one]").code == 0
    before = (Path("run/model/one/manifest.json")).read_bytes()
    told = imported(*train, "extract.streams=[one,two]").err
    assert "train one: done before" in told
    assert "train two: 16x16 units" in told
    assert Path("run/model/one/manifest.json").read_bytes() == before
    provenance = json.loads(Path("run/model/two/manifest.json").read_text())["provenance"]
    assert (provenance["n_samples"], provenance["n_videos"], provenance["widths"]) == (240, 4, [16, 16])
    assert "up to date" in imported(*train, "extract.streams=[one,two]").err


def test_features_beyond_the_memory_are_read_while_training(imported: RunCli) -> None:
    told = imported("train", *DATA, *SMALL, "--out", "run", "train.memory_gb=0.000001").err
    assert "features are read while training" in told
    assert imported("score", *DATA, *SMALL, "--out", "run", "train.memory_gb=0.000001").code == 0


def test_tensorboard_gets_scalars(imported: RunCli) -> None:
    pytest.importorskip("tensorboard")
    assert imported("train", *DATA, *SMALL, "--out", "run", "detector.tensorboard=true").code == 0
    assert list(Path("run/tensorboard/one").glob("events.out.tfevents*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--densities", "lof"], "density 'lof' is not allowed"),
        (["--densities", "knn:beta=1"], "beta is no setting of detector.kind=knn"),
        (["--aggregations", "best"], "aggregation 'best' is not allowed: known are resolved"),
        (["--streams", "three"], "was imported with one, two, not with three"),
        (["detector.kind=knn"], "leave detector.kind out"),
        (["train.by=scene"], "leave train.by out"),
        (
            ["--densities", "knn,gmm", "--aggregations", "mean"],
            "is of densities with noise scales, not of knn,gmm",
        ),
        (["--streams", "one,one+one"], "one is named twice in --streams one,one+one"),
    ],
)
def test_bad_grids_are_refused(imported: RunCli, arguments: list[str], message: str) -> None:
    result = imported("ablate", *DATA, "extract.streams=[one,two]", *arguments)
    assert result.code == 2
    assert message in " ".join(result.err.split())


def test_a_run_of_another_density_is_an_ablation_as_well(imported: RunCli) -> None:
    settings = ["extract.streams=[one,two]", "evaluate.n_resamples=50", "train.folds=0"]
    run = imported("train", *DATA, *settings, "--out", "run", "detector.kind=knn")
    assert run.code == 0, run.err
    result = imported("ablate", "run", "--densities", "knn:k=1,mahalanobis", "--seeds", 1)
    assert result.code == 0, result.err
    assert "knn:k=1" in result.out and "mahalanobis" in result.out


def test_detectors_by_scene_need_scenes(imported: RunCli) -> None:
    result = imported("train", *DATA, *SMALL, "train.by=scene")
    assert result.code == 2
    assert "no scene is known" in result.err


def test_settings_of_training_are_refused_where_all_is_trained(imported: RunCli) -> None:
    assert imported("train", *DATA, *SMALL, "--out", "run").code == 0
    for idle in (["detector.beta=1"], ["train.by=scene"], ["--seed", "3"]):
        result = imported("score", "--model", "run", "labels.csv", *idle)
        assert result.code == 2
        assert f"{idle[0]} does not change the detectors in run" in " ".join(result.err.split())


def test_no_run_to_compare(cli: RunCli) -> None:
    result = cli("compare", "nothere")
    assert result.code == 2
    assert "nothere is no run" in result.err


def test_density_of_its_own_settings() -> None:
    given = DetectorConfig(max_steps=7, preset="paper")
    expected = {"kind": "knn", "preset": "default", "k": 1, "outlier_limit": 100.0}
    assert parse_density("knn:k=1", given).config.resolved() == expected
    found = parse_density("single_scale:sigma=0.5;beta=0", given).config.settings()
    assert (found["sigma"], found["beta"], found["max_steps"], found["widths"]) == (0.5, 0, 7, (4096, 4096))
    with pytest.raises(InputError, match="k is no setting"):
        parse_density("gmm:k=3", given)


@pytest.mark.parametrize(
    ("values", "expected"),
    [((), None), ((None, 1.0), None), ((0.5,), (0.5, 0.0)), ((0.0, 2.0), (1.0, 2**0.5))],
)
def test_mean_and_deviation(values: tuple[float | None, ...], expected: tuple[float, float] | None) -> None:
    found = mean_and_deviation(values)
    assert found is None if expected is None else found == pytest.approx(expected)


@pytest.mark.parametrize("density", ["knn:k", "knn:k=", "mulde:aggregation=gmm"])
def test_a_density_without_value_or_with_an_aggregation_is_refused(density: str) -> None:
    with pytest.raises(InputError, match="is not allowed"):
        parse_density(density, DetectorConfig())
