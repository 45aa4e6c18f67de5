"""decord keeps to itself: what it loads must not change what other libraries compute."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mulde.data.decode.video_files import has_decord


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
