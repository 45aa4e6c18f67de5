"""What every extractor is: per-frame preparation that is shared, and one method that describes.

A pass over a video (`mulde.extractors.one_pass`) owns the loop: it decodes once, prepares each frame once for
all that ask for the same preparation, and hands each operator the frames around the ones it is about, as many
at a time as the operator likes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mulde.data.video import Frame

NO_CLASS = -1
"""Class of a box that no detector has named."""
UNKNOWN_CLASS = -2
"""Class of a box of somebody who does not say what it is, which may be anything."""
PERSON = 0
"""COCO's number of a person, among its 80 classes."""
NO_TRACK = -1
"""Track of a box of which nobody has said to which it belongs."""


@dataclass(frozen=True)
class Objects:
    """The objects of one frame."""

    box_xyxy: NDArray[np.float32]
    """(n_objects, 4) float32, x1, y1, x2, y2 in pixels of the frame, half-open."""
    measures: NDArray[np.float32]
    """(n_objects, M) float32: what the finder measured of each, see its `measure_names`."""
    n_left_out: int = 0
    """Further ones that were found, beyond the most that a finder keeps of a frame."""
    foreground_share: float = 0.0
    """Share of the frame in [0, 1] that is not the learnt background; 0 where none was looked at."""

    def __post_init__(self) -> None:
        n = len(self.box_xyxy)
        if self.box_xyxy.shape != (n, 4) or self.measures.ndim != 2 or len(self.measures) != n:
            raise ValueError(f"boxes {self.box_xyxy.shape} and measures {self.measures.shape} do not match")

    def __len__(self) -> int:
        return len(self.box_xyxy)

    @property
    def coverage(self) -> NDArray[np.float32]:
        """(n_objects,) float32 in [0, 1]: the share of the box that is foreground or moves."""
        return self.measures[:, 0]

    @property
    def confidence(self) -> NDArray[np.float32]:
        """(n_objects,) float32 in [0, 1]: how sure a detector is; NaN where none has found the box."""
        if self.measures.shape[1] < len(DETECTOR_MEASURES):
            return np.full(len(self), np.nan, np.float32)
        return self.measures[:, 1]

    @property
    def class_id(self) -> NDArray[np.int64]:
        """(n_objects,) int64: the detector's number of the class; `NO_CLASS` where none has found the box."""
        if self.measures.shape[1] < len(DETECTOR_MEASURES):
            return np.full(len(self), NO_CLASS, np.int64)
        return self.measures[:, 2].astype(np.int64)

    @property
    def may_be_person(self) -> NDArray[np.bool_]:
        """(n_objects,) bool: a detector says so, or none has said what it is."""
        if self.measures.shape[1] < len(DETECTOR_MEASURES):
            return np.ones(len(self), bool)
        return np.isin(self.class_id, (PERSON, UNKNOWN_CLASS))

    @property
    def track(self) -> NDArray[np.int64]:
        """(n_objects,) int64: which boxes of the video are one object's; `NO_TRACK` where nobody says so."""
        if self.measures.shape[1] < len(TRACK_MEASURES):
            return np.full(len(self), NO_TRACK, np.int64)
        return self.measures[:, 3].astype(np.int64)


MOTION_MEASURES = ("coverage",)
DETECTOR_MEASURES = ("coverage", "confidence", "class_id")
TRACK_MEASURES = (*DETECTOR_MEASURES, "track")
"""All that a finder may measure; a detector leaves out the last, and motion the last three."""


@dataclass(frozen=True)
class Moment:
    """A frame whose surroundings are complete."""

    index: int
    """Number of the frame, 0-based."""
    around: Sequence[Any]
    """Prepared frames in order; fewer at a video's ends."""
    centre: int
    """Position of the frame itself in `around`."""


@dataclass(frozen=True)
class Preparation(ABC):
    """Work on a frame that does not depend on objects; done once a frame for all operators that share it.

    Two preparations with equal settings are the same. It may run in another thread than the operators, and
    frames ahead of them.
    """

    @property
    def parts(self) -> tuple[Preparation, ...]:
        """Preparations from whose results it is made; others that want them too share them."""
        return ()

    @abstractmethod
    def start(self) -> Callable[..., Any]:
        """Return a function for the frames of one video, called in order; it may keep the frame before.

        It is given the frame, and what each of the `parts` made of it.
        """


@dataclass(frozen=True)
class RgbFrame(Preparation):
    """The frame as it is, (H, W, 3) uint8 RGB."""

    def start(self) -> Callable[[Frame], NDArray[np.uint8]]:
        """Return the function that takes the picture out of a frame."""
        return lambda frame: frame.rgb


class Shown(NamedTuple):
    """How a frame is shown."""

    seconds: float
    """From the video's start."""
    size: tuple[int, int]
    """(width, height) in pixels."""


@dataclass(frozen=True)
class FrameFacts(Preparation):
    """When a frame is shown, and how large: `Shown`. No pixel is looked at."""

    def start(self) -> Callable[[Frame], Shown]:
        """Return the function that takes these out of a frame."""
        return lambda frame: Shown(frame.seconds, frame.size)


@dataclass(frozen=True)
class Together(Preparation):
    """Several preparations for one operator: a tuple of what they give."""

    members: tuple[Preparation, ...]

    @property
    def parts(self) -> tuple[Preparation, ...]:
        """All of them."""
        return self.members

    def start(self) -> Callable[..., tuple[Any, ...]]:
        """Return the function that puts them together."""
        return lambda frame, *prepared: prepared


@dataclass(frozen=True)
class Operator(ABC):
    """What box finders and extractors share: settings as fields, a preparation, frames of context."""

    name: ClassVar[str]
    code_version: ClassVar[int]
    """Raise it when the same settings give other values than before: cached results are then made again."""

    @property
    @abstractmethod
    def preparation(self) -> Preparation:
        """What must be done to each frame first."""

    @property
    def n_frames_before(self) -> int:
        """Prepared frames wanted before the one in question; fewer come at a video's start."""
        return 0

    @property
    def n_frames_after(self) -> int:
        """Prepared frames wanted after the one in question; fewer come at a video's end."""
        return 0

    @property
    def batch_size(self) -> int:
        """Frames or clips that are gathered before the operator is asked; it must not change the values."""
        return 1

    def settings(self) -> dict[str, Any]:
        """Return all that decides the values, as JSON holds it: it enters the cache key.

        These are all fields but those that are not compared.
        """
        compared = [field.name for field in fields(self) if field.compare]
        values = {name: getattr(self, name) for name in compared}
        plain = {
            name: asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
            for name, value in values.items()
        }
        return {"code_version": self.code_version, **plain}

    def check(self) -> None:
        """Raise InputError if a package or a file that the operator needs is not there."""
        return


@dataclass(frozen=True)
class BoxFinder(Operator):
    """Finds the objects of a frame."""

    measure_names: ClassVar[tuple[str, ...]]
    """`MOTION_MEASURES`, `DETECTOR_MEASURES` or `TRACK_MEASURES`."""

    @abstractmethod
    def find(self, around: Sequence[Any], centre: int) -> Objects:
        """Return the objects of the frame whose preparation is around[centre]."""

    def find_batch(self, moments: Sequence[Moment]) -> list[Objects]:
        """Return the objects of each of several frames; networks do it all at once."""
        return [self.find(moment.around, moment.centre) for moment in moments]


@dataclass(frozen=True)
class FeatureOperator(Operator):
    """What extractors of objects and of frames share: the length of a vector, and hints for the detector."""

    has_one_unit: ClassVar[bool] = False
    """Whether all features are components of one quantity, so that a detector must not scale them apart."""
    n_whitened: ClassVar[int | None] = None
    """Principal components that a detector keeps of many correlated features; None for all features."""
    noise_floor: ClassVar[float] = 0.0
    """Differences of a feature far below this are measurement noise, whatever the training rows say."""

    @property
    @abstractmethod
    def n_features(self) -> int:
        """D, the length of a vector."""


@dataclass(frozen=True)
class Extractor(FeatureOperator):
    """Describes each object of a frame by a vector.

    A vector that is NaN throughout says that this object has no measurement of this kind.
    """

    needs_fitting_boxes: ClassVar[bool] = False
    """Whether it is about the boxes themselves, so that windows on a lattice tell it nothing."""

    @property
    def n_extra(self) -> int:
        """E, how many numbers follow the D features, to be kept in the cache where no detector sees them."""
        return 0

    @abstractmethod
    def describe(self, around: Sequence[Any], centre: int, objects: Objects) -> NDArray[np.float32]:
        """Return one vector per object, (n_objects, D + E) float32, for the frame of around[centre]."""

    def describe_batch(
        self, moments: Sequence[Moment], objects: Sequence[Objects]
    ) -> list[NDArray[np.float32]]:
        """Return the vectors of the objects of each of several frames; networks do it all at once."""
        return [
            self.describe(moment.around, moment.centre, of_frame)
            for moment, of_frame in zip(moments, objects, strict=True)
        ]


class Followed(NamedTuple):
    """The objects of a frame, and which boxes of the video are the same one's."""

    shown: Shown
    objects: Objects
    track: NDArray[np.int64]
    """(n_objects,) int64"""


Follow = Callable[[Shown, Objects], NDArray[np.int64]]
"""Given the frames of one video in order, returns the tracks (n_objects,) of the objects of each."""


@dataclass(frozen=True)
class TrackExtractor(Extractor):
    """Describes objects by their boxes over time: `around` holds what is `Followed`, and no pixels."""

    @property
    def preparation(self) -> FrameFacts:
        """When frames are shown, and how large."""
        return FrameFacts()

    @abstractmethod
    def start_following(self) -> Follow:
        """Return a function for the objects of one video."""


@dataclass(frozen=True)
class FrameExtractor(FeatureOperator):
    """Describes whole frames, or clips around them, by one vector each."""

    @property
    def every_frames(self) -> int:
        """Distance k of the frames that get a row: 0, k, 2k, … and the last one."""
        return 1

    @abstractmethod
    def describe_batch(self, moments: Sequence[Moment]) -> NDArray[np.float32]:
        """Return one vector a moment, (len(moments), D) float32."""

    def clip_bounds(self, index: int, n_frames: int) -> tuple[int, int]:
        """Return the half-open range of frames that the row of frame `index` covers.

        Args:
            n_frames: frames of the video, or as many of them as are known so far: no row is asked for
                before the frames after it are there.
        """
        return max(0, index - self.n_frames_before), min(n_frames, index + self.n_frames_after + 1)
