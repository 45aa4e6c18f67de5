"""What checksums and signatures cost: a file of features read and written with and without, as ratios.

    python benchmarks/checksums.py [--rows 1000000]

A file of somebody else's is looked through in a process of its own once a command, which runs already here.
Each line is the least of several goes. Files are read from the memory of the operating system, where a
checksum costs most: a disk is slower than it.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import h5py
import numpy as np
from rich.console import Console
from rich.table import Table

from mulde.data import harmless
from mulde.data.cache import entries
from mulde.data.cache.rows import CachedRows
from mulde.data.cache.store import FeatureCache, StreamKey, read_entry, read_rows, verify_entry
from mulde.data.features import FeatureRows
from mulde.data.identity import SourceIdentity
from mulde.data.video import DecodeReport, Video

KEY = StreamKey("velocity", {})
WIDTHS = {"velocity": 34, "appearance": 512}
N_GOES = 7


def seconds(do: Callable[[], object]) -> float:
    """Return the least time of several goes."""
    times = []
    for _ in range(N_GOES):
        started = time.perf_counter()
        do()
        times.append(time.perf_counter() - started)
    return min(times)


def write(cache: FeatureCache, rows: FeatureRows) -> Path:
    """Write rows as extraction does."""
    n_frames = int(rows.frame[-1]) + 1
    video = Video("a", cache.folder / "a.mp4", cache.folder)
    with cache.writer(KEY, video, rows.n_features, has_boxes=False) as writer:
        writer.append(rows)
        report = DecodeReport("pyav", n_frames, n_frames, 25.0, 64, 48)
        writer.commit(SourceIdentity(1, 1, 1), report, np.arange(n_frames) / 25)
    return cache.entry_path(KEY, "a")


def read_for_training(path: Path) -> None:
    """Read all rows as training does."""
    rows = CachedRows([path])
    rows.read(0, rows.shape[0])
    rows.close()


def look_up_anothers(path: Path) -> None:
    """Look a file up that this user has not made, for the first time."""
    harmless._look_through.cache_clear()
    with mock.patch.object(harmless, "is_ours", lambda path: False):
        read_entry(path)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="floats are rows x 34, for each width")
    n_floats = 34 * parser.parse_args().rows
    table = Table("file", "MB", "what", "without, s", "with, s", "ratio")
    for name, width in WIDTHS.items():
        n_rows = n_floats // width
        rows = FeatureRows(
            np.random.default_rng(0).normal(size=(n_rows, width)).astype(np.float32), np.arange(n_rows) // 4
        )
        with tempfile.TemporaryDirectory() as folder:
            cache = FeatureCache(Path(folder))
            path = write(cache, rows)
            doings: dict[str, Callable[[], object]] = {
                "write (extract)": lambda cache=cache, rows=rows: write(cache, rows),
                "read (score)": lambda path=path: read_rows(path),
                "read (train)": lambda path=path: read_for_training(path),
                "look up (plan)": lambda path=path: read_entry(path),
                "look up, another's": lambda path=path: look_up_anothers(path),
                "verify": lambda path=path: verify_entry(path),
            }
            for what, do in doings.items():
                with_checksum = seconds(do)
                with (
                    mock.patch.object(entries, "require_harmless", lambda path: None),
                    mock.patch("mulde.data.cache.rows.require_harmless", lambda path: None),
                    mock.patch.object(entries, "check_whole", lambda path: None),
                    mock.patch("mulde.data.cache.rows.check_whole", lambda path: None),
                    mock.patch("mulde.data.hdf5.seal_stream", lambda stream: None),
                    mock.patch("mulde.data.hdf5.own_key", lambda make: None),
                ):
                    without = seconds(do)
                write(cache, rows)  # with its checksum again
                ratio = f"{with_checksum / without:.2f}"
                size = f"{path.stat().st_size / 1e6:.0f}"
                table.add_row(name, size, what, f"{without:.5f}", f"{with_checksum:.5f}", ratio)
    console = Console()
    console.print(f"HDF5 {h5py.version.hdf5_version}, least of {N_GOES}")
    console.print(table)


if __name__ == "__main__":
    main()
