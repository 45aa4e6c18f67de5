from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from mulde.data.cache.entries import SCHEMA_VERSION, CacheFileError
from mulde.data.cache.rows import CachedRows


def write(path: Path, features: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["schema_version"] = SCHEMA_VERSION
        file["features"] = features.astype(np.float32)
    return path


@pytest.fixture
def parts(tmp_path: Path) -> tuple[list[Path], np.ndarray]:
    """Files of 0, 5, 0, 300 and 1 rows, some of them not measured, and the rows that count."""
    rng = np.random.default_rng(0)
    blocks = [rng.normal(size=(n, 3)) for n in (0, 5, 0, 300, 1)]
    blocks[3][[0, 7, 299]] = np.nan
    blocks[4][0, 1] = np.nan  # a mistake, which the detector names
    paths = [write(tmp_path / f"{i}.h5", block) for i, block in enumerate(blocks)]
    rows = np.concatenate(blocks).astype(np.float32)
    return paths, rows[~np.isnan(rows).all(axis=1)]


def test_no_files() -> None:
    assert CachedRows([]).shape == (0, 0)
    assert CachedRows([]).read(0, 0).shape == (0, 0)


def test_rows_without_a_measurement_are_left_out(parts: tuple[list[Path], np.ndarray]) -> None:
    paths, expected = parts
    rows = CachedRows(paths)
    assert rows.shape == expected.shape == (303, 3)
    np.testing.assert_array_equal(rows.counts, [0, 5, 0, 297, 1])
    np.testing.assert_array_equal(rows.groups(), np.repeat([1, 3, 4], [5, 297, 1]))
    np.testing.assert_array_equal(rows.read(0, 303), expected)


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (0, 5), (4, 6), (5, 5), (100, 303), (302, 400)])
def test_any_range_is_read(parts: tuple[list[Path], np.ndarray], start: int, stop: int) -> None:
    paths, expected = parts
    np.testing.assert_array_equal(CachedRows(paths).read(start, stop), expected[start:stop])


def test_more_files_than_stay_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mulde.data.cache.rows._MOST_OPEN_FILES", 2)
    rows = CachedRows([write(tmp_path / f"{i}.h5", np.full((2, 1), i)) for i in range(5)])
    for _ in range(2):
        np.testing.assert_array_equal(rows.read(0, 10)[:, 0], np.repeat(np.arange(5), 2))
    rows.close()
    assert rows.read(9, 10) == 4


def test_files_of_different_streams_are_refused(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{d}.h5", np.zeros((2, d))) for d in (1, 2)]
    with pytest.raises(CacheFileError, match=r"differ in length \(\[1, 2\]\)"):
        CachedRows(paths)
