"""Render a surveillance scene with known anomalies: videos and labels to try the tool on and to test it with.

Pedestrians walk over a plaza along three one-way walkways at 0.8–1.6 m/s and never stop. In each test clip
one thing differs: somebody cycles, runs or walks against the stream, a van drives by, or a suitcase is left
behind. Labels come from the geometry: a frame is abnormal while the anomaly is inside the picture.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np

from mulde.data.rendered.clips import (
    ANOMALIES,
    ROUTES,
    ActorBox,
    Clip,
    Timing,
    abnormal_clip,
    normal_clip,
    shows_anomaly,
)
from mulde.data.rendered.figures import bench, bollard, lamp_post
from mulde.data.rendered.picture import Camera, Image, Placed, paint_backdrop, paint_frame

X264_OPTIONS = {"crf": "21", "preset": "veryfast", "x264-params": "mbtree=0"}
"""Without mbtree, since with it x264 was seen to give other bytes for the same frames."""
NOISE_STD = 2.2
"""Noise of the sensor, in grey values."""
PROPS = (
    Placed(lamp_post(), -2.7, 18.5, math.pi / 2),
    Placed(lamp_post(), 4.3, 27.6, math.pi / 2),
    Placed(bench(), 2.0, 28.0, -math.pi / 2),
    Placed(bench(), -6.4, 35.6, -math.pi / 2),
    *(Placed(bollard(), x, 23.8, 0.0) for x in (-6.1, -4.6, -3.1, -1.6)),
)
"""Street furniture: it stands in front of people and behind them."""


@dataclass(frozen=True)
class Scene:
    """A place and the camera that watches it."""

    camera: Camera
    backdrop: Image
    """The empty place from the camera's rest position, oversampled."""


@dataclass(frozen=True)
class SceneFrame:
    """One rendered frame and what is true about it."""

    rgb: Image
    """(H, W, 3) uint8."""
    is_abnormal: bool
    """Whether at least half of an anomaly's box is inside the picture, whoever may walk in front of it."""
    boxes: tuple[ActorBox, ...]
    """Everybody and everything that moves or was left, at least partly inside the picture."""


def build_scene(size: tuple[int, int] = (320, 240), *, seed: int = 0) -> Scene:
    """Paint the place for pictures of `size` (width, height) in pixels.

    Both are even, for 4:2:0 video; wider than 2:1 the picture would cut off the nearest walkway.
    """
    width, height = size
    if min(size) < 16 or width % 2 or height % 2 or width > 2 * height:
        raise ValueError(
            f"a picture of {width}×{height} pixels does not do: both must be even and at least 16, "
            "and the width at most twice the height"
        )
    camera = Camera(width, height)
    strips = tuple(route.strip for route in ROUTES)
    return Scene(camera, paint_backdrop(camera, strips, np.random.default_rng((seed, 0))))


def plan_normal_clips(scene: Scene, n_clips: int, timing: Timing, *, seed: int = 0) -> list[Clip]:
    """Plan clips without anomaly, named 01, 02, …"""
    return [
        normal_clip(f"{index + 1:02d}", scene.camera, timing, (seed, 1, index)) for index in range(n_clips)
    ]


def plan_test_clips(scene: Scene, n_clips: int, timing: Timing, *, seed: int = 0) -> list[Clip]:
    """Plan clips with one anomaly each, the kinds in turn, named 01_cyclist, 02_runner, …"""
    kinds = [list(ANOMALIES)[index % len(ANOMALIES)] for index in range(n_clips)]
    return [
        abnormal_clip(f"{index + 1:02d}_{kind}", kind, scene.camera, timing, (seed, 2, index))
        for index, kind in enumerate(kinds)
    ]


def iter_frames(scene: Scene, clip: Clip) -> Iterator[SceneFrame]:
    """Render the frames of a clip, one after the other; the same clip gives the same frames again."""
    rng = np.random.default_rng((*clip.seed, 1))
    cameras = _swaying(scene.camera, clip.timing, rng)
    gains = _light_drift(clip.timing, rng)
    noise = _noise_bank(scene.camera, rng)
    for frame, (camera, gain) in enumerate(zip(cameras, gains, strict=True)):
        seen = clip.seen(camera, frame)
        picture = paint_frame(camera, scene.camera, scene.backdrop, [*PROPS, *(placed for placed, _ in seen)])
        boxes = tuple(box for _, box in seen)
        yield SceneFrame(_through_sensor(picture, gain, noise, rng), shows_anomaly(boxes), boxes)


def render_scene(
    folder: Path,
    *,
    size: tuple[int, int] = (320, 240),
    n_normal: int = 8,
    n_test: int = 5,
    seconds: float = 15.0,
    fps: float = 10,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write `normal/*.mp4`, `test/*.mp4` (H.264) and `labels.csv` into a folder.

    Args:
        folder: where to; made if it is not there, files of the same names are overwritten.
        size: width and height in pixels, both even.
        n_normal: clips without anomaly.
        n_test: clips with one anomaly each; the kinds come in turn.
        seconds: length of each clip.
        fps: frames per second.
        seed: the same seed gives the same files; another one other people, anomalies, textures and noise.
        progress: called with the number of finished clips and of all clips, first with 0.

    `labels.csv` has a row `video,start,end` for each abnormal interval, 0-based, end exclusive; video is the
    name of a test clip without suffix. It is written last: a folder that has it is complete.
    """
    scene, timing = build_scene(size, seed=seed), Timing(round(seconds * fps), fps)
    normal = plan_normal_clips(scene, n_normal, timing, seed=seed)
    test = plan_test_clips(scene, n_test, timing, seed=seed)
    rows: list[tuple[str, int, int]] = []
    report = progress or (lambda done, total: None)
    for split in ("normal", "test"):
        (folder / split).mkdir(parents=True, exist_ok=True)
    report(0, n_normal + n_test)
    for done, (split, clip) in enumerate([("normal", c) for c in normal] + [("test", c) for c in test], 1):
        flags = _write_clip(folder / split / f"{clip.name}.mp4", scene, clip)
        rows += [(clip.name, start, end) for start, end in intervals(flags)]
        report(done, n_normal + n_test)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("video", "start", "end"), *rows])


def intervals(flags: list[bool]) -> list[tuple[int, int]]:
    """Return the runs of true flags as half-open intervals: [0, 1, 1, 0, 1] -> [(1, 3), (4, 5)]."""
    edges = np.flatnonzero(np.diff([0, *map(int, flags), 0])).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def _write_clip(path: Path, scene: Scene, clip: Clip) -> list[bool]:
    """Encode a clip and give its frames' abnormal flags."""
    flags = []
    with av.open(str(path), "w") as container:
        rate = Fraction(clip.timing.fps).limit_denominator(1001)
        stream = container.add_stream("libx264", rate=rate, options=X264_OPTIONS)
        stream.width, stream.height = scene.camera.width_px, scene.camera.height_px
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1  # several threads would make the bytes depend on the machine
        for frame in iter_frames(scene, clip):
            flags.append(frame.is_abnormal)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.rgb, format="rgb24")))
        container.mux(stream.encode(None))
    return flags


def _swaying(camera: Camera, timing: Timing, rng: np.random.Generator) -> list[Camera]:
    """Let the wind move the pole by a centimetre and turn it by a fraction of a pixel, in slow waves."""

    def wave(amplitude: float) -> list[float]:
        hertz, phases = rng.uniform(0.15, 0.9, 2), rng.uniform(0, 2 * np.pi, 2)
        waves = np.sin(2 * np.pi * hertz * timing.seconds[:, None] + phases)  # (T, 2)
        return [float(value) for value in amplitude * waves.mean(axis=1)]

    moves = zip(wave(0.015), wave(0.006), wave(0.0003), wave(0.0003), strict=True)
    return [
        replace(
            camera,
            x_m=camera.x_m + right,
            z_m=camera.z_m + up,
            pan_rad=camera.pan_rad + pan,
            tilt_rad=camera.tilt_rad + tilt,
        )
        for right, up, pan, tilt in moves
    ]


def _light_drift(timing: Timing, rng: np.random.Generator) -> list[float]:
    """Return the brightness of each frame: clouds change it by a few per cent within half a minute."""
    period_s, phase = rng.uniform(12, 30), rng.uniform(0, 2 * np.pi)
    level = rng.uniform(0.985, 1.015)
    drift = 1 + 0.02 * np.sin(2 * np.pi * timing.seconds / period_s + phase)
    return [float(gain) for gain in level * drift]


def _noise_bank(camera: Camera, rng: np.random.Generator) -> Image:
    """Make noise for a picture 64 pixels larger than needed, around 128: mostly grey, a little coloured."""
    shape = (camera.height_px + 64, camera.width_px + 64)
    grey, coloured = rng.normal(0, 0.9, (*shape, 1)), rng.normal(0, 0.45, (*shape, 3))
    return np.clip(np.rint(128 + NOISE_STD * (grey + coloured)), 0, 255).astype(np.uint8)


def _through_sensor(picture: Image, gain: float, noise: Image, rng: np.random.Generator) -> Image:
    """Scale the brightness and add noise; a new cut-out of the bank is new noise, and much cheaper."""
    height, width = picture.shape[:2]
    top, left = rng.integers(0, 64, 2)
    patch = noise[top : top + height, left : left + width]
    return cast("Image", cv2.addWeighted(picture, gain, patch, 1.0, -128.0))
