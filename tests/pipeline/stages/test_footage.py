"""New footage with the model of a run: what fails or changes meanwhile is told, and how far it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mulde
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.shards import read_status
from mulde.pipeline.stages import footage
from tests.pipeline.conftest import RunCli


@pytest.fixture(scope="module")
def model(scene_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a model; not to be changed."""
    place = tmp_path_factory.mktemp("trained")
    settings = {"detector": {"widths": [32], "max_steps": 60}, "extract": {"streams": ["velocity"]}}
    return mulde.train(scene_once / "normal", place / "run", cache=place / "cache", **settings).folder


def after_extraction(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    extract_missing = footage.extract_missing

    def extract_then(*arguments: Any, **options: Any) -> object:
        failures = extract_missing(*arguments, **options)
        do()
        return failures

    monkeypatch.setattr(footage, "extract_missing", extract_then)


def test_what_changes_between_extraction_and_scores_is_listed_as_failed(
    cli: RunCli, scene: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed, *others = sorted((scene / "test").iterdir())
    after_extraction(monkeypatch, lambda: shutil.copy(others[0], changed))
    result = cli("score", "--model", model, scene / "test", "--out", "new", "--cache", "cache")
    assert result.code == 3
    (failure,) = json.loads(Path("new/failures.json").read_text())
    assert (failure["video"], failure["path"]) == (changed.stem, str(changed))
    assert f"{changed} was changed or deleted after it was read" in result.err
    assert [path.stem for path in Path("new/scores").glob("*.csv")] == [path.stem for path in others]


def test_where_nothing_is_left_one_sentence_says_so(
    cli: RunCli, scene: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = sorted((scene / "test").iterdir())[0]
    after_extraction(monkeypatch, video.unlink)
    result = cli("score", "--model", model, video, "--out", "new", "--cache", "cache")
    assert (result.code, "Traceback" in result.err) == (2, False)
    assert f"no video can be scored: {video} was changed or deleted" in result.err


def test_how_far_it_is_is_kept_and_ends(cli: RunCli, scene: Path, model: Path) -> None:
    broken = scene / "test" / "broken.mp4"
    broken.write_bytes(b"no video")
    seen = []
    for n_cached in (0, 2):
        assert cli("score", "--model", model, scene / "test", "--out", "new", "--cache", "cache").code == 3
        (status,) = read_status(RunFolder(Path("new")))
        progress = status.progress
        seen.append((status.state, progress.n_videos, progress.n_cached, progress.n_finished))
        assert (progress.n_failed, progress.share) == (1, 1.0), n_cached
    assert seen == [("ended", 3, 0, 2), ("ended", 3, 2, 2)]
    told = cli("status", "new")
    assert (told.code, "2 of 3 videos done, 1 failed; shards: 1 ended" in told.out) == (0, True), told.out
