"""A disk that is full ends a run in one sentence; with room, the same command comes to the same numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from small_run import Place

SIZES_KB = tuple(map(int, os.environ.get("MULDE_SIZES_KB", "16").split()))
"""8 16 24 64 256 1024 are worth a try."""
Resize = Callable[[int], None]


@pytest.fixture(scope="module")
def expected(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a run without trouble makes."""
    place = Place(tmp_path_factory.mktemp("whole"), data)
    subprocess.run(place.command, capture_output=True, check=True)
    return place.numbers()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, Resize]]:
    """Give a disk in memory and what resizes it, in kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", disk], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip(f"a disk in memory cannot be mounted here: {made.stderr.decode().strip()}")

    def resize(size_kb: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size_kb}k", disk], check=True)

    yield disk, resize
    subprocess.run(["umount", disk], check=True)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="tmpfs is Linux's")
@pytest.mark.parametrize("size_kb", SIZES_KB)
@pytest.mark.parametrize("part", ["cache", "run"])
def test_full_disk(
    data: Path,
    expected: dict[str, str],
    small_disk: tuple[Path, Resize],
    tmp_path: Path,
    part: str,
    size_kb: int,
) -> None:
    disk, resize = small_disk
    resize(size_kb)
    place = Place(tmp_path / "place", data)
    place.root.mkdir()
    (place.root / part).symlink_to(disk)
    done = subprocess.run(place.command, capture_output=True, text=True, check=False)
    *before, last = done.stderr.splitlines()
    assert done.returncode == 2, done.stderr
    assert last.startswith("mulde: ")
    assert str(place.root / part) in last
    assert "No space left on device" in last
    assert "Traceback" not in done.stderr
    sys.stdout.write(f"{part}, {size_kb} kB: exit code 2 after {len(before)} lines; {last}\n")

    resize(64 * 1024)
    done = subprocess.run(place.command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert place.numbers() == expected
