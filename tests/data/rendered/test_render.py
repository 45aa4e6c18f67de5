"""The rendered scene: what its labels say is what its pictures show."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from mulde.data.rendered.clips import ANOMALIES, Actor, Clip, Timing, abnormal_clip, shows_anomaly
from mulde.data.rendered.figures import RUN, WALK, Figure, Gait, PersonLook, cyclist, person, suitcase, van
from mulde.data.rendered.picture import (
    OVERSAMPLING,
    Camera,
    Placed,
    boxes_xyxy,
    paint_frame,
    visible_fractions,
)
from mulde.data.rendered.render import (
    Scene,
    build_scene,
    intervals,
    iter_frames,
    plan_normal_clips,
    plan_test_clips,
    render_scene,
)

SMALL = (160, 120)
SHORT = Timing(n_frames=20, fps=10)
SPARSE = Timing(n_frames=38, fps=2.5)
FULL = Timing(n_frames=150, fps=10)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return build_scene(SMALL, seed=0)


def frames_of(scene: Scene, clip: Clip) -> NDArray[np.uint8]:
    return np.stack([frame.rgb for frame in iter_frames(scene, clip)])


def flags_of(scene: Scene, clip: Clip) -> list[bool]:
    """Tell which frames are abnormal for a camera that does not sway, without painting anything."""
    boxes = [tuple(box for _, box in clip.seen(scene.camera, frame)) for frame in range(clip.timing.n_frames)]
    return [shows_anomaly(in_frame) for in_frame in boxes]


def speeds_of(actor: Actor, timing: Timing) -> NDArray[np.float64]:
    steps_m = np.diff(actor.track.position_m, axis=0)
    return np.asarray(np.linalg.norm(steps_m, axis=1) * timing.fps, np.float64)


def decoded(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_one_frame_clips(scene: Scene) -> None:
    once = Timing(n_frames=1, fps=10)
    clips = plan_normal_clips(scene, 1, once) + plan_test_clips(scene, len(ANOMALIES), once)
    for clip in clips:
        (frame,) = iter_frames(scene, clip)
        assert frame.rgb.shape == (120, 160, 3)
        assert frame.rgb.dtype == np.uint8


def test_a_seed_names_the_frames() -> None:
    def first_frames(seed: int) -> NDArray[np.uint8]:
        scene = build_scene(SMALL, seed=seed)
        (clip,) = plan_normal_clips(scene, 1, Timing(3, 10), seed=seed)
        return frames_of(scene, clip)

    assert_array_equal(first_frames(4), first_frames(4))
    assert (first_frames(4) != first_frames(5)).mean() > 0.5


def test_clips_of_one_seed_differ(scene: Scene) -> None:
    one, other = (frames_of(scene, clip) for clip in plan_normal_clips(scene, 2, Timing(2, 10)))
    assert (one != other).any(axis=(1, 2, 3)).all()


def test_the_place_hardly_changes_between_frames(scene: Scene) -> None:
    """Sway, noise and light stay small against the people: the background model of a detector sees them."""
    empty = replace(plan_normal_clips(scene, 1, FULL)[0], actors=())
    frames = frames_of(scene, empty)[::10].astype(float)
    off = np.abs(frames - np.median(frames, axis=0)).mean(axis=-1)
    assert 0.5 < off.mean() < 4
    assert (off > 20).mean() < 0.005


@pytest.mark.parametrize("size", [(64, 48), (96, 54), (128, 128), (128, 64), (32, 64)])
def test_any_even_size_up_to_two_to_one(size: tuple[int, int]) -> None:
    scene = build_scene(size)
    (clip,) = plan_test_clips(scene, 1, Timing(2, 10))
    assert frames_of(scene, clip).shape == (2, size[1], size[0], 3)


@pytest.mark.parametrize("size", [(161, 120), (160, 121), (8, 8), (0, 0), (320, 120)])
def test_other_sizes_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"{size[0]}×{size[1]}"):
        build_scene(size)


@pytest.mark.parametrize(("n_frames", "fps"), [(0, 10), (-1, 10), (10, 0)])
def test_clips_without_frames_are_refused(n_frames: int, fps: float) -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        Timing(n_frames, fps)


def test_an_unknown_anomaly_names_the_known_ones(scene: Scene) -> None:
    with pytest.raises(ValueError, match="cyclist, runner"):
        abnormal_clip("x", "flood", scene.camera, SHORT, (0,))


@pytest.mark.parametrize("seed", [0, 1])
def test_normal_clips_hold_walkers_alone(scene: Scene, seed: int) -> None:
    for clip in plan_normal_clips(scene, 3, FULL, seed=seed):
        assert len(clip.actors) > 3
        assert not any(flags_of(scene, clip))
        for actor in clip.actors:
            speeds = speeds_of(actor, FULL)
            assert actor.kind == "pedestrian"
            assert 0.8 <= speeds.min() <= speeds.max() <= 1.6
            assert (np.diff(actor.track.position_m[:, 0]) > 0).all()


def test_people_do_not_walk_through_each_other(scene: Scene) -> None:
    for clip in plan_normal_clips(scene, 2, FULL) + plan_test_clips(scene, len(ANOMALIES), FULL):
        positions = np.stack(
            [a.track.position_m for a in clip.actors if a.kind != "left_object"]
        )  # (N, T, 2)
        apart = np.linalg.norm(positions[:, None] - positions[None], axis=-1)  # (N, N, T)
        apart[np.arange(len(apart)), np.arange(len(apart))] = np.inf
        assert apart.min() > 0.8


@pytest.mark.parametrize(
    ("kind", "slowest", "fastest"),
    [("cyclist", 3.0, 5.0), ("runner", 2.9, 4.1), ("wrong_way", 1.0, 1.6), ("vehicle", 2.8, 4.1)],
)
def test_anomalies_move_as_in_life(scene: Scene, kind: str, slowest: float, fastest: float) -> None:
    clip = abnormal_clip("x", kind, scene.camera, FULL, (3,))
    (actor,) = [actor for actor in clip.actors if actor.kind == kind]
    speeds = speeds_of(actor, FULL)
    assert slowest <= speeds.min() <= speeds.max() <= fastest
    goes_right = actor.track.position_m[-1, 0] > actor.track.position_m[0, 0]
    assert goes_right == (kind != "wrong_way")


def test_an_object_is_left_while_its_owner_walks_on(scene: Scene) -> None:
    clip = abnormal_clip("x", "left_object", scene.camera, FULL, (3,))
    carrier, case = clip.actors[0], clip.actors[1]
    drop = case.abnormal_from
    assert drop is not None
    assert speeds_of(case, FULL)[:drop].min() > 0.8
    assert_array_equal(speeds_of(case, FULL)[drop:], 0)
    assert speeds_of(carrier, FULL).min() > 0.8
    assert flags_of(scene, clip) == [frame >= drop for frame in range(FULL.n_frames)]


@pytest.mark.parametrize("seed", range(3))
def test_every_test_clip_has_both_classes(scene: Scene, seed: int) -> None:
    flags = np.array([flags_of(scene, clip) for clip in plan_test_clips(scene, 5, FULL, seed=seed)])  # (5, T)
    assert (flags.mean(axis=1) > 0.2).all()
    assert (flags.mean(axis=1) < 0.8).all()
    assert 0.35 < flags.mean() < 0.5
    assert all(len(intervals(row.tolist())) == 1 for row in flags)


@pytest.mark.parametrize("kind", ANOMALIES)
def test_labels_agree_with_the_pixels(scene: Scene, kind: str) -> None:
    """Without the abnormal actor the labelled frames differ, and those that it is outside of do not."""
    clip = abnormal_clip("x", kind, scene.camera, SPARSE, (1,))
    without = replace(clip, actors=tuple(actor for actor in clip.actors if actor.kind != kind))
    n_abnormal = 0
    for frame, plain in zip(iter_frames(scene, clip), iter_frames(scene, without), strict=True):
        changed = np.abs(frame.rgb.astype(int) - plain.rgb).max(axis=-1) > 8
        boxes = [box for box in frame.boxes if box.kind == kind]
        assert not plain.is_abnormal
        assert changed.any() or not boxes or max(box.visible for box in boxes) < 0.1
        assert boxes or not changed.any()
        if frame.is_abnormal:
            n_abnormal += 1
            x1, y1, x2, y2 = (round(edge) for edge in boxes[0].xyxy)
            assert changed[max(y1, 0) : y2, max(x1, 0) : x2].mean() > 0.15
    assert 0 < n_abnormal < SPARSE.n_frames


def test_visible_fractions() -> None:
    boxes = np.array([[10, 10, 30, 50], [-10, 10, 10, 50], [150, 100, 170, 140], [200, 0, 220, 40]], float)
    assert_allclose(visible_fractions(Camera(*SMALL), boxes), [1, 0.5, 0.25, 0])


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], []),
        ([False, False], []),
        ([True], [(0, 1)]),
        ([False, True, True, False, True], [(1, 3), (4, 5)]),
    ],
)
def test_intervals(flags: list[bool], expected: list[tuple[int, int]]) -> None:
    assert intervals(flags) == expected


def test_rays_and_projection_are_inverse() -> None:
    camera = Camera(*SMALL)
    slope_x, slope_z = camera.rays()
    y = -camera.z_m / slope_z[60:]
    pixels, _ = camera.project(np.stack([slope_x[60:] * y, y, np.zeros_like(y)], axis=-1))
    rows, columns = np.mgrid[60:120, 0:160]
    assert_allclose(pixels, np.stack([columns + 0.5, rows + 0.5], axis=-1), atol=1e-9)


def test_size_shrinks_with_distance() -> None:
    camera = Camera(*SMALL)
    figure = person(PersonLook(height_m=1.75), WALK, 0.0)
    near, far = (Placed(figure, 0.0, y, 0.0) for y in (20.0, 40.0))
    heights = np.diff(boxes_xyxy(camera, [near, far])[:, [1, 3]], axis=1)[:, 0]
    depths = [camera.project(np.array([0.0, y, 0.875]))[1] for y in (20.0, 40.0)]
    # Farther away the camera looks down less steeply, which makes people a little taller.
    assert heights[0] / heights[1] == pytest.approx(depths[1] / depths[0], rel=0.1)


@pytest.mark.parametrize("heading", [0.0, 0.7, math.pi, -math.pi / 2])
@pytest.mark.parametrize(
    "figure",
    [
        person(PersonLook(), WALK, 0.4),
        person(PersonLook(coat=True, long_hair=True, backpack=(90, 90, 90)), RUN, 1.1),
        cyclist(PersonLook(), 0.8),
        van((200, 200, 200)),
        suitcase((150, 40, 40), tilt=0.7),
    ],
    ids=["walker", "runner", "cyclist", "van", "suitcase"],
)
def test_boxes_are_what_is_painted(figure: Figure, heading: float) -> None:
    camera = Camera(320, 240)
    black = np.zeros((240 * OVERSAMPLING, 320 * OVERSAMPLING, 4), np.uint8)
    placed = Placed(figure, 0.3, 25.0, heading)
    # On black no shadow shows.
    rows, columns = np.nonzero(paint_frame(camera, camera, black, [placed]).max(axis=-1) > 3)
    painted = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert_allclose(boxes_xyxy(camera, [placed])[0], painted, atol=1.6)


@pytest.mark.parametrize("gait", [WALK, RUN], ids=["walk", "run"])
@pytest.mark.parametrize("travelled_m", [0.0, 0.3, 0.7, 1.0])
def test_a_foot_is_on_the_ground(gait: Gait, travelled_m: float) -> None:
    figure = person(PersonLook(), gait, travelled_m)
    assert (figure.centres[:, 2] - figure.radii).min() == pytest.approx(0, abs=1e-9)


def test_files_hold_what_they_promise(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    render_scene(
        tmp_path,
        size=SMALL,
        n_normal=2,
        n_test=6,
        seconds=2,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert steps == [(done, 8) for done in range(9)]
    assert sorted(path.stem for path in (tmp_path / "normal").iterdir()) == ["01", "02"]
    names = sorted(path.stem for path in (tmp_path / "test").iterdir())
    assert names == [
        "01_cyclist",
        "02_runner",
        "03_wrong_way",
        "04_vehicle",
        "05_left_object",
        "06_cyclist",
    ]
    for path in tmp_path.glob("*/*.mp4"):
        frames = decoded(path)
        assert [frame.shape for frame in frames] == [(120, 160, 3)] * 20
    rows = list(csv.reader((tmp_path / "labels.csv").open()))
    assert rows[0] == ["video", "start", "end"]
    assert {name for name, _, _ in rows[1:]} == set(names)
    assert all(0 <= int(start) < int(end) <= 20 for _, start, end in rows[1:])


def test_decoded_frames_are_the_rendered_ones(tmp_path: Path, scene: Scene) -> None:
    render_scene(tmp_path, size=SMALL, n_normal=1, n_test=0, seconds=2)
    (clip,) = plan_normal_clips(scene, 1, SHORT)
    off = np.abs(np.stack(decoded(tmp_path / "normal" / "01.mp4")).astype(float) - frames_of(scene, clip))
    assert off.mean() < 5


def test_a_seed_names_the_files(tmp_path: Path) -> None:
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        render_scene(tmp_path / folder, size=(64, 48), n_normal=1, n_test=1, seconds=1, seed=seed)
    one, same, other = (
        [path.read_bytes() for path in sorted((tmp_path / folder).rglob("*.*"))] for folder in "abc"
    )
    assert one == same
    assert one != other


def test_no_clips_at_all(tmp_path: Path) -> None:
    render_scene(tmp_path, size=SMALL, n_normal=0, n_test=0)
    assert (tmp_path / "labels.csv").read_text() == "video,start,end\n"
    assert list(tmp_path.glob("*/*.mp4")) == []


def test_one_frame_files(tmp_path: Path) -> None:
    render_scene(tmp_path, size=SMALL, n_normal=1, n_test=1, seconds=0.1)
    assert [len(decoded(path)) for path in sorted(tmp_path.glob("*/*.mp4"))] == [1, 1]
