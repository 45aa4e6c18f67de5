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
from mulde.data.layouts.find_videos import find_videos
from mulde.extractors.prefetch import prefetched
from mulde.extractors.scene import learn_scene
from mulde.pipeline.config.sections import load_config
from mulde.pipeline.features.scenes import grey_of
from mulde.pipeline.stages import extract
from mulde.pipeline.stages.extract import ExtractTask, _frames_ahead, _works_ahead, extract_video


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
            replace(task, works_ahead=works_ahead, cache_folder=folder),
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
