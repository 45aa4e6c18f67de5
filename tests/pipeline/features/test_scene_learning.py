"""Scenes are learnt from the videos that can be read, whatever else is among them."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from mulde.data.cache.store import FeatureCache
from mulde.data.errors import InputError
from mulde.data.hdf5 import open_to_write
from mulde.data.layouts.find_videos import find_videos
from mulde.data.video import Video
from mulde.extractors.settings import SceneSettings
from mulde.pipeline.features.scenes import Scenes, find_scenes, learn_scenes


def learn(
    cache: Path, videos: list[Video], settings: SceneSettings | None = None, *, stall_seconds: float = 60
) -> Scenes:
    return learn_scenes(
        FeatureCache(cache),
        {"all": videos},
        settings or SceneSettings(),
        25.0,
        workers=2,
        stall_seconds=stall_seconds,
    )


@pytest.fixture
def folder(scene_once: Path, tmp_path: Path) -> Path:
    """Two videos, and what is no video between them."""
    folder = tmp_path / "normal"
    folder.mkdir()
    for source, name in zip(sorted((scene_once / "normal").iterdir()), "ac", strict=False):
        shutil.copy(source, folder / f"{name}.mp4")
    (folder / "b.mp4").write_bytes(b"no video" * 100)
    return folder


def test_no_video_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video" * 100)
    with pytest.raises(InputError, match=r"none of the 1 normal videos can be read.*a\.mp4 cannot be opened"):
        learn(tmp_path / "cache", find_videos(tmp_path))


def test_scenes_with_looks_stand_beside_those_without(scene_once: Path, tmp_path: Path) -> None:
    videos = find_videos(scene_once / "normal")
    plain = learn(tmp_path, videos)
    with_looks = learn(tmp_path, videos, SceneSettings(with_looks=True))
    assert plain.models["all"].looks is None is not with_looks.models["all"].looks
    assert with_looks.digest == plain.digest
    found = find_scenes(FeatureCache(tmp_path), {"all": videos}, SceneSettings())
    assert found is not None
    assert found.models["all"].looks is None
    (key, _) = sorted(
        (json.loads(f.read_text()) for f in (tmp_path / "scene").glob("*/stream.json")), key=len
    )
    assert "with_looks" not in str(key), "scenes of before there were looks are found"


def test_a_scene_with_looks_serves_who_does_not_ask_for_them(scene_once: Path, tmp_path: Path) -> None:
    videos = find_videos(scene_once / "normal")
    with_looks = learn(tmp_path, videos, SceneSettings(with_looks=True))
    found = find_scenes(FeatureCache(tmp_path), {"all": videos}, SceneSettings())
    assert found is not None
    assert found.models["all"].looks is None
    assert found.digest == with_looks.digest


def test_a_file_of_the_cache_that_holds_no_scene_is_made_again(
    scene_once: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    videos = find_videos(scene_once / "normal")
    learnt = learn(tmp_path, videos)
    (file,) = (tmp_path / "scene").rglob("*.h5")
    with open_to_write(file, "r+") as opened:
        del opened["aspect"]
    assert find_scenes(FeatureCache(tmp_path), {"all": videos}, SceneSettings()) is None
    assert learn(tmp_path, videos).digest == learnt.digest
    assert "scene all in the cache is damaged (it holds no scene (KeyError: 'aspect'))" in caplog.text


@pytest.mark.parametrize(
    "settings",
    [
        SceneSettings(),
        SceneSettings(n_samples=3),
    ],
)
def test_a_file_that_cannot_be_read_changes_nothing(
    folder: Path, tmp_path: Path, settings: SceneSettings
) -> None:
    with_it = find_videos(folder)
    without = [video for video in with_it if video.name != "b"]
    assert len(with_it) == len(without) + 1
    learnt = learn(tmp_path / "cache", with_it, settings)
    alone = learn(tmp_path / "other", without, settings)
    assert learnt.digest == alone.digest
    for videos in (with_it, without):  # nothing is learnt again when it is taken out, or is back
        found = find_scenes(FeatureCache(tmp_path / "cache"), {"all": videos}, settings)
        assert found is not None
        assert found.digest == learnt.digest
    assert learn(tmp_path / "other", with_it, settings).digest == alone.digest


def test_of_very_many_videos_others_take_the_place_of_one_that_cannot_be_read(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "b.mp4").rename(folder / "0.mp4")  # of every second one, the first would be taken
    for name in "def":
        shutil.copy(folder / "a.mp4", folder / f"{name}.mp4")
    videos, settings = find_videos(folder), SceneSettings(n_samples=3)
    assert (
        learn(tmp_path / "cache", videos, settings).digest
        == learn(tmp_path / "other", videos[1:], settings).digest
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a pipe that nobody writes to makes a decoder hang")
def test_a_decoder_that_hangs_is_stopped(folder: Path, tmp_path: Path) -> None:
    good = [video for video in find_videos(folder) if video.name != "b"]
    hanging = folder / "d"
    hanging.mkdir()
    os.mkfifo(hanging / "1.png")
    videos = [*good, Video("d", hanging, folder)]
    started = time.monotonic()
    learnt = learn(tmp_path / "cache", videos, stall_seconds=3)
    assert time.monotonic() - started < 60
    assert learnt.digest == learn(tmp_path / "other", good).digest
