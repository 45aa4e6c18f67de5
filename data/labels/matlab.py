"""Read what label files of MATLAB hold: matrices and cells, of version 7.3 (which is HDF5) or older."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mulde.data.errors import InputError
from mulde.data.foreign.answers import KINDS_OF_NUMBERS
from mulde.data.foreign.apart import read_apart
from mulde.data.foreign.arrays import reading

_MOST_NESTED = 3


def read_variables(path: Path) -> dict[str, NDArray[np.generic]]:
    """Read all variables: a matrix as (rows, columns), a cell array as object array of its cells.

    What is neither, such as text and structures, is a lone NaN, which no label is.

    Raises:
        InputError: the file is missing, or no .mat file; the text says so.
    """
    found = read_apart(_read, path)  # SciPy crashes on some files, HDF5 never ends on others
    if not isinstance(found, dict):  # of a process that a file has taken over
        raise InputError(f"{path} holds no variables")
    return found


def read_cells(path: Path, name: str) -> list[NDArray[np.generic]]:
    """Read one variable that is a row or column of cells, each a matrix.

    Raises:
        InputError: the file cannot be read, or the variable is missing or something else.
    """
    variables = read_variables(path)
    if name not in variables:
        raise InputError(f"{path} has no variable {name}, but {', '.join(sorted(variables)) or 'none'}")
    cells = variables[name]
    if cells.dtype != object:
        raise InputError(f"{path}: {name} is no cell array")
    return [np.asarray(cell) for cell in cells.ravel()]


def _read(path: Path) -> dict[str, NDArray[np.generic]]:
    from scipy.io import loadmat

    with reading(path):
        with path.open("rb") as file:
            start = file.read(16)
        if start.startswith(b"MATLAB 7.3 MAT-f") or start.startswith(b"\x89HDF"):
            return _read_hdf5(path)
        found = loadmat(path)
        return {name: _plain(value, 0) for name, value in found.items() if not name.startswith("__")}


def _plain(value: Any, depth: int) -> NDArray[np.generic]:
    """Return what of a variable can come from another process: numbers, and cells of these."""
    if depth > _MOST_NESTED or not isinstance(value, np.ndarray):
        return np.array(np.nan)
    if value.dtype == object:
        cells = np.empty(value.shape, dtype=object)
        for index in np.ndindex(value.shape):
            cells[index] = _plain(value[index], depth + 1)
        return cells
    if value.dtype.kind == "b":
        return value.astype(np.uint8)
    return value if value.dtype.kind in KINDS_OF_NUMBERS else np.array(np.nan)


def _read_hdf5(path: Path) -> dict[str, NDArray[np.generic]]:
    import h5py

    from mulde.data.foreign.hdf5 import open_plain

    with open_plain(path) as file:
        return {
            name: _read_dataset(file, value, 0)
            for name, value in file.items()
            if isinstance(value, h5py.Dataset)  # the group #refs# is what cells point to
        }


def _read_dataset(file: Any, dataset: Any, depth: int) -> NDArray[np.generic]:
    """Read a dataset; MATLAB counts by columns, so that rows and columns come swapped."""
    from mulde.data.foreign.hdf5 import read_array

    if depth > _MOST_NESTED:  # a cell can even hold itself
        raise InputError(f"{file.filename}: cells are nested more than {_MOST_NESTED} deep")
    if dataset.attrs.get("MATLAB_empty", 0):
        return np.zeros((0, 0))
    content: NDArray[np.generic] = read_array(dataset).T
    if content.dtype != object:
        return _plain(content, depth)
    cells = np.empty(content.shape, dtype=object)
    for index in np.ndindex(content.shape):
        cells[index] = _read_dataset(file, file[content[index]], depth + 1)
    return cells
