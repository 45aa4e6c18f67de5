"""Take stock of a data set: what is on disk, beside what was published, and what does not add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mulde.data.decode.image_folders import describe_images, list_frames
from mulde.data.decode.image_stacks import is_stack, open_stack
from mulde.data.decode.packets import read_packet_seconds
from mulde.data.decode.preflight import preflight, probe_file
from mulde.data.decode.readers import FRAMES_PER_SECOND, open_frames
from mulde.data.errors import InputError, VideoError
from mulde.data.labels.labels import Labels
from mulde.data.layouts.catalogue import LAYOUTS, open_dataset, recognise_layout
from mulde.data.layouts.common import name_some
from mulde.data.layouts.dataset import Dataset
from mulde.data.layouts.find_videos import check_folder
from mulde.data.layouts.published import Published
from mulde.data.times import usual_rate
from mulde.data.video import Video

PACKETS_UP_TO_BYTES = 50 * 2**20
"""Files up to this size are read in full, without decoding, to find what was cut or damaged."""
_NO_BUDGET = 2**62
_OTHER_RATE = 0.05
"""The part by which the rate of a header must differ from that of the frames, to be said."""


@dataclass(frozen=True)
class VideoFacts:
    """What one video holds."""

    video: Video
    n_frames: int | None = None
    """None where it cannot be read, or does not say."""
    is_exact: bool = False
    """Whether the frames were decoded; otherwise it is what packets or the header claim."""
    fps: float | None = None
    """Frames per second, as they usually come where their times are known; else as the header says."""
    seconds: NDArray[np.float64] | None = None
    """(n_frames,) when each frame is shown, where they were read; else they are taken to be regular."""
    size: tuple[int, int] | None = None
    """Width and height in pixels."""
    problem: str = ""
    """Why it cannot be read."""
    doubts: tuple[str, ...] = ()
    """What is odd about it, in words that are alike for all videos with the same oddity."""

    @property
    def times(self) -> NDArray[np.float64]:
        """(n_frames,) when each frame is shown, as far as is known."""
        if self.seconds is not None:
            return self.seconds
        return np.arange(self.n_frames or 0) / (self.fps or FRAMES_PER_SECOND)


@dataclass(frozen=True)
class SplitFacts:
    """What the videos of one split hold together."""

    videos: tuple[VideoFacts, ...]

    @property
    def n_frames(self) -> int:
        """Frames of the videos that say how many they have."""
        return sum(facts.n_frames or 0 for facts in self.videos)

    @property
    def is_exact(self) -> bool:
        """Whether every frame was counted."""
        return all(facts.is_exact for facts in self.videos)

    @property
    def sizes(self) -> dict[str, int]:
        """Number of videos by width×height, the commonest first."""
        return _count(f"{facts.size[0]}×{facts.size[1]}" for facts in self.videos if facts.size)

    @property
    def rates(self) -> dict[str, int]:
        """Number of videos by frames per second, the commonest first."""
        return _count(f"{facts.fps:.4g}" for facts in self.videos if facts.fps)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "videos": len(self.videos),
            "frames": self.n_frames,
            "frames_are_counted": self.is_exact,
            "fps": self.rates,
            "sizes": self.sizes,
        }


@dataclass(frozen=True)
class LabelFacts:
    """What the labels of the test videos say."""

    n_videos: int = 0
    n_frames: int = 0
    n_abnormal_frames: int = 0
    n_videos_with_regions: int = 0
    events: Mapping[str, int] = field(default_factory=dict)
    """Number of events by the name that labels give them, the commonest first."""
    notes: tuple[str, ...] = ()
    """Where labels and videos do not fit, a sentence each."""


@dataclass(frozen=True)
class DatasetFacts:
    """What a data set holds, and what does not add up."""

    root: Path
    layout: str
    dataset: Dataset
    normal: SplitFacts
    test: SplitFacts
    labels: LabelFacts
    notes: tuple[str, ...] = ()
    """What does not add up, a sentence each."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as `mulde datasets --json` prints them."""
        published = self.dataset.published
        return {
            "root": str(self.root),
            "layout": self.layout,
            "name": self.dataset.name,
            "protocol": self.dataset.protocol,
            "scenes": list(self.dataset.scenes),
            "normal": self.normal.to_dict(),
            "test": self.test.to_dict(),
            "labels": {
                "videos": self.labels.n_videos,
                "frames": self.labels.n_frames,
                "abnormal_frames": self.labels.n_abnormal_frames,
                "videos_with_regions": self.labels.n_videos_with_regions,
                "events": dict(self.labels.events),
            },
            "published": None if published is None else _plain_published(published),
            "does_not_add_up": list(self.notes),
        }


def examine_dataset(
    root: Path,
    layout: str = "auto",
    *,
    count_frames: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> DatasetFacts:
    """Look at every video and label of a data set.

    Args:
        root: the data set's folder.
        layout: A name in `LAYOUTS`, or "auto".
        count_frames: whether to decode every video and to read all labels of regions; otherwise frames of
            files are what packets or headers claim.
        progress: called with the number of videos done and of all.

    Raises:
        InputError: the folder has no known layout, or cannot be used.
    """
    check_folder(root)
    name = recognise_layout(root) if layout == "auto" else layout
    dataset = open_dataset(root, name)
    rate = dataset.frames_per_second
    total = len(dataset.normal) + len(dataset.test)
    found: list[VideoFacts] = []
    for video in (*dataset.normal, *dataset.test):
        found.append(examine_video(video, rate, count_frames=count_frames))
        progress(len(found), total)
    normal = SplitFacts(tuple(found[: len(dataset.normal)]))
    test = SplitFacts(tuple(found[len(dataset.normal) :]))
    labels = _examine_labels(dataset.labels, test, read_regions=count_frames)
    notes = (
        *dataset.notes,
        *_note_videos(normal, "normal"),
        *_note_videos(test, "test"),
        *labels.notes,
        *_note_published(dataset, normal, test, labels),
    )
    return DatasetFacts(root, name, dataset, normal, test, labels, notes)


def examine_video(video: Video, frames_per_second: float | None, *, count_frames: bool) -> VideoFacts:
    """Look at one video: its header and, of files that are not large, its packets; or decode it."""
    try:
        if count_frames:
            return _decode(video, frames_per_second)
        if video.is_frame_folder:
            images = list_frames(video.path)
            info = describe_images(images, frames_per_second or FRAMES_PER_SECOND)
            return VideoFacts(video, len(images), True, frames_per_second, size=(info.width, info.height))
        if is_stack(video.path):
            stack = open_stack(video.path, frames_per_second or FRAMES_PER_SECOND).info
            n_frames, size = stack.n_frames_claimed, (stack.width, stack.height)
            return VideoFacts(video, n_frames, False, stack.fps, size=size, doubts=stack.warnings)
        return _read_header(video)
    except VideoError as error:
        return VideoFacts(video, problem=str(error))
    except OSError as error:
        return VideoFacts(video, problem=f"{video.path} cannot be read ({error.strerror})")


def _read_header(video: Video) -> VideoFacts:
    probe = probe_file(video.path)
    info = probe.info
    doubts = list(info.warnings)
    n_frames, seconds = info.n_frames_claimed, None
    if video.path.stat().st_size <= PACKETS_UP_TO_BYTES:
        irregularity = preflight(video.path, probe, _NO_BUDGET).irregularity
        if irregularity:
            doubts.append(f"not regular, so PyAV will read it: {irregularity}")
        seconds = read_packet_seconds(video.path, probe)
    if seconds is not None:
        n_frames = len(seconds)
    elif n_frames is None:
        doubts.append("the header does not say how many frames there are")
    doubts += _doubt_rate(info.fps, seconds)
    size = (info.width, info.height)
    return VideoFacts(
        video, n_frames, False, usual_rate(seconds) or info.fps, seconds, size, doubts=tuple(doubts)
    )


def _decode(video: Video, frames_per_second: float | None) -> VideoFacts:
    with open_frames(video, frames_per_second=frames_per_second or FRAMES_PER_SECOND) as frames:
        seconds = np.array([frame.seconds for frame in frames], dtype=np.float64)
    report = frames.report
    doubts, fps = report.warnings, frames_per_second
    if not video.is_frame_folder:
        is_file = not is_stack(video.path)
        fps = (usual_rate(seconds) if is_file else None) or report.fps
        doubts = (*doubts, *_doubt_rate(report.fps, seconds if is_file else None))
    return VideoFacts(
        video, report.n_frames, True, fps, seconds, (report.width, report.height), doubts=doubts
    )


def _doubt_rate(fps: float, seconds: NDArray[np.float64] | None) -> list[str]:
    """Say so where a header has another rate than the frames."""
    usual = usual_rate(seconds)
    if usual is None or abs(usual - fps) <= _OTHER_RATE * fps:
        return []
    return [f"the header says {fps:.4g} frames per second, but they come at {usual:.4g}, which counts"]


def _examine_labels(labels: Labels | None, test: SplitFacts, *, read_regions: bool) -> LabelFacts:
    if labels is None:
        return LabelFacts()
    notes: list[str] = []
    n_videos = n_frames = n_abnormal = n_with_regions = 0
    events: Counter[str] = Counter()
    for facts in test.videos:
        name, n = facts.video.name, facts.n_frames
        if not labels.has(name) or n is None:
            continue
        try:
            misfit = labels.misfit(name, n, facts.times)
            frames = labels.frames(name, n, facts.times)
            events.update(event.name for event in labels.events(name, n, facts.times))
        except InputError as error:
            notes.append(_by_header(str(error), facts))
            continue
        if misfit:
            notes.append(_by_header(misfit, facts))
        n_videos += 1
        n_frames += len(frames)
        n_abnormal += int(frames.sum())
        if labels.has_regions and name in labels.region_sources:
            n_with_regions += 1
            notes += _note_regions(labels, name, frames) if read_regions else []
    if doubt := labels.doubt({facts.video.name: facts.times for facts in test.videos}):
        notes.append(doubt)
    return LabelFacts(
        n_videos, n_frames, n_abnormal, n_with_regions, dict(events.most_common()), tuple(notes)
    )


def _by_header(sentence: str, facts: VideoFacts) -> str:
    return sentence if facts.is_exact else f"{sentence} (frames by the file; they were not counted)"


def _note_regions(labels: Labels, name: str, frames: NDArray[np.uint8]) -> list[str]:
    try:
        regions = labels.regions(name)
    except (InputError, VideoError) as error:
        return [f"regions of {name} cannot be read: {error}"]
    assert regions is not None
    marked = np.unique(regions.frame)
    beyond = marked[marked >= len(frames)]
    within = marked[marked < len(frames)]
    n_normal = int((frames[within] == 0).sum())
    n_bare = int(frames.sum()) - int(frames[within].sum())
    notes = []
    if len(beyond):
        notes.append(f"regions of {name} reach frame {beyond[-1]}, but it has {len(frames)} frames")
    if n_normal:
        notes.append(f"{n_normal} frames of {name} have a region, but are labelled normal")
    if n_bare:
        notes.append(f"{n_bare} frames of {name} are labelled abnormal, but have no region")
    return notes


def _note_videos(split: SplitFacts, name: str) -> list[str]:
    notes = [f"{name} video {facts.video.name}: {facts.problem}" for facts in split.videos if facts.problem]
    by_doubt: dict[str, list[str]] = {}
    for facts in split.videos:
        for doubt in facts.doubts:
            by_doubt.setdefault(doubt, []).append(facts.video.name)
    for doubt, names in by_doubt.items():
        notes.append(f"{len(names)} of {len(split.videos)} {name} videos: {doubt}: {name_some(names)}")
    if len(split.sizes) > 1:
        counts = ", ".join(f"{size} ({count})" for size, count in split.sizes.items())
        notes.append(f"{name} videos have frames of different sizes: {counts}")
    return notes


def _note_published(dataset: Dataset, normal: SplitFacts, test: SplitFacts, labels: LabelFacts) -> list[str]:
    if dataset.published is None:
        return []
    found = {
        "normal_videos": len(normal.videos),
        "normal_frames": normal.n_frames,
        "test_videos": len(test.videos),
        "test_frames": test.n_frames,
        "abnormal_frames": labels.n_abnormal_frames if dataset.labels else None,
    }
    differing = []
    for name, count in found.items():
        published = getattr(dataset.published, name)
        if count is None or published is None or count == published:
            continue
        is_rough = name in dataset.published.roughly
        if not is_rough or abs(count - published) > 0.01 * published:
            about = "about " if is_rough else ""
            differing.append(f"{name.replace('_', ' ')} {count:,} ({about}{published:,})")
    if not differing:
        return []
    by_header = "" if normal.is_exact and test.is_exact else "; frames are by the headers"
    return [f"counts differ from the published ones, in brackets: {', '.join(differing)}{by_header}"]


def _plain_published(published: Published) -> dict[str, Any]:
    names = ("normal_videos", "normal_frames", "test_videos", "test_frames", "abnormal_frames")
    return {name: getattr(published, name) for name in names} | {"roughly": sorted(published.roughly)}


def _count(texts: Iterable[str]) -> dict[str, int]:
    return dict(Counter(texts).most_common())


def layouts_in_words() -> dict[str, str]:
    """Return what each layout looks for, by its name."""
    return {name: layout.looks_for for name, layout in LAYOUTS.items()}
