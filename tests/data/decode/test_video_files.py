"""decord keeps to itself: what it loads must not change what other libraries compute."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mulde.data.decode.preflight import probe_file
from mulde.data.decode.video_files import has_decord
from mulde.data.errors import VideoError
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
    with pytest.raises(VideoError, match=r"list\.mp4 (is a list of other files|cannot be opened)"):
        probe_file(tmp_path / "list.mp4")
