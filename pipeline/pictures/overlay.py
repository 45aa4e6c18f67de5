"""Draw on the frames of a video what was found in them: boxes, and a strip with the score over time below."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mulde.pipeline.events.record import Event, time_in_video
from mulde.pipeline.metrics.events import runs
from mulde.pipeline.runs.scores import ScoredObjects

Colour = tuple[int, int, int]

_LEAST_WIDTH = 640
"""Smaller frames are enlarged, so that what is written below them can be read."""
_MOST_BOXES = 6
_SHOWN_FROM = 0.5
"""Boxes are drawn from this share of the threshold on."""
_MOST_OVERLAP = 0.1
"""Of two boxes that overlap by more (IoU), the one of the higher score is drawn."""
_SCALE: tuple[tuple[float, Colour], ...] = (
    (0.5, (96, 165, 220)),
    (1.0, (255, 186, 60)),
    (1.5, (245, 64, 40)),
)
"""Colours by the share of the threshold: blue, amber at the threshold, red; also told by their width."""
_GROUND, _TEXT, _MUTED = (16, 19, 22), (235, 238, 240), (160, 171, 182)
_CURVE, _ALARM, _LABEL = (116, 178, 238), (255, 138, 102), (178, 148, 221)


@dataclass(frozen=True)
class Annotations:
    """What was found in a video."""

    seconds: NDArray[np.float64]
    """(T,), when each frame is shown."""
    scores: NDArray[np.float64]
    """(T,), higher = more anomalous."""
    threshold: float | None = None
    """The score from which on there is an event; None where that is not known."""
    events: Sequence[Event] = ()
    """Of this video."""
    labels: NDArray[np.uint8] | None = None
    """(T,), 1 = abnormal; None where nobody labelled it."""
    objects: ScoredObjects | None = None
    """None for whole frames."""
    looked_at: NDArray[np.int64] | None = None
    """The frames in which objects were looked for, in order; None for all."""


class Overlay:
    """Draws on the frames of one stretch of a video.

    What is drawn has the frame, with boxes, above a strip with the curve of the stretch, its threshold,
    labels and events, and a line of words.
    """

    def __init__(self, annotations: Annotations, start_frame: int = 0, stop_frame: int | None = None) -> None:
        self._annotations = annotations
        self._span = start_frame, annotations.scores.size if stop_frame is None else stop_frame
        self._strip: Image.Image | None = None
        self._full = annotations.threshold or max(float(annotations.scores.max(initial=0.0)), 1e-9)

    def draw(self, index: int, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a picture of a frame, (H, W, 3) uint8 RGB, larger than it."""
        times = max(1, -(-_LEAST_WIDTH // rgb.shape[1]))
        size = rgb.shape[1] * times, rgb.shape[0] * times
        picture = np.array(rgb) if times == 1 else cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC)
        draw_boxes(picture, self.boxes(index), times)
        return np.concatenate([picture, self._below(index, size[0])])

    def boxes(self, index: int) -> list[tuple[NDArray[np.float32], float]]:
        """Return the boxes that are drawn in a frame with their share of the threshold, the highest first.

        Frames that were not looked at have the boxes of the last one that was.
        """
        objects, looked_at = self._annotations.objects, self._annotations.looked_at
        if objects is None:
            return []
        if looked_at is not None:
            before = int(np.searchsorted(looked_at, index, side="right")) - 1
            if before < 0:
                return []
            index = int(looked_at[before])
        inside = slice(*np.searchsorted(objects.frame, [index, index + 1]))
        return strongest(objects.box_xyxy[inside], objects.total[inside] / self._full)

    def _below(self, index: int, width: int) -> NDArray[np.uint8]:
        """Return what stands below a frame, (h, width, 3)."""
        if self._strip is None:
            self._strip = self._draw_strip(width)
        below = self._strip.copy()
        pen = ImageDraw.Draw(below)
        unit = _unit(width)
        x = self._x(index, width)
        pen.line((x, 0, x, 60 * unit), fill=_TEXT, width=max(1, unit))
        self._write(pen, index, width, unit)
        return np.asarray(below)

    def _write(self, pen: ImageDraw.ImageDraw, index: int, width: int, unit: int) -> None:
        annotations, font, small = self._annotations, _font(16 * unit), _font(13 * unit)
        score, y = float(annotations.scores[index]), 66 * unit
        is_alarm = annotations.threshold is not None and score >= annotations.threshold
        words = time_in_video(float(annotations.seconds[index]))
        pen.text((8 * unit, y), words, fill=_TEXT, font=font)
        x = 8 * unit + pen.textlength(words, font=font) + 14 * unit
        words = f"score {score:.2f}"
        pen.text((x, y), words, fill=_ALARM if is_alarm else _MUTED, font=font)
        x += pen.textlength(words, font=font) + 14 * unit
        if annotations.labels is not None and annotations.labels[index]:
            pen.text((x, y), "labelled abnormal", fill=_LABEL, font=font)
            x += pen.textlength("labelled abnormal", font=font) + 14 * unit
        reason = next((e.reason for e in annotations.events if e.start_frame <= index < e.stop_frame), "")
        if reason:
            for number, line in enumerate(_lines(reason, pen, small, width - 16 * unit)):
                pen.text((8 * unit, (88 + 17 * number) * unit), line, fill=_ALARM, font=small)

    def _draw_strip(self, width: int) -> Image.Image:
        annotations, unit = self._annotations, _unit(width)
        start, stop = self._span
        strip = Image.new("RGB", (width, 128 * unit), _GROUND)
        pen = ImageDraw.Draw(strip)
        top, bottom = 6 * unit, 54 * unit
        low = min(0.0, float(annotations.scores.min(initial=0.0)))
        high = max(
            float(annotations.scores.max(initial=0.0)), 1.1 * (annotations.threshold or 0.0), low + 1e-9
        )

        def height(score: float) -> float:
            return bottom - (bottom - top) * (score - low) / (high - low)

        for event in annotations.events:
            left, right = self._x(event.start_frame, width), self._x(event.stop_frame, width)
            pen.rectangle((left, 0, max(right, left + 1), bottom), fill=(58, 33, 27))
            pen.rectangle((left, 0, max(right, left + 1), 3 * unit), fill=_ALARM)
        labels = annotations.labels
        for first, end in [] if labels is None else runs(labels == 1).tolist():
            left, right = self._x(first, width), self._x(end, width)
            pen.rectangle((left, 56 * unit, max(right, left + 1), 59 * unit), fill=_LABEL)
        columns = np.linspace(start, max(stop, start + 1), width + 1).astype(int)
        points = [
            (x, height(float(annotations.scores[a : max(b, a + 1)].max(initial=low))))
            for x, (a, b) in enumerate(itertools.pairwise(columns.tolist()))
        ]
        pen.line(points, fill=_CURVE, width=max(1, round(1.5 * unit)))
        if annotations.threshold is not None:
            y = height(annotations.threshold)
            for x in range(0, width, 12 * unit):
                pen.line((x, y, x + 6 * unit, y), fill=_ALARM, width=max(1, unit))
        return strip

    def _x(self, index: int, width: int) -> float:
        start, stop = self._span
        return min(max(0.0, width * (index - start) / max(stop - start, 1)), width - 1.0)


def strongest(
    boxes_xyxy: NDArray[np.float32], shares: NDArray[np.float64]
) -> list[tuple[NDArray[np.float32], float]]:
    """Return which boxes of a frame, (N, 4), are drawn, with their share of the threshold, highest first."""
    sides = np.concatenate([boxes_xyxy[:, :2], boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxes(sides.tolist(), shares.tolist(), _SHOWN_FROM, _MOST_OVERLAP)
    return [(boxes_xyxy[k], float(shares[k])) for k in list(kept)[:_MOST_BOXES]]


def draw_boxes(
    picture: NDArray[np.uint8], boxes: Sequence[tuple[NDArray[np.float32], float]], scale: float
) -> None:
    """Draw boxes with their shares of the threshold, highest first, into a picture `scale` times as large."""
    unit = max(1, round(picture.shape[1] / 900))
    for box, share in reversed(boxes):  # the highest on top
        (x1, y1), (x2, y2) = np.round(box.reshape(2, 2) * scale).astype(int).tolist()
        width = unit * (3 if share >= 1 else 2)  # colour is lost in lines of a pixel
        for colour, thickness in (((0, 0, 0), width + 2 * unit), (colour_of(share), width)):
            cv2.rectangle(picture, (x1, y1), (x2 - 1, y2 - 1), colour, thickness, cv2.LINE_AA)


def colour_of(share: float) -> Colour:
    """Return the colour of a share of the threshold; see `_SCALE`."""
    places, colours = zip(*_SCALE, strict=True)
    red, green, blue = (round(float(np.interp(share, places, part))) for part in zip(*colours, strict=True))
    return red, green, blue


def _unit(width: int) -> int:
    return max(1, round(width / 900))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Return a font with the letters of most languages."""
    import matplotlib as mpl  # brings one along

    path = Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(path), size)


def _lines(words: str, pen: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Return words on at most two lines of a width in pixels; what does not go onto them is cut."""
    first = ""
    for word in words.split():
        if pen.textlength(f"{first} {word}".strip(), font=font) > width:
            break
        first = f"{first} {word}".strip()
    rest = words[len(first) :].strip()
    return [line for line in (first, _fit(rest, pen, font, width)) if line]


def _fit(words: str, pen: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont, width: float) -> str:
    """Return words cut to a width in pixels."""
    while words and pen.textlength(words, font=font) > width:
        words = words[:-2].rstrip() + "…" if len(words) > 2 else ""
    return words
