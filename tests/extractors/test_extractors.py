"""One battery for every extractor: whoever adds one adds a line to EXTRACTORS."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_networks import tiny_encoder

from mulde.data.features import FeatureRows, join_rows
from mulde.data.video import Frame
from mulde.extractors.base import Extractor, Objects
from mulde.extractors.movement import Arrivals, Movement
from mulde.extractors.networks.encoders import make_encoder
from mulde.extractors.networks.libraries import IMAGE_LIBRARIES
from mulde.extractors.networks.machine import Machine
from mulde.extractors.one_pass import OnePass
from mulde.extractors.scene import SceneModel
from mulde.extractors.settings import AppearanceSettings, HogSettings, PlaceSettings, VelocitySettings
from mulde.extractors.streams.appearance import Appearance
from mulde.extractors.streams.flow import DenseFlow
from mulde.extractors.streams.hog import Hog
from mulde.extractors.streams.shape import Shape
from mulde.extractors.streams.stillness import Stillness
from mulde.extractors.streams.velocity import Direction, Place, Velocity

FLOW = DenseFlow(Movement((64, 48), 10, 0.2), "fast")
SCENE = SceneModel((64, 48), np.full((1, 48, 64), 128, np.uint8), 20.0, 0.0, (20.0, 20.0), aspect=0.5)
EXTRACTORS: list[Extractor] = [
    Stillness(Arrivals(SCENE.digest, 20, 0.3, 10, 60.0, SCENE)),
    Velocity(FLOW, 0.2, 2, SCENE, VelocitySettings(with_coverage=True)),
    Velocity(FLOW, 0.0, 0, SCENE, VelocitySettings("box", n_bins=8)),
    Velocity(FLOW, 0.0, 0, SCENE, VelocitySettings("moving", n_bins=3, per_height="no")),
    Direction(FLOW, 0.1, 1, SCENE),
    Place(FLOW, 0.1, 1, SCENE, PlaceSettings()),
    Hog(HogSettings()),
    Shape(SCENE),
    Appearance(tiny_encoder(AppearanceSettings(batch_size=2))),
    Appearance(
        make_encoder(
            "extract.appearance",
            AppearanceSettings(encoder="torchvision/mobilenet_v3_small", weights="random"),
            IMAGE_LIBRARIES,
            Machine(weights_folder=Path("nowhere")),
        )
    ),
]
all_extractors = pytest.mark.parametrize("extractor", EXTRACTORS, ids=lambda e: f"{e.name}-{e.n_features}")


def make_frames(n_frames: int, size: tuple[int, int] = (64, 48), seed: int = 0) -> list[Frame]:
    """A textured picture that slides by a pixel a frame."""
    width, height = size
    rng = np.random.default_rng(seed)
    wide = rng.integers(0, 256, (height // 4 + 1, (width + n_frames) // 4 + 2, 1), np.uint8)
    wide = np.kron(wide, np.ones((4, 4, 3), np.uint8))
    return [
        Frame.of_rgb(t, t / 10, np.ascontiguousarray(wide[:height, t : t + width])) for t in range(n_frames)
    ]


def objects_of(boxes: list[list[float]]) -> FeatureRows:
    """The same boxes as rows of one frame."""
    box = np.array(boxes, np.float32).reshape(-1, 4)
    return FeatureRows(np.full((len(box), 1), 0.5, np.float32), np.zeros(len(box), np.int64), box)


def run(extractor: Extractor, frames: list[Frame], known: FeatureRows) -> FeatureRows:
    """One pass over frames with known objects."""
    parts: list[FeatureRows] = []
    one_pass = OnePass([(extractor, parts.append)], known_objects=known)
    for frame in frames:
        one_pass.push(one_pass.prepare(frame))
    one_pass.finish()
    return join_rows(parts) if parts else known


def in_frames(boxes: list[list[float]], frames: list[int]) -> FeatureRows:
    box = np.array(boxes, np.float32).reshape(-1, 4)
    return FeatureRows(np.full((len(box), 1), 0.5, np.float32), np.array(frames, np.int64), box)


BOXES = [[0, 0, 64, 48], [10, 5, 30, 40], [50, 30, 64, 48]]


@all_extractors
def test_no_object_gives_no_row(extractor: Extractor) -> None:
    rows = run(extractor, make_frames(4), in_frames([], []))
    assert rows.features.shape == (0, extractor.n_features)


@all_extractors
def test_video_of_one_frame(extractor: Extractor) -> None:
    rows = run(extractor, make_frames(1), in_frames(BOXES, [0, 0, 0]))
    assert rows.features.shape == (3, extractor.n_features)
    assert np.isfinite(rows.features).all()


@all_extractors
def test_rows_are_float32_in_order_with_their_boxes(extractor: Extractor) -> None:
    known = in_frames(BOXES, [0, 2, 5])
    rows = run(extractor, make_frames(6), known)
    assert rows.features.dtype == np.float32
    assert rows.features.shape == (3, extractor.n_features)
    np.testing.assert_array_equal(rows.frame, [0, 2, 5])
    np.testing.assert_array_equal(rows.box_xyxy, known.box_xyxy)


@all_extractors
def test_same_input_same_values(extractor: Extractor) -> None:
    known = in_frames(BOXES, [1, 3, 3])
    first, second = (run(extractor, make_frames(6), known) for _ in range(2))
    np.testing.assert_array_equal(first.features, second.features)


@all_extractors
def test_other_objects_in_the_frame_do_not_matter(extractor: Extractor) -> None:
    alone = run(extractor, make_frames(6), in_frames([BOXES[1]], [3]))
    among = run(extractor, make_frames(6), in_frames(BOXES, [3, 3, 3]))
    # sums over integral images round as it comes; networks see each object by itself
    rtol = 0 if isinstance(extractor, Appearance) else 1e-6
    np.testing.assert_allclose(alone.features[0], among.features[1], rtol=rtol)


@all_extractors
@pytest.mark.parametrize("box", [[-5, -5, 10, 10], [60, 40, 90, 90], [10, 10, 10, 10], [63.6, 47.6, 64, 48]])
def test_boxes_at_and_beyond_the_border(extractor: Extractor, box: list[float]) -> None:
    rows = run(extractor, make_frames(3), in_frames([box], [1]))
    assert np.isfinite(rows.features).all()


@all_extractors
def test_tiny_frames(extractor: Extractor) -> None:
    rows = run(extractor, make_frames(3, size=(12, 8)), in_frames([[0, 0, 12, 8]], [1]))
    assert np.isfinite(rows.features).all()


@all_extractors
def test_settings_tell_instances_apart_and_are_json(extractor: Extractor) -> None:
    texts = [json.dumps(e.settings(), sort_keys=True) + e.name for e in EXTRACTORS]
    assert texts.count(json.dumps(extractor.settings(), sort_keys=True) + extractor.name) == 1


def test_objects_check_themselves() -> None:
    with pytest.raises(ValueError, match="do not match"):
        Objects(np.zeros((2, 4), np.float32), np.zeros((3, 1), np.float32))
