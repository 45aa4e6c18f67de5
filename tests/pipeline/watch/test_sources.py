"""What can be watched: files, pipes, files that grow, senders of a network that go and come back."""

from __future__ import annotations

import http.server
import io
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mulde.data.decode.live import GrowingFile, NamedPipe, open_live
from mulde.data.errors import InputError, VideoError
from mulde.pipeline.watch import sources
from mulde.pipeline.watch.sources import Lost, Piece, Source, open_source


def frames(n_frames: int, size: tuple[int, int] = (64, 48)) -> Iterator[NDArray[np.uint8]]:
    for k in range(n_frames):
        yield np.full((size[1], size[0], 3), 5 * k, np.uint8)


@pytest.fixture
def clip(tmp_path: Path, write_video: Callable[..., Path]) -> Path:
    """Twelve frames, ten a second, in a container that may begin anywhere."""
    return write_video(tmp_path / "clip.ts", frames(12), g=4, bf=0)


def numbers(piece: Piece) -> list[int]:
    return [frame.index for frame in piece.live.frames]


def pieces(source: Source, n: int) -> list[tuple[str, list[int]] | str]:
    """Return the names and frames of so many pieces, and why the source was lost in between."""
    found: list[tuple[str, list[int]] | str] = []
    with closing(source.pieces()) as all_pieces:
        for piece in all_pieces:
            found.append(piece.reason if isinstance(piece, Lost) else (piece.video.name, numbers(piece)))
            if sum(isinstance(each, tuple) for each in found) == n:
                break
    return found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not there"),
        ("nothing.mp4", "nothing.mp4 is not there: give a file"),
        ("99", "there is no camera 99"),
        ("empty", "no video"),
    ],
)
def test_what_is_not_there(text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        open_source(text or "no file of this name")


def test_an_address_that_never_answers_is_an_error_without_its_password() -> None:
    with pytest.raises(InputError, match=r"^http://127\.0\.0\.1:9/… cannot be opened") as error:
        next(open_source("http://me:secret@127.0.0.1:9/a.ts").pieces())
    assert "secret" not in str(error.value)


PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n"
SESSION = (
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n"
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.m3u8", PLAYLIST),
        ("a.ts", SESSION),
        ("a.ts", "ffconcat version 1.0\nfile http://127.0.0.1:{port}/a.ts\n"),
    ],
)
@pytest.mark.parametrize("is_pipe", [False, True])
def test_what_comes_opens_nothing_else(name: str, text: str, is_pipe: bool, tmp_path: Path) -> None:
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # http.server's name
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *parts: object) -> None:
            pass

    with serving(Handler) as address:
        content = text.format(port=address.rpartition(":")[2]).encode()
        stream: io.RawIOBase = GrowingFile(
            _written(tmp_path / name, content), patience_seconds=0, is_ended=lambda: True
        )
        if is_pipe:
            os.mkfifo(tmp_path / "pipe")
            stream.close()
            stream = NamedPipe(tmp_path / "pipe", lambda: False)
            stream.name = name
            threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(content), daemon=True).start()
        with (
            closing(stream),
            pytest.raises(VideoError, match="a list of other files"),
            open_live(stream),
        ):
            pass
    assert not asked


def test_an_address_may_be_that_of_a_playlist(clip: Path) -> None:
    (clip.parent / "live.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.2,\nclip.ts\n#EXT-X-ENDLIST\n"
    )
    with serving(partial(http.server.SimpleHTTPRequestHandler, directory=str(clip.parent))) as address:
        assert pieces(open_source(f"{address}/live.m3u8"), 1) == [("live", list(range(12)))]


def test_frames_that_are_too_large_are_not_watched(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULDE_MEGAPIXELS", "0.003")
    (lost,) = pieces(open_source(str(clip), follow_seconds=0.1), 1)
    assert re.search(r"clip\.ts claims 64x48 pixels, 0\.00307 megapixels, but at most 0\.003", str(lost))


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_files_of_a_folder_one_after_the_other(tmp_path: Path, write_video: Callable[..., Path]) -> None:
    for name, n_frames in (("10.mp4", 3), ("9.mp4", 4)):
        write_video(tmp_path / "footage" / name, frames(n_frames))
    found = pieces(open_source(str(tmp_path / "footage")), 2)
    assert found == [("9", [0, 1, 2, 3]), ("10", [0, 1, 2])]


def test_a_file_that_grows_is_read_while_it_does(clip: Path, tmp_path: Path) -> None:
    grown, content = tmp_path / "grown.ts", clip.read_bytes()
    grown.write_bytes(content[: len(content) // 3])

    def go_on() -> None:
        with grown.open("ab") as file:
            for start in range(len(content) // 3, len(content), 2000):
                time.sleep(0.02)
                file.write(content[start : start + 2000])
                file.flush()

    writer = threading.Thread(target=go_on)
    writer.start()
    assert pieces(open_source(str(grown), follow_seconds=1.5), 1) == [("grown", list(range(12)))]
    writer.join()


def test_a_folder_that_grows(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "segments"
    folder.mkdir()
    (folder / "1.ts").write_bytes(clip.read_bytes())

    def go_on() -> None:
        for name in ("2.ts", "3.ts"):
            time.sleep(0.3)
            (folder / name).write_bytes(clip.read_bytes())

    writer = threading.Thread(target=go_on)
    writer.start()
    found = [
        each for each in pieces(open_source(str(folder), follow_seconds=1.5), 99) if isinstance(each, tuple)
    ]
    writer.join()
    assert found == [(name, list(range(12))) for name in ("1", "2", "3")]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe(clip: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(clip.read_bytes()))
    writer.start()
    source = open_source(str(pipe))
    assert source.shows == "live"
    source.shows = "gate"
    assert pieces(source, 1) == [("gate", list(range(12)))]
    writer.join()


@pytest.fixture
def served(clip: Path) -> Iterator[str]:
    """The address of a sender that sends the clip to whoever asks, and then hangs up."""
    content = clip.read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # http.server's name
            self.send_response(200)  # of what length is not said, as it is of live footage
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *parts: object) -> None:
            pass

    with serving(Handler) as address:
        yield f"{address}/live.ts"


@contextmanager
def serving(handler: Callable[..., http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_file_on_a_server_ends_as_a_file_does(tmp_path: Path, write_video: Callable[..., Path]) -> None:
    write_video(tmp_path / "served" / "clip.mp4", frames(12))

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *parts: object) -> None:
            pass

    with serving(partial(Handler, directory=str(tmp_path / "served"))) as address:
        assert pieces(open_source(f"{address}/clip.mp4"), 9) == [("live", list(range(12)))]
        source = open_source(f"{address}/clip.mp4")
        with closing(source.pieces()) as all_pieces:
            assert isinstance(next(all_pieces), Piece)
            source.refusal = "it is of another shape"
            assert [*all_pieces] == [Lost("it is of another shape", None)]
        assert source.health.n_lost == 1


def test_a_sender_that_hangs_up_is_asked_again(served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_FIRST_WAIT_SECONDS", 0.01)
    source = open_source(served)
    whole = ("live", list(range(12)))
    found = pieces(source, 3)
    assert found[::2] == [whole, whole, whole]
    for reason in found[1::2]:  # of what length is not known, FFmpeg cannot tell an end from a loss
        assert re.search(r"/… was lost|the source has ended", str(reason))
    assert source.health.n_lost == 2
    assert source.health.n_dropped == 0


def test_frames_without_room_are_dropped_and_counted(served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_MOST_ROOM", 2)
    source = sources._Network(served, may_drop=True)
    with closing(source.pieces()) as all_pieces:
        piece = next(all_pieces)
        assert isinstance(piece, Piece)
        deadline = time.monotonic() + 30
        while source.health.n_dropped < 10 and time.monotonic() < deadline:  # nobody takes a frame
            time.sleep(0.01)
        assert numbers(piece) == [0, 1]
    assert source.health.n_dropped == 10


def test_what_is_no_video_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(VideoError, match=r"text\.mp4"):
        next(open_source(str(tmp_path / "text.mp4")).pieces())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_whose_writer_says_nothing_can_be_left(clip: Path, tmp_path: Path) -> None:
    pipe, content = tmp_path / "pipe", clip.read_bytes()
    os.mkfifo(pipe)
    is_seen, is_left = threading.Event(), threading.Event()

    def write() -> None:
        with suppress(BrokenPipeError), pipe.open("wb") as file:
            while not is_seen.is_set():
                file.write(content)
                file.flush()
            is_left.wait(60)

    writer = threading.Thread(target=write)
    writer.start()
    source = open_source(str(pipe))
    with closing(source.pieces()) as all_pieces:
        piece = next(all_pieces)
        assert isinstance(piece, Piece)
        assert next(piece.live.frames).index == 0
        is_seen.set()
        started = time.monotonic()
    assert time.monotonic() - started < 10
    is_left.set()
    writer.join()


def test_a_sender_waits_where_nothing_may_be_lost(served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_MOST_ROOM", 2)
    source = open_source(served)
    assert pieces(source, 1) == [("live", list(range(12)))]
    assert source.health.n_dropped == 0


def test_a_damaged_file_among_others_is_told_and_passed_over(
    tmp_path: Path, write_video: Callable[..., Path]
) -> None:
    for name in ("a.mp4", "c.mp4"):
        write_video(tmp_path / "footage" / name, frames(3))
    (tmp_path / "footage" / "b.mp4").write_text("no video")
    first, lost, last = pieces(open_source(str(tmp_path / "footage")), 2)
    assert (first, last) == (("a", [0, 1, 2]), ("c", [0, 1, 2]))
    assert "b.mp4 cannot be opened" in lost


def test_a_segment_that_is_deleted_while_it_is_read_is_no_error(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "segments"
    folder.mkdir()
    (folder / "1.ts").write_bytes(clip.read_bytes())
    source = open_source(str(folder), follow_seconds=0.5)
    with closing(source.pieces()) as all_pieces:
        piece = next(all_pieces)
        assert isinstance(piece, Piece)
        (folder / "1.ts").unlink()
        folder.rmdir()
        assert numbers(piece) == list(range(12))
        assert list(all_pieces) == []


def test_a_file_that_has_more_to_give_is_not_asked_whether_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / "grown").write_bytes(b"12345")
    asked = []

    def is_ended() -> bool:
        asked.append(True)
        return True

    with closing(GrowingFile(tmp_path / "grown", patience_seconds=60, is_ended=is_ended)) as file:
        assert [file.read(3), file.read(3)] == [b"123", b"45"]
        assert asked == []
        assert [file.read(3), file.read(3)] == [b"", b""]
        assert asked == [True]
