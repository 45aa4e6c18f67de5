"""Who moves where in the rendered scene: routes, pedestrians that keep clear of each other, anomalies.

All is decided here, before a pixel is painted: a clip is a list of actors and their positions in metres.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mulde.data.rendered.figures import (
    RUN,
    SUITCASE_COLOURS,
    VAN_COLOURS,
    WALK,
    Figure,
    Gait,
    cyclist,
    person,
    random_look,
    suitcase,
    van,
)
from mulde.data.rendered.picture import Camera, Placed, Strip, boxes_xyxy, visible_fractions

Array = NDArray[np.float64]

WALKING_SPEED_M_S = (0.86, 1.5)
"""A pedestrian's mean; with the changes on the way it stays within 0.8–1.6 m/s."""
SEEN_FRACTION = 0.5
"""An anomaly counts as visible while at least this part of its box lies inside the picture."""


@dataclass(frozen=True)
class Route:
    """A one-way walkway."""

    strip: Strip
    people_per_m: float
    """Pedestrians for each metre of its length."""

    def reversed(self) -> Route:
        """Return the same walkway, walked the other way."""
        dx, dy = self.strip.direction
        return replace(self, strip=replace(self.strip, direction=(-dx, -dy)))

    def at(self, along_m: Array, left_m: Array) -> Array:
        """Return the ground position (N, 2) after `along_m` on the route, `left_m` beside its middle."""
        (x0, y0), (dx, dy) = self.strip.origin, self.strip.direction
        return np.stack([x0 + along_m * dx - left_m * dy, y0 + along_m * dy + left_m * dx], axis=-1)

    def seen_range_m(self, camera: Camera) -> tuple[float, float]:
        """Return where on the route somebody in its middle enters the picture and where they leave it."""
        along = np.linspace(-25, 25, 501)
        ground = self.at(along, np.zeros_like(along))
        chest = np.concatenate([ground, np.full((len(along), 1), 1.0)], axis=-1)
        (u, v), depth = camera.project(chest)[0].T, camera.project(chest)[1]
        inside = (depth > 1) & (u > 0) & (u < camera.width_px) & (v > 0) & (v < camera.height_px)
        return float(along[inside].min()), float(along[inside].max())


FRONT = Route(Strip((0.0, 21.2), (1.0, 0.0), 2.1, (170, 160, 146)), people_per_m=0.26)
REAR = Route(Strip((0.0, 31.8), (1.0, 0.0), 2.8, (178, 166, 148)), people_per_m=0.18)
SLANT = Route(Strip((0.0, 25.2), (math.cos(-0.5), math.sin(-0.5)), 1.3, (162, 154, 142)), people_per_m=0.1)
ROUTES = (SLANT, REAR, FRONT)


@dataclass(frozen=True)
class Timing:
    """The clock of a clip."""

    n_frames: int
    fps: float

    def __post_init__(self) -> None:
        if self.n_frames < 1 or self.fps <= 0:
            raise ValueError(
                f"a clip needs at least one frame and fps above 0, not {self.n_frames} and {self.fps}"
            )

    @property
    def seconds(self) -> Array:
        """The time of each frame, (T,)."""
        return np.arange(self.n_frames) / self.fps


@dataclass(frozen=True)
class Track:
    """Where something is in each frame."""

    position_m: Array
    """(T, 2) x and y on the ground."""
    heading_rad: Array
    """(T,) 0 along +x, anticlockwise from above."""
    travelled_m: Array
    """(T,) way gone."""

    def __post_init__(self) -> None:
        if not len(self.position_m) == len(self.heading_rad) == len(self.travelled_m):
            raise ValueError("position, heading and way need one row per frame each")


@dataclass(frozen=True)
class Actor:
    """Somebody or something that takes part in a clip."""

    kind: str
    track: Track
    pose: Callable[[int], Figure]
    """Gives the figure in a frame."""
    clearance_m: float = 0.42
    """Others stay away from its centre by this, plus their own."""
    abnormal_from: int | None = None
    """The first frame from which its presence is an anomaly; None: never."""

    def is_abnormal(self, frame: int) -> bool:
        """Tell whether its presence in a frame is an anomaly."""
        return self.abnormal_from is not None and frame >= self.abnormal_from

    def placed(self, frame: int) -> Placed:
        """Return its figure, where it is in a frame."""
        x, y = self.track.position_m[frame]
        return Placed(self.pose(frame), float(x), float(y), float(self.track.heading_rad[frame]))


@dataclass(frozen=True)
class ActorBox:
    """One actor as the camera sees it in one frame."""

    kind: str
    xyxy: tuple[float, float, float, float]
    """In pixels, not clipped to the picture."""
    visible: float
    """The part of the box that is inside the picture, above 0 and up to 1."""
    is_abnormal: bool


@dataclass(frozen=True)
class Clip:
    """One video before it is painted."""

    name: str
    timing: Timing
    actors: tuple[Actor, ...]
    seed: tuple[int, ...]
    """Seed of all randomness in the picture: noise, sway, light."""

    def seen(self, camera: Camera, frame: int) -> list[tuple[Placed, ActorBox]]:
        """Return the figures that are at least partly inside the picture, and their boxes."""
        actors = self._near_picture(camera, frame)
        placed = [actor.placed(frame) for actor in actors]
        boxes = boxes_xyxy(camera, placed)
        seen = zip(actors, placed, boxes.tolist(), visible_fractions(camera, boxes).tolist(), strict=True)
        return [
            (item, ActorBox(actor.kind, (x1, y1, x2, y2), visible, actor.is_abnormal(frame)))
            for actor, item, (x1, y1, x2, y2), visible in seen
            if visible > 0
        ]

    def _near_picture(self, camera: Camera, frame: int) -> list[Actor]:
        """Leave out who is far from the picture, before anybody is posed."""
        if not self.actors:
            return []
        ground = np.array([[*actor.track.position_m[frame], 0.0] for actor in self.actors])
        u, _ = camera.project(ground)[0].T / camera.width_px
        return [actor for actor, where in zip(self.actors, u, strict=True) if -0.5 < where < 1.5]


def shows_anomaly(boxes: tuple[ActorBox, ...]) -> bool:
    """Tell whether a frame with these boxes is abnormal: an anomaly is in the picture by SEEN_FRACTION."""
    return any(box.is_abnormal and box.visible >= SEEN_FRACTION for box in boxes)


def normal_clip(name: str, camera: Camera, timing: Timing, seed: tuple[int, ...]) -> Clip:
    """Plan a clip in which people walk, and nothing else happens."""
    return Clip(name, timing, tuple(_with_crowd([], camera, timing, np.random.default_rng(seed))), seed)


def abnormal_clip(name: str, kind: str, camera: Camera, timing: Timing, seed: tuple[int, ...]) -> Clip:
    """Plan a clip with people who walk and one anomaly, a key of ANOMALIES."""
    if kind not in ANOMALIES:
        raise ValueError(f"no anomaly {kind!r}; there are {', '.join(ANOMALIES)}")
    rng = np.random.default_rng(seed)
    anomaly = ANOMALIES[kind](camera, timing, rng)
    return Clip(name, timing, tuple(_with_crowd(anomaly, camera, timing, rng)), seed)


def _with_crowd(actors: list[Actor], camera: Camera, timing: Timing, rng: np.random.Generator) -> list[Actor]:
    """Add pedestrians on every route who run into nobody."""
    actors = list(actors)
    for route in ROUTES:
        enter, leave = route.seen_range_m(camera)
        first = enter - WALKING_SPEED_M_S[1] * timing.n_frames / timing.fps
        for _ in range(rng.poisson(route.people_per_m * (leave - first))):
            for _attempt in range(12):
                walker = _pedestrian(route, rng.uniform(first, leave), timing, rng)
                if all(_are_clear(walker, other) for other in actors):
                    actors.append(walker)
                    break
    return actors


def _are_clear(one: Actor, other: Actor) -> bool:
    away = np.linalg.norm(one.track.position_m - other.track.position_m, axis=1)
    return bool(away.min() > one.clearance_m + other.clearance_m)


def _pedestrian(route: Route, start_m: float, timing: Timing, rng: np.random.Generator) -> Actor:
    speed = float(np.clip(rng.normal(1.25, 0.18), *WALKING_SPEED_M_S))
    beside = rng.uniform(-1, 1) * (route.strip.half_width_m - 0.45)
    return _on_foot("pedestrian", WALK, _track(route, start_m, speed, beside, timing, rng), rng)


def _on_foot(
    kind: str, gait: Gait, track: Track, rng: np.random.Generator, abnormal_from: int | None = None
) -> Actor:
    look, phase_m = random_look(rng), rng.uniform(0, gait.stride_m)

    def pose(frame: int) -> Figure:
        return person(look, gait, float(track.travelled_m[frame]) + phase_m)

    return Actor(kind, track, pose, abnormal_from=abnormal_from)


def _track(
    route: Route, start_m: float, speed_m_s: float, left_m: float, timing: Timing, rng: np.random.Generator
) -> Track:
    """Go along a route from `start_m` on, with a slightly uneven speed and a slightly wavy line."""
    pulse, wave = rng.uniform(0, 2 * np.pi, 2)
    seconds = timing.seconds
    # The derivative of the sine term changes the speed by up to 6 %.
    travelled = speed_m_s * (seconds + 0.06 * (np.sin(seconds + pulse) - np.sin(pulse)))
    along = start_m + travelled
    slope = 0.1 * np.cos(along + wave)
    (dx, dy), left = route.strip.direction, left_m + 0.1 * np.sin(along + wave)
    return Track(route.at(along, left), np.arctan2(dy, dx) + np.arctan(slope), travelled)


def _crossing(
    route: Route,
    camera: Camera,
    speed_m_s: float,
    left_m: float,
    timing: Timing,
    rng: np.random.Generator,
) -> Track:
    """Cross the whole picture on a route, entering it after about a third of the clip."""
    enter, _ = route.seen_range_m(camera)
    before_s = rng.uniform(0.28, 0.42) * (timing.n_frames - 1) / timing.fps
    return _track(route, enter - speed_m_s * before_s, speed_m_s, left_m, timing, rng)


def _cyclist(camera: Camera, timing: Timing, rng: np.random.Generator) -> list[Actor]:
    track = _crossing(REAR, camera, rng.uniform(3.6, 4.6), rng.uniform(-0.3, 1.0), timing, rng)
    look = random_look(rng)

    def pose(frame: int) -> Figure:
        return cyclist(look, float(track.travelled_m[frame]))

    return [Actor("cyclist", track, pose, clearance_m=0.7, abnormal_from=0)]


def _runner(camera: Camera, timing: Timing, rng: np.random.Generator) -> list[Actor]:
    track = _crossing(SLANT, camera, rng.uniform(3.1, 3.8), rng.uniform(-0.4, 0.4), timing, rng)
    return [_on_foot("runner", RUN, track, rng, abnormal_from=0)]


def _wrong_way(camera: Camera, timing: Timing, rng: np.random.Generator) -> list[Actor]:
    track = _crossing(FRONT.reversed(), camera, rng.uniform(1.15, 1.4), rng.uniform(-0.6, 0.6), timing, rng)
    return [_on_foot("wrong_way", WALK, track, rng, abnormal_from=0)]


def _vehicle(camera: Camera, timing: Timing, rng: np.random.Generator) -> list[Actor]:
    track = _crossing(REAR, camera, rng.uniform(3.0, 3.8), rng.uniform(1.2, 1.6), timing, rng)
    figure = van(VAN_COLOURS[rng.integers(len(VAN_COLOURS))])
    return [Actor("vehicle", track, lambda _: figure, clearance_m=1.5, abnormal_from=0)]


def _left_object(camera: Camera, timing: Timing, rng: np.random.Generator) -> list[Actor]:
    """Let somebody pull a suitcase, let go of it, and walk on."""
    enter, leave = FRONT.seen_range_m(camera)
    drop = round(rng.uniform(0.48, 0.58) * (timing.n_frames - 1))
    speed, beside = rng.uniform(1.1, 1.35), rng.uniform(0.9, 1.4)
    start = enter + rng.uniform(0.38, 0.55) * (leave - enter) - speed * drop / timing.fps
    carrier = _on_foot("pedestrian", WALK, _track(FRONT, start, speed, beside, timing, rng), rng)
    colour = SUITCASE_COLOURS[rng.integers(len(SUITCASE_COLOURS))]

    def pose(frame: int) -> Figure:
        return suitcase(colour, tilt=0.0 if frame >= drop else 0.7)

    return [carrier, Actor("left_object", _trailing(carrier.track, drop), pose, abnormal_from=drop)]


def _trailing(track: Track, drop: int) -> Track:
    """Follow a person a little to the right and behind, and stay behind from frame `drop` on."""
    until = np.minimum(np.arange(len(track.travelled_m)), drop)
    heading = track.heading_rad[until]
    forward = np.stack([np.cos(heading), np.sin(heading)], axis=-1)  # (T, 2)
    rightward = np.stack([np.sin(heading), -np.cos(heading)], axis=-1)  # (T, 2)
    position = track.position_m[until] - 0.85 * forward + 0.25 * rightward
    return Track(position, heading, track.travelled_m[until])


ANOMALIES: dict[str, Callable[[Camera, Timing, np.random.Generator], list[Actor]]] = {
    "cyclist": _cyclist,
    "runner": _runner,
    "wrong_way": _wrong_way,
    "vehicle": _vehicle,
    "left_object": _left_object,
}
"""What can happen in a test clip; each gives the actors that the pedestrians then keep clear of."""
