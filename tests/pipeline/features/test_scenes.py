"""Which videos share a background: cameras by sub-folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from mulde.data.errors import InputError
from mulde.data.video import Video
from mulde.pipeline.features.scenes import group_by_scene


def videos(scenes: Sequence[str]) -> list[Video]:
    return [Video(f"{i}", Path(f"/v/{scene}/{i}.mp4"), Path("/v"), scene) for i, scene in enumerate(scenes)]


@pytest.mark.parametrize(
    ("normal", "test", "expected"),
    [
        ([""], [], {""}),
        ([""], [""], {""}),
        (["cam1", "cam2"], ["cam1"], {"cam1", "cam2"}),
        (["monday", "tuesday"], ["week 2"], {"all"}),
        ([""], ["cam1"], {"all"}),
    ],
)
def test_cameras(normal: list[str], test: list[str], expected: set[str]) -> None:
    assert group_by_scene(videos(normal), videos(test)).keys() == expected


@pytest.mark.parametrize(
    ("test", "said"),
    [
        (["cam1", "cam2", "porch"], "porch are of a camera .* of cam1, cam2: name"),
        (["cam1", "Cam2"], "is Cam2 meant to be cam2"),
        (["CAM1"], "is CAM1 meant to be cam1"),
        (["cam1", ""], "no sub-folder are of a camera"),
    ],
)
def test_camera_that_training_lacks(test: list[str], said: str) -> None:
    normal = videos(["cam1", "cam2"])
    with pytest.raises(InputError, match=said):
        group_by_scene(normal, videos(test))
    assert group_by_scene(normal, videos(test), merge=True) == {"all": normal}
