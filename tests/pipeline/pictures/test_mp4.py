"""Files that are written play, last as long as they should, and sound as what they were made from."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from mulde.data.errors import InputError, VideoError
from mulde.pipeline.pictures import mp4
from mulde.pipeline.pictures.mp4 import Sound, open_mp4

EVEN = [index / 10 for index in range(30)]
VARIABLE = [0.0, 0.04, 0.08, 0.5, 0.54, 2.0, 2.9]


def write(path: Path, seconds: Sequence[float], size: tuple[int, int] = (64, 48), **options: object) -> Path:
    width, height = size
    with open_mp4(path, 10, **options) as writer:  # type: ignore[arg-type]
        for index, second in enumerate(seconds):
            writer.write(np.full((height, width, 3), 8 * index % 256, np.uint8), second)
    return path


def read(path: Path) -> tuple[list[float], list[NDArray[np.uint8]], float]:
    """Times, pictures, and how long the video is."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [(float(f.time), f.to_ndarray(format="rgb24")) for f in container.decode(stream)]
        assert stream.codec_context.name == "h264"
        assert stream.duration is not None
        return [t for t, _ in frames], [rgb for _, rgb in frames], float(stream.duration * stream.time_base)


def test_no_frame_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="no frame to write"):
        write(tmp_path / "v.mp4", [])
    assert list(tmp_path.iterdir()) == []


def test_one_frame(tmp_path: Path) -> None:
    times, _, length = read(write(tmp_path / "v.mp4", [0.0]))
    assert (times, length) == ([0.0], pytest.approx(0.1))


@pytest.mark.parametrize("seconds", [EVEN, VARIABLE], ids=["even", "variable"])
@pytest.mark.parametrize("stop", [None, 4.0])
def test_frames_keep_their_times(seconds: list[float], stop: float | None, tmp_path: Path) -> None:
    times, pictures, length = read(write(tmp_path / "v.mp4", seconds, stop_seconds=stop))
    np.testing.assert_allclose(times, seconds, atol=1e-4)
    assert length == pytest.approx(stop or seconds[-1] + 0.1, abs=1e-3)
    np.testing.assert_allclose([p.mean() for p in pictures], 8 * np.arange(len(seconds)), atol=4)


@pytest.mark.parametrize("size", [(63, 48), (64, 47), (65, 33)])
def test_odd_sides_become_even(size: tuple[int, int], tmp_path: Path) -> None:
    _, pictures, _ = read(write(tmp_path / "v.mp4", EVEN[:3], size))
    assert pictures[0].shape == (size[1] + size[1] % 2, size[0] + size[0] % 2, 3)
    assert pictures[2][-1, -1].mean() == pytest.approx(16, abs=4)  # no black border


def test_colours_are_kept_and_said(tmp_path: Path) -> None:
    colours = np.zeros((48, 64, 3), np.uint8)
    colours[:, :32], colours[:, 32:] = (200, 40, 30), (20, 90, 210)
    with open_mp4(tmp_path / "v.mp4", 10) as writer:
        writer.write(colours, 0.0)
    with av.open(str(tmp_path / "v.mp4")) as container:
        frame = next(container.decode(video=0))
        assert (frame.colorspace, frame.color_range) == (1, 1)
        luminance = frame.to_ndarray()[:48].astype(float)
    for column, colour in ((10, (200, 40, 30)), (50, (20, 90, 210))):
        expected = 16 + 219 / 255 * np.dot((0.2126, 0.7152, 0.0722), colour)  # of BT.709
        assert luminance[10, column] == pytest.approx(expected, abs=2)


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), open_mp4(tmp_path / "v.mp4", 10) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8), 1 / 0)
    assert list(tmp_path.iterdir()) == []


def test_a_pyav_without_the_encoder_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mp4, "_ENCODER", "libx999")
    with pytest.raises(InputError, match=r"without libx999.*pip install --force-reinstall av"):
        write(tmp_path / "v.mp4", EVEN)


# --- Sound ---

RATE = 16_000


def with_sound(path: Path, codec: str, n_seconds: int = 6) -> Path:
    """Write grey pictures and a tone that begins at second 2 and ends at second 3."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10, options={"g": "10"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream(codec, rate=RATE)
        audio.codec_context.layout = "mono"
        kind = audio.codec_context.codec.audio_formats[0]
        times = np.arange(n_seconds * RATE) / RATE
        tone = np.where((times >= 2) & (times < 3), np.sin(2 * np.pi * 440 * times), 0).astype(np.float32)
        resampler = av.AudioResampler(format=kind.name, layout="mono", rate=RATE, frame_size=1024)
        for _ in range(n_seconds * 10):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 99, np.uint8), format="rgb24")
            container.mux(video.encode(picture))
        whole = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
        whole.sample_rate, whole.pts, whole.time_base = RATE, 0, Fraction(1, RATE)
        for frame in [*resampler.resample(whole), *resampler.resample(None)]:
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
        container.mux(video.encode(None))
    return path


def loudness(path: Path) -> tuple[str, NDArray[np.float64]]:
    """The codec of the sound, and how loud each tenth of a second is."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        heard = np.zeros(RATE * 20)
        for frame in container.decode(stream):
            for part in resampler.resample(frame):
                at = round(float(part.pts * part.time_base) * RATE)
                values = part.to_ndarray().ravel()
                heard[max(at, 0) : at + values.size] = values[max(-at, 0) :]
        return stream.codec_context.name, np.sqrt((heard.reshape(-1, RATE // 10) ** 2).mean(axis=1))


@pytest.mark.parametrize(
    ("suffix", "codec", "kept"),
    [
        ("mp4", "aac", "aac"),
        ("mov", "pcm_s16le", "aac"),
        ("mkv", "aac", "aac"),
        ("mkv", "flac", "aac"),
        ("ts", "mp2", "aac"),
    ],
)
@pytest.mark.parametrize("start", [0.0, 1.5])
def test_the_sound_stays_where_it_was(
    suffix: str, codec: str, kept: str, start: float, tmp_path: Path
) -> None:
    source = with_sound(tmp_path / f"source.{suffix}", codec)
    stop = 6.0 if start == 0 else 4.5
    seconds = np.arange(0, stop - start - 1e-9, 0.1).tolist()
    path = write(tmp_path / "v.mp4", seconds, sound=Sound(source, start, stop))
    name, heard = loudness(path)
    assert name == kept
    loud = np.flatnonzero(heard > 0.3) / 10
    assert loud[0] == pytest.approx(2 - start, abs=0.11)
    assert loud[-1] == pytest.approx(2.9 - start, abs=0.11)
    with av.open(str(path)) as container:
        audio, video = container.streams.audio[0], container.streams.video[0]
        assert float(audio.duration * audio.time_base) == pytest.approx(stop - start, abs=0.15)
        assert float(video.duration * video.time_base) == pytest.approx(stop - start, abs=0.01)


def test_without_sound_there_is_none(tmp_path: Path) -> None:
    source = write(tmp_path / "source.mp4", EVEN)
    path = write(tmp_path / "v.mp4", EVEN, sound=Sound(source))
    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams] == ["video"]
