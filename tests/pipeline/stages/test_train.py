"""A detector that a task has trained is read back, and no other in its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mulde.data.video import Video
from mulde.pipeline.config.load import load_config
from mulde.pipeline.executors.base import Outcome
from mulde.pipeline.executors.in_process import InProcess
from mulde.pipeline.features.inventory import CachedVideo
from mulde.pipeline.models import fit
from mulde.pipeline.stages import hold_out, train


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


class Elsewhere(InProcess):
    """Runs on a machine with more memory."""

    def _run(self, function: Any, task: Any, on_poll: Any) -> Outcome[Any, Any]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fit, "_memory_gb", lambda: 1e9)
            return super()._run(function, task, on_poll)


def test_what_does_not_fit_here_is_read_while_training_on_all_machines(
    cli, scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--normal", scene / "normal", "--out", "run", "detector.kind=mahalanobis"]
    options += ["extract.streams=[place]", "extract.flow.preset=ultrafast"]
    assert cli("extract", *options).code == 0
    monkeypatch.setattr(fit, "_memory_gb", lambda: 1e-6)  # a quarter of which takes 250 bytes
    for stage in (train, hold_out):
        monkeypatch.setattr(stage, "open_computation", lambda *_: Elsewhere())
    done = cli("train", *options)
    assert done.code == 0, done.err
    assert done.err.count("of features are read while training") == 3  # the model, and two folds


@pytest.mark.parametrize(
    ("n_videos", "settings", "is_told"),
    [
        ([1], [], False),
        ([2], [], True),
        ([7], [], True),
        ([8], [], False),
        ([2], ["detector.held_out=0"], False),
        ([2], ["detector.kind=knn"], False),
        ([1, 1], ["train.by=scene"], False),
        ([8, 3], [], False),
        ([8, 3], ["train.by=scene"], True),
    ],
)
def test_models_of_few_videos_are_told_from_those_of_before(
    n_videos: list[int], settings: list[str], is_told: bool
) -> None:
    videos = [
        CachedVideo(Video(f"{scene}/{k}", Path(), Path(), str(scene)), {}, {}, is_stale=False)
        for scene, n in enumerate(n_videos)
        for k in range(n)
    ]
    found = train._of_few(load_config(overrides=settings), videos)
    assert found == ({"few_videos": 1} if is_told else {})
