"""One video's extraction: working ahead changes nothing but the time, and is done where a core is idle."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mulde.data.cache.store import read_rows
from mulde.data.decode.readers import sample_frames
from mulde.data.features import FeatureRows
from mulde.data.layouts.find_videos import find_videos
from mulde.data.rendered.render import render_scene
from mulde.extractors.networks.machine import NoRoomError
from mulde.extractors.prefetch import prefetched
from mulde.extractors.scene import learn_scene
from mulde.pipeline.config.load import load_config
from mulde.pipeline.executors.base import Outcome
from mulde.pipeline.features.scenes import grey_of
from mulde.pipeline.stages import extract
from mulde.pipeline.stages.extract import (
    ExtractResult,
    ExtractTask,
    _failure,
    _frames_ahead,
    _works_ahead,
    extract_video,
)
from tests.conftest import WriteVideo


@pytest.fixture
def task(scene_once: Path, tmp_path: Path) -> ExtractTask:
    (video, *_) = find_videos(scene_once / "test")
    config = load_config().extract
    model = learn_scene(sample_frames(video, 20, grey_of), config.scene)
    return ExtractTask(video, model, config, tmp_path / "cache", 25.0, device="cpu")


def test_working_ahead_changes_nothing(
    task: ExtractTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms = []

    def record(items: Iterable[Any], room: int) -> AbstractContextManager[Any]:
        rooms.append(room)
        return prefetched(items, room)

    monkeypatch.setattr(extract, "prefetched", record)
    for works_ahead in (False, True):
        folder = tmp_path / str(works_ahead)
        result = extract_video(
            replace(task, works_ahead=works_ahead, cache=folder),
            lambda n_frames, n_expected=None: None,
        )
        assert result.status == "done"
        assert len(rooms) == works_ahead
    assert rooms == [32]  # small frames
    files = sorted(path.relative_to(tmp_path / "True") for path in (tmp_path / "True").glob("*/*/*.h5"))
    assert len(files) >= 4
    for file in files:
        plain, ahead = (read_rows(tmp_path / name / file) for name in ("False", "True"))
        np.testing.assert_array_equal(plain.features, ahead.features)
        np.testing.assert_array_equal(plain.frame, ahead.frame)


@pytest.mark.parametrize(
    ("n_cores", "device", "workers", "expected"),
    [
        (1, "cuda", 1, False),
        (2, "cpu", 1, True),
        (2, "cpu", 2, False),
        (8, "cuda", 4, True),
    ],
)
def test_works_ahead_where_a_core_is_idle(
    task: ExtractTask,
    monkeypatch: pytest.MonkeyPatch,
    n_cores: int,
    device: str,
    workers: int,
    expected: bool,
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: n_cores)
    assert _works_ahead(replace(task, device=device), workers) == expected


@pytest.mark.parametrize(("size_bytes", "room"), [(100, 32), (20 * 2**20, 12), (2**30, 2)])
def test_large_frames_wait_in_smaller_numbers(size_bytes: int, room: int) -> None:
    class Prepared:
        def __init__(self, size_bytes: int) -> None:
            self.size_bytes = size_bytes

    assert _frames_ahead([Prepared(1), Prepared(size_bytes)]) == room  # type: ignore[list-item]
    assert _frames_ahead([]) == 32


def render_as(root: Path, size: tuple[int, int], fps: int = 10) -> Path:
    render_scene(root, size=size, n_normal=1, n_test=1, seconds=4.0, fps=fps, seed=1)
    return root / "test"


def rows_of(cache: Path, stream: str) -> FeatureRows:
    (path,) = (path for path in cache.glob(f"{stream}/*/*.h5"))
    return read_rows(path)


def done(task: ExtractTask) -> ExtractResult:
    return extract_video(task, lambda n_frames, n_expected=None: None)


@pytest.mark.parametrize("size", [(320, 240), (80, 60)])
def test_the_same_scene_at_another_resolution_has_the_same_features(
    task: ExtractTask, tmp_path: Path, size: tuple[int, int]
) -> None:
    (video, *_) = find_videos(render_as(tmp_path / "other", size))
    other = replace(task, video=video, cache=tmp_path / "cache-other")
    first = done(other)
    assert first.status == "resized"
    assert first.size_note.startswith(f"frames of {size[0]}x{size[1]}, ")  # said before the work
    report = done(replace(other, size_is_told=True)).report
    assert done(task).status == "done"
    assert report is not None
    assert report.warnings[-1].endswith("motion is seen at the same size in both")
    for stream in ("boxes", "velocity"):
        own, seen = rows_of(task.cache, stream), rows_of(other.cache, stream)
        assert len(seen) == pytest.approx(len(own), rel=0.35)
    own_speed, speed = (np.percentile(rows.features[:, 0], (50, 90)) for rows in (own, seen))
    np.testing.assert_allclose(speed, own_speed, rtol=0.35)  # in heights of an object
    assert seen.box_xyxy is not None
    assert seen.box_xyxy[:, 2:].max(axis=0) == pytest.approx(np.array(size), rel=0.1)  # of the frame


def test_a_stream_added_later_is_the_same_at_another_resolution(task: ExtractTask, tmp_path: Path) -> None:
    (video, *_) = find_videos(render_as(tmp_path / "other", (320, 240)))
    other = replace(task, video=video, size_is_told=True)
    few = other.config.model_copy(update={"streams": ("direction",)})
    assert done(replace(other, config=few, cache=tmp_path / "later")).status == "done"
    result = done(replace(other, cache=tmp_path / "later"))
    assert done(replace(other, cache=tmp_path / "once")).status == "done"
    for stream in other.config.streams:
        once, later = (rows_of(tmp_path / name, stream) for name in ("once", "later"))
        np.testing.assert_array_equal(once.features, later.features)
    assert result.report is not None
    assert len(result.report.warnings) == len(set(result.report.warnings)) == 1


def test_another_shape_is_learnt_from_the_video_alone_and_bounded(task: ExtractTask, tmp_path: Path) -> None:
    (video, *_) = find_videos(render_as(tmp_path / "other", (320, 180)))
    windows = replace(task.config.boxes.windows, max_windows=20)
    config = task.config.model_copy(update={"boxes": replace(task.config.boxes, windows=windows)})
    other = replace(task, video=video, config=config)
    assert done(other).size_note.startswith("frames of 320x180, ")
    report = done(replace(other, size_is_told=True)).report
    assert report is not None
    assert "another shape" in report.warnings[0]
    assert "extract.boxes.windows.max_windows" in report.warnings[1]
    assert np.bincount(rows_of(task.cache, "boxes").frame).max() == 20


def test_a_camera_that_was_turned_round_is_noticed(task: ExtractTask) -> None:
    turned = replace(task.scene, backgrounds=task.scene.backgrounds[:, ::-1].copy())
    report = done(replace(task, scene=turned)).report
    assert report is not None
    assert "was the camera moved" in report.warnings[0]


def test_a_full_gpu_is_told_with_the_way_out(task: ExtractTask) -> None:
    failure = _failure(Outcome(task, None, NoRoomError("YOLO does not fit"), 0.0))
    assert "YOLO does not fit: give fewer --workers, " in failure.reason
    assert failure.reason.endswith("or run with --device cpu")


def test_a_picture_that_stands_still_is_told(
    task: ExtractTask, tmp_path: Path, write_video: WriteVideo
) -> None:
    moving = [np.roll(np.tile(np.arange(160, dtype=np.uint8), (120, 1)), 7 * k, axis=1) for k in range(20)]
    greys = [*moving, *[moving[-1]] * 120]
    path = write_video(tmp_path / "held.mp4", [np.stack([grey] * 3, axis=2) for grey in greys], qp=0)
    video = replace(task.video, path=path, name="held", split_folder=tmp_path)
    result = extract_video(replace(task, video=video), lambda n_frames, n_expected=None: None)
    assert result.report is not None
    assert "the picture stands still for 12 s, first at 2.0 s" in result.report.warnings
