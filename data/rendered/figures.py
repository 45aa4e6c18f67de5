"""What stands and moves in the rendered scene: people, a bicycle, a van, a suitcase, a lamp post.

Every figure is a list of parts, and every part is the convex hull of a few spheres in one colour. One
primitive is enough to draw all of them, to cast their shadows and to know their boxes. A figure has its own
frame of reference in metres: (forward, left, up), with the origin on the ground below it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float, float]
"""(forward, left, up) in metres."""
Colour = tuple[int, int, int]
"""(red, green, blue), 0–255."""

SKINS: tuple[Colour, ...] = ((224, 182, 152), (201, 152, 118), (154, 106, 76), (104, 70, 52))
HAIRS: tuple[Colour, ...] = ((38, 30, 26), (70, 48, 32), (120, 86, 50), (150, 144, 138), (24, 22, 24))
TOPS: tuple[Colour, ...] = (
    (158, 44, 46),
    (42, 66, 122),
    (214, 208, 196),
    (48, 50, 56),
    (196, 150, 62),
    (64, 104, 84),
    (120, 84, 128),
    (92, 126, 162),
    (176, 98, 70),
)
TROUSERS: tuple[Colour, ...] = ((40, 46, 66), (34, 34, 38), (92, 82, 68), (70, 84, 112), (124, 114, 98))
VAN_COLOURS: tuple[Colour, ...] = ((222, 222, 214), (206, 168, 60), (168, 58, 50))
SUITCASE_COLOURS: tuple[Colour, ...] = ((150, 40, 44), (36, 48, 92), (34, 36, 40), (40, 92, 84))
CRANK_M = 5.2
"""How far a bicycle goes for one turn of its crank."""
SHOE: Colour = (36, 32, 32)
RUBBER: Colour = (30, 30, 32)
STEEL: Colour = (104, 108, 106)


@dataclass(frozen=True)
class Part:
    """The convex hull of some spheres, in one colour."""

    points: tuple[Point, ...]
    """Centres of the spheres, in metres."""
    radii: tuple[float, ...]
    """Radius of each sphere, in metres."""
    colour: Colour
    is_face: bool = False
    """Whether it is a flat face of a solid, seen only from the side where its corners run anticlockwise."""

    def __post_init__(self) -> None:
        if not self.points or len(self.points) != len(self.radii):
            raise ValueError(f"a part needs one radius a point, not {len(self.radii)} for {len(self.points)}")


@dataclass(frozen=True)
class Figure:
    """Parts that move together."""

    parts: tuple[Part, ...]
    is_solid: bool = False
    """Whether the parts are to be painted in the order given; otherwise the farthest is painted first."""
    lift_m: float = 0.0
    """How far the parts are to be raised, for feet that stand on the ground."""

    @cached_property
    def centres(self) -> NDArray[np.float64]:
        """The centres of all parts' spheres, (P, 3)."""
        centres = np.array([point for part in self.parts for point in part.points])
        centres[:, 2] += self.lift_m
        return centres

    @cached_property
    def radii(self) -> NDArray[np.float64]:
        """The radii of all parts' spheres, (P,)."""
        return np.array([radius for part in self.parts for radius in part.radii])

    @cached_property
    def rows(self) -> list[slice]:
        """Which of the spheres are whose: one slice a part."""
        stops = accumulate(len(part.points) for part in self.parts)
        return [slice(stop - len(part.points), stop) for part, stop in zip(self.parts, stops, strict=True)]


@dataclass(frozen=True)
class PersonLook:
    """Build and clothes of a person."""

    height_m: float = 1.75
    breadth: float = 1.0
    """Width across the shoulders as a multiple of the usual one."""
    skin: Colour = SKINS[0]
    hair: Colour = HAIRS[0]
    top: Colour = TOPS[0]
    trousers: Colour = TROUSERS[0]
    long_hair: bool = False
    coat: bool = False
    """Whether the upper garment reaches down to the knees."""
    backpack: Colour | None = None


@dataclass(frozen=True)
class Gait:
    """How the limbs of a person swing; angles in radians."""

    stride_m: float
    """Way between two steps of the same foot."""
    thigh_swing: float
    knee_bend: float
    """Bend of the knee on the ground."""
    knee_lift: float
    """Further bend of the knee while the foot is in the air."""
    arm_swing: float
    elbow_bend: float
    lean: float
    """How far the upper body leans forward."""


WALK = Gait(
    stride_m=1.4, thigh_swing=0.37, knee_bend=0.08, knee_lift=0.75, arm_swing=0.45, elbow_bend=0.25, lean=0.04
)
RUN = Gait(
    stride_m=2.3, thigh_swing=0.72, knee_bend=0.3, knee_lift=1.35, arm_swing=0.75, elbow_bend=1.5, lean=0.17
)


def random_look(rng: np.random.Generator) -> PersonLook:
    """Draw the build and the clothes of somebody."""

    def pick(colours: tuple[Colour, ...]) -> Colour:
        red, green, blue = colours[rng.integers(len(colours))]
        shade = rng.uniform(0.85, 1.12)
        return _clipped(red * shade, green * shade, blue * shade)

    return PersonLook(
        height_m=float(np.clip(rng.normal(1.72, 0.09), 1.5, 1.95)),
        breadth=float(rng.uniform(0.9, 1.15)),
        skin=pick(SKINS),
        hair=pick(HAIRS),
        top=pick(TOPS),
        trousers=pick(TROUSERS),
        long_hair=bool(rng.random() < 0.35),
        coat=bool(rng.random() < 0.2),
        backpack=pick(TOPS) if rng.random() < 0.25 else None,
    )


def person(look: PersonLook, gait: Gait, travelled_m: float) -> Figure:
    """Pose somebody on foot who has gone `travelled_m`."""
    phase = 2 * math.pi * travelled_m / gait.stride_m
    legs = [leg for side in (1, -1) for leg in _leg(look, gait, phase, side)]
    lowest = min(
        point[2] - radius for leg in legs for point, radius in zip(leg.points, leg.radii, strict=True)
    )
    arms = [arm for side in (1, -1) for arm in _arm(look, gait, phase, side)]
    parts = (*legs, *arms, *_torso(look, gait.lean), *_head(look, gait.lean))
    return Figure(parts, lift_m=-lowest)


def _leg(look: PersonLook, gait: Gait, phase: float, side: int) -> list[Part]:
    height = look.height_m
    phase += 0 if side > 0 else math.pi
    thigh = gait.thigh_swing * (math.sin(phase) + 0.15)
    shin = thigh - gait.knee_bend - gait.knee_lift * max(0.0, math.cos(phase + 0.4)) ** 1.5
    left = side * 0.052 * height * look.breadth
    hip = (0.0, left, 0.52 * height)
    knee = _hanging(hip, 0.25 * height, thigh)
    ankle = _hanging(knee, 0.23 * height, shin)
    toe = _hanging(ankle, 0.085 * height, min(shin + 1.45, 1.7))
    # A coat goes along with the thigh that it covers.
    thigh_part = (
        _limb(hip, knee, 0.056 * height, 0.05 * height, look.top)
        if look.coat
        else _limb(hip, knee, 0.047 * height, 0.034 * height, look.trousers)
    )
    return [
        thigh_part,
        _limb(knee, ankle, 0.033 * height, 0.023 * height, look.trousers),
        _limb(ankle, toe, 0.024 * height, 0.018 * height, SHOE),
    ]


def _arm(look: PersonLook, gait: Gait, phase: float, side: int) -> list[Part]:
    height = look.height_m
    swing = -gait.arm_swing * math.sin(phase + (0 if side > 0 else math.pi))
    shoulder = _leaning((0.0, side * 0.118 * height * look.breadth, 0.80 * height), height, gait.lean)
    elbow = _hanging(shoulder, 0.17 * height, swing)
    hand = _hanging(elbow, 0.155 * height, swing + gait.elbow_bend)
    sleeve = tinted(look.top, 0.92)
    return [
        _limb(shoulder, elbow, 0.031 * height, 0.025 * height, sleeve),
        _limb(elbow, hand, 0.025 * height, 0.018 * height, sleeve),
        _limb(hand, hand, 0.023 * height, 0.023 * height, look.skin),
    ]


def _torso(look: PersonLook, lean: float) -> list[Part]:
    height = look.height_m
    sides = (height * look.breadth, -height * look.breadth)
    shoulders = [_leaning((0.0, 0.085 * side, 0.79 * height), height, lean) for side in sides]
    hips = [(0.0, 0.05 * side, 0.53 * height) for side in sides]
    parts = [Part((*shoulders, *hips), (0.045 * height,) * 2 + (0.052 * height,) * 2, look.top)]
    if look.coat:
        hem = [(forward, 0.05 * side, 0.36 * height) for side in sides for forward in (-0.1, 0.1)]
        parts.append(Part((*hips, *hem), (0.05 * height,) * 6, look.top))
    if look.backpack is not None:
        straps = [_leaning((-0.1 * height, 0.0, up * height), height, lean) for up in (0.77, 0.62)]
        parts.append(Part(tuple(straps), (0.06 * height, 0.075 * height), look.backpack))
    return parts


def _head(look: PersonLook, lean: float) -> list[Part]:
    height = look.height_m

    def at(forward: float, up: float) -> Point:
        return _leaning((forward * height, 0.0, up * height), height, lean)

    hair_end = at(-0.035, 0.83) if look.long_hair else at(-0.022, 0.925)
    return [
        _limb(at(0.0, 0.83), at(0.008, 0.88), 0.03 * height, 0.03 * height, look.skin),
        _limb(at(0.012, 0.905), at(0.006, 0.94), 0.044 * height, 0.05 * height, look.skin),
        _limb(at(-0.01, 0.95), hair_end, 0.052 * height, 0.045 * height, look.hair),
    ]


def cyclist(look: PersonLook, travelled_m: float) -> Figure:
    """Pose somebody on a bicycle who has gone `travelled_m`."""
    crank = 2 * math.pi * travelled_m / CRANK_M
    bracket, saddle, head = (-0.06, 0.0, 0.29), (-0.22, 0.0, 0.92), (0.36, 0.0, 0.86)
    rear, front = (-0.52, 0.0, 0.34), (0.54, 0.0, 0.34)
    tubes = [*pairwise((bracket, saddle, head, bracket, rear, saddle)), (front, head)]
    frame = [_limb(start, end, 0.024, 0.024, (186, 60, 44)) for start, end in tubes]
    bars = _limb((0.36, 0.24, 0.98), (0.36, -0.24, 0.98), 0.018, 0.018, RUBBER)
    wheels = [rim for hub in (rear, front) for rim in _wheel_rim(hub, 0.33)]
    left = _pedalling_leg(look, bracket, crank, 1)
    right = _pedalling_leg(look, bracket, crank + math.pi, -1)
    return Figure((*wheels, *frame, bars, *left, *right, *_rider_upper_body(look)))


def _wheel_rim(hub: Point, radius: float, n_segments: int = 14) -> list[Part]:
    angles = [2 * math.pi * index / n_segments for index in range(n_segments + 1)]
    rim = [(hub[0] + radius * math.cos(a), hub[1], hub[2] + radius * math.sin(a)) for a in angles]
    return [_limb(rim[index], rim[index + 1], 0.02, 0.02, RUBBER) for index in range(n_segments)]


def _pedalling_leg(look: PersonLook, bracket: Point, angle: float, side: int) -> list[Part]:
    left = side * 0.1
    hip = (-0.2, left, 0.97)
    foot = (bracket[0] + 0.17 * math.cos(angle), left, bracket[2] - 0.17 * math.sin(angle) + 0.06)
    knee = _bent(hip, foot, 0.44, 0.45)
    heel, toe = (foot[0] - 0.05, left, foot[2] - 0.04), (foot[0] + 0.13, left, foot[2] - 0.05)
    return [
        _limb(hip, knee, 0.085, 0.06, look.trousers),
        _limb(knee, foot, 0.056, 0.04, look.trousers),
        _limb(heel, toe, 0.04, 0.03, SHOE),
    ]


def _rider_upper_body(look: PersonLook) -> list[Part]:
    shoulders = [(0.13, side * 0.16, 1.4) for side in (1, -1)]
    hips = [(-0.2, side * 0.09, 1.0) for side in (1, -1)]
    parts = [Part((*shoulders, *hips), (0.08, 0.08, 0.095, 0.095), look.top)]
    for side in (1, -1):
        shoulder, hand = (0.13, side * 0.2, 1.4), (0.36, side * 0.22, 1.0)
        elbow = (0.2, side * 0.26, 1.15)
        parts.append(_limb(shoulder, elbow, 0.055, 0.045, tinted(look.top, 0.92)))
        parts.append(_limb(elbow, hand, 0.044, 0.034, look.skin))
    head = _limb((0.22, 0.0, 1.57), (0.21, 0.0, 1.63), 0.08, 0.09, look.skin)
    helmet = _limb((0.24, 0.0, 1.68), (0.14, 0.0, 1.67), 0.085, 0.08, (226, 222, 208))
    return [*parts, head, helmet]


def van(colour: Colour) -> Figure:
    """Build a small electric delivery van, 3.6 m long, 1.6 m wide and 1.95 m high."""
    profile = [(-1.8, 0.3), (1.8, 0.3), (1.82, 0.75), (1.5, 1.18), (0.8, 1.92), (-1.7, 1.95), (-1.8, 1.8)]
    body = _prism(profile, half_width=0.8, colour=colour)
    bumper = [(-1.82, 0.3), (1.82, 0.3), (1.83, 0.48), (-1.82, 0.48)]
    skirt = _prism(bumper, half_width=0.81, colour=(52, 54, 58))
    details = [detail for side in (1, -1) for detail in _van_side(side)]
    screen = ((1.46, -0.66, 1.24), (1.46, 0.66, 1.24), (0.88, 0.66, 1.86), (0.88, -0.66, 1.86))
    rear_window = ((-1.82, 0.6, 1.15), (-1.82, -0.6, 1.15), (-1.82, -0.6, 1.7), (-1.82, 0.6, 1.7))
    windows = (_face(screen, (52, 66, 78)), _face(rear_window, (48, 58, 68)))
    return Figure((*body, *skirt, *details, *windows), is_solid=True)


def _van_side(side: int) -> list[Part]:
    window = [(0.35, 1.1), (1.38, 1.1), (0.78, 1.74), (0.35, 1.74)]
    stripe = [(-1.78, 0.98), (0.2, 0.98), (0.2, 1.1), (-1.78, 1.1)]
    wheels = [
        _disc((forward, side * left, 0.31), radius, side, colour)
        for left, radius, colour in ((0.82, 0.31, RUBBER), (0.83, 0.15, (150, 152, 150)))
        for forward in (-1.15, 1.15)
    ]
    return [
        _side_face(window, side * 0.81, (44, 56, 66)),
        _side_face(stripe, side * 0.81, (52, 116, 92)),
        *wheels,
    ]


def suitcase(colour: Colour, *, tilt: float) -> Figure:
    """Build a trolley suitcase, 0.74 m high without its handle, tilted forward by `tilt` radians."""
    profile = [(-0.17, 0.06), (0.17, 0.06), (0.17, 0.74), (-0.17, 0.74)]
    shell = _prism(profile, half_width=0.26, colour=colour)
    grips = [((0.12, side * 0.12, 0.74), (0.12, side * 0.12, 1.02)) for side in (1, -1)]
    handle = [_limb(start, end, 0.012, 0.012, STEEL) for start, end in grips]
    handle.append(_limb((0.12, 0.12, 1.02), (0.12, -0.12, 1.02), 0.016, 0.016, RUBBER))
    wheels = [_limb((0.12, left, 0.05), (-0.12, left, 0.05), 0.05, 0.05, RUBBER) for left in (0.2, -0.2)]
    parts = (*wheels, *handle, *shell)
    return Figure(tuple(_tilted(part, tilt) for part in parts), is_solid=True)


def lamp_post() -> Figure:
    """Build a street lamp, 5 m high, whose arm reaches forward."""
    post = _limb((0.0, 0.0, 0.0), (0.0, 0.0, 4.9), 0.09, 0.06, STEEL)
    plinth = _limb((0.0, 0.0, 0.0), (0.0, 0.0, 0.5), 0.14, 0.12, tinted(STEEL, 0.9))
    arm = _limb((0.0, 0.0, 4.9), (1.1, 0.0, 5.05), 0.045, 0.04, STEEL)
    lamp = _limb((0.9, 0.0, 5.0), (1.5, 0.0, 5.02), 0.09, 0.07, (186, 188, 184))
    return Figure((plinth, post, arm, lamp), is_solid=True)


def bollard() -> Figure:
    """Build a steel bollard, 0.9 m high."""
    post = _limb((0.0, 0.0, 0.0), (0.0, 0.0, 0.85), 0.08, 0.08, (72, 74, 74))
    band = _limb((0.0, 0.0, 0.68), (0.0, 0.0, 0.74), 0.084, 0.084, (206, 204, 196))
    cap = _limb((0.0, 0.0, 0.82), (0.0, 0.0, 0.85), 0.08, 0.075, (62, 64, 64))
    return Figure((post, band, cap), is_solid=True)


def bench() -> Figure:
    """Build a park bench, 1.8 m long, that faces forward."""
    wood: Colour = (134, 98, 64)
    seat = _prism([(-0.22, 0.42), (0.22, 0.42), (0.22, 0.48), (-0.22, 0.48)], half_width=0.9, colour=wood)
    back = _prism([(-0.26, 0.56), (-0.2, 0.56), (-0.26, 0.9), (-0.32, 0.9)], half_width=0.9, colour=wood)
    legs = [
        _limb((forward, side * 0.75, 0.0), (forward, side * 0.75, 0.42), 0.03, 0.03, STEEL)
        for side in (1, -1)
        for forward in (0.18, -0.2)
    ]
    return Figure((*legs, *back, *seat), is_solid=True)


def _limb(start: Point, end: Point, start_radius: float, end_radius: float, colour: Colour) -> Part:
    return Part((start, end), (start_radius, end_radius), colour)


def _face(points: tuple[Point, ...], colour: Colour) -> Part:
    return Part(points, (0.004,) * len(points), colour, is_face=True)


def _side_face(profile: list[tuple[float, float]], left: float, colour: Colour) -> Part:
    """Stand a (forward, up) outline, anticlockwise as seen from the right, at `left`, facing outward."""
    points = tuple((forward, left, up) for forward, up in profile)
    return _face(points[::-1] if left > 0 else points, colour)


def _disc(centre: Point, radius: float, side: int, colour: Colour) -> Part:
    angles = [2 * math.pi * index / 14 for index in range(14)]
    rim = [(centre[0] + radius * math.cos(a), centre[2] + radius * math.sin(a)) for a in angles]
    return _side_face(rim, side * abs(centre[1]), colour)


def _prism(profile: list[tuple[float, float]], *, half_width: float, colour: Colour) -> list[Part]:
    """Extrude a convex (forward, up) outline, anticlockwise as seen from the right, to both sides."""
    sides = [_side_face(profile, side * half_width, tinted(colour, 0.86)) for side in (1, -1)]
    strips = []
    for (f0, u0), (f1, u1) in zip(profile, profile[1:] + profile[:1], strict=True):
        upward = (f0 - f1) / math.hypot(f1 - f0, u1 - u0)
        corners = ((f0, -half_width, u0), (f1, -half_width, u1), (f1, half_width, u1), (f0, half_width, u0))
        strips.append(_face(corners[::-1], tinted(colour, 0.78 + 0.26 * upward)))
    return [*strips, *sides]


def _hanging(joint: Point, length: float, angle: float) -> Point:
    """Return the end of a limb that hangs from `joint`, swung forward by `angle`."""
    return joint[0] + length * math.sin(angle), joint[1], joint[2] - length * math.cos(angle)


def _bent(hip: Point, foot: Point, thigh: float, shin: float) -> Point:
    """Return the knee, in front of the line from hip to foot."""
    forward, up = foot[0] - hip[0], foot[2] - hip[2]
    reach = min(math.hypot(forward, up), thigh + shin - 1e-6)
    bend = math.acos((thigh**2 + reach**2 - shin**2) / (2 * thigh * reach))
    direction = math.atan2(up, forward) + bend
    return hip[0] + thigh * math.cos(direction), hip[1], hip[2] + thigh * math.sin(direction)


def _leaning(point: Point, height_m: float, lean: float) -> Point:
    """Turn a point of the upper body forward about the hips."""
    hip_m = 0.52 * height_m
    forward, left, above_hip = point[0], point[1], point[2] - hip_m
    sin, cos = math.sin(lean), math.cos(lean)
    return forward * cos + above_hip * sin, left, hip_m + above_hip * cos - forward * sin


def _tilted(part: Part, tilt: float) -> Part:
    sin, cos = math.sin(tilt), math.cos(tilt)
    points = tuple((f * cos + up * sin, left, up * cos - f * sin) for f, left, up in part.points)
    return replace(part, points=points)


def tinted(colour: Colour, factor: float) -> Colour:
    """Return a lighter (factor above 1) or darker colour."""
    return _clipped(*(channel * factor for channel in colour))


def _clipped(red: float, green: float, blue: float) -> Colour:
    return min(255, max(0, round(red))), min(255, max(0, round(green))), min(255, max(0, round(blue)))
