"""What moves, and what came to stay: masks of a frame at the scene's working size."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mulde.data.video import Frame
from mulde.extractors.base import Preparation
from mulde.extractors.images import blur, box_means, median, to_pixels
from mulde.extractors.light import light_difference
from mulde.extractors.scene import SceneModel
from mulde.extractors.shake import STILL, CameraShake, Shift, offset_from, shifted

CHANGED_SHARE = 0.3
"""Share of the picture: crowds and vans are less; a camera that was moved a little shows more."""
_MOST_CHANGED = 0.6
"""Where more of the picture than this changes at once, the light or the camera has: nothing moves."""
_NOISE_FACTOR = 6
"""How far above the median change a change is no noise."""
_STEPS_BACK = 3
"""How much faster a pixel that looks otherwise is forgotten than one that looks the same is remembered."""
_COARSER = 2
"""What came to stay is followed in a picture that is smaller by this factor."""
_LOOKS = 4
"""How often the time for which something must look the same is looked at again."""
_LIKE_THE_BACKGROUND = 3.0
"""Mean difference in grey levels, up to which no other background is looked for."""
_NEAREST_PX = 0.25
"""Of the coarser picture: so far a person who fills a part of it may seem to move it."""
_SURROUNDINGS = np.ones((3, 3), np.uint8)
_LONGEST_ARRIVAL_SECONDS = 5.0
"""What takes longer to differ from the background is light that wanders, and no object."""
_DOUBT_OUTWEIGHS = 4
"""How many seconds of clearly being one or the other make up for one of being neither."""
_LONGEST_PASSAGE_SECONDS = 10.0
"""What fills much of the picture for longer is no bus that passes."""
_CALM_A_SECOND = 0.02
"""Share of the picture, by which foreground may grow in a second without being an upheaval."""
_LONGEST_STALL_SECONDS = 1.0
"""A picture that is shown again for longer is one in which all came to rest."""
_CODING_LEVELS, _CODING_SHARE = 3, 5e-4
"""Grey levels, by more than which so many pixels may differ in a picture that was encoded twice; a sensor's
noise is more."""


@dataclass(frozen=True)
class Mask:
    """Which pixels of a picture count, and the size of the frame that it shows."""

    pixels: NDArray[np.uint8]
    """(h, w) of 0 and 1, perhaps smaller than the frame."""
    frame_size: tuple[int, int]
    """(width, height) of the frame in pixels."""
    foreground_share: float = 0.0
    """Share of the picture in [0, 1] that is not the learnt background; 0 where none was looked at."""
    is_repeated: bool = False
    """Whether the frame shows the picture of the one before it, and the mask is that one's."""

    @property
    def scale(self) -> NDArray[np.float32]:
        """What boxes in pixels of the frame, xyxy, have to be multiplied by, (4,) float32."""
        height, width = self.pixels.shape
        return np.array([width / self.frame_size[0], height / self.frame_size[1]] * 2, np.float32)

    def coverage(self, box_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return which share of each box, (n, 4) in pixels of the frame, counts: (n,) in [0, 1]."""
        height, width = self.pixels.shape
        return box_means(self.pixels, to_pixels(box_xyxy * self.scale, width, height))[:, 0]

    def without(self, box_xyxy: NDArray[np.float32], grown_px: int) -> Mask:
        """Return the same without what lies in boxes (n, 4), grown by pixels of the frame on each side."""
        height, width = self.pixels.shape
        grown = box_xyxy + np.array([-grown_px, -grown_px, grown_px, grown_px], np.float32)
        pixels = self.pixels.copy()
        for x1, y1, x2, y2 in to_pixels(grown * self.scale, width, height):
            pixels[y1:y2, x1:x2] = 0
        return Mask(pixels, self.frame_size)

    def joined(self, other: Mask) -> Mask:
        """Return what counts in either; the other may be smaller."""
        height, width = self.pixels.shape
        pixels = cv2.resize(other.pixels, (width, height), interpolation=cv2.INTER_NEAREST)
        share = max(self.foreground_share, other.foreground_share)
        return Mask(self.pixels | pixels, self.frame_size, share)


@dataclass(frozen=True)
class _Look:
    """A picture that was looked at."""

    seconds: float
    """When it was shown first."""
    position: Shift
    """Where the picture is as a whole."""
    grey: NDArray[np.uint8]
    """(h, w), blurred."""


@dataclass(frozen=True)
class Movement(Preparation):
    """Where a frame differs from the one a fifth of a second before it, other than by noise and light.

    It needs no background: it sees the same of a camera that was moved, by day and by night. Where the
    picture moved as a whole in between, the earlier frame is moved along.

    Cameras show a picture again while the next one is late, or since the file has more frames a second than
    they have pictures. Where something moved and then not a pixel changes, not by noise either, for up to a
    second, it is taken to move on: such a frame has the mask of the one before. So it is where noise was
    encoded away and all comes to rest at once.
    """

    size: tuple[int, int]
    """(width, height) of the picture in which changes are looked for."""
    threshold: int
    """Grey levels by which a blurred pixel must change, where there is no more noise than usual."""
    seconds_back: float
    """How long before the frame it was compared with is, at least."""

    @property
    def parts(self) -> tuple[CameraShake]:
        """Where the picture is as a whole."""
        return (self.shake,)

    @property
    def shake(self) -> CameraShake:
        """What follows the picture as a whole."""
        return CameraShake(self.size)

    def start(self) -> Callable[[Frame, Shift], Mask]:
        """Return the function that compares each frame with an earlier one."""
        past: deque[_Look] = deque()
        last = Mask(np.zeros(self.size[::-1], np.uint8), self.size)

        def compare(frame: Frame, position: Shift) -> Mask:
            nonlocal last
            now = _Look(frame.seconds, position, blur(frame.grey(self.size)))
            if last.pixels.any() and self._is_repeated(past[-1], now):
                return replace(last, is_repeated=True)
            while len(past) > 1 and past[1].seconds <= now.seconds - self.seconds_back + 1e-3:
                past.popleft()
            past.append(now)
            last = Mask(self._changed(past[0], now), frame.size)
            return last

        return compare

    def _is_repeated(self, before: _Look, now: _Look) -> bool:
        """Return whether a picture is shown again that has not been shown for long."""
        if not 0 <= now.seconds - before.seconds <= _LONGEST_STALL_SECONDS + 1e-3:
            return False
        difference = cv2.absdiff(before.grey, now.grey)
        _, differs = cv2.threshold(difference, _CODING_LEVELS, 1, cv2.THRESH_BINARY)
        return bool(cv2.countNonZero(differs) <= _CODING_SHARE * differs.size)

    def _changed(self, before: _Look, now: _Look) -> NDArray[np.uint8]:
        shift = now.position[0] - before.position[0], now.position[1] - before.position[1]
        if shift == STILL:
            return self._differences(before.grey, now.grey)
        mask = self._differences(shifted(before.grey, shift), now.grey)
        return _without_edges(mask, shift)

    def _differences(self, before: NDArray[np.uint8], now: NDArray[np.uint8]) -> NDArray[np.uint8]:
        difference = cv2.subtract(now, before, dtype=cv2.CV_16S)
        brighter = median(difference[::4, ::4])
        change = cv2.convertScaleAbs(difference, alpha=1, beta=-brighter)  # (h, w) uint8
        noise = median(change[::4, ::4])
        limit = max(self.threshold, _NOISE_FACTOR * noise)
        _, mask = cv2.threshold(change, limit, 1, cv2.THRESH_BINARY)
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, _SURROUNDINGS)
        if cv2.countNonZero(mask) > _MOST_CHANGED * mask.size:
            return np.zeros_like(mask)
        return np.asarray(mask, np.uint8)


@dataclass(frozen=True)
class Arrivals(Preparation):
    """Where something appeared in this video and has not changed since.

    A pixel counts if it clearly was background for a while, then within seconds became foreground and looks
    otherwise, and has looked the same for a while. What was there from the first frame on is part of the
    scene; so is, until it is gone, what has stood for long, and nothing arrives in its place. Light that
    wanders is no object, nor is what came as more than `CHANGED_SHARE` of the picture became foreground at
    once: the camera was moved, or a lamp switched.
    """

    scene_digest: str
    """Stands for the scene when preparations are compared."""
    threshold: int
    """Grey levels by which a blurred pixel must differ from the background, other than by its light."""
    seconds_unchanged: float
    """How long it must look the same."""
    tolerance: int
    """Grey levels by which it may differ meanwhile."""
    seconds_remembered: float
    """How long it counts."""
    scene: SceneModel = field(compare=False)

    @property
    def settings(self) -> dict[str, float]:
        """What it was told, but for the scene."""
        names = ("threshold", "seconds_unchanged", "tolerance", "seconds_remembered")
        return {name: getattr(self, name) for name in names}

    def start(self) -> Callable[[Frame], Mask]:
        """Return the function that follows each pixel through the frames."""
        width, height = self.scene.size
        size = max(1, width // _COARSER), max(1, height // _COARSER)
        known = [
            blur(cv2.resize(background, size, interpolation=cv2.INTER_AREA))
            for background in self.scene.backgrounds
        ]
        history = _PixelHistory(
            known[0].shape, self.seconds_unchanged, self.tolerance, self.seconds_remembered
        )
        last_seconds, share, arrived = -np.inf, 0.0, np.zeros(known[0].shape, np.uint8)
        upheaval = _Upheaval()

        def follow(frame: Frame) -> Mask:
            nonlocal last_seconds, share, arrived
            elapsed = frame.seconds - last_seconds
            if elapsed < self.seconds_unchanged / _LOOKS - 1e-3:
                return Mask(arrived, frame.size, share)
            elapsed, last_seconds = 0.0 if np.isinf(elapsed) else elapsed, frame.seconds
            grey = blur(cv2.resize(frame.grey(self.scene.size), size, interpolation=cv2.INTER_AREA))
            difference = _least_difference(grey, known)
            x, y = offset_from(known[0], grey, _NEAREST_PX)
            if (x, y) != STILL:
                grey = shifted(grey, (-x, -y))
                difference = _least_difference(grey, known)
            is_foreground = difference > self.threshold
            # Half the threshold: a pixel that hovers around it is neither background nor an arrival.
            is_background = difference <= self.threshold / 2
            share = float(is_foreground.mean())
            in_upheaval = upheaval.goes_on(share, elapsed)
            arrived = history.update(grey, is_foreground, is_background, elapsed, in_upheaval=in_upheaval)
            if upheaval.has_lasted:
                history.forget(is_foreground)
            return Mask(arrived, frame.size, share)

        return follow


def _without_edges(mask: NDArray[np.uint8], shift: Shift) -> NDArray[np.uint8]:
    """Return a mask without the part of the picture that came into view."""
    x, y = (math.copysign(math.ceil(abs(step)), step) for step in shift)
    height, width = mask.shape
    inside = np.zeros_like(mask)
    inside[int(max(0, y)) : int(height + min(0, y)), int(max(0, x)) : int(width + min(0, x))] = 1
    return mask & inside


def _least_difference(grey: NDArray[np.uint8], known: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Return the differences (h, w) from the background that a picture differs from least; it becomes the
    first, so that the others are asked only where it does not do.
    """
    best = np.abs(light_difference(grey, known[0]))
    if len(known) > 1 and best.mean() > _LIKE_THE_BACKGROUND:
        differences = [best, *(np.abs(light_difference(grey, other)) for other in known[1:])]
        nearest = int(np.argmin([difference.mean() for difference in differences]))
        known.insert(0, known.pop(nearest))
        best = differences[nearest]
    return best


class _Upheaval:
    """Whether much of the picture became foreground at once, and for how long it has been."""

    def __init__(self) -> None:
        self._calm = 1.0
        """Share of the picture that was foreground before; it grows slowly."""
        self._seconds = 0.0
        self.has_lasted = False
        """Whether it is no bus that passes, but the camera or the light that changed; said once."""

    def goes_on(self, share: float, elapsed: float) -> bool:
        """Return whether it does, by the share that is foreground now."""
        self.has_lasted = False
        if share - self._calm <= CHANGED_SHARE:
            self._calm, self._seconds = min(share, self._calm + _CALM_A_SECOND * elapsed), 0.0
            return False
        self._seconds += elapsed
        self.has_lasted = self._seconds > _LONGEST_PASSAGE_SECONDS
        if self.has_lasted:
            self._calm = share
        return True


class _PixelHistory:
    """What is remembered of each pixel, whatever the length of the video; all of it is updated in place."""

    def __init__(
        self, shape: tuple[int, ...], seconds_enough: float, tolerance: int, seconds_remembered: float
    ) -> None:
        self._enough, self._tolerance = np.float32(seconds_enough), tolerance
        self._remembered = np.float32(seconds_remembered)
        self._reference = np.zeros(shape, np.uint8)
        """Blurred luminance when the pixel last changed."""
        self._unchanged = np.zeros(shape, np.float32)
        """Seconds for which it has been foreground and looked the same."""
        self._background = np.zeros(shape, np.float32)
        """Seconds for which it has been background, no more than count."""
        self._was_background = np.zeros(shape, bool)
        self._empty = np.zeros(shape, np.uint8)
        """Blurred luminance when the pixel last was background."""
        self._doubtful = np.zeros(shape, np.float32)
        """Seconds for which it has been neither since it was background, less a share of the others."""
        self._stood = np.zeros(shape, np.float32)
        """Seconds for which something has stood there."""

    def forget(self, where: NDArray[np.bool_]) -> None:
        """Take what is in some pixels, (h, w), for what has always been there, unless it arrived before."""
        self._was_background &= ~where | (self._stood > 0)

    def update(
        self,
        grey: NDArray[np.uint8],
        is_foreground: NDArray[np.bool_],
        is_background: NDArray[np.bool_],
        elapsed: float,
        *,
        in_upheaval: bool,
    ) -> NDArray[np.uint8]:
        """Return where something arrived that has not changed since, (h, w) of 0 and 1.

        Args:
            in_upheaval: much of the picture changed at once. Then nothing arrives beside what had before, and
                it cannot be told what is background: the light on it is not known.
        """
        if not in_upheaval:
            self._learn_background(grey, is_foreground, is_background, elapsed)
        unchanged = cv2.absdiff(grey, self._reference) < self._tolerance
        unchanged &= is_foreground
        # Steps back instead of a fresh start: noise and passers-by interrupt for a frame or two
        self._unchanged += np.where(unchanged, np.float32(elapsed), np.float32(-_STEPS_BACK * elapsed))
        np.clip(self._unchanged, 0, 2 * self._enough, out=self._unchanged)
        np.copyto(self._reference, grey, where=self._unchanged == 0)
        arrived = self._was_background & is_foreground & (self._unchanged >= self._enough)
        # What has arrived may come to look as the wall did: the light on both may change
        looks_otherwise = cv2.absdiff(grey, self._empty) >= self._tolerance
        arrived &= (self._stood > 0) | (looks_otherwise & (not in_upheaval))
        self._stood += np.where(arrived, np.float32(elapsed), np.float32(0))
        self._was_background &= self._stood <= self._remembered
        self._stood *= self._was_background
        return np.asarray(arrived, np.uint8)

    def _learn_background(
        self,
        grey: NDArray[np.uint8],
        is_foreground: NDArray[np.bool_],
        is_background: NDArray[np.bool_],
        elapsed: float,
    ) -> None:
        self._background += np.float32(elapsed)
        self._background *= is_background
        np.minimum(self._background, self._enough, out=self._background)
        is_empty = self._background == self._enough
        self._was_background |= is_empty
        is_clear = is_foreground | is_background
        self._doubtful += np.where(is_clear, np.float32(-elapsed / _DOUBT_OUTWEIGHS), np.float32(elapsed))
        np.maximum(self._doubtful, 0, out=self._doubtful)
        self._doubtful *= ~is_empty
        self._was_background &= self._doubtful <= max(_LONGEST_ARRIVAL_SECONDS, 2 * elapsed)
        self._stood *= ~is_empty
        np.copyto(self._empty, grey, where=is_background)
