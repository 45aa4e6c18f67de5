"""Runs side by side: all that was measured, in lines that fit the terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mulde.data.labels.regions import Regions
from mulde.pipeline.cli import compare
from mulde.pipeline.config.load import load_config, write_config
from mulde.pipeline.metrics.measure import VideoScores, evaluate_frames
from mulde.pipeline.metrics.regions import RegionVideo
from mulde.pipeline.metrics.settings import EvaluateConfig
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.stages.evaluate import write_metrics


def make_run(folder: Path, *, has_regions: bool) -> None:
    run = RunFolder(folder)
    folder.mkdir()
    write_config(run.config, load_config())
    labels = np.array([0, 1], np.uint8)
    videos = [VideoScores(name, np.array([0.0, 1.0]), labels, name) for name in "ab"]
    box = np.array([[0, 0, 4, 4]], np.float32)
    regions = Regions(np.array([1]), box, np.array([0]))
    found = [RegionVideo(v.name, 2, np.array([1]), box, np.ones(1), regions) for v in videos]
    settings = EvaluateConfig(n_resamples=20)
    metrics = evaluate_frames(
        videos,
        regions=found if has_regions else (),
        no_regions_reason="" if has_regions else "no region labels",
        settings=settings,
    )
    write_metrics(run.metrics, metrics)


@pytest.mark.parametrize(("width", "n_tables"), [(80, 2), (120, 1)])
def test_all_measures_in_the_width_of_a_terminal(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, width: int, n_tables: int
) -> None:
    names = ["plain", "regions", "x" * 40]
    for name in names:
        make_run(Path(name), has_regions=name == "regions")
    monkeypatch.setattr(compare.stdout, "width", width)
    told = cli("compare", *names).out.split("\nin %")[0]
    assert max(map(len, told.splitlines())) <= width
    rows = [line for line in told.splitlines() if line.startswith(("RBDC", "TBDC", "Macro AUC, padded"))]
    assert len(rows) == 3 * n_tables
    rbdc = next(line.split() for line in rows if line.startswith("RBDC"))
    assert rbdc[1:4] == ["–", "100.00", "(100.00–100.00)"]
    assert told.count("Scene AUC") == n_tables


def test_what_no_run_has_is_left_out(cli: Callable[..., Any]) -> None:
    make_run(Path("plain"), has_regions=False)
    told = cli("compare", "plain", "plain").out
    assert "Scene AUC" in told
    assert "RBDC  " not in told and "AUC of boxes" not in told
