"""Clips of events: the right frames at their times, and never more in memory than there is room for."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import pytest

from mulde.data.video import Frame
from mulde.pipeline.events.record import Event
from mulde.pipeline.pictures.mp4 import Mp4Writer
from mulde.pipeline.watch import clips
from mulde.pipeline.watch.clips import Clip, ClipRecorder, fitting
from mulde.pipeline.watch.happenings import Beginning, Happening
from mulde.pipeline.watch.watcher import Closed, Opened, Seen

FPS = 10.0
SIZE = (64, 48)
LEVEL = 4
"""Grey levels between frames."""


@dataclass(frozen=True)
class Event10:
    """An event of footage of ten frames a second, by its frames; it is told of so many frames later."""

    start: int
    stop: int
    began_after: int = 4
    told_after: int = 8


def footage(recorder: ClipRecorder, n_frames: int, events: Sequence[Event10] = ()) -> Iterator[Seen]:
    """What a watcher sees of frames that grow brighter."""
    yield Opened("door", SIZE, FPS)
    for index in range(n_frames):
        rgb = np.full((SIZE[1], SIZE[0], 3), 20 + LEVEL * (index % 50), np.uint8)
        recorder.take(Frame.of_rgb(index, index / FPS, rgb))
        yield from told(events, index)
    for index in range(n_frames, n_frames + 9):
        yield from (each for each in told(events, index) if isinstance(each, Happening))
    yield Closed("door", n_frames, ())


def told(events: Sequence[Event10], index: int) -> Iterator[Seen]:
    for event in events:
        start, stop = event.start / FPS, event.stop / FPS
        if index == event.start + event.began_after:
            yield Beginning(event.start, start, None, 2.0)
        if index == event.stop + event.told_after:
            record = Event(
                "door", event.start, event.stop, start, stop, None, event.start, 2.0, None, "", "because"
            )
            yield Happening(record, None)


def levels(path: Path) -> tuple[list[int], list[float]]:
    """Which frames, modulo 50, a clip holds, and when they are shown."""
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        frames = [(f.to_ndarray(format="rgb24").mean(), float(f.time)) for f in container.decode(video=0)]
    return [round((level - 20) / LEVEL) for level, _ in frames], [seconds for _, seconds in frames]


def watched(folder: Path, n_frames: int, events: Sequence[Event10], **options: float) -> list[Seen | Clip]:
    recorder = ClipRecorder(folder, **{"before_seconds": 1.0, "after_seconds": 1.0, **options}, may_wait=True)
    with recorder.running():
        return list(recorder.attend(footage(recorder, n_frames, events)))


@pytest.mark.parametrize(
    ("events", "n_frames", "expected"),
    [
        ([], 30, []),
        ([Event10(20, 30)], 49, [(10, 40)]),
        ([Event10(3, 6)], 30, [(0, 16)]),  # nothing is before the first frame
        ([Event10(20, 38)], 40, [(10, 40)]),  # nor after the last
        ([Event10(20, 24, told_after=4), Event10(27, 30)], 49, [(10, 32), (17, 40)]),  # one after the other
        ([Event10(15, 19), Event10(40, 42)], 50, [(5, 29), (30, 50)]),
    ],
)
def test_which_frames(
    events: list[Event10], n_frames: int, expected: list[tuple[int, int]], tmp_path: Path
) -> None:
    seen = watched(tmp_path, n_frames, events)
    made = [each for each in seen if isinstance(each, Clip)]
    assert [each.clip for each in seen if isinstance(each, Happening)] == [each.path for each in made]
    assert len({each.path for each in made}) == len(expected)
    for clip, (start, stop) in zip(made, expected, strict=True):
        assert (clip.n_frames, clip.n_left_out, clip.error) == (stop - start, 0, "")
        assert (clip.start_seconds, clip.stop_seconds) == (start / FPS, (stop - 1) / FPS)
        frames, seconds = levels(tmp_path / clip.path)
        assert frames == list(range(start, stop))
        np.testing.assert_allclose(seconds, np.arange(stop - start) / FPS, atol=1e-3)
    assert len(list((tmp_path / "clips").iterdir())) == len(expected)


def test_what_was_before_the_footage_broke_off_is_in_no_clip_after_it(tmp_path: Path) -> None:
    recorder = ClipRecorder(tmp_path, before_seconds=1, after_seconds=1, may_wait=True)

    def both() -> Iterator[Seen]:
        yield from footage(recorder, 20)
        yield from footage(recorder, 30, [Event10(4, 8)])

    with recorder.running():
        (made,) = (each for each in recorder.attend(both()) if isinstance(each, Clip))
    assert levels(tmp_path / made.path)[0] == list(range(18))


def test_an_event_without_end_has_a_clip_that_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "MOST_SECONDS", 2.0)
    seen = watched(tmp_path, 60, [Event10(15, 55, told_after=4)])
    (made,) = (each for each in seen if isinstance(each, Clip))
    assert (made.start_seconds, made.n_frames) == (0.5, 30)


@dataclass
class Stuck:
    """An encoder that waits, at its first frame, until it may go on."""

    is_reached: threading.Event = field(default_factory=threading.Event)
    may_go_on: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stuck]:
    encoder = Stuck()
    write = Mp4Writer.write_yuv

    def wait(writer: Mp4Writer, yuv: np.ndarray, seconds: float) -> None:
        encoder.is_reached.set()
        encoder.may_go_on.wait(20)
        write(writer, yuv, seconds)

    monkeypatch.setattr(Mp4Writer, "write_yuv", wait)
    yield encoder
    encoder.may_go_on.set()


def test_live_footage_does_not_wait_for_the_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stuck: Stuck
) -> None:
    bytes_a_picture = SIZE[0] * SIZE[1] * 3 // 2
    monkeypatch.setattr(clips, "_ROOM_BYTES", 12 * bytes_a_picture)
    monkeypatch.setattr(clips, "_LEAST_WIDTH_PX", 64)
    recorder = ClipRecorder(tmp_path, before_seconds=0.5, after_seconds=0.5)
    with recorder.running():
        script = recorder.attend(footage(recorder, 50, [Event10(10, 14), Event10(20, 24), Event10(40, 44)]))
        made = []
        for seen in script:
            assert recorder._buffer.n_bytes <= 12 * bytes_a_picture
            if isinstance(seen, Beginning):
                assert stuck.is_reached.wait(20)
            if isinstance(seen, Closed):
                stuck.may_go_on.set()
            made += [seen] if isinstance(seen, Clip) else []
    assert len(made) == 3
    first, second, third = made
    frames = levels(tmp_path / first.path)[0]
    assert frames[0] == 5  # it had begun, and all that came while it was stuck is missing
    assert (first.n_frames, first.n_left_out) == (1, 19)
    assert (second.n_frames, second.error) == (0, "its pictures went by while others were encoded")
    assert not (tmp_path / second.path).exists()
    assert (third.n_left_out, levels(tmp_path / third.path)[0]) == (3, list(range(38, 49)))


def test_footage_that_may_wait_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stuck: Stuck
) -> None:
    monkeypatch.setattr(clips, "_ROOM_BYTES", 20 * SIZE[0] * SIZE[1] * 3 // 2)
    monkeypatch.setattr(clips, "_LEAST_WIDTH_PX", 64)
    threading.Timer(0.3, stuck.may_go_on.set).start()
    made = [
        each for each in watched(tmp_path, 50, [Event10(10, 14), Event10(30, 34)]) if isinstance(each, Clip)
    ]
    assert [levels(tmp_path / each.path)[0] for each in made] == [list(range(24)), list(range(20, 44))]


def test_more_clips_than_can_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stuck: Stuck) -> None:
    monkeypatch.setattr(clips, "_MOST_WAITING", 1)
    recorder = ClipRecorder(tmp_path, before_seconds=0, after_seconds=0)
    seen = []
    with recorder.running():
        for each in recorder.attend(footage(recorder, 50, [Event10(10, 14), Event10(30, 34)])):
            seen.append(each)
            if isinstance(each, Closed):
                stuck.may_go_on.set()
    failed, made = (each for each in seen if isinstance(each, Clip))
    assert (failed.error, made.error) == ("others are still encoded", "")
    assert [each.clip for each in seen if isinstance(each, Happening)] == [made.path, ""]


def test_what_cannot_be_written_is_told_and_watching_goes_on(tmp_path: Path) -> None:
    recorder = ClipRecorder(tmp_path, before_seconds=1, after_seconds=1)
    (tmp_path / "clips").rmdir()
    (tmp_path / "clips").write_text("no folder")
    with recorder.running():
        seen = list(recorder.attend(footage(recorder, 40, [Event10(10, 14)])))
    (made,) = (each for each in seen if isinstance(each, Clip))
    assert made.error
    assert isinstance(seen[-1], Closed | Clip)


def test_a_clip_is_whole_also_when_watching_is_interrupted(tmp_path: Path) -> None:
    recorder = ClipRecorder(tmp_path, before_seconds=1, after_seconds=1)
    with pytest.raises(KeyboardInterrupt), recorder.running():
        for seen in recorder.attend(footage(recorder, 40, [Event10(20, 30)])):
            if isinstance(seen, Beginning):
                raise KeyboardInterrupt
    (path,) = (tmp_path / "clips").iterdir()
    assert levels(path)[0] == list(range(10, 25))


@pytest.mark.parametrize(
    ("size", "n_pictures", "expected"),
    [
        ((1, 1), 50, (2, 2)),
        ((360, 240), 50, (360, 240)),
        ((361, 241), 50, (360, 240)),
        ((1920, 1080), 30, (1280, 720)),
        ((1920, 1080), 125, (784, 440)),
        ((3840, 2160), 100_000, (320, 180)),
        ((240, 320), 100_000, (240, 320)),
    ],
)
def test_how_large_pictures_are_kept(
    size: tuple[int, int], n_pictures: float, expected: tuple[int, int]
) -> None:
    assert fitting(size, n_pictures) == expected
