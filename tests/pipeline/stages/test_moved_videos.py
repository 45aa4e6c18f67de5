"""A data set that was moved, renamed or copied extracts nothing again; content is what counts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

FAST = ["detector.widths=[32]", "detector.max_steps=30", "extract.flow.preset=ultrafast", "--workers", "2"]


def copy_without_times(old: Path, new: Path) -> None:
    shutil.copytree(old, new, copy_function=shutil.copyfile)
    shutil.rmtree(old)


STAGES = ("extract", "train", "hold_out", "score", "events", "evaluate", "report")


def todo(text: str) -> dict[str, int]:
    return {line.split()[0]: int(line.split()[1]) for line in text.splitlines()[1:]}


@pytest.mark.parametrize("move", [Path.rename, copy_without_times], ids=["moved", "copied without times"])
@pytest.mark.slow
def test_nothing_is_extracted_or_trained_again(
    cli, scene: Path, move: Callable[[Path, Path], object]
) -> None:
    assert cli("run", "--dataset", scene, *FAST, "--out", "run").code == 0
    scores = {path.name: path.read_bytes() for path in Path("run/scores").glob("*.csv")}
    place = scene.parent / "elsewhere" / "other name"
    place.parent.mkdir()
    move(scene, place)
    before = sorted(Path(".cache/mulde").rglob("*.h5"))
    plan = cli("plan", "--dataset", place, *FAST, "--out", "run")
    assert todo(plan.out) == dict.fromkeys(STAGES, 0)
    assert sorted(Path(".cache/mulde").rglob("*.h5")) == before, "a plan writes nothing"
    again = cli("run", "--dataset", place, *FAST, "--out", "run")
    assert again.code == 0, again.err
    assert "found the features of 5 videos that moved" in again.err
    assert "train: up to date" in again.err
    assert {path.name: path.read_bytes() for path in Path("run/scores").glob("*.csv")} == scores
    third = cli("run", "--dataset", place, *FAST, "--out", "run")
    assert "have moved" not in third.err
    assert cli("cache", "prune", "--yes").code == 0  # of the old place, which is gone
    assert todo(cli("plan", "--dataset", place, *FAST, "--out", "run").out)["extract"] == 0


def test_a_changed_video_is_extracted_again(cli, scene: Path) -> None:
    assert cli("extract", "--dataset", scene, *FAST).code == 0
    place = scene.parent / "elsewhere"
    scene.rename(place)
    first, second = sorted((place / "test").glob("*.mp4"))[:2]
    time = first.stat().st_mtime_ns
    shutil.copy(second, first)
    os.utime(first, ns=(time, time))
    assert todo(cli("plan", "--dataset", place, *FAST).out)["extract"] == 1


def test_data_sets_with_the_same_names_do_not_mix(cli, scene: Path) -> None:
    """The two test videos change names, so that each name is there with two contents."""
    assert cli("extract", "--dataset", scene, *FAST).code == 0
    twin = scene.parent / "twin"
    shutil.copytree(scene, twin)
    first, second = sorted((twin / "test").glob("*.mp4"))[:2]
    first.rename(twin / "middle.mp4")
    second.rename(first)
    (twin / "middle.mp4").rename(second)
    assert cli("extract", "--dataset", twin, *FAST).code == 0
    for root in (scene, twin):
        assert todo(cli("plan", "--dataset", root, *FAST).out)["extract"] == 0


def test_a_changed_normal_video_has_the_scene_learnt_again(cli, scene: Path) -> None:
    assert cli("extract", "--dataset", scene, *FAST).code == 0
    place = scene.parent / "elsewhere"
    scene.rename(place)
    normal = sorted((place / "normal").glob("*.mp4"))
    content = normal[0].read_bytes()
    normal[0].write_bytes(content[:-9] + bytes(9))  # the same size
    result = cli("extract", "--dataset", place, *FAST)
    assert "scene all: background of" in result.err
