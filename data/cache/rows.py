"""The rows of many cached files as one matrix that need not fit into memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from mulde.data.cache.entries import Entry, check_whole, open_hdf5
from mulde.data.cache.storage import CacheFileError
from mulde.data.features import is_without_measurement
from mulde.data.foreign.hdf5 import own_dataset, read_array
from mulde.data.harmless import require_harmless

_ROWS_A_READ = 65_536
_MOST_OPEN_FILES = 64


class CachedRows:
    """Feature rows of some cached files, one after the other, without those that are not measured (all NaN).

    Files are opened when they are needed; the latest stay open.

    Args:
        files: of one stream; entries where copies of them may have to be fetched, and fetched again.

    Raises:
        CacheFileError: a file is damaged, as its checksum tells, or they differ in the number of features.
    """

    def __init__(self, files: Sequence[Path | Entry]) -> None:
        self._files = tuple(files)
        self._open: OrderedDict[int, h5py.File] = OrderedDict()
        widths = set()
        self._measured: list[NDArray[np.int64] | None] = []
        counts = []
        for file_of in files:
            path = _path(file_of)
            check_whole(path)
            with open_hdf5(path) as file:
                features = own_dataset(file, "features")
                n_rows, n_features = features.shape
                widths.add(n_features)
                measured = _find_measured(features)
            self._measured.append(measured)
            counts.append(n_rows if measured is None else len(measured))
        if len(widths) > 1:
            raise CacheFileError(
                f"cached features differ in length ({sorted(widths)}) below {_path(files[0]).parent}"
            )
        self._n_features = widths.pop() if widths else 0
        self.counts = np.array(counts, dtype=np.int64)
        """Rows of each file."""
        self._starts = np.concatenate([[0], np.cumsum(self.counts)])

    @property
    def shape(self) -> tuple[int, int]:
        """(N, D)."""
        return int(self._starts[-1]), self._n_features

    @property
    def size_bytes(self) -> int:
        """What all rows take in memory."""
        return 4 * self.shape[0] * self.shape[1]

    def groups(self) -> NDArray[np.int64]:
        """Return the number of the file that each row is from, (N,)."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def frames(self) -> NDArray[np.int64]:
        """Return the number of the frame that each row is about, in its own video, (N,)."""
        parts = [np.zeros(0, np.int64)]
        for file_of, measured in zip(self._files, self._measured, strict=True):
            with open_hdf5(_path(file_of)) as file:
                frame = read_array(own_dataset(file, "frame"))
            parts.append(frame if measured is None else frame[measured])
        return np.concatenate(parts)

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the rows start to stop, half-open, (stop - start, D).

        Raises:
            CacheFileError: a file was damaged or taken away since.
        """
        start, stop = max(0, start), min(stop, self.shape[0])
        rows = np.empty((max(0, stop - start), self._n_features), np.float32)
        index = int(np.searchsorted(self._starts, start, side="right")) - 1
        done = 0
        while done < len(rows):
            first = start + done - int(self._starts[index])
            last = min(first + len(rows) - done, int(self.counts[index]))
            self._read_file(index, first, last, rows[done : done + last - first])
            done += last - first
            index += 1
        return rows

    def _read_file(self, index: int, first: int, last: int, out: NDArray[np.float32]) -> None:
        if first == last:
            return
        measured = self._measured[index]
        try:
            features = own_dataset(self._file(index), "features")
            if measured is None:
                features.read_direct(out, np.s_[first:last])
            else:  # one read of what lies between is quicker than many of single rows
                low, high = int(measured[first]), int(measured[last - 1]) + 1
                out[:] = features[low:high][measured[first:last] - low]
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise CacheFileError(
                f"{_path(self._files[index])} cannot be read ({error}): run extract again"
            ) from None

    def _file(self, index: int) -> h5py.File:
        if index not in self._open:
            path = _path(self._files[index])
            require_harmless(path)
            if len(self._open) >= _MOST_OPEN_FILES:
                self._open.popitem(last=False)[1].close()
            self._open[index] = h5py.File(path, "r")
        self._open.move_to_end(index)
        return self._open[index]

    def close(self) -> None:
        """Close the files that are open; reading opens them again."""
        while self._open:
            self._open.popitem()[1].close()


def _path(file: Path | Entry) -> Path:
    return file.path if isinstance(file, Entry) else file


def _find_measured(features: h5py.Dataset) -> NDArray[np.int64] | None:
    """Return the numbers of the rows that are not all NaN, None where that is all of them."""
    missing = [
        is_without_measurement(features[start : start + _ROWS_A_READ])
        for start in range(0, len(features), _ROWS_A_READ)
    ]
    is_missing = np.concatenate([np.zeros(0, np.bool_), *missing])
    return np.flatnonzero(~is_missing) if is_missing.any() else None
