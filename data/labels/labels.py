"""Which frames of which video are abnormal, and where in the frame."""

from __future__ import annotations

import difflib
import hashlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mulde.data.errors import InputError
from mulde.data.files import name_without_suffix, natural_key
from mulde.data.labels.deferred import Deferred
from mulde.data.labels.regions import Regions
from mulde.data.video import Video

_log = logging.getLogger(__name__)

T = TypeVar("T")
Interval = tuple[int, int]
"""The first abnormal frame and the one after the last: 0-based, half-open."""
SecondsInterval = tuple[float, float]
"""When an event begins and when it is over, in seconds from the first frame on."""
FrameArray = NDArray[np.uint8]
"""(n_frames,) uint8: 1 = abnormal, 0 = normal."""
FrameTimes = NDArray[np.float64]
"""(n_frames,) when each frame is shown, in seconds from the first one on."""

_ROUNDING_SECONDS = 1e-3
"""Times in score files and in labels are rounded: a frame may come so much before its time."""
_BEYOND_SECONDS = 1.0
"""An event may end so much after the last frame: people write whole seconds."""

_FEW_FRAMES_A_SECOND = 4
"""Where there are fewer, numbers of frames and seconds do not differ enough to suspect one for the other."""


@dataclass(frozen=True)
class NamedEvent:
    """A labelled event that has a name, such as "fight"."""

    name: str
    start_frame: int
    stop_frame: int
    """The frame after its last: 0-based, half-open."""


@dataclass(frozen=True, eq=False)
class Labels:
    """The abnormal frames of some videos, as intervals or frame by frame, and the regions where known.

    A video that is not in here is unlabelled, which is not the same as normal throughout. Names are found
    with or without the suffix of a video file.
    """

    intervals: Mapping[str, tuple[Interval, ...]] = field(default_factory=dict)
    """By video name; () says that the whole video is normal. Intervals may overlap."""
    seconds_intervals: Mapping[str, tuple[SecondsInterval, ...]] = field(default_factory=dict)
    """As `intervals`, in seconds; the frames' own times turn them into frames."""
    arrays: Mapping[str, FrameArray | Deferred[FrameArray]] = field(default_factory=dict)
    """By video name: one label per frame, perhaps read when it is asked for."""
    region_sources: Mapping[str, Deferred[Regions]] = field(default_factory=dict)
    """By video name: where the abnormal regions come from; `regions` reads them."""
    event_names: Mapping[str, Mapping[SecondsInterval, str]] = field(default_factory=dict)
    """By video name: what the event of an interval is called, where it was said."""
    may_be_seconds: bool = False
    """Whether nobody said that `intervals` are in frames; `doubt` compares them with the videos."""
    clip_intervals: bool = False
    """Whether intervals may reach beyond the last frame, as some sources count other frames; they then end
    there, and a warning is logged. Otherwise more than one frame too many is an error."""
    _told: set[str] = field(default_factory=set, init=False, repr=False)
    """Warnings that were logged already: every stage asks for the same frames."""

    def __post_init__(self) -> None:
        for name in ("intervals", "seconds_intervals", "arrays", "region_sources", "event_names"):
            object.__setattr__(self, name, _by_plain_name(getattr(self, name)))
        kinds = {
            "in frames": self.intervals,
            "in seconds": self.seconds_intervals,
            "frame by frame": self.arrays,
        }
        for (kind, some), (other, others) in combinations(kinds.items(), 2):
            for name in some.keys() & others.keys():
                raise InputError(f"video {name} is labelled {kind} and {other}: keep one")
        for name, times in self.seconds_intervals.items():
            if not all(0 <= begin < over < np.inf for begin, over in times):
                raise InputError(f"labels for {name}: {times} holds no intervals in seconds")
        for name, intervals in self.intervals.items():
            for start, end in intervals:
                if not 0 <= start < end:
                    raise InputError(
                        f"labels for {name}: frames {start} to {end} (exclusive) are no interval"
                    )
        for name, array in self.arrays.items():
            if not isinstance(array, Deferred):
                _check_array(name, array)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the labelled videos in natural order, without suffix."""
        return tuple(sorted((*self.intervals, *self.seconds_intervals, *self.arrays), key=natural_key))

    @property
    def digest(self) -> str:
        """Short hash of the content, the same whatever order or kind of file it was read from.

        Of labels that are read when asked for, it is a hash of the files' names, sizes and times.
        """
        total = hashlib.blake2b(digest_size=8)
        for name in sorted({*self.names, *self.region_sources}):
            for content in self._contents(name):
                total.update(f"{name}\0{len(content)}\0".encode() + content)
        if self.clip_intervals:
            total.update(b"clipped")
        return total.hexdigest()

    @property
    def has_regions(self) -> bool:
        """Whether abnormal regions are known of any video."""
        return bool(self.region_sources)

    def has(self, name: str) -> bool:
        """Whether the video is labelled."""
        name = name_without_suffix(name)
        return name in self.intervals or name in self.seconds_intervals or name in self.arrays

    def frames(self, name: str, n_frames: int, seconds: FrameTimes | None = None) -> FrameArray:
        """Return the label of every frame of a video.

        Args:
            name: the video's name.
            n_frames: how many of its frames decode.
            seconds: (n_frames,) when each is shown; None where that is not known, which will do for labels
                that are not in seconds.

        Returns:
            (n_frames,) uint8, 1 = abnormal. Frame-by-frame labels that are one longer lose the last, those
            that are one shorter repeat it, and intervals may end one frame too late (decoders differ by one
            frame at the end); a warning is logged.

        Raises:
            InputError: the video is not labelled, or its labels do not fit `n_frames`.
        """
        frames, misfit = self._fit(name, n_frames, seconds)
        self._tell(misfit)
        return frames

    def events(self, name: str, n_frames: int, seconds: FrameTimes | None = None) -> tuple[NamedEvent, ...]:
        """Return the labelled events of a video that have a name, in order; see `frames` for arguments."""
        name = name_without_suffix(name)
        events = [
            NamedEvent(text, *self._to_frames(name, interval, n_frames, seconds))
            for interval, text in self.event_names.get(name, {}).items()
        ]
        return tuple(sorted(events, key=lambda event: (event.start_frame, event.stop_frame, event.name)))

    def doubt(self, times: Mapping[str, FrameTimes]) -> str:
        """Say why the labels may be seconds that were read as frames; "" where they are not.

        Args:
            times: when the frames of each video are shown. Labels that would fit as seconds too lie, as
                frames, in the first part of every video: the first 4 % at 25 frames per second.
        """
        if not self.may_be_seconds:
            return ""
        ends = {name: max(end for _, end in spans) for name, spans in self.intervals.items() if spans}
        known = {name: times[name] for name in ends if name in times and len(times[name])}
        if not known or any(not _fits_as_seconds(ends[name], known[name]) for name in known):
            return ""
        name = min(known, key=natural_key)
        share = max(ends[name] / len(known[name]) for name in known)
        return (
            f"the labels may be in seconds: read as frames, all lie in the first {100 * share:.0f} % of "
            f"their videos (those of {name} end at {ends[name]}, it has {len(known[name])} frames in "
            f"{known[name][-1]:.0f} s). Call the columns start_s and end_s if they are, start_frame and "
            "end_frame if not"
        )

    def tell_doubt(self, times: Mapping[str, FrameTimes]) -> None:
        """Log a warning, once, where the labels may be seconds that were read as frames; see `doubt`."""
        self._tell(self.doubt(times))

    def misfit(self, name: str, n_frames: int, seconds: FrameTimes | None = None) -> str:
        """Say how the labels of a video differ from its `n_frames` frames in length; "" where they fit.

        Raises:
            InputError: the video is not labelled, or the labels differ by more than `frames` can mend.
        """
        return self._fit(name, n_frames, seconds)[1]

    def regions(self, name: str) -> Regions | None:
        """Return the abnormal regions of a video; None where they are not known.

        A video that is normal throughout has none of them, which is known, where other videos have some.

        Raises:
            InputError: they cannot be read.
        """
        plain_name = name_without_suffix(name)
        if plain_name in self.region_sources:
            return self.region_sources[plain_name].value
        if self.has_regions and self._is_normal(plain_name):
            return Regions.from_rows([])
        return None

    def check_against(self, videos: Iterable[Video]) -> tuple[Video, ...]:
        """Check that all labels are for these videos, and give the videos without labels.

        Raises:
            InputError: there are labels for a video that is not among them; the text names similar ones.
        """
        videos = tuple(videos)
        known = {name_without_suffix(video.name) for video in videos}
        names = sorted({*self.names, *self.region_sources}, key=natural_key)
        unknown = [name for name in names if name not in known]
        if unknown:
            more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
            raise InputError(
                f"labels for video {unknown[0]}{more}, which is not there{_nearest(unknown[0], known)}; "
                "correct the name, or take the label out"
            )
        return tuple(video for video in videos if not self.has(video.name))

    def _contents(self, name: str) -> list[bytes]:
        contents = []
        if name in self.intervals:
            contents.append(f"intervals {sorted(set(self.intervals[name]))}".encode())
        if name in self.seconds_intervals:
            contents.append(f"seconds {sorted(set(self.seconds_intervals[name]))}".encode())
        if name in self.event_names:
            contents.append(f"events {sorted(self.event_names[name].items())}".encode())
        array = self.arrays.get(name)
        if isinstance(array, Deferred):
            contents.append(b"files " + array.digest.encode())
        elif array is not None:
            contents.append(b"frames " + array.tobytes())
        if name in self.region_sources:
            contents.append(b"regions " + self.region_sources[name].digest.encode())
        return contents

    def _tell(self, warning: str) -> None:
        if warning and warning not in self._told:
            self._told.add(warning)
            _log.warning("%s", warning)

    def _fit(self, name: str, n_frames: int, seconds: FrameTimes | None) -> tuple[FrameArray, str]:
        plain_name = name_without_suffix(name)
        if plain_name in self.seconds_intervals:
            return self._fit_seconds(plain_name, n_frames, seconds)
        if plain_name in self.intervals:
            return self._fit_intervals(plain_name, n_frames)
        if plain_name in self.arrays:
            return _fit_array(plain_name, self._array(plain_name), n_frames)
        raise InputError(f"no labels for video {name}{_nearest(name, self.names)}")

    def _fit_intervals(self, name: str, n_frames: int) -> tuple[FrameArray, str]:
        intervals = self.intervals[name]
        last = max((end for _, end in intervals), default=0)
        latest_start = max((start for start, _ in intervals), default=-1)
        n_too_many = last - n_frames
        if n_too_many > 1 and (not self.clip_intervals or latest_start >= n_frames):
            raise InputError(
                f"labels for {name} reach frame {last}, but it has {n_frames} decoded frames: "
                "are they for another version of the video, or in other units?"
            )
        frames = np.zeros(n_frames, dtype=np.uint8)
        for start, end in intervals:
            frames[start:end] = 1
        if n_too_many <= 0:
            return frames, ""
        return frames, f"labels for {name} reach frame {last}, {n_frames} are decoded: they end there"

    def _fit_seconds(self, name: str, n_frames: int, seconds: FrameTimes | None) -> tuple[FrameArray, str]:
        frames = np.zeros(n_frames, dtype=np.uint8)
        intervals = self.seconds_intervals[name]
        if not intervals:
            return frames, ""
        for interval in intervals:
            frames[slice(*self._to_frames(name, interval, n_frames, seconds))] = 1
        assert seconds is not None
        over = _duration(seconds)
        last = max(end for _, end in intervals)
        if last > over + _BEYOND_SECONDS or max(start for start, _ in intervals) > over:
            raise InputError(
                f"labels for {name} reach {last:g} s, but it lasts {over:.2f} s: are they for another "
                "version of the video, or in frames?"
            )
        if last <= over + _ROUNDING_SECONDS + over / n_frames:
            return frames, ""
        return frames, f"labels for {name} reach {last:g} s, it lasts {over:.2f} s: they end there"

    def _to_frames(
        self, name: str, interval: SecondsInterval, n_frames: int, seconds: FrameTimes | None
    ) -> Interval:
        """Return the frames of an interval: those shown from its start on, up to its end; one at least."""
        if name not in self.seconds_intervals:
            return int(interval[0]), min(int(interval[1]), n_frames)
        if seconds is None:
            raise InputError(
                f"labels for {name} are in seconds, and nothing says when its frames are shown: give labels "
                "in frames, or scores with a column time"
            )
        if len(seconds) != n_frames:
            raise ValueError(f"{name} has {n_frames} frames, but times of {len(seconds)}")
        first, stop = np.searchsorted(seconds, np.array(interval) - _ROUNDING_SECONDS).tolist()
        if first == stop and stop > 0:  # it lies between two frames: the one that is shown then
            first = stop - 1
        return first, stop

    def _array(self, name: str) -> FrameArray:
        array = self.arrays[name]
        if isinstance(array, Deferred):
            array = array.value
            _check_array(name, array)
        return array

    def _is_normal(self, name: str) -> bool:
        if name in self.intervals:
            return not self.intervals[name]
        if name in self.seconds_intervals:
            return not self.seconds_intervals[name]
        return name in self.arrays and not self._array(name).any()


def _fits_as_seconds(end: int, seconds: FrameTimes) -> bool:
    """Whether a label's end would fit as seconds, where frames are not about as many."""
    over = _duration(seconds)
    return end <= over + _BEYOND_SECONDS and len(seconds) >= _FEW_FRAMES_A_SECOND * over


def _duration(seconds: FrameTimes) -> float:
    """Return when a video is over: its last frame is shown as long as the others are on average."""
    n_steps = max(len(seconds) - 1, 1)
    return float(seconds[-1]) * (n_steps + 1) / n_steps


def _check_array(name: str, array: FrameArray) -> None:
    if array.ndim != 1 or array.dtype != np.uint8 or np.any(array > 1):
        raise InputError(f"labels for {name}: expected one uint8, 0 or 1, a frame")


def _by_plain_name(by_name: Mapping[str, T]) -> dict[str, T]:
    plain: dict[str, T] = {}
    for name, value in by_name.items():
        key = name_without_suffix(name)
        if key in plain:
            raise InputError(f"labels name video {key} twice, with and without a suffix: keep one")
        plain[key] = value
    return plain


def _nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a message that names the known names nearest to `name`."""
    known = sorted(known, key=natural_key)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or known[:3]
    return f"; the nearest are {', '.join(near)}" if near else ""


def _fit_array(name: str, array: FrameArray, n_frames: int) -> tuple[FrameArray, str]:
    if abs(len(array) - n_frames) > 1 or len(array) == 0:
        raise InputError(
            f"labels for {name} are for {len(array)} frames, but it has {n_frames} decoded frames: "
            "are they for another version of the video?"
        )
    fitted: FrameArray = np.pad(array, (0, 1), mode="edge")[:n_frames]
    if len(array) == n_frames:
        return fitted, ""
    return fitted, f"labels for {name} are for {len(array)} frames, {n_frames} are decoded"
