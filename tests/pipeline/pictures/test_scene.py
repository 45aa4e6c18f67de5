"""Pictures of what was learnt of a scene."""

from __future__ import annotations

import numpy as np
import pytest

from mulde.extractors.scene import SceneModel
from mulde.pipeline.pictures.scene import draw_scene, object_frames, scene_facts


def make_scene(n_backgrounds: int = 1, slope: float = 0.1) -> SceneModel:
    backgrounds = np.full((n_backgrounds, 120, 160), 80, np.uint8)
    return SceneModel((320, 240), backgrounds, 8.0, slope, (8.0, 20.0), 0.5)


def test_frames_are_as_large_as_objects_and_stand_in_the_picture() -> None:
    scene = make_scene()
    frames = object_frames(scene)
    heights = frames[:, 3] - frames[:, 1]
    np.testing.assert_allclose(heights, scene.object_height(frames[:, 3]))
    np.testing.assert_allclose(frames[:, 2] - frames[:, 0], heights / 2)
    assert (np.diff(heights) > 0).all()
    assert frames[:, :2].min() >= -2
    assert frames[:, 2].max() <= 160
    assert frames[-1, 3] == 119


@pytest.mark.parametrize("n_backgrounds", [1, 3])
def test_each_background_is_drawn(n_backgrounds: int) -> None:
    pictures = draw_scene(make_scene(n_backgrounds))
    assert len(pictures) == n_backgrounds
    for picture in pictures:
        assert picture.shape == (480, 640, 3)
        assert (picture[..., 0].astype(int) - picture[..., 2] > 100).any()
        assert (picture == 80).mean() > 0.9


def test_facts() -> None:
    one, three = scene_facts(make_scene()), scene_facts(make_scene(3, slope=0.0))
    assert "16 to 40 px tall, and 0.50 times as wide, in frames of 320×240 px" in one[0]
    assert "160×120" in one[1]
    assert ("one look" in one[2], "3 looks" in three[2]) == (True, True)
