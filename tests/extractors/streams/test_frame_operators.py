"""One battery for every extractor of whole frames and clips: whoever adds one adds a line to EXTRACTORS."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_networks import TinyLibrary, tiny_encoder

from mulde.data.features import FeatureRows, join_rows
from mulde.data.video import Frame
from mulde.extractors.base import FrameExtractor, Moment, Objects
from mulde.extractors.networks.encoders import RELATIVE_TOLERANCE, make_encoder
from mulde.extractors.networks.libraries import IMAGE_LIBRARIES
from mulde.extractors.networks.machine import Machine
from mulde.extractors.one_pass import OnePass
from mulde.extractors.settings import AppearanceSettings, ClipSettings, FrameSettings
from mulde.extractors.streams.appearance import Appearance
from mulde.extractors.streams.clip import ClipEncoder
from mulde.extractors.streams.frame import FrameEncoder


def clips(**options: object) -> ClipEncoder:
    settings = ClipSettings(**options)  # type: ignore[arg-type]
    return ClipEncoder(tiny_encoder(settings, "each_mean", TinyLibrary(settings.length_frames)), settings)


def frames_encoder(**options: object) -> FrameEncoder:
    settings = FrameSettings(**options)  # type: ignore[arg-type]
    return FrameEncoder(tiny_encoder(settings), settings)


def mobilenet(**options: object) -> FrameEncoder:
    settings = FrameSettings(encoder="torchvision/mobilenet_v3_small", weights="random", **options)  # type: ignore[arg-type]
    machine = Machine(weights_folder=Path("nowhere"))
    return FrameEncoder(make_encoder("extract.frame", settings, IMAGE_LIBRARIES, machine), settings)


EXTRACTORS: list[FrameExtractor] = [
    clips(length_frames=4, stride_frames=2),
    clips(length_frames=5, stride_frames=1, place="last", every_frames=3),
    clips(length_frames=3, stride_frames=3, place="first", batch_size=3),
    clips(length_frames=1, stride_frames=1),
    frames_encoder(),
    frames_encoder(rows=2, columns=3),
    frames_encoder(rows=2, columns=2, join="mean", every_frames=4),
    frames_encoder(rows=2, columns=2, join="max", fit="pad"),
    mobilenet(batch_size=3),
]
all_extractors = pytest.mark.parametrize(
    "extractor", EXTRACTORS, ids=lambda e: f"{e.name}-{e.n_features}-{e.every_frames}"
)


def make_frames(n_frames: int, size: tuple[int, int] = (64, 48)) -> list[Frame]:
    """Even frames that grow brighter, with some texture."""
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 10, (size[1], size[0], 3), np.uint8)
    return [Frame.of_rgb(t, t / 10, texture + np.uint8(5 * t)) for t in range(n_frames)]


def run(extractor: FrameExtractor, frames: list[Frame]) -> FeatureRows | None:
    parts: list[FeatureRows] = []
    one_pass = OnePass([(extractor, parts.append)])
    for frame in frames:
        one_pass.push(one_pass.prepare(frame))
    one_pass.finish()
    return join_rows(parts) if parts else None


def rows_of(extractor: FrameExtractor, n_frames: int) -> FeatureRows:
    rows = run(extractor, make_frames(n_frames))
    assert rows is not None
    return rows


@all_extractors
def test_no_frame_gives_no_row(extractor: FrameExtractor) -> None:
    assert run(extractor, []) is None
    assert extractor.describe_batch([]).shape == (0, extractor.n_features)


@all_extractors
@pytest.mark.parametrize("n_frames", [1, 2, 5, 11])
def test_rows_and_what_they_cover(extractor: FrameExtractor, n_frames: int) -> None:
    rows = rows_of(extractor, n_frames)
    wanted = sorted({*range(0, n_frames, extractor.every_frames), n_frames - 1})
    np.testing.assert_array_equal(rows.frame, wanted)
    assert rows.features.shape == (len(wanted), extractor.n_features)
    assert rows.features.dtype == np.float32 and np.isfinite(rows.features).all()
    assert rows.box_xyxy is None and rows.start is not None and rows.stop is not None
    assert (rows.start >= 0).all() and (rows.stop <= n_frames).all()
    assert (rows.start <= rows.frame).all() and (rows.frame < rows.stop).all()


@all_extractors
def test_same_input_same_values(extractor: FrameExtractor) -> None:
    np.testing.assert_array_equal(rows_of(extractor, 6).features, rows_of(extractor, 6).features)


@all_extractors
def test_tiny_frames(extractor: FrameExtractor) -> None:
    rows = run(extractor, make_frames(3, size=(3, 2)))
    assert rows is not None and np.isfinite(rows.features).all()


def test_settings_tell_instances_apart_and_are_json() -> None:
    assert len({json.dumps(e.settings(), sort_keys=True) + e.name for e in EXTRACTORS}) == len(EXTRACTORS)


def test_batches_do_not_matter() -> None:
    for make in (mobilenet, frames_encoder, clips):
        one, many = (rows_of(make(batch_size=size), 7) for size in (1, 4))
        np.testing.assert_array_equal(one.frame, many.frame)
        length = np.linalg.norm(one.features, axis=1).max()
        np.testing.assert_allclose(one.features, many.features, atol=RELATIVE_TOLERANCE * length)


# --- Clips ---


def seen(extractor: ClipEncoder, n_frames: int) -> tuple[FeatureRows, np.ndarray]:
    """Return the rows of even frames, and the index of each frame that each clip saw, (n_rows, T)."""
    frames = [Frame.of_rgb(t, t / 10, np.full((48, 64, 3), 5 * t, np.uint8)) for t in range(n_frames)]
    rows = run(extractor, frames)
    assert rows is not None
    spec = extractor.encoder.spec
    return rows, np.rint((rows.features * spec.std[0] + spec.mean[0]) * 255 / 5).astype(int)


@pytest.mark.parametrize(
    ("place", "offsets"),
    [("centre", [-4, -1, 2, 5]), ("first", [0, 3, 6, 9]), ("last", [-9, -6, -3, 0])],
)
def test_clips_see_the_frames_around_clamped_to_the_video(place: str, offsets: list[int]) -> None:
    n_frames = 20
    rows, indices = seen(clips(length_frames=4, stride_frames=3, place=place), n_frames)
    wanted = np.clip(np.arange(n_frames)[:, None] + offsets, 0, n_frames - 1)
    np.testing.assert_array_equal(indices, wanted)
    np.testing.assert_array_equal(rows.start, wanted.min(axis=1))
    np.testing.assert_array_equal(rows.stop, wanted.max(axis=1) + 1)


def test_a_clip_longer_than_the_video() -> None:
    _, indices = seen(clips(length_frames=16, stride_frames=4), 3)
    assert indices.min() == 0 and indices.max() == 2
    assert (np.diff(indices, axis=1) >= 0).all()


def test_the_clip_of_the_paper_is_centred() -> None:
    paper = clips()
    assert (paper.n_frames_before, paper.n_frames_after) == (7, 8)


def test_sparse_clips_are_some_of_the_dense_ones() -> None:
    dense = rows_of(clips(length_frames=4, stride_frames=2), 12)
    sparse = rows_of(clips(length_frames=4, stride_frames=2, every_frames=5), 12)
    np.testing.assert_array_equal(sparse.frame, [0, 5, 10, 11])
    np.testing.assert_array_equal(sparse.features, dense.features[sparse.frame])


def test_a_frame_is_prepared_once_however_many_clips_it_is_in(monkeypatch: pytest.MonkeyPatch) -> None:
    from mulde.extractors.networks import images as network_images

    calls = []
    fit_image = network_images.fit_image
    monkeypatch.setattr(network_images, "fit_image", lambda *a: calls.append(1) or fit_image(*a))
    rows_of(clips(length_frames=8, stride_frames=2), 30)
    assert len(calls) == 30


# --- Tiles ---


def test_tiles_are_joined() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
    vectors = {}
    for join in ("concatenate", "mean", "max"):
        extractor = frames_encoder(rows=2, columns=2, join=join)
        tiles = extractor.preparation.start()(Frame.of_rgb(0, 0.0, picture))
        vectors[join] = extractor.describe_batch([Moment(0, [tiles], 0)])[0]
    each = vectors["concatenate"].reshape(4, 12)
    np.testing.assert_allclose(vectors["mean"], each.mean(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(vectors["max"], each.max(axis=0))
    top_left = run(frames_encoder(), [Frame.of_rgb(0, 0.0, np.ascontiguousarray(picture[:24, :32]))])
    assert top_left is not None
    np.testing.assert_allclose(each[0], top_left.features[0], rtol=1e-6)


# --- Crops ---


def test_crops_of_several_frames_keep_their_places() -> None:
    encoder = tiny_encoder(AppearanceSettings(batch_size=2))
    pictures = [frame.rgb for frame in make_frames(4)]
    boxes = [[[0, 0, 9, 9], [5, 5, 60, 40], [1, 1, 3, 3]], [], [[9, 9, 20, 30]], [[0, 0, 64, 48]]]
    objects = [
        Objects(np.array(b, np.float32).reshape(-1, 4), np.zeros((len(b), 1), np.float32)) for b in boxes
    ]
    extractor = Appearance(encoder)
    together = extractor.describe_batch([Moment(t, [p], 0) for t, p in enumerate(pictures)], objects)
    assert [rows.shape for rows in together] == [(3, 12), (0, 12), (1, 12), (1, 12)]
    for rows, picture, of_frame in zip(together, pictures, objects, strict=True):
        np.testing.assert_array_equal(rows, extractor.describe([picture], 0, of_frame))


def test_red_of_the_crop_is_the_networks_red() -> None:
    encoder = tiny_encoder(AppearanceSettings())
    picture = np.zeros((40, 40, 3), np.uint8)
    picture[10:20, 10:20, 0] = 255
    objects = Objects(np.array([[10, 10, 20, 20]], np.float32), np.zeros((1, 1), np.float32))
    row = Appearance(encoder).describe([picture], 0, objects)[0]
    np.testing.assert_allclose(row, [2.0] * 4 + [-0.5] * 4 + [-1 / 6] * 4, atol=1e-6)
