"""decord keeps to itself: what it loads must not change what other libraries compute."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mulde.data.decode.preflight import probe_file
from mulde.data.decode.readers import open_frames
from mulde.data.decode.video_files import has_decord
from mulde.data.errors import VideoError
from mulde.data.video import Video
from tests.conftest import WriteVideo


@pytest.mark.skipif(not has_decord(), reason="decord2 is not installed")
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="loaded libraries are seen on Linux only")
def test_decord_does_not_bring_cuda_libraries_along() -> None:
    code = (
        "import sys; from pathlib import Path; from mulde.data.decode.video_files import open_decord\n"
        "assert open_decord(Path('nothere.mp4')) is None\n"
        "assert 'decord' in sys.modules and 'nvidia' not in sys.modules\n"
        "print('nvblas' in Path('/proc/self/maps').read_text())"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


@pytest.mark.parametrize("text", ["ffconcat version 1.0\nfile real.mp4\n", "#EXTM3U\n#EXTINF:3,\nreal.mp4\n"])
def test_a_list_of_other_files_is_no_video(tmp_path: Path, write_video: WriteVideo, text: str) -> None:
    write_video(tmp_path / "real.mp4", [np.zeros((48, 64, 3), np.uint8)] * 4)
    (tmp_path / "list.mp4").write_text(text)
    assert probe_file(tmp_path / "real.mp4").info.width == 64
    with pytest.raises(VideoError, match=r"list\.mp4 cannot be opened as a video"):
        probe_file(tmp_path / "list.mp4")


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mp4", "mpeg4"), ("a.mkv", "libx264"), ("a.ts", "libx264")]
)
def test_frames_that_are_too_large_are_refused_before_one_is_decoded(
    name: str, codec: str, tmp_path: Path, write_video: WriteVideo, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / name, [np.zeros((240, 320, 3), np.uint8)] * 3, codec=codec)
    assert probe_file(path).info.width == 320
    monkeypatch.setenv("MULDE_MEGAPIXELS", "0.06")
    with pytest.raises(VideoError, match=r"megapixels.*MULDE_MEGAPIXELS"):
        probe_file(path)
    monkeypatch.setenv("MULDE_MEGAPIXELS", "0.11")
    assert probe_file(path).info.width == 320


def test_frames_that_are_too_large_further_on_are_not_decoded(
    tmp_path: Path, write_video: WriteVideo, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = write_video(tmp_path / "small.ts", [np.zeros((48, 64, 3), np.uint8)] * 5)
    large = write_video(tmp_path / "large.ts", [np.zeros((240, 320, 3), np.uint8)] * 5)
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    monkeypatch.setenv("MULDE_MEGAPIXELS", "0.01")
    with open_frames(Video("both", both, tmp_path)) as frames:
        assert {frame.picture.size for frame in frames} == {(64, 48)}
        assert frames.report.n_bad_packets == 5
    monkeypatch.undo()
    with (
        pytest.raises(VideoError, match="changes its frame size"),
        open_frames(Video("both", both, tmp_path)) as frames,
    ):
        list(frames)
