from __future__ import annotations

import gc
import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mulde.data.decode.live import open_live
from mulde.data.decode.readers import open_frames, sample_frames, spread
from mulde.data.errors import InputError, VideoError
from mulde.data.video import Frame, Video

HEIGHT, WIDTH = 96, 128
LOSSLESS = {"codec": "libx264rgb", "pix_fmt": "rgb24", "qp": 0}


def as_video(path: Path) -> Video:
    return Video(name="clip", path=path, split_folder=path.parent)


def picture(index: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """An (H, W, 3) image that no other index has: a colour ramp and a bright square that moves."""
    rgb = np.zeros((height, width, 3), dtype=np.uint8)
    rgb[..., 0] = np.linspace(0, 120, width)[None, :]
    rgb[..., 1] = np.linspace(0, 60, height)[:, None]
    rgb[..., 2] = (7 * index) % 256
    left = (3 * index) % (width - 8)
    rgb[8:16, left : left + 8] = 255
    return rgb


def pictures(n: int) -> list[np.ndarray]:
    return [picture(index) for index in range(n)]


def noise(n: int) -> Iterator[np.ndarray]:
    """Images that do not compress, for files large enough to be damaged in the middle."""
    random = np.random.default_rng(0)
    return (random.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(n))


def read(path: Path, **options: object) -> list[Frame]:
    with open_frames(as_video(path), **options) as frames:
        return list(frames)


def same(one: list[Frame], other: list[Frame]) -> bool:
    return len(one) == len(other) and all(
        a.index == b.index and abs(a.seconds - b.seconds) < 1e-9 and np.array_equal(a.rgb, b.rgb)
        for a, b in zip(one, other, strict=True)
    )


@pytest.fixture
def clip(tmp_path, write_video) -> Path:
    """Twenty frames at 10 a second, with B-frames and a key frame every eight."""
    return write_video(tmp_path / "clip.mp4", pictures(20), g=8)


def rotate(path: Path, degrees_clockwise: int) -> None:
    """Set the display matrix in the track header of an MP4 file."""
    content = bytearray(path.read_bytes())
    matrix = content.find(b"tkhd") + 4 + 40
    cos, sin = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees_clockwise]
    values = (cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30)
    content[matrix : matrix + 36] = b"".join(v.to_bytes(4, "big", signed=True) for v in values)
    path.write_bytes(content)


def cut_without_encoding(source: Path, target: Path, n_hidden: int) -> None:
    """Copy a file so that an edit list hides its first frames, as `ffmpeg -ss … -c copy` does."""
    with av.open(str(source)) as reader, av.open(str(target), "w") as writer:
        stream = reader.streams.video[0]
        copy = writer.add_stream_from_template(stream)
        shift = round(n_hidden / stream.average_rate / stream.time_base)
        for packet in reader.demux(stream):
            if packet.size:
                packet.pts -= shift
                packet.dts -= shift
                packet.stream = copy
                writer.mux(packet)


class TestBackends:
    @pytest.mark.parametrize(
        ("suffix", "options", "backend"),
        [
            ("mp4", {"g": 8}, "decord"),
            ("mp4", {"bf": 0}, "decord"),
            ("mp4", {"codec": "libx264rgb", "pix_fmt": "rgb24", "qp": 0}, "decord"),
            ("mp4", {"pix_fmt": "yuvj420p"}, "decord"),
            ("mp4", {"fps": 30000 / 1001}, "decord"),
            ("mkv", {}, "decord"),
            ("avi", {"codec": "mpeg4"}, "decord"),
            ("avi", {"codec": "libx264"}, "pyav"),  # B-frames in AVI: no time 0
            ("ts", {}, "pyav"),
            ("mkv", {"codec": "libvpx"}, "pyav"),
            ("mp4", {"pix_fmt": "yuv420p10le"}, "pyav"),
            ("mp4", {"flags": "+ildct+ilme"}, "pyav"),
        ],
    )
    def test_all_decoders_give_the_same(self, tmp_path, write_video, suffix, options, backend):
        path = write_video(tmp_path / f"clip.{suffix}", pictures(20), **options)
        with open_frames(as_video(path)) as reader:
            frames = list(reader)
        assert reader.report.backend == "pyav"
        assert reader.report.warnings == ()
        assert reader.report.interlaced == ("flags" in options)
        if backend == "decord":
            assert same(frames, read(path, decoder="decord"))
        else:
            with pytest.raises(VideoError, match="is not for decord"):
                open_frames(as_video(path), decoder="decord")
        assert [frame.index for frame in frames] == list(range(20))
        np.testing.assert_allclose(
            [frame.seconds for frame in frames], np.arange(20) / reader.info.fps, atol=0.0015
        )

    @pytest.mark.parametrize("width", [2, 34, 96])
    def test_narrow_frames_are_not_for_decord(self, tmp_path, write_video, width):
        frames = [np.full((48, width, 3), 10 * index, np.uint8) for index in range(6)]
        path = write_video(tmp_path / "clip.mp4", frames)
        assert len(read(path)) == 6
        with pytest.raises(VideoError, match="less than 128 pixels wide"):
            open_frames(as_video(path), decoder="decord")

    @pytest.mark.parametrize(("pix_fmt", "codec"), [("monow", "rawvideo"), ("gray", "ffv1")])
    def test_other_pixels_are_not_for_decord(self, tmp_path, pix_fmt, codec):
        path = tmp_path / "clip.avi"
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=10)
            stream.width, stream.height, stream.pix_fmt = 128, 96, pix_fmt
            for value in (0, 255, 255):
                picture = av.VideoFrame.from_ndarray(np.full((96, 128, 3), value, np.uint8), format="rgb24")
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        assert [int(frame.rgb.mean()) for frame in read(path)] == [0, 255, 255]
        with pytest.raises(VideoError, match="is not for decord"):
            open_frames(as_video(path), decoder="decord")

    def test_metadata_in_any_encoding(self, tmp_path, write_video):
        path = tmp_path / "clip.mkv"
        with av.open(str(path), "w") as container:
            container.metadata["title"] = "abcdefgh"
            stream = container.add_stream("mpeg4", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            black = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(black))
            container.mux(stream.encode(None))
        path.write_bytes(path.read_bytes().replace(b"abcdefgh", b"\xff\xfe\xe9defgh"))
        assert len(read(path)) == 1

    @pytest.mark.parametrize("decoder", ["decord", "pyav"])
    def test_content_is_what_was_encoded(self, tmp_path, write_video, decoder):
        path = write_video(tmp_path / "clip.mp4", pictures(12), **LOSSLESS)
        frames = read(path, decoder=decoder)
        assert all(np.array_equal(frame.rgb, picture(frame.index)) for frame in frames)
        assert len(frames) == 12

    @pytest.mark.parametrize("decoder", ["auto", "pyav"])
    @pytest.mark.parametrize("degrees", [90, 180, 270])
    def test_rotation(self, tmp_path, write_video, decoder, degrees):
        path = write_video(tmp_path / "clip.mp4", pictures(3), **LOSSLESS)
        rotate(path, degrees)
        with open_frames(as_video(path), decoder=decoder) as reader:
            frames = list(reader)
        upright = np.rot90(picture(2), -degrees // 90)
        assert np.array_equal(frames[2].rgb, upright)
        assert frames[2].rgb.flags.c_contiguous
        assert (reader.info.height, reader.info.width) == upright.shape[:2]
        assert reader.report.rotation_degrees == 360 - degrees

    @pytest.mark.parametrize(
        ("n_bytes", "expectation"),
        [
            (20 * HEIGHT * WIDTH * 3, nullcontext()),
            (20 * HEIGHT * WIDTH * 3 - 1, pytest.raises(VideoError, match="decoded it takes more than")),
        ],
    )
    def test_memory_budget(self, clip, n_bytes, expectation):
        with expectation:
            reader = open_frames(as_video(clip), decoder="decord", memory_budget_bytes=n_bytes)
            assert len(list(reader)) == 20

    def test_memory_budget_where_the_container_does_not_count(self, tmp_path, write_video):
        path = write_video(tmp_path / "clip.mkv", pictures(20))
        with pytest.raises(VideoError, match=r"not for decord \(decoded it takes more than 0 MiB\)"):
            open_frames(as_video(path), decoder="decord", memory_budget_bytes=1000)

    def test_hidden_frames_stay_hidden(self, tmp_path, clip):
        path = tmp_path / "cut.mp4"
        cut_without_encoding(clip, path, n_hidden=3)
        with open_frames(as_video(path)) as reader:
            frames = list(reader)
        assert reader.report.backend == "pyav"
        assert reader.report.warnings == ()
        whole = read(clip)
        assert len(frames) == 17
        assert all(np.array_equal(a.rgb, b.rgb) for a, b in zip(frames, whole[3:], strict=True))
        assert frames[0].seconds == 0

    def test_decord_for_an_irregular_file(self, tmp_path, write_video):
        path = write_video(tmp_path / "clip.ts", pictures(3))
        with pytest.raises(VideoError, match=r"clip\.ts is not for decord \(its container is mpegts\): use"):
            open_frames(as_video(path), decoder="decord")

    def test_unknown_decoder(self, clip):
        with pytest.raises(InputError, match="unknown decoder 'opencv': it is auto, decord or pyav"):
            open_frames(as_video(clip), decoder="opencv")

    @pytest.mark.parametrize("module", ["has_decord", "open_decord"])
    def test_without_decord(self, clip, monkeypatch, module):
        monkeypatch.setattr(f"mulde.data.decode.readers.{module}", lambda *_: None)
        with open_frames(as_video(clip)) as reader:
            assert len(list(reader)) == 20
        assert reader.report.backend == "pyav"
        with pytest.raises(InputError, match="decord"):
            open_frames(as_video(clip), decoder="decord")


class TestBareStreams:
    """Streams without a container have no times, at most a rate."""

    @pytest.mark.parametrize(
        ("suffix", "codec", "pix_fmt", "fps"),
        [
            ("h264", "libx264", "yuv420p", 10),
            ("264", "libx264", "yuv420p", 12.5),
            ("hevc", "libx265", "yuv420p", 10),
            ("265", "libx265", "yuv420p", 50),
            ("m2v", "mpeg2video", "yuv420p", 30),
            ("mjpeg", "mjpeg", "yuvj420p", None),
            ("mjpg", "mjpeg", "yuvj420p", None),
        ],
    )
    def test_rate_of_the_header_or_the_default(self, tmp_path, suffix, codec, pix_fmt, fps):
        path = tmp_path / f"clip.{suffix}"
        container = {"264": "h264", "265": "hevc", "m2v": "mpeg2video", "mjpg": "mjpeg"}.get(suffix, suffix)
        with av.open(str(path), "w", format=container) as output:
            stream = output.add_stream(codec, rate=Fraction(fps or 10).limit_denominator(1001))
            stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, pix_fmt
            for rgb in pictures(20):
                output.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
            output.mux(stream.encode(None))
        with open_frames(as_video(path)) as reader:
            frames = list(reader)
        assert reader.report.fps == pytest.approx(fps or 25)
        np.testing.assert_allclose(
            [frame.seconds for frame in frames], np.arange(20) / (fps or 25), atol=1e-6
        )
        assert ("container gives no frame rate" in " ".join(reader.report.warnings)) == (fps is None)


class TestReader:
    def test_one_frame(self, tmp_path, write_video):
        path = write_video(tmp_path / "clip.mp4", pictures(1))
        (frame,) = read(path)
        assert (frame.index, frame.seconds, frame.rgb.shape) == (0, 0.0, (HEIGHT, WIDTH, 3))

    @pytest.mark.parametrize("decoder", ["decord", "pyav"])
    def test_info_before_and_report_after(self, clip, decoder):
        reader = open_frames(as_video(clip), decoder=decoder)
        info = reader.info
        assert (info.width, info.height, info.fps, info.n_frames_claimed) == (WIDTH, HEIGHT, 10.0, 20)
        with pytest.raises(RuntimeError, match="before the last frame"):
            _ = reader.report
        n_frames = sum(1 for _ in reader)
        report = reader.report
        assert (report.backend, report.n_frames, report.n_frames_claimed) == (decoder, n_frames, 20)
        assert (report.n_bad_packets, report.rotation_degrees, report.interlaced) == (0, 0, False)

    @pytest.mark.parametrize("decoder", ["decord", "pyav"])
    def test_closed_early(self, clip, decoder):
        with open_frames(as_video(clip), decoder=decoder) as reader:
            next(reader)
        assert list(reader) == []
        with pytest.raises(RuntimeError):
            _ = reader.report

    def test_a_name_like_a_protocol(self, tmp_path, clip, monkeypatch):
        clip.rename(tmp_path / "cam1:door.mp4")
        monkeypatch.chdir(tmp_path)
        assert len(read(Path("cam1:door.mp4"))) == 20

    def test_variable_frame_rate(self, tmp_path):
        path, ticks = tmp_path / "clip.mp4", [0, 1, 2, 7, 8, 20]
        with av.open(str(path), "w") as writer:
            stream = writer.add_stream("libx264", rate=10)
            stream.width, stream.height = WIDTH, HEIGHT
            for index, tick in enumerate(ticks):
                frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24")
                frame.pts, frame.time_base = tick, Fraction(1, 10)
                writer.mux(stream.encode(frame))
            writer.mux(stream.encode(None))
        for decoder in ("auto", "pyav"):
            seconds = [frame.seconds for frame in read(path, decoder=decoder)]
            np.testing.assert_allclose(seconds, np.array(ticks) / 10, atol=1e-6)


def damage(path: Path, start: float, stop: float) -> None:
    """Overwrite a part of a file with noise; 0 is the start of its media data, 1 the end of the file."""
    content = bytearray(path.read_bytes())
    first = content.find(b"mdat") + 4
    a, b = (first + round(part * (len(content) - first)) for part in (start, stop))
    content[a:b] = np.random.default_rng(0).bytes(b - a)
    path.write_bytes(content)


class TestDamage:
    @pytest.fixture
    def large(self, tmp_path, write_video) -> Path:
        return write_video(tmp_path / "clip.mp4", noise(40), g=10, movflags="+faststart")

    def test_damaged_files_are_not_for_decord(self, large):
        damage(large, 0.4, 0.6)  # it would fill the gap with copies of a frame
        with pytest.raises(VideoError, match="is not for decord"):
            open_frames(as_video(large), decoder="decord")

    @pytest.mark.parametrize("decoder", ["auto", "pyav"])
    def test_damaged_middle_gives_the_rest(self, large, decoder, capfd):
        damage(large, 0.4, 0.6)
        with open_frames(as_video(large), decoder=decoder) as reader:
            frames = list(reader)
        report = reader.report
        assert report.backend == "pyav"
        assert 20 <= report.n_frames < 40
        assert report.n_bad_packets > 0
        assert report.warnings[0] == f"container claims 40 frames, {len(frames)} decode"
        assert report.warnings[1].startswith(f"{report.n_bad_packets} damaged packet")
        assert same(frames, read(large, decoder="pyav"))
        seconds = [frame.seconds for frame in frames]
        assert seconds == sorted(set(seconds))
        assert abs(seconds[-1] - 3.9) < 0.2
        assert capfd.readouterr() == ("", "")

    def test_cut_short(self, large, capfd):
        large.write_bytes(large.read_bytes()[: large.stat().st_size // 2])
        with open_frames(as_video(large)) as reader:
            frames = list(reader)
        assert 10 < len(frames) < 30
        assert reader.report.warnings[0] == f"container claims 40 frames, {len(frames)} decode"
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize("suffix", ["mkv", "avi"])
    def test_cut_short_elsewhere(self, tmp_path, write_video, suffix):
        path = write_video(tmp_path / f"clip.{suffix}", noise(40), codec="mpeg4")
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with open_frames(as_video(path)) as reader:
            n_frames = sum(1 for _ in reader)
        assert 10 < n_frames < 30
        assert any(f"40 frames, {n_frames} decode" in warning for warning in reader.report.warnings)

    def test_index_lost(self, tmp_path, write_video, capfd):
        path = write_video(tmp_path / "clip.mp4", noise(10))
        path.write_bytes(path.read_bytes()[:-2000])
        with pytest.raises(VideoError, match=r"clip\.mp4 cannot be opened as a video .*cut short"):
            open_frames(as_video(path))
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize(
        "content", [b"This is a note about the camera.\n" * 50, b"\0" * 5000, bytes(range(256))]
    )
    @pytest.mark.parametrize("suffix", ["mp4", "avi", "mkv", "ts"])
    def test_no_video(self, tmp_path, suffix, content):
        path = tmp_path / f"clip.{suffix}"
        path.write_bytes(content)
        for call in (open_frames, lambda video: whole_samples(video, 3)):
            with pytest.raises(VideoError, match=rf"clip\.{suffix}.*(re-encode|take it out)") as error:
                call(as_video(path))
            assert "\n" not in str(error.value)

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("empty.mp4", r"empty\.mp4 is empty \(0 bytes\)"),
            ("gone.mp4", "is not there"),
            ("link.mp4", "link"),
        ],
    )
    def test_nothing_there(self, tmp_path, name, message):
        (tmp_path / "empty.mp4").touch()
        (tmp_path / "link.mp4").symlink_to(tmp_path / "nowhere.mp4")
        with pytest.raises(VideoError, match=message):
            open_frames(as_video(tmp_path / name))

    def test_sound_alone(self, tmp_path):
        path = tmp_path / "clip.mkv"
        with av.open(str(path), "w") as writer:
            stream = writer.add_stream("pcm_s16le", rate=8000)
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
            sound.sample_rate = 8000
            writer.mux(stream.encode(sound))
            writer.mux(stream.encode(None))
        with pytest.raises(VideoError, match=r"clip\.mkv has no video stream"):
            open_frames(as_video(path))

    def test_no_frame_decodes(self, tmp_path, write_video):
        path = write_video(tmp_path / "clip.mp4", noise(5), movflags="+faststart")
        damage(path, 0, 1)
        with pytest.raises(VideoError, match=r"clip\.mp4 holds no frame that decodes"):
            open_frames(as_video(path))

    def test_frame_size_changes(self, tmp_path, write_video):
        small = write_video(tmp_path / "small.ts", pictures(5))
        large = write_video(tmp_path / "large.ts", [picture(0, 192, 256)] * 5)
        small.write_bytes(small.read_bytes() + large.read_bytes())
        with pytest.raises(
            VideoError, match=r"small\.ts changes its frame size from 128x96 to 256x192 at frame 5"
        ):
            read(small)


def encode(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


class TestImages:
    @pytest.fixture
    def save(self, tmp_path) -> Callable[..., Path]:
        def save(name: str, rgb: np.ndarray, **options: object) -> Path:
            (tmp_path / "clip").mkdir(exist_ok=True)
            Image.fromarray(rgb).save(tmp_path / "clip" / name, **options)
            return tmp_path / "clip"

        return save

    @pytest.mark.parametrize("suffix", ["png", "tif", "tiff", "bmp", "PNG"])
    def test_lossless_kinds(self, save, suffix):
        for index in range(3):
            folder = save(f"{index}.{suffix}", picture(index))
        frames = read(folder, frames_per_second=10)
        assert all(np.array_equal(frame.rgb, picture(frame.index)) for frame in frames)
        assert [frame.seconds for frame in frames] == [0.0, 0.1, 0.2]

    @pytest.mark.parametrize("suffix", ["jpg", "jpeg"])
    def test_jpeg(self, save, suffix):
        folder = save(f"1.{suffix}", picture(1), quality=95)
        (frame,) = read(folder)
        assert np.abs(frame.rgb.astype(int) - picture(1)).mean() < 4

    @pytest.mark.parametrize(
        ("name", "stored", "expected"),
        [
            ("grey.png", np.uint8([[0, 7, 255]]), [0, 7, 255]),
            ("grey.tif", np.uint8([[0, 7, 255]]), [0, 7, 255]),
            ("grey.png", np.uint16([[0, 511, 65535]]), [0, 1, 255]),
            ("grey.tif", np.uint16([[0, 511, 65535]]), [0, 1, 255]),
            ("bits.png", np.array([[False, True]]), [0, 255]),
        ],
    )
    def test_grey_of_any_depth(self, save, name, stored, expected):
        (frame,) = read(save(name, stored))
        assert frame.rgb.shape == (1, len(expected), 3)
        assert all(frame.rgb[0, :, channel].tolist() == expected for channel in range(3))

    def test_transparency_and_palette(self, tmp_path):
        rgb = Image.fromarray(np.uint8([[[250, 0, 0], [0, 0, 250]]]))
        (tmp_path / "1.png").write_bytes(encode(rgb.convert("RGBA"), "png"))
        (tmp_path / "2.png").write_bytes(encode(rgb.convert("P", palette=Image.Palette.ADAPTIVE), "png"))
        assert all(frame.rgb.tolist() == [[[250, 0, 0], [0, 0, 250]]] for frame in read(tmp_path))

    def test_32_bits_have_no_range(self, save):
        with pytest.raises(VideoError, match=r"1\.tif has 32 bits a channel"):
            read(save("1.tif", np.float32([[0.5, 1.5]])))

    def test_natural_order_and_junk(self, save):
        for index, name in enumerate(["1.png", "2.png", "10.png"]):
            folder = save(name, picture(index))
        (folder / "._1.png").write_bytes(b"junk")
        (folder / ".DS_Store").write_bytes(b"junk")
        (folder / "Thumbs.db").write_bytes(b"junk")
        frames = read(folder)
        assert [np.array_equal(frame.rgb, picture(frame.index)) for frame in frames] == [True] * 3

    def test_info_and_report(self, save):
        save("1.png", picture(0))
        with open_frames(as_video(save("2.png", picture(1)))) as reader:
            assert (reader.info.width, reader.info.height) == (WIDTH, HEIGHT)
            list(reader)
        report = reader.report
        assert (report.backend, report.n_frames, report.n_frames_claimed) == ("images", 2, 2)
        assert (report.fps, report.warnings) == (25.0, ())

    @pytest.mark.parametrize("kind", ["png", "jpg", "tif", "bmp"])
    def test_damaged_image_is_named(self, save, kind):
        save(f"1.{kind}", picture(0))
        folder = save(f"2.{kind}", picture(1))
        content = (folder / f"2.{kind}").read_bytes()
        (folder / f"2.{kind}").write_bytes(content[: len(content) // 2])
        with open_frames(as_video(folder)) as reader:
            next(reader)
            with pytest.raises(VideoError, match=rf"2\.{kind} is damaged or no image"):
                next(reader)

    def test_another_size_is_named(self, save):
        save("1.png", picture(0))
        folder = save("2.png", picture(0, 40, 60))
        with pytest.raises(VideoError, match=r"2\.png is 60x40, but the first image of its folder is 128x96"):
            read(folder)

    def test_two_images_for_one_frame(self, save):
        save("1.png", picture(0))
        with pytest.raises(VideoError, match=r"holds both 1\.jpg and 1\.png"):
            read(save("1.jpg", picture(0)))

    @pytest.mark.parametrize(
        ("names", "order"),
        [
            (["1.png"], [0]),
            (["000.jpg", "001.webp", "002.jpg", "003.webp", "010.jpg"], [0, 1, 2, 3, 4]),
            (["f_2.png", "F_10.JPG", "f_1.jpeg"], [2, 0, 1]),
            (["1.png", "2.jpg", "3.bmp", "4.tif", "5.gif"], [0, 1, 2, 3, 4]),
            (["a1.jpg", "b2.jpeg"], [0, 1]),  # one kind, whatever it is called
        ],
    )
    def test_kinds_that_make_one_sequence(self, save, names, order):
        for index, name in enumerate(names):
            folder = save(name, np.full((8, 8, 3), 40 * index, np.uint8))
        assert [round(frame.rgb.mean() / 40) for frame in read(folder)] == order

    @pytest.mark.parametrize(
        ("names", "counts"),
        [
            (["1.jpg", "2.jpg", "cover.png"], "2 .jpg and 1 .png"),
            (["1.jpg", "2.jpg", "1_mask.png", "2_mask.png", "x.bmp"], "2 .jpg and 2 .png and 1 .bmp"),
        ],
    )
    def test_kinds_that_make_no_sequence(self, save, names, counts):
        for name in names:
            folder = save(name, picture(0))
        with pytest.raises(VideoError, match=f"holds {counts}, whose names are no one sequence"):
            read(folder)

    def test_an_animation_is_no_frame(self, save):
        for index in range(3):
            folder = save(f"{index}.png", picture(index))
        save("3.gif", picture(3), save_all=True, append_images=[Image.fromarray(picture(4))])
        save("preview.webp", picture(3), save_all=True, append_images=[Image.fromarray(picture(4))])
        assert len(read(folder)) == 3

    def test_pages_beyond_the_first_are_told(self, save):
        save("1.tif", picture(0))
        folder = save("2.tif", picture(1), save_all=True, append_images=[Image.fromarray(picture(4))])
        with open_frames(as_video(folder)) as reader:
            assert [np.array_equal(frame.rgb, picture(frame.index)) for frame in reader] == [True, True]
        assert reader.report.warnings == (
            "1 image has several pages, of which the first is the frame: 2.tif",
        )

    @pytest.mark.parametrize(
        ("numbers", "told"),
        [
            (["0"], ""),
            (["08", "09", "10", "11"], ""),
            (["0", "10", "20", "30", "40"], ""),  # every tenth
            (["100", "140", "181", "219", "262"], ""),  # times
            (["0", "1", "2", "3", "7", "8", "9"], "4 to 6"),
            (["0", "2", "4", "6", "8", "12"], "10"),
            (["0", "1", "2", "3", "4", "6", "7", "8", "9", "11"], "5, 10"),
        ],
    )
    def test_numbers_that_are_missing_are_told(self, save, numbers, told):
        for number in numbers:
            folder = save(f"cam2_{number}.png", picture(0))
        with open_frames(as_video(folder)) as reader:
            assert len(list(reader)) == len(numbers)
        assert reader.report.warnings == (
            (f"images with the numbers {told} are missing: those around are taken for neighbours",)
            if told
            else ()
        )

    def test_no_images(self, tmp_path):
        (tmp_path / "notes.txt").write_text("nothing")
        with pytest.raises(VideoError, match=r"holds no images \(.*bmp, .*jpeg, jpg, .*tiff, webp\)"):
            open_frames(as_video(tmp_path))


def whole_samples(video: Video, n_frames: int, **options: float) -> list[Frame]:
    return sample_frames(video, n_frames, lambda frame: frame, **options)


class TestSample:
    def test_only_what_is_kept_is_given(self, clip):
        indices = sample_frames(as_video(clip), 100, lambda frame: frame.index)
        assert indices == list(range(20))

    @pytest.mark.parametrize(("suffix", "off_by"), [("mp4", 1), ("mkv", 1), ("ts", 5)])
    def test_spread_over_the_video(self, tmp_path, write_video, suffix, off_by):
        path = write_video(tmp_path / f"clip.{suffix}", pictures(60), g=5)
        samples = whole_samples(as_video(path), 6)
        frames = read(path, decoder="pyav")
        assert [sample.index for sample in samples] == pytest.approx([5, 15, 25, 35, 45, 55], abs=off_by)
        assert all(np.array_equal(sample.rgb, frames[sample.index].rgb) for sample in samples)
        assert same(samples, whole_samples(as_video(path), 6))

    @pytest.mark.parametrize("options", [{"g": 1000}, {"codec": "mpeg4", "suffix": "avi"}])
    def test_where_seeking_does_not_pay(self, tmp_path, write_video, options):
        path = tmp_path / f"clip.{options.pop('suffix', 'mp4')}"
        write_video(path, pictures(60), **options)
        samples = whole_samples(as_video(path), 6)
        frames = read(path)
        assert [sample.index for sample in samples] == [5, 15, 25, 35, 45, 55]
        assert all(np.array_equal(sample.rgb, frames[sample.index].rgb) for sample in samples)

    @pytest.mark.parametrize("n_frames", [20, 21, 100])
    def test_short_videos_give_all(self, clip, n_frames):
        assert same(whole_samples(as_video(clip), n_frames), read(clip))

    def test_one_of_a_video(self, clip):
        (sample,) = whole_samples(as_video(clip), 1)
        assert 5 <= sample.index <= 15

    def test_rotation(self, tmp_path, write_video):
        path = write_video(tmp_path / "clip.mp4", pictures(30), g=3, **LOSSLESS)
        rotate(path, 90)
        (sample,) = whole_samples(as_video(path), 1)
        assert np.array_equal(sample.rgb, np.rot90(picture(sample.index), -1))

    def test_cut_short(self, tmp_path, write_video):
        path = write_video(tmp_path / "clip.mp4", noise(60), g=5, movflags="+faststart")
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        samples = whole_samples(as_video(path), 4)
        assert len(samples) in (3, 4)
        assert samples[-1].index < 40

    def test_folder(self, tmp_path):
        for index in range(10):
            Image.fromarray(picture(index)).save(tmp_path / f"{index}.png")
        samples = whole_samples(as_video(tmp_path), 2, frames_per_second=10)
        assert [(sample.index, sample.seconds) for sample in samples] == [(2, 0.2), (7, 0.7)]
        assert len(whole_samples(as_video(tmp_path), 50)) == 10

    def test_none_is_no_number(self, clip):
        with pytest.raises(ValueError, match="at least 1, not 0"):
            whole_samples(as_video(clip), 0)

    @given(n_total=st.integers(0, 500), n=st.integers(1, 100))
    def test_spread(self, n_total, n):
        indices = spread(n_total, n)
        assert len(indices) == min(n_total, n)
        assert indices == sorted(set(indices))
        assert all(0 <= index < n_total for index in indices)
        steps = np.diff(indices)
        assert steps.size == 0 or steps.max() - steps.min() <= 1


def test_importing_loads_no_decoder():
    code = (
        "import sys, mulde.data.decode.readers, mulde.data.layouts.catalogue, mulde.data.identity;"
        "print([m for m in ('av', 'decord', 'PIL', 'cv2', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_real_footage_is_the_same_with_both_decoders(shared_folder):
    path = shared_folder / "ped2" / "testing" / "Test001.mp4"
    with (
        open_frames(as_video(path), decoder="decord") as one,
        open_frames(as_video(path), decoder="pyav") as two,
    ):
        assert all(np.array_equal(a.rgb, b.rgb) for a, b in zip(one, two, strict=True))
    assert one.report.n_frames == two.report.n_frames == 180


@pytest.mark.parametrize("way", ["file", "samples", "live"])
def test_a_picture_goes_when_nobody_holds_it(tmp_path, write_video, way: str) -> None:
    """And not when the garbage is collected: by then there may be hundreds."""
    path = write_video(tmp_path / "clip.mp4", pictures(40))
    most = 0

    def look(frame: Frame) -> None:
        nonlocal most
        frame.picture.to_rgb()
        frame.picture.to_grey((WIDTH, HEIGHT))
        most = max(most, n_pictures() - before)

    gc.collect()
    before = n_pictures()
    gc.disable()
    try:
        if way == "live":
            with open_live(str(path)) as live:
                for each in live.frames:
                    look(each)
        elif way == "file":
            with open_frames(as_video(path)) as reader:
                for frame in reader:
                    look(frame)
        else:
            sample_frames(as_video(path), 20, look)
        left = n_pictures() - before
    finally:
        gc.enable()
    assert left <= 1  # the last one
    assert 0 < most < 10


def n_pictures() -> int:
    return sum(isinstance(each, av.VideoFrame) for each in gc.get_objects())
