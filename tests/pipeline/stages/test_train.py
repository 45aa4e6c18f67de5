"""A detector that a task has trained is read back, and no other in its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from mulde.pipeline.stages import train


def test_a_detector_of_other_settings_is_not_taken_for_the_one_that_was_trained(
    cli, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--dataset", scene, "--out", tmp_path / "run", "--cache", tmp_path / "cache", "--quiet"]
    options += ["detector.kind=knn", "extract.streams=[velocity]", "train.folds=0"]
    for command in ("extract", "train"):
        done = cli(command, *options)
        assert done.code == 0, done.err
    # as on a cluster whose other machines have the folder of the run somewhere else
    monkeypatch.setattr(train, "train_detector", lambda task, tick: "written elsewhere")
    done = cli("train", *options, "detector.k=3")
    assert done.code == 2
    assert "the detector of velocity was trained, but is not in" in done.err
    assert "same path on all machines" in done.err
